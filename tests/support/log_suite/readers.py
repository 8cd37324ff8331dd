"""Claims about readers outside groups, and about publishing."""

import asyncio

import pytest

from log_suite.ground import GROUP, IN, LANE, OUT, PARTITIONS, World, claim, lane, outgoing, texts, visible
from runtime.bus import Bus
from runtime.follow import Follower
from runtime.partitions import partition_of
from runtime.ports import Outgoing, Position, Record


@claim
async def what_is_published_is_told_by_partition_and_offset_in_its_order(world: World, bus: Bus) -> None:
    keys = [f"key-{number % 3}".encode() for number in range(9)]
    placed = await bus.publish([Outgoing(OUT.name, key, b"%d" % number) for number, key in enumerate(keys)])
    assert [partition for partition, _ in placed] == [partition_of(key, PARTITIONS) for key in keys]
    for partition in range(PARTITIONS):
        mine = [(str(number), offset) for number, (place, offset) in enumerate(placed) if place == partition]
        assert [offset for _, offset in mine] == list(range(len(mine)))
        assert await visible(bus, partition=partition) == [text for text, _ in mine]


@claim
async def a_topic_is_made_once_grows_and_never_shrinks(world: World, bus: Bus) -> None:
    for partitions, done, count in ((PARTITIONS, "kept", 2), (4, "grown", 4), (3, "kept", 4)):
        [outcome] = await bus.create_topics([OUT], partitions=partitions)
        assert outcome.done == done

        async def has(count: int = count) -> bool:
            return await bus.reader().partitions(OUT.name) == count

        while not await has():
            await asyncio.sleep(0.05)
    assert await bus.reader().partitions("suite.nowhere.v1") == 0
    assert await bus.brokers() == 1


@claim
async def a_reader_reads_from_anywhere_to_anywhere_and_bounds_follow_what_is_deleted(world: World, bus: Bus) -> None:
    await bus.publish([outgoing(str(number)) for number in range(10)])
    reader = bus.reader()
    assert texts([record async for record in reader.read(OUT.name, 0, 3, 6)]) == ["3", "4", "5"]
    assert [record async for record in reader.read(OUT.name, 0, 6, 6)] == []
    assert await reader.bounds(OUT.name, 0) == (0, 10)
    await world.delete_records(OUT.name, 0, 7)
    assert await reader.bounds(OUT.name, 0) == (7, 10)
    assert await visible(bus) == ["7", "8", "9"]
    assert await reader.bounds(OUT.name, 1) == (0, 0)


@claim
async def the_first_record_since_an_instant_is_found_by_its_own_time(world: World, bus: Bus) -> None:
    await bus.publish(
        [Outgoing(OUT.name, b"k", b"r", partition=0, timestamp_ms=1_000_000 + number * 1_000) for number in range(5)]
    )
    assert [await bus.find_since(OUT.name, 0, 1_000_000 + after) for after in (-5, 0, 1, 1_999, 4_000, 4_001)] == [
        0, 0, 1, 2, 4, 5,
    ]  # fmt: skip
    assert await bus.find_since(OUT.name, 1, 0) == 0


@claim
async def lag_counts_what_is_behind_the_committed_offset(world: World, bus: Bus) -> None:
    await bus.publish([outgoing(str(number), 0, IN) for number in range(5)])
    assert await bus.lag(GROUP, IN.name) == {0: 5, 1: 0}
    async with lane(world) as transaction:
        await transaction.commit([], LANE, Position(3, "x"))
    async with lane(world):
        assert await bus.lag(GROUP, IN.name) == {0: 2, 1: 0}


@claim
async def one_who_follows_is_given_what_is_there_and_what_comes_of_every_partition(world: World, bus: Bus) -> None:
    await bus.publish([outgoing("old 0", 0), outgoing("old 1", 1)])
    given: list[Record] = []
    came = asyncio.Event()

    def fold(record: Record) -> None:
        given.append(record)
        came.set()

    async def until_given(count: int) -> list[str]:
        while len(given) < count:
            came.clear()
            await came.wait()
        return sorted(texts(given))

    async with Follower(world.settings, OUT, fold):
        assert sorted(texts(given)) == ["old 0", "old 1"]
        async with lane(world) as transaction:
            await transaction.commit([outgoing("new 0", 0), outgoing("new 1", 1)], LANE, None)
        assert await until_given(4) == ["new 0", "new 1", "old 0", "old 1"]
        await bus.create_topics([OUT], partitions=PARTITIONS + 1)
        async with Bus(world.settings) as other:  # a producer that knows of the new partition
            await other.publish([outgoing("grown", PARTITIONS)])
        assert "grown" in await until_given(5)


@claim
async def who_follows_from_offsets_is_given_those_and_later_ones(world: World, bus: Bus) -> None:
    await bus.publish([outgoing(str(number), 0) for number in range(4)])
    found = []
    async for record in bus.follow(OUT.name, {0: 2, 1: 0}):
        found.append(record)
        if len(found) == 2:
            await bus.publish([outgoing("later", 1)])
        if len(found) == 3:
            break
    assert texts(found) == ["2", "3", "later"]


@claim
async def an_aborted_transaction_leaves_offsets_and_no_records(world: World, bus: Bus) -> None:
    async with lane(world) as killed:
        producer = killed._producer
        await producer.begin_transaction()
        for text in (b"a", b"b"):
            await producer.send_and_wait(world.settings.named(OUT.name), text, partition=0)
        async with lane(world):
            assert await visible(bus) == []
    [placed] = await bus.publish([outgoing("c")])
    assert placed == (0, 3)
    assert await visible(bus) == ["c"]


@claim
async def a_record_that_is_too_large_to_publish_is_refused(world: World, bus: Bus) -> None:
    with pytest.raises(Exception, match=r"larger|too large|TooLarge|MESSAGE"):
        await bus.publish([Outgoing(OUT.name, b"k", b"x" * 3_000_000, partition=0)])
