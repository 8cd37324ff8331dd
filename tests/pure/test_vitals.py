"""Which lane is called stuck: one that has work to do and brings nothing about, and no other."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from runtime.vitals import Pulse, Signs, look

IDLE = Signs(unread=False, may_read=True, full=False, running=0, waiting=0)
AFTER = timedelta(seconds=120)
EVERY = timedelta(seconds=3)
LONGEST = timedelta(seconds=16)


def watched(*signs: Signs, times: int = 1, others: bool = False, elapsed: timedelta = EVERY) -> Pulse:
    """The pulse after looking so often at each of `signs`, one after the other."""
    pulse = Pulse()
    for shown in signs:
        for _ in range(times):
            pulse = look(pulse, shown, others=others, elapsed=elapsed, stuck_after=AFTER, longest=LONGEST)
    return pulse


def test_an_idle_lane_is_never_stuck():
    assert watched(IDLE, times=1_000).stuck is None


def test_records_that_are_unread_although_there_is_room_are_a_lane_that_is_stuck_in_reading():
    pulse = watched(replace(IDLE, unread=True), times=50)

    assert pulse.stuck == "read"
    assert (pulse.reason or "").startswith("read: records are unread, there is room")


def test_a_lane_that_waits_for_room_of_the_process_is_not_stuck():
    assert watched(replace(IDLE, unread=True, may_read=False), times=1_000).stuck is None


def test_records_that_rest_are_not_at_work_and_never_stuck():
    """They count neither as running nor as waiting for a transaction."""
    assert watched(replace(IDLE, unread=True, may_read=False, running=0), times=1_000).stuck is None


def test_a_call_that_never_ends_makes_its_lane_stuck_in_working():
    assert watched(replace(IDLE, running=1), times=50).stuck == "work"


def test_a_long_call_is_not_held_against_a_lane_while_records_of_others_come_to_an_end():
    assert watched(replace(IDLE, running=1), times=1_000, others=True).stuck is None


def test_a_call_for_which_a_lane_can_read_no_further_counts_whatever_others_do():
    assert watched(replace(IDLE, running=1, unread=True, may_read=False, full=True), times=50, others=True).stuck


def test_outcomes_that_no_transaction_takes_are_stuck_in_committing_even_while_records_are_read_and_done():
    signs = [replace(IDLE, unread=True, running=2, waiting=5, read=n, finished=n) for n in range(50)]

    assert watched(*signs).stuck == "commit"


def test_what_moves_is_well_again():
    stuck = watched(replace(IDLE, running=1), times=50)

    again = look(
        stuck, replace(IDLE, running=1, finished=1), others=False, elapsed=EVERY, stuck_after=AFTER, longest=LONGEST
    )
    assert (again.stuck, again.quiet_s) == (None, 0)


def test_a_process_that_was_frozen_has_not_seen_its_lanes_stand_still():
    """One look before, one after ten minutes in which nothing could move."""
    assert watched(replace(IDLE, running=1), times=2, elapsed=timedelta(minutes=10)).stuck is None


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.integers(0, 3)), min_size=1, max_size=90)
)
def test_a_lane_is_stuck_only_after_so_long_in_which_a_stage_with_work_stood_still(
    steps: list[tuple[int, int, bool, int]],
):
    pulse, read, finished, committed = Pulse(), 0, 0, 0
    history: list[Signs] = []
    for running, waiting, unread, moved in steps:
        read, finished, committed = read + (moved == 1), finished + (moved == 2), committed + (moved == 3)
        signs = Signs(unread, True, False, running, waiting, read, finished, committed)
        history.append(signs)
        pulse = look(
            pulse, signs, others=False, elapsed=EVERY, stuck_after=timedelta(seconds=30), longest=LONGEST
        )  # fmt: skip
        recent = history[-11:]
        still = {
            "read": all(one.unread for one in recent[1:]) and recent[0].read == read,
            "work": all(one.running for one in recent[1:]) and recent[0].finished == finished,
            "commit": all(one.waiting for one in recent[1:]) and recent[0].committed == committed,
        }
        expected = [stage for stage in still if still[stage] and len(recent) == 11]
        assert pulse.stuck == (expected[-1] if expected else None)
