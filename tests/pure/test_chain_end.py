"""The end of a lane's audit chain, found from the topic's end backwards and held against what is committed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from runtime import audit
from runtime.chain_end import BLOCKS, PositionOutdated, chain_end, held_against
from runtime.partitions import partition_of
from runtime.ports import LaneId, NotReadable, Record
from runtime.progress import ANEW, GENESIS, Progress
from runtime.settled import UNSETTLED_S
from schemas.audit import AuditEntry
from schemas.topics import AUDIT

LANE = LaneId("worker", "inference.text.v1", 2)
ENTRY = AuditEntry(at=datetime(2026, 1, 1, tzinfo=UTC), action="job.succeeded")
PARTITIONS = 3
HOME = partition_of(str(LANE).encode(), PARTITIONS)


def batch(sequence: int, lane: LaneId = LANE) -> bytes:
    return audit.record(audit.link(str(lane), sequence, GENESIS, [ENTRY])).value or b""


class Topic:
    """An audit topic of three partitions whose first offset is 50; `held` by offset, the rest are markers."""

    def __init__(self, held: dict[int, bytes], end: int, *, first: int = 50, lane: LaneId = LANE) -> None:
        self.held, self.end, self.first, self.lane = held, end, first, lane
        self.read_blocks: list[tuple[int, int]] = []
        self.stable = [end]
        """Where a committed reader's view ends, one answer after the other; the last for ever."""

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        assert (topic, partition) == (AUDIT.name, HOME)
        return self.first, self.stable.pop(0) if len(self.stable) > 1 else self.stable[0]

    async def log_end(self, topic: str, partition: int) -> int:
        assert (topic, partition) == (AUDIT.name, HOME)
        return self.end

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        assert (topic, partition) == (AUDIT.name, HOME)
        self.read_blocks.append((start, end))
        for offset in sorted(self.held):
            if start <= offset < end:
                yield Record(topic, partition, offset, str(self.lane).encode(), self.held[offset], (), 0)

    async def partitions(self, topic: str) -> int:
        return PARTITIONS


class Hands:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        self.at_s += seconds


def end_of(topic: Topic, clock: Hands | None = None) -> Progress | None:
    return asyncio.run(chain_end(LANE, topic, clock or Hands()))


def test_the_newest_batch_is_found_in_the_last_block():
    topic = Topic({9_000: batch(6), 9_990: batch(7), 9_999: batch(8)}, 10_000)
    found = end_of(topic)
    assert found is not None
    assert found.sequence == 8
    assert topic.read_blocks == [(10_000 - BLOCKS[0], 10_000)]


def test_blocks_follow_each_other_without_a_gap_until_the_batch_is_found():
    at = 10_000 - BLOCKS[0] - 1
    topic = Topic({at: batch(3)}, 10_000)
    found = end_of(topic)
    assert found is not None
    assert found.sequence == 3
    assert topic.read_blocks == [(9_800, 10_000), (9_000, 9_800)]


def test_a_batch_behind_another_lanes_open_transaction_is_waited_for():
    topic, clock = Topic({900: batch(3), 999: batch(4)}, 1_000), Hands()
    topic.stable = [950, 950, 990, 1_001]
    found = end_of(topic, clock)
    assert found is not None
    assert found.sequence == 4
    assert clock.at_s > 0


def test_a_transaction_that_hangs_keeps_no_lane_closed():
    topic, clock = Topic({900: batch(3), 999: batch(4)}, 1_000), Hands()
    topic.stable = [950]
    found = end_of(topic, clock)
    assert found is not None
    assert found.sequence == 3
    assert UNSETTLED_S <= clock.at_s < UNSETTLED_S + 1


def test_the_search_ends_at_the_first_offset_that_there_is():
    topic = Topic({}, 1_000)
    assert end_of(topic) is None
    assert topic.read_blocks == [(800, 1_000), (50, 800)]


def test_the_search_ends_after_its_blocks_however_long_the_topic_is():
    topic = Topic({99: batch(1)}, 10_000_000)
    assert end_of(topic) is None
    assert len(topic.read_blocks) == len(BLOCKS)


def test_a_batch_of_another_lane_is_passed_over():
    other = LaneId("worker", "inference.text.v1", 20)
    assert end_of(Topic({999: batch(9, other)}, 1_000, lane=other)) is None


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b"\xff", batch(4)[:-9] + b"}"], ids=range(5))
def test_a_record_that_is_no_batch_says_nothing(value: bytes):
    assert end_of(Topic({999: value}, 1_000)) is None
    found = end_of(Topic({998: batch(5), 999: value}, 1_000))
    assert found is not None
    assert found.sequence == 5


def test_a_topic_that_may_not_be_read_says_nothing():
    class Closed(Topic):
        async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
            raise NotReadable(topic)
            yield

    assert end_of(Closed({}, 1_000)) is None


def test_a_position_older_than_the_chain_is_refused_and_both_are_named():
    with pytest.raises(PositionOutdated, match=r"knows of 7 audit batches, and its chain has 8"):
        held_against(Progress(7), "n2,7", Progress(8))


@pytest.mark.parametrize("end", [Progress(7, "a" * 64), Progress(6), None])
def test_a_position_as_new_as_the_chain_is_taken_as_it_is(end: Progress | None):
    known = Progress(7, "b" * 64, frozenset({3}))
    assert held_against(known, "n2,7", end) is known


def test_a_lane_that_begins_anew_goes_on_with_the_chain_that_is_there():
    assert held_against(Progress(), ANEW, Progress(8, "c" * 64)) == Progress(8, "c" * 64)
    assert held_against(Progress(), ANEW, None) == Progress()
