"""Claims about members of groups."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from log_suite.ground import (
    IN,
    LANE,
    PARTITIONS,
    Seat,
    World,
    claim,
    lane,
    outgoing,
    reading_position,
    seat,
    seen,
    texts,
)
from runtime.bus import Bus
from runtime.membership import InstanceTaken, LeftBehind, PositionLost
from runtime.ports import Position, Record

SHORT_MS = 2_000
ALL = tuple(range(PARTITIONS))


async def fill(bus: Bus, count: int = 6, partition: int = 0) -> None:
    await bus.publish([outgoing(f"{partition}-{number}", partition, IN) for number in range(count)])


@claim
async def a_member_alone_has_every_partition_and_reads_each_in_its_order(world: World, bus: Bus) -> None:
    for partition in ALL:
        await fill(bus, 5, partition)
    async with seat(world, "a") as one:
        await one.holds(*ALL)
        found = await one.read(5 * PARTITIONS)
        assert await one.member.heartbeat()
    for partition in ALL:
        mine = [record for record in found if record.partition == partition]
        assert [record.offset for record in mine] == list(range(5))
        assert texts(mine) == [f"{partition}-{number}" for number in range(5)]


@claim
async def nothing_is_handed_out_before_the_lane_seeks_and_resumes(world: World, bus: Bus) -> None:
    await fill(bus)
    async with seat(world, "a", paused=True) as one:
        await one.holds(*ALL)
        assert await one.member.poll(500, 10) == []
        assert one.member.position(0) is None
        one.member.seek(0, 4)
        one.member.resume(0)
        assert texts(await one.read(2)) == ["0-4", "0-5"]


@claim
async def a_partition_whose_lane_does_not_open_keeps_no_other_from_reading(world: World, bus: Bus) -> None:
    """The group has committed nothing: aiokafka alone would ask for that again and again, and fetch nothing."""
    await fill(bus)
    async with seat(world, "a", paused=True) as one:
        await one.holds(*ALL)
        one.member.seek(0, 0)
        one.member.resume(0)
        polls = 0
        while not await one.member.poll(500, 10, only=[0]):
            polls += 1
        assert polls < 20, "it does not wait"
        assert await one.member.poll(500, 10) == []
        await fill(bus, 1)
        assert texts(await one.read(1)) == ["0-0"]


@claim
async def no_more_is_handed_out_than_was_asked_for_and_nothing_twice(world: World, bus: Bus) -> None:
    await fill(bus, 8)
    async with seat(world, "a") as one:
        await one.holds(*ALL)
        found: list[Record] = []
        while len(found) < 8:
            some = await one.member.poll(200, 3, only=[0])
            assert len(some) <= 3
            found += some
            one.member.pause(0)  # drops what was fetched ahead
            assert await one.member.poll(10, 3) == []
            one.member.resume(0)
            assert one.member.position(0) == len(found)
        assert texts(found) == [f"0-{number}" for number in range(8)]


@claim
async def the_position_goes_past_markers_and_aborted_records(world: World, bus: Bus) -> None:
    async with lane(world) as transaction:
        await transaction.commit([outgoing("a", 0, IN)], LANE, None)
        producer = transaction._producer
        await producer.begin_transaction()
        await producer.send_and_wait(world.settings.named(IN.name), b"aborted", partition=0)
    async with lane(world), seat(world, "a") as one:
        await one.holds(*ALL)
        assert texts(await one.read(1)) == ["a"]
        while one.member.position(0) != 4:
            assert await one.member.poll(100, 10) == []
        await bus.publish([outgoing("b", 0, IN)])
        [record] = await one.read(1)
        assert record.offset == 4


@claim
async def two_members_share_and_the_first_lets_go_before_the_second_has_it(world: World, bus: Bus) -> None:
    async with seat(world, "a") as one:
        await one.holds(*ALL)
        await fill(bus, 3, 0)
        assert len(await one.read(3)) == 3
        let_go: list[bool] = []

        async def commit() -> None:
            async with lane(world) as transaction:
                await transaction.commit([outgoing("at last")], LANE, Position(3, "kept"))
            let_go.append(True)

        one.on_revoked = commit
        async with seat(world, "b") as two:
            await _shared(one, two)
            assert let_go[0]
            assert one.revocations[-1] == list(ALL)
            assert one.member.generation == two.member.generation
    await seen(bus, "at last")
    assert await reading_position(world) == Position(3, "kept")


async def _shared(one: Seat, two: Seat) -> None:
    while len(one.member.held()) != 1 or len(two.member.held()) != 1 or one.member.held() == two.member.held():
        await asyncio.sleep(0.05)


@claim
async def a_static_member_is_back_in_its_generation_and_its_neighbour_hears_nothing(world: World, bus: Bus) -> None:
    async with seat(world, "a") as stays:
        await stays.holds(*ALL)
        async with seat(world, "b") as goes:
            await _shared(stays, goes)
            held, generation, changes = goes.member.held(), stays.member.generation, len(stays.assignments)
        async with seat(world, "b") as back:
            await back.holds(*held)
            assert back.member.generation == generation
            assert await stays.member.heartbeat()
            assert await back.member.heartbeat()
            assert len(stays.assignments) == changes


@claim
async def who_has_gone_without_a_word_is_out_after_its_session(world: World, bus: Bus) -> None:
    short = world.with_session(SHORT_MS)
    async with seat(short, "a") as stays:
        async with seat(short, "b") as goes:
            await _shared(stays, goes)
        await stays.holds(*ALL)
        await fill(bus, 2, 0)
        await fill(bus, 2, 1)
        assert len(await stays.read(4)) == 4


@claim
async def a_twin_puts_the_first_out_and_in_the_end_both_are_told(world: World, bus: Bus) -> None:
    short = world.with_session(SHORT_MS)
    async with seat(short, "twin") as one:
        await one.holds(*ALL)
        async with seat(short, "twin") as two:
            with pytest.raises(InstanceTaken):
                await _first_end(_live(one), _live(two))
            told = [seat.member.evictions.twin_within_s for seat in (one, two)]
            assert any(within_s is not None for within_s in told)


@claim
async def a_member_whose_group_goes_on_without_it_is_told(world: World, bus: Bus) -> None:
    """As if aiokafka's coordination waited for something that never comes: nothing beats and nothing joins again."""
    short = world.with_session(SHORT_MS)
    async with seat(short, "left") as left:
        await left.holds(*ALL)
        left.member.belonging.left_after_s = 6.0
        over = _unheard(left)
        async with seat(short, "goes-on") as other:
            going_on = asyncio.create_task(_live(other))
            with pytest.raises(LeftBehind, match="without this process"):
                await asyncio.wait_for(_live(left), 60)
            going_on.cancel()
            assert other.member.held() == set(ALL)
        over.set()


@claim
async def nobody_is_left_behind_by_a_coordinator_that_does_not_answer(world: World, bus: Bus) -> None:
    short = world.with_session(SHORT_MS)
    async with seat(short, "one") as one:
        await one.holds(*ALL)
        belonging = one.member.belonging
        belonging.left_after_s = 0.0

        async def silent(groups: list[str]) -> list[Any]:
            raise KafkaError("no coordinator")

        belonging._admin.describe_consumer_groups = silent
        belonging.heard(asyncio.get_running_loop().time() - 3_600)
        await belonging.look()


@claim
async def who_is_not_heard_for_a_session_knows_it_before_another_has_its_partitions(world: World, bus: Bus) -> None:
    """As when the network swallows the heartbeats of a member that goes on well: nobody tells it that it is put out."""
    short = world.with_session(SHORT_MS)
    async with seat(short, "unheard") as unheard:
        await unheard.holds(*ALL)
        assert not unheard.member.silent()
        over = _unheard(unheard)
        async with seat(short, "goes-on") as other:
            while not other.member.held():
                await other.member.poll(5, 1)
            assert unheard.member.silent()
            assert unheard.member.held() == set(ALL), "it does not know"
        over.set()


def _unheard(one: Seat) -> asyncio.Event:
    """It neither beats nor joins from now on. To be set at the end: aiokafka waits for its coordination then."""
    coordinator = one.member._consumer._coordinator
    for task in (coordinator._coordination_task, coordinator._heartbeat_task):
        task.cancel()
    over = asyncio.Event()
    coordinator._coordination_task, coordinator._heartbeat_task = asyncio.create_task(over.wait()), None
    return over


async def _live(one: Seat) -> None:
    while True:
        await one.member.poll(100, 1)


async def _first_end(*lives: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(life) for life in lives]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in done:
        task.result()


@claim
async def a_group_that_reads_a_topic_which_grows_reads_the_new_partitions_too(world: World, bus: Bus) -> None:
    async with seat(world, "a") as one:
        await one.holds(*ALL)
        await bus.create_topics([IN], partitions=PARTITIONS + 1)
        await bus.publish([outgoing("new", PARTITIONS, IN)])
        await one.member._consumer._client.force_metadata_update()
        assert texts(await one.read(1)) == ["new"]
        assert one.member.held() == {*ALL, PARTITIONS}


@claim
async def a_place_that_is_gone_or_not_there_yet_is_told_by_name(world: World, bus: Bus) -> None:
    await fill(bus, 10)
    async with seat(world, "a", paused=True) as one:
        await one.holds(*ALL)
        one.member.seek(0, 11)
        one.member.resume(0)
        with pytest.raises(PositionLost):
            await one.read(1)
    await world.delete_records(IN.name, 0, 4)
    async with seat(world, "a", paused=True) as one:
        await one.holds(*ALL)
        one.member.seek(0, 3)
        one.member.resume(0)
        with pytest.raises(PositionLost):
            await one.read(1)
    async with seat(world, "a", paused=True) as one:
        await one.holds(*ALL)
        one.member.seek(0, 4)
        one.member.resume(0)
        assert texts(await one.read(6)) == [f"0-{number}" for number in range(4, 10)]


@claim
async def an_open_transaction_holds_back_the_members_of_a_group_as_well(world: World, bus: Bus) -> None:
    async with lane(world) as killed:
        producer = killed._producer
        await producer.begin_transaction()
        await producer.send_and_wait(world.settings.named(IN.name), b"open", partition=0)
        await bus.publish([outgoing("behind", 0, IN)])
        async with seat(world, "a") as one:
            await one.holds(*ALL)
            assert await one.member.poll(500, 10) == []
            async with lane(world):
                assert texts(await one.read(1)) == ["behind"]
