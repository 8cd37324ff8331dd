"""What another process's news of a breaker means for ours."""

from datetime import UTC, datetime, timedelta

import pytest

from runtime.adoption import LATER_S, STALE_S, TRIAL_S, Adoption, adoption
from schemas.breakers import BreakerState

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def news(state: str, since: float = -1.0, **more) -> BreakerState:
    """Told a second ago, of a change at `since` seconds from now."""
    return BreakerState(
        provider="p", model="m", state=state, since=NOW + seconds(since), at=NOW - seconds(1), by="other", **more
    )


def adopted(told: BreakerState, state: str = "closed", since: float | None = None) -> Adoption | None:
    known = None if since is None else NOW + seconds(since)
    return adoption(told, state=state, since=known, now=NOW, longest_s=300.0)


def test_we_try_later_than_who_found_it():
    told = adopted(news("open", retry_at=NOW + seconds(100)))

    assert told == Adoption("open", 100 + LATER_S, NOW - seconds(1))


@pytest.mark.parametrize("retry_at", [None, NOW + seconds(100_000)])
def test_no_wait_is_longer_than_our_own(retry_at):
    told = adopted(news("open", retry_at=retry_at))

    assert told is not None
    assert told.retry_in_s == 300 + LATER_S


def test_what_could_be_tried_long_ago_says_nothing_and_what_could_be_lately_is_tried_with_care():
    assert adopted(news("open", -900, retry_at=NOW - seconds(STALE_S + 1))) is None
    told = adopted(news("open", -900, retry_at=NOW - seconds(STALE_S - 1)))
    assert told is not None
    assert told.retry_in_s == 0


def test_a_close_closes_at_once_and_says_nothing_to_a_closed_one():
    assert adopted(news("closed"), "open", -5) == Adoption("closed", 0, NOW - seconds(1))
    assert adopted(news("closed"), "half-open", -5) == Adoption("closed", 0, NOW - seconds(1))
    assert adopted(news("closed"), "closed", -5) is None


def test_the_trial_of_another_is_waited_for_and_opens_nothing():
    assert adopted(news("half-open"), "open", -5) == Adoption("half-open", TRIAL_S - 1, NOW - seconds(1))
    assert adopted(news("half-open"), "closed", None) is None
    assert adopted(news("half-open", -TRIAL_S - 1), "open", -50) is None, "it took too long"


@pytest.mark.parametrize("state", ["open", "closed", "half-open"])
@pytest.mark.parametrize("since", [-1.0, -0.5])
def test_news_as_old_as_our_own_change_are_passed_over_so_our_own_are(state: str, since: float):
    ours = "open" if state == "closed" else "closed"
    assert adopted(news(state, -1.0, retry_at=NOW + seconds(9)), ours, since) is None


def test_a_clock_that_goes_before_ours_does_not_make_its_news_win_for_ever():
    told = adopted(news("open", +3_600, retry_at=NOW + seconds(3_900)))

    assert told is not None
    assert told.since == NOW
