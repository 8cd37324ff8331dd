"""A lane's state: what waits, in which order it is taken, when reading stops; and the window of a process."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import lane as lanes
from runtime.admit import Window, most_to_poll
from runtime.commit import assemble
from runtime.lane import Lane, shrink
from runtime.outcome import Done, GiveUp, Publish
from runtime.ports import Delivery, LaneId, Lease, Outgoing, Record
from runtime.progress import WINDOW, Progress
from runtime.work import Work
from schemas.failure import FailureKind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ID = LaneId("novix-router", "inference.jobs.v1", 0)
CROWD = 4


class Silent:
    """A handler with nothing to share."""

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        return []


def lane() -> Lane:
    return Lane(ID, Silent(), 0, Progress(), CROWD)  # type: ignore[arg-type]


def work(offset: int, size: int = 1, done: Done | None = None, value: bytes = b"") -> Work:
    record = Record(ID.topic, 0, offset, None, value, (), 1)
    lease = Lease()
    done = done or Publish((Outgoing("inference.results.v1", None, b"x" * size),))
    return Work(record, Delivery(record, NOON, lease=lease), lease, done=done)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3) | st.just(lanes.CROWD_BYTES), max_size=20))
def test_everything_settled_is_taken_once_and_oldest_first(sizes: list[int]):
    at = lane()
    for offset, size in enumerate(sizes):
        at.settle(work(offset, size))

    taken = []
    while batch := at.take():
        assert len(batch) <= CROWD
        assert sum(lanes.size_of(one) for one in batch[:-1]) < lanes.CROWD_BYTES
        taken += [one.offset for one in batch]

    assert taken == list(range(len(sizes)))
    assert at.pending_bytes == 0
    assert not at.settled.is_set()
    assert not at.crowded.is_set()


def test_a_crowd_begins_a_transaction_at_once_by_number_or_by_bytes():
    many, heavy = lane(), lane()
    for offset in range(CROWD):
        assert not many.crowded.is_set()
        many.settle(work(offset))
    heavy.settle(work(0, lanes.CROWD_BYTES))

    assert many.crowded.is_set()
    assert heavy.crowded.is_set()


def test_a_lane_stops_reading_when_transactions_lag_behind_and_goes_on_when_they_caught_up():
    at = lane()
    for offset in range(4 * CROWD):
        assert not at.full
        at.settle(work(offset))
    assert at.full

    at.take()
    assert not at.full


def test_a_lane_stops_reading_at_the_end_of_its_window():
    at = lane()
    at.tracker.admit(0)
    assert not at.full

    at.tracker.admit(WINDOW)
    assert at.full


def giving_up(size: int) -> GiveUp:
    return GiveUp(FailureKind.OUTPUT_TOO_LARGE, f"{size} bytes")


@pytest.mark.parametrize("offer", [giving_up, lambda size: Publish((Outgoing("t", None, b"small"),))])
def test_an_outcome_that_is_too_large_becomes_the_one_its_handler_offers_which_is_final(
    offer: Callable[[int], Publish | GiveUp],
):
    shrunk = shrink(Publish((Outgoing("t", None, b"x" * 99),), shrunk=offer), 99)

    assert shrunk == offer(99)
    assert shrunk.shrunk is None


def test_an_outcome_that_is_too_large_and_offers_nothing_is_given_up_with_its_facts_and_without_its_records():
    shrunk = shrink(Publish((Outgoing("t", None, b"x" * 99),), facts=("f",)), 99)

    assert shrunk == GiveUp(
        FailureKind.OUTPUT_TOO_LARGE, "a record of 99 bytes is larger than its topic takes", facts=("f",)
    )


def test_a_dead_letter_that_its_topic_refuses_comes_back_shorter_so_that_the_lane_goes_on():
    at = lane()
    one = work(0, done=GiveUp(FailureKind.UNDECODABLE, "not JSON"), value=b"x" * 1_000_000)
    at.tracker.admit(0)
    refused = assemble(at, [one], NOON).records[0]
    again = lane()
    again.tracker.admit(0)

    one.done = shrink(one.done or Publish(), len(refused.value or b""))
    letter = assemble(again, [one], NOON).records[0]

    assert refused.value == one.record.value
    assert len(letter.value or b"") < len(refused.value or b"") * 0.6
    assert b"the job gave up with undecodable" in dict(letter.headers)["__dlq.errors.message"]


# the window of a process


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=30))
def test_a_window_has_room_again_for_all_that_was_given_back(sizes: list[int]):
    window = Window(10, size_bytes=100)
    for size in sizes:
        window.take(size)
        assert window.free <= 10
        assert (window.free == 0) is (window.used >= 10 or window.used_bytes >= 100)
    for size in sizes:
        window.give(size)

    assert (window.used, window.used_bytes, window.free) == (0, 0, 10)


def test_works_that_wait_to_be_read_again_are_read_however_full_the_window_is():
    assert most_to_poll(0, 1) == 100
    assert most_to_poll(500, 1) == 500
    assert most_to_poll(0, 0) == 0
