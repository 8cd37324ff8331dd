"""Claims about a lane's transactions."""

import asyncio
import os

import pytest
from aiokafka.errors import KafkaError

from log_suite.ground import (
    GROUP,
    LANE,
    OUT,
    PARTITIONS,
    SMALL,
    World,
    claim,
    lane,
    outgoing,
    reading_position,
    seen,
    until,
    visible,
    write_without_end,
)
from runtime.bus import Bus
from runtime.partitions import partition_of
from runtime.ports import LaneId, Outgoing, Position, RecordTooLarge
from runtime.progress import METADATA_LIMIT, MetadataTooLarge


@claim
async def a_transaction_is_whole_in_its_order_and_its_marker_takes_an_offset(world: World, bus: Bus) -> None:
    async with lane(world) as transaction:
        await transaction.commit([outgoing(text) for text in "abc"], LANE, Position(3, ""))
        await transaction.commit([outgoing("d"), outgoing("e", 1)], LANE, Position(5, ""))
        await seen(bus, "a", "b", "c", "d")
        await seen(bus, "e", partition=1)
        assert await bus.reader().bounds(OUT.name, 0) == (0, 6)
        assert await bus.reader().bounds(OUT.name, 1) == (0, 2)


@claim
async def a_key_has_one_partition_that_of_murmur2(world: World, bus: Bus) -> None:
    keys = [f"key-{number}".encode() for number in range(12)]
    async with lane(world) as transaction:
        await transaction.commit([outgoing(key.decode(), None, key=key) for key in keys], LANE, None)
    for partition in range(PARTITIONS):
        expected = [key.decode() for key in keys if partition_of(key, PARTITIONS) == partition]
        assert expected
        await seen(bus, *expected, partition=partition)


@claim
async def headers_and_nothing_in_key_or_value_come_as_they_were_sent(world: World, bus: Bus) -> None:
    sent = [
        Outgoing(OUT.name, None, b"v", (("h", b"1"), ("h", b"2")), partition=0, timestamp_ms=1_000),
        Outgoing(OUT.name, b"k", None, partition=0),
        Outgoing(OUT.name, b"", b"", partition=0),
    ]
    async with lane(world) as transaction:
        await transaction.commit(sent, LANE, None)
    await until(lambda: _count(bus, 3))
    found = [record async for record in bus.reader().read(OUT.name, 0, 0, 4)]
    assert [(record.key, record.value, record.headers) for record in found] == [
        (record.key, record.value, record.headers) for record in sent
    ]
    assert found[0].timestamp_ms == 1_000


async def _count(bus: Bus, count: int) -> bool:
    return len(await visible(bus)) >= count


@claim
async def what_stands_behind_an_open_transaction_is_not_seen_until_a_successor_ends_it(world: World, bus: Bus) -> None:
    async with lane(world) as killed:
        await write_without_end(world, killed, "open")
        await bus.publish([outgoing("behind")])
        assert await visible(bus) == []
        assert await bus.reader().bounds(OUT.name, 0) == (0, 0)
        assert await bus.reader().log_end(OUT.name, 0) == 2
        async with lane(world):
            await seen(bus, "behind")
            assert await bus.reader().bounds(OUT.name, 0) == (0, 3)
            assert await bus.reader().log_end(OUT.name, 0) == 3


@claim
async def another_lanes_open_transaction_is_not_ended_by_opening_this_one(world: World, bus: Bus) -> None:
    other = LaneId(GROUP, LANE.topic, 1)
    async with lane(world, other) as killed:
        await write_without_end(world, killed, "open")
        async with lane(world) as transaction:
            await transaction.commit([outgoing("a", 1)], LANE, None)
            await seen(bus, "a", partition=1)
            assert await visible(bus) == []
        async with lane(world, other):
            await until(lambda: _ends_at(bus, 2))


async def _ends_at(bus: Bus, end: int) -> bool:
    return await bus.reader().bounds(OUT.name, 0) == (0, end)


@claim
async def a_zombie_commits_nothing_once_its_successor_has_opened(world: World, bus: Bus) -> None:
    async with lane(world) as zombie:
        await zombie.commit([outgoing("before")], LANE, Position(1, "z"))
        async with lane(world) as heir:
            with pytest.raises((KafkaError, AssertionError)):
                await zombie.commit([outgoing("late"), outgoing("late", 1)], LANE, Position(9, "zombie"))
            await heir.commit([outgoing("after")], LANE, Position(2, "h"))
            await seen(bus, "before", "after")
            assert await visible(bus, partition=1) == []
    async with lane(world):
        assert await reading_position(world) == Position(2, "h")


@claim
async def a_zombie_in_the_middle_of_a_transaction_cannot_end_it(world: World, bus: Bus) -> None:
    async with lane(world) as zombie:
        await write_without_end(world, zombie, "half")
        async with lane(world) as heir:
            with pytest.raises((KafkaError, AssertionError)):
                await asyncio.wait_for(zombie._producer.commit_transaction(), 10)
            await heir.commit([outgoing("whole")], LANE, None)
            await seen(bus, "whole")


@claim
async def the_position_is_what_was_committed_once_a_successor_has_opened(world: World, bus: Bus) -> None:
    """Before that it may be the one before: OffsetFetch does not wait for a transaction that is ending."""
    async with lane(world):
        assert await reading_position(world) is None
    for number in range(1, 6):
        async with lane(world) as transaction:
            await transaction.commit([outgoing("r")], LANE, Position(number, f"m{number}"))
            assert await reading_position(world) in {
                Position(number, f"m{number}"), Position(number - 1, f"m{number - 1}") if number > 1 else None,
            }  # fmt: skip
        async with lane(world):
            assert await reading_position(world) == Position(number, f"m{number}")


@claim
async def a_position_alone_is_a_transaction_and_so_are_records_alone(world: World, bus: Bus) -> None:
    async with lane(world) as transaction:
        await transaction.commit([], LANE, Position(4, "alone"))
        await transaction.commit([outgoing("alone")], LANE, None)
        await transaction.commit([], LANE, None)
    async with lane(world):
        assert await reading_position(world) == Position(4, "alone")
        assert await reading_position(world, 1) is None
    await seen(bus, "alone")


@claim
async def metadata_has_so_many_characters_and_one_more_is_refused_with_all_the_rest(world: World, bus: Bus) -> None:
    async with lane(world) as transaction:
        with pytest.raises(MetadataTooLarge):
            await transaction.commit([outgoing("refused")], LANE, Position(1, "x" * (METADATA_LIMIT + 1)))
    async with lane(world) as successor:
        await successor.commit([outgoing("taken")], LANE, Position(1, "\u00e9" * METADATA_LIMIT))
        await seen(bus, "taken")
    async with lane(world):
        assert await reading_position(world) == Position(1, "\u00e9" * METADATA_LIMIT)


@claim
async def a_record_too_large_for_its_topic_is_named_and_a_batch_is_nobodys_fault(world: World, bus: Bus) -> None:
    await bus.create_topics([SMALL], partitions=1)
    for records, told in (
        ([outgoing("fits", topic=SMALL), Outgoing(OUT.name, b"k", os.urandom(1_200_000), partition=0)], (1, 1_200_000)),
        ([Outgoing(SMALL.name, b"k", os.urandom(30_000), partition=0)], (0, 30_000)),
        ([Outgoing(SMALL.name, b"k", os.urandom(1_000), partition=0) for _ in range(30)], (-1, 0)),
    ):
        async with lane(world) as transaction:
            with pytest.raises(RecordTooLarge) as refused:
                await transaction.commit(records, LANE, Position(1, ""))
            assert (refused.value.index, refused.value.size_bytes) == told
    async with lane(world) as transaction:
        await transaction.commit([outgoing("fits", topic=SMALL)], LANE, Position(1, ""))
        await seen(bus, "fits", topic=SMALL)


@claim
async def a_transaction_to_a_topic_that_is_not_there_is_not_committed(world: World, bus: Bus) -> None:
    nowhere = Outgoing("suite.nowhere.v1", b"k", b"lost", partition=0)
    async with lane(world) as transaction:
        with pytest.raises(Exception):  # noqa: B017, PT011 - the adapter's deadline, or the client's own
            await transaction.commit([outgoing("with it"), nowhere], LANE, Position(1, ""))
    async with lane(world) as successor:
        await successor.commit([outgoing("after")], LANE, None)
        await seen(bus, "after")
        assert await reading_position(world) is None
