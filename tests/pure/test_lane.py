"""A lane's state: what waits, in which order it is taken, when reading stops; and the window of a process."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import lane as lanes
from runtime.admit import Reading, Window, next_reading
from runtime.commit import assemble
from runtime.lane import Lane, shrink
from runtime.outcome import Done, GiveUp, Publish
from runtime.ports import Delivery, LaneId, Lease, Outgoing, Record
from runtime.progress import METADATA_LIMIT, WINDOW, Progress
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


@pytest.mark.parametrize("seed", range(4))
def test_what_is_finished_far_above_the_lowest_open_record_waits_so_that_the_commit_metadata_always_fits(seed: int):
    """A poll brings 10,000 records with gaps of any kind when the window is nearly used up; half of all are done."""
    dice = random.Random(seed)
    at, offset = Lane(ID, Silent(), 0, Progress(), 500), 0  # type: ignore[arg-type]
    offsets = [0]
    for _ in range(25_000):
        offset += dice.randint(1, 4)
        offsets.append(offset)
    for one in offsets:
        at.tracker.admit(one)
    done = [one for one in offsets[1:] if dice.random() < 0.5]
    dice.shuffle(done)

    def commit() -> int:
        count = 0
        while batch := at.take():
            sent = assemble(at, batch, NOON)
            assert len(sent.position.metadata) <= METADATA_LIMIT
            at.committed(sent.position.offset, sent.progress)
            count += len(batch)
        return count

    for one in done:
        at.settle(work(one))
    early = commit()
    assert 0 < early < len(done), "some wait"

    for one in set(offsets) - set(done):
        at.settle(work(one))
    assert early + commit() == len(offsets)
    assert (at.tracker.committable(), at.tracker.finished, at.held_back) == (offset + 1, frozenset(), [])
    assert at.pending_bytes == 0, "else the lane takes itself for full"


def test_a_lane_is_behind_when_only_markers_lie_above_what_is_committed():
    at = lane()
    at.reach(3)
    assert at.behind
    assert at.settled.is_set()

    at.committed(3, Progress())
    assert not at.behind

    at.tracker.admit(3)
    at.settled.clear()
    at.reach(9)
    assert not at.behind, "a record is open"
    assert not at.settled.is_set()


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


def test_a_handler_that_fails_to_make_a_smaller_outcome_gives_the_job_up():
    def broken(size: int) -> Publish:
        raise ZeroDivisionError("with a secret in it")

    shrunk = shrink(Publish((), shrunk=broken), 99)

    assert isinstance(shrunk, GiveUp)
    assert (shrunk.kind, shrunk.error_type) == (FailureKind.INTERNAL, "ZeroDivisionError")
    assert "secret" not in shrunk.message


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
    """But then from their own partitions alone: what others have to read would fill it further."""
    assert next_reading(0, [], draining=False) == Reading(0)
    assert next_reading(7, [], draining=False) == Reading(7)
    assert next_reading(0, [2], draining=False) == Reading(100, frozenset({2}))
    assert next_reading(500, [2], draining=False) == Reading(500)
    assert next_reading(7, [2], draining=False) == Reading(100)


def test_a_drain_reads_only_what_was_read_before():
    assert next_reading(500, [], draining=True) == Reading(0)
    assert next_reading(500, [1], draining=True) == Reading(100, frozenset({1}))
