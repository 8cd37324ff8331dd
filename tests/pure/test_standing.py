"""Where a lane without a committed offset looks for a trace of itself, and which log it commits to."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from runtime.clock import SystemClock
from runtime.partitions import partition_of
from runtime.ports import LaneId, Position, Record
from runtime.standing import LaneStopped, refuse_a_cut_log, standing
from schemas.topics import AUDIT

LANE = LaneId("novix-retry", "inference.retry.60s.v1", 1)
PARTITIONS = 4
HOME = partition_of(str(LANE).encode(), PARTITIONS)


class Audit:
    """An audit topic in which the lane may have written to one partition; it remembers which were read."""

    def __init__(self, trace_in: int | None) -> None:
        self.trace_in = trace_in
        self.looked_at: list[int] = []

    async def partitions(self, topic: str) -> int:
        return PARTITIONS

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return (0, 2) if topic == AUDIT.name else (7, 9)

    async def log_end(self, topic: str, partition: int) -> int:
        return 2

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        self.looked_at.append(partition)
        keys = [b"another", str(LANE).encode()] if partition == self.trace_in else [b"another"]
        for offset, key in enumerate(keys):
            yield Record(topic, partition, offset, key, b"", (), 0)


async def nothing(partition: int) -> Position | None:
    return None


def stands(audit: Audit) -> Position:
    return asyncio.run(standing(LANE, nothing, audit, SystemClock()))


def test_the_partition_that_the_lane_writes_to_is_read_first_and_no_other_where_a_trace_is_in_it():
    audit = Audit(HOME)

    with pytest.raises(LaneStopped, match="has worked before"):
        stands(audit)

    assert audit.looked_at == [HOME]


@pytest.mark.parametrize("other", [partition for partition in range(PARTITIONS) if partition != HOME])
def test_a_trace_from_when_the_topic_had_fewer_partitions_is_found_too(other: int):
    audit = Audit(other)

    with pytest.raises(LaneStopped, match="has worked before"):
        stands(audit)

    assert audit.looked_at[0] == HOME


def test_without_a_trace_in_any_partition_the_lane_begins_at_the_logs_first_offset():
    audit = Audit(None)

    assert stands(audit) == Position(7, "")
    assert sorted(audit.looked_at) == list(range(PARTITIONS))


def test_what_was_read_is_committed_to_a_log_that_reaches_as_far_and_to_none_that_ends_one_before():
    """The log of the lane's topic ends at 9."""
    asyncio.run(refuse_a_cut_log(LANE, 9, Audit(None), "PositionLost"))

    with pytest.raises(LaneStopped, match="PositionLost; the log ends at 9, and 10 were read"):
        asyncio.run(refuse_a_cut_log(LANE, 10, Audit(None), "PositionLost"))
