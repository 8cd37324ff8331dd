"""When the budgets that a job lacks have begun their next windows."""

from datetime import UTC, datetime, timedelta

import pytest

from router.funds import binding, resets, when
from router.purse import Line, Purse

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SOON, LATE = NOON + timedelta(hours=1), NOON + timedelta(hours=12)


@pytest.mark.parametrize(
    ("ends", "all_anew"),
    [([SOON], SOON), ([SOON, LATE], LATE), ([LATE, SOON], LATE), ([SOON, None], None), ([None], None)],
)
def test_a_job_that_several_budgets_bind_waits_for_the_last_of_their_windows_and_for_none_that_never_ends(
    ends: list[datetime | None], all_anew: datetime | None
):
    lines = [Line(f"b{at}", "w", 10, 10, 0, resets_at=end) for at, end in enumerate(ends)]

    assert resets(lines) == all_anew
    assert when(lines) == (
        "; it has no next window" if all_anew is None else f"; its next window begins at {all_anew.isoformat()}"
    )


def test_a_budget_that_has_just_what_is_needed_binds_nobody():
    """Nor does one of a provider, where a budget of the job itself is too small."""
    enough, short = Line("enough", "w", 10, 0, 0), Line("short", "w", 10, 4, 2)
    there, elsewhere = Line("there", "w", 10, 8, 0, provider="groq"), Line("elsewhere", "w", 0, 0, 0, provider="novita")

    assert binding(Purse((enough, short, there)), 10, [("groq", "m/a")]) == [short]
    assert binding(Purse((enough, there, elsewhere)), 10, [("groq", "m/a")]) == [there]
    assert binding(Purse((enough,)), 10, [("groq", "m/a")]) == []
