"""Notes that several processes have made of one call: what one says of its own is nothing that another has said."""

from pathlib import Path

import pytest

from runtime.intents import IntentFile

LANE = "novix-worker-text.inference.text.v1.2"


@pytest.mark.parametrize(
    ("what", "left"), [("end", [("theirs", None), ("mine", "over")]), ("withdraw", [("theirs", None)])]
)
async def test_a_call_that_ends_or_was_not_made_is_the_callers_own(
    tmp_path: Path, what: str, left: list[tuple[str, str | None]]
) -> None:
    """The other one lost the lane with its call out: whether it was paid for is still to be told."""
    path = tmp_path / "lane.sqlite"
    async with IntentFile(path) as theirs, IntentFile(path) as mine:
        await theirs.begin(LANE, 7, 1, "theirs")
        await mine.begin(LANE, 7, 1, "mine")
        if what == "end":
            mine.end(LANE, 7, 1, "over")
        else:
            mine.withdraw(LANE, 7, 1)
        await mine.flush()
        (notes,) = (await theirs.left(LANE, 0, (), theirs.custody)).values()

    assert [(note.begun, note.ended) for note in notes] == left
