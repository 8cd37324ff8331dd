"""When a lane commits."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.cadence import Cadence

CADENCE = Cadence()
WAITS = st.timedeltas(timedelta(0), CADENCE.longest)
SPANS = st.timedeltas(timedelta(0), timedelta(hours=1))


@settings(deadline=None)
@given(WAITS, st.integers(0, 10_000), SPANS)
def test_no_settled_record_waits_longer_than_the_longest_wait(previous: timedelta, committed: int, since: timedelta):
    assert timedelta(0) <= CADENCE.wait(previous, committed, since) <= CADENCE.longest


@settings(deadline=None)
@given(WAITS, st.integers(0, 10_000))
def test_a_lane_that_has_been_idle_commits_at_once(previous: timedelta, committed: int):
    assert CADENCE.wait(previous, committed, CADENCE.longest + timedelta(microseconds=1)) == timedelta(0)


@settings(deadline=None)
@given(WAITS, st.integers(0, 10_000), st.timedeltas(timedelta(0), CADENCE.longest))
def test_a_busy_lane_always_pauses_between_two_transactions(previous: timedelta, committed: int, since: timedelta):
    assert CADENCE.wait(previous, committed, since) >= CADENCE.shortest


def test_the_wait_grows_to_the_longest_while_it_gathers_and_shrinks_again_when_it_does_not():
    wait, waits = timedelta(0), []
    for committed in [50] * 8 + [1] * 8:
        wait = CADENCE.wait(wait, committed, timedelta(0))
        waits.append(wait)

    assert waits[:8] == sorted(waits[:8])
    assert waits[7] == CADENCE.longest
    assert waits[8:] == sorted(waits[8:], reverse=True)
    assert waits[-1] == CADENCE.shortest
