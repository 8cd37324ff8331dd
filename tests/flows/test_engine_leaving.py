"""The lane engine in virtual time: partitions that are being taken away, a process that is about to end."""

import asyncio
from datetime import timedelta

from engine_story import after, log_of, told
from sim_world import Process, SimApp, SimHandler, World, publish
from virtual_time import LoopClock

from runtime.cadence import Cadence
from runtime.membership import PositionLost
from runtime.outcome import Abandoned, Outcome, RetryAt
from runtime.parking import PARKED_S
from runtime.ports import Delivery
from schemas.failure import FailureKind


@told
async def test_nothing_is_begun_for_a_partition_that_is_being_taken_away():
    """Its lane was full and reads on when it is not any more; that happens while it commits for the last time."""
    log = log_of(44)
    world = World(log, SimApp(after(0.001)), cadence=Cadence(timedelta(0), timedelta(0), many=1))
    await world.join()
    await world.until(lambda: bool(world.engine.runners[0].lane and world.engine.runners[0].lane.paused))

    letting_go = asyncio.create_task(world.group.rebalance({}))
    await asyncio.sleep(0)
    begun = world.app.calls.total()
    await letting_go

    assert world.app.calls.total() == begun < 44
    await world.join()
    await world.all_committed()
    assert world.app.calls.total() == 44
    await world.process.stop()


@told
async def test_a_key_is_not_gone_on_with_while_its_partition_is_taken_away():
    log = log_of(3)
    world = World(log, SimApp(after(1), order=lambda record: "one"))
    await world.join()
    await world.until(lambda: world.app.running == 1)

    await world.group.rebalance({})
    await asyncio.sleep(10)

    assert world.app.calls.total() == 1
    assert log.results.total() == 1
    await world.process.stop()


@told
async def test_a_call_that_does_not_hear_of_its_end_at_once_does_not_keep_the_process():
    """CPython 3.11's `wait_for` may lose a cancellation that comes together with its answer."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            await asyncio.sleep(1_000)
        return publish(delivery.record)

    log = log_of(1)
    world = World(log, SimApp(do), drain_s=1)
    await world.join()
    await world.until(lambda: world.app.running == 1)

    await asyncio.wait_for(world.process.stop(), 20)

    assert (log.results.total(), world.engine.window.used) == (0, 0)


@told
async def test_a_process_that_has_lost_its_partitions_and_gets_none_is_neither_ready_nor_for_long_healthy():
    """The group does not come to an end with dividing its work, or its coordinator is away."""
    log = log_of(1)
    world = World(log, SimApp())
    await world.join()
    await world.all_committed()
    await world.process.member._revoked([0])

    assert (world.engine.healthy, world.engine.ready) == (True, False)
    await asyncio.sleep(125)
    assert world.engine.healthy is False

    await world.join()
    await world.until(lambda: world.engine.ready)
    assert world.engine.healthy
    await world.process.stop()


@told
async def test_a_process_without_partitions_is_well():
    log = log_of(1)
    world = World(log, SimApp())
    spare = Process(log, world.group, SimApp(), "two")
    await world.join()
    await asyncio.sleep(300)

    assert (spare.engine.healthy, spare.engine.ready) == (True, True)
    await spare.stop()
    await world.process.stop()


@told
async def test_a_record_that_is_due_while_its_partition_is_away_keeps_what_it_has_been_through():
    """It is not called, for its partition is not held; and it is not forgotten, for that may come back."""
    memos: list[tuple[int, object]] = []

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        memos.append((delivery.attempt, delivery.memo))
        if delivery.attempt == 1:
            return RetryAt(LoopClock().now() + timedelta(seconds=3), FailureKind.TIMEOUT, memo="one call")
        return publish(delivery.record)

    log = log_of(1)
    world = World(log, SimApp(do))
    await world.join()
    await world.until(lambda: len(memos) == 1)

    await world.group.rebalance({})
    await asyncio.sleep(20)
    assert len(memos) == 1
    await world.join()
    await world.all_committed()
    assert memos == [(1, None), (2, "one call")]
    await world.process.stop()


@told
async def test_what_rests_goes_to_wait_elsewhere_when_its_partition_is_taken_away():
    """Whoever has the partition next may not find the notes of its calls: it takes along what it has been through."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.record.offset == 0:
            return RetryAt(LoopClock().now() + timedelta(seconds=4), FailureKind.TIMEOUT, memo="rested")
        delivery.lease.waiting = True
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            assert (delivery.lease.leaving, delivery.lease.held) == (True, True)
            return RetryAt(LoopClock().now(), FailureKind.TIMEOUT, memo="waited for a slot", in_memory=False)
        finally:
            delivery.lease.waiting = False
        return publish(delivery.record)

    log = log_of(2)
    world = World(log, SimApp(do, postpones=True, custody="a" * 12))
    await world.join()
    await world.until(lambda: world.app.calls.total() == 2)

    before = LoopClock().monotonic()
    await world.group.rebalance({})

    assert LoopClock().monotonic() - before < 2
    assert sorted(memo for _, _, memo in world.app.postponed) == ["rested", "waited for a slot"]
    assert log.positions[0].offset == 2
    assert world.app.calls.total() == 2
    await world.process.stop()


@told
async def test_what_cannot_wait_elsewhere_rests_on_when_its_partition_is_back_until_its_time_has_come():
    asked: list[float] = []

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        asked.append(LoopClock().monotonic())
        if delivery.attempt == 1:
            return RetryAt(LoopClock().now() + timedelta(seconds=10), FailureKind.TIMEOUT, memo="one call")
        return publish(delivery.record)

    log = log_of(1)
    world = World(log, SimApp(do, order=lambda record: "one", postpones=True))
    await world.join()
    await world.until(lambda: len(asked) == 1)

    await asyncio.sleep(6)
    await world.group.rebalance({})
    await world.join()
    await world.all_committed()
    assert world.app.postponed == []
    assert 10 <= asked[1] - asked[0] < 11
    await world.process.stop()


@told
async def test_a_rest_that_ends_while_its_partition_is_taken_away_leads_to_no_call():
    """Another's call is waited for meanwhile: one begun now might not end in time, and would be made twice."""
    memos: list[tuple[int, object]] = []

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.record.offset:
            await asyncio.sleep(4)
        else:
            memos.append((delivery.attempt, delivery.memo))
            if delivery.attempt == 1:
                return RetryAt(LoopClock().now() + timedelta(seconds=1), FailureKind.TIMEOUT, memo="one call")
        return publish(delivery.record)

    log = log_of(2)
    world = World(log, SimApp(do))
    await world.join()
    await world.until(lambda: world.app.calls.total() == 2)

    await world.group.rebalance({})
    assert (memos, dict(log.results)) == ([(1, None)], {b"0-1": 1})
    await world.join()
    await world.all_committed()
    assert memos == [(1, None), (2, "one call")]
    await world.process.stop()


@told
async def test_who_begins_nothing_because_its_partition_goes_keeps_nobody_elses_outcome_from_being_committed():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        while delivery.record.offset == 0 and handler.app.calls[delivery.record.value] == 1:
            await asyncio.sleep(0.1)
            if delivery.lease.leaving:
                raise Abandoned
        await asyncio.sleep(2)
        return publish(delivery.record)

    log = log_of(2)
    world = World(log, SimApp(do))
    await world.join()
    await world.until(lambda: world.app.running == 2)

    await world.group.rebalance({})
    assert dict(log.results) == {b"0-1": 1}
    await world.join()
    await world.all_committed()
    assert dict(world.app.calls) == {b"0-0": 2, b"0-1": 1}
    await world.process.stop()


@told
async def test_what_comes_to_rest_while_its_partition_is_taken_away_goes_to_wait_elsewhere_too():
    """Its call was waited for; that it failed would be forgotten with the lane."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(1)
        return RetryAt(LoopClock().now() + timedelta(seconds=4), FailureKind.TIMEOUT, memo="failed")

    log = log_of(1)
    world = World(log, SimApp(do, postpones=True, custody="a" * 12))
    await world.join()
    await world.until(lambda: world.app.running == 1)

    before = LoopClock().monotonic()
    await world.group.rebalance({})

    assert 0.5 < LoopClock().monotonic() - before < 2
    assert [memo for _, _, memo in world.app.postponed] == ["failed"]
    assert log.positions[0].offset == 1
    assert world.app.calls.total() == 1
    await world.process.stop()


@told
async def test_a_partition_is_not_kept_for_a_record_that_comes_to_rest():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(1)
        if delivery.attempt > 1:
            return publish(delivery.record)
        return RetryAt(LoopClock().now() + timedelta(seconds=4), FailureKind.TIMEOUT)

    log = log_of(1)
    world = World(log, SimApp(do))
    await world.join()
    await world.until(lambda: world.app.running == 1)

    before = LoopClock().monotonic()
    await world.group.rebalance({})
    assert LoopClock().monotonic() - before < 2
    await world.join()
    await world.all_committed()
    assert world.app.calls.total() == 2
    await world.process.stop()


@told
async def test_a_call_is_waited_for_as_any_other_although_its_record_has_rested_before():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.attempt == 1:
            return RetryAt(LoopClock().now() + timedelta(seconds=1), FailureKind.TIMEOUT)
        await asyncio.sleep(3)
        return publish(delivery.record)

    log = log_of(1)
    world = World(log, SimApp(do))
    await world.join()
    await world.until(lambda: world.app.calls.total() == 2)

    await world.group.rebalance({})
    assert log.results.total() == 1
    await world.process.stop()


@told
async def test_a_drain_in_the_middle_of_a_rebalance_is_told_to_who_rests_without_a_partition():
    """It has been tried: once its partition is back it goes to wait elsewhere, and is not called once more."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(7)  # longer than a partition is kept for it
        return RetryAt(LoopClock().now() + timedelta(seconds=4), FailureKind.TIMEOUT, memo="one call")

    log = log_of(1)
    world = World(log, SimApp(do, postpones=True))
    await world.join()
    await world.until(lambda: world.app.calls.total() == 1)
    await world.process.member._revoked([0])
    await asyncio.sleep(3)
    assert world.app.postponed == []

    stopping = asyncio.create_task(world.process.stop())
    await asyncio.sleep(0.5)
    await world.join()
    await asyncio.wait_for(stopping, 3)

    assert (world.app.calls.total(), world.app.postponed) == (1, [(b"0-0", 1, "one call")])
    assert log.positions[0].offset == 1


@told
async def test_a_record_that_is_due_while_its_partition_is_away_for_good_is_given_up():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        return RetryAt(LoopClock().now() + timedelta(seconds=3), FailureKind.TIMEOUT)

    log = log_of(1)
    world = World(log, SimApp(do))
    await world.join()
    await world.until(lambda: world.app.calls.total() == 1)

    await world.group.rebalance({})
    await asyncio.sleep(PARKED_S + 5)

    assert (world.app.calls.total(), world.engine.window.used) == (1, 0)
    await asyncio.wait_for(world.process.stop(), 5)


@told
async def test_a_lane_that_has_lost_its_place_reads_no_further_when_it_has_room_again():
    """What it had read by then is committed."""
    log = log_of(44)
    world = World(log, SimApp(after(0.001)), cadence=Cadence(timedelta(0), timedelta(0), many=1))
    await world.join()
    await world.until(lambda: bool(world.engine.runners[0].lane and world.engine.runners[0].lane.paused))

    world.engine.runners[0].lose(PositionLost(0, 40))
    await asyncio.sleep(10)

    assert 0 < log.results.total() == world.app.calls.total() < 44
    await world.process.stop()


@told
async def test_a_lane_that_stops_while_it_commits_does_not_hold_up_the_end_of_its_process():
    """The log was cut below what the lane had read: what it has settled can never be committed."""
    log = log_of(3, 1)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(delivery.record.offset)
        return publish(delivery.record)

    world = World(log, SimApp(do))
    await world.join()
    await world.until(lambda: log.results.total() == 2)
    del log.input[0][1:]
    world.engine.runners[0].lose(PositionLost(0, 3))
    await asyncio.sleep(5)

    assert (world.engine.healthy, world.engine.runners[0].lane) == (False, None)
    before = LoopClock().monotonic()
    await world.process.stop()
    assert LoopClock().monotonic() - before < 5
