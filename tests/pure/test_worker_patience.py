"""How a provider's queue is waited for: never past the deadline, never in a busy loop, never for ever."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.failure import FailureKind
from workers.errors import ProviderError
from workers.exchange import FIRST, Call, Next
from workers.patience import PASSING, Patience, after_a_fault, before_the_next

CALL = Call("GET", "http://provider.test/status", ())
PATIENCE = Patience(poll_s=0.5, longest_s=5.0, faults=3, fault_s=1.0)
SPANS = st.floats(min_value=0, max_value=10_000)


@given(st.sampled_from(["poll", "fetch"]), SPANS, SPANS, st.floats(min_value=0, max_value=600))
def test_a_look_is_before_the_deadline_or_is_not_made(stage: str, waited: float, left: float, after: float) -> None:
    step = Next(CALL, stage, after_s=after)
    needed = before_the_next(step, "poll", waited, 10**9, PATIENCE).seconds
    assert needed >= after
    if needed < left:
        assert before_the_next(step, "poll", waited, left, PATIENCE).seconds == needed
    elif left > 2 * PATIENCE.poll_s:
        assert before_the_next(step, "poll", waited, left, PATIENCE).seconds == left - PATIENCE.poll_s
    else:
        with pytest.raises(ProviderError) as late:
            before_the_next(step, "poll", waited, left, PATIENCE)
        assert (late.value.kind, late.value.accepted) == (FailureKind.DEADLINE_PASSED, True)


@given(SPANS)
def test_who_asks_again_and_again_waits_in_between_and_never_longer_than_a_twentieth(waited: float) -> None:
    wait = before_the_next(Next(CALL, "poll"), "poll", waited, 10**9, PATIENCE)

    assert PATIENCE.poll_s <= wait.seconds <= max(PATIENCE.poll_s, min(PATIENCE.longest_s, waited / 20))


def test_another_stage_is_begun_at_once() -> None:
    assert before_the_next(Next(CALL, "fetch"), "poll", 60.0, 100.0, PATIENCE).seconds == 0
    assert before_the_next(Next(CALL, "poll"), FIRST, 0.0, 100.0, PATIENCE).seconds == 0


def test_a_look_that_fails_is_made_again_three_times_each_later_than_the_last() -> None:
    error = ProviderError(FailureKind.OVERLOADED, "busy")
    waits = [after_a_fault(error, faults, 100.0, PATIENCE) for faults in (1, 2, 3)]

    assert [wait.seconds for wait in waits if wait is not None] == [1.0, 2.0, 4.0]
    assert after_a_fault(error, 4, 100.0, PATIENCE) is None


def test_a_retry_after_wins_and_one_past_the_deadline_gives_up() -> None:
    error = ProviderError(FailureKind.RATE_LIMITED, "later", retry_after=timedelta(seconds=30))
    wait = after_a_fault(error, 1, 31.0, PATIENCE)

    assert wait is not None
    assert wait.seconds == 30
    assert after_a_fault(error, 1, 30.0, PATIENCE) is None


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - PASSING))
def test_what_says_something_about_the_work_is_not_looked_at_again(kind: FailureKind) -> None:
    assert after_a_fault(ProviderError(kind, "no"), 1, 100.0, PATIENCE) is None
