"""The lane engine in virtual time: what becomes of records while their partition is away."""

import asyncio
from datetime import timedelta

from engine_story import log_of, told
from sim_world import SimApp, SimHandler, World, publish
from virtual_time import LoopClock

from runtime.outcome import Outcome, RetryAt
from runtime.ports import Delivery
from schemas.failure import FailureKind


@told
async def test_a_job_that_is_cancelled_while_its_partition_is_away_is_asked_as_soon_as_that_is_back():
    attempts: list[tuple[int, bool]] = []

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        attempts.append((delivery.attempt, delivery.lease.interrupted))
        if delivery.attempt == 1:
            return RetryAt(LoopClock().now() + timedelta(seconds=1_000), FailureKind.TIMEOUT)
        return publish(delivery.record)

    log = log_of(1)
    world = World(log, SimApp(do, order=lambda record: "one"))
    await world.join()
    await world.until(lambda: len(attempts) == 1)
    lease = world.engine.runners[0].works[0].lease

    await world.group.rebalance({})
    lease.interrupt()
    await asyncio.sleep(1)
    assert attempts == [(1, False)]
    before = LoopClock().monotonic()
    await world.join()
    await world.all_committed()
    assert LoopClock().monotonic() - before < 10
    assert attempts == [(1, False), (2, True)]
    await world.process.stop()


@told
async def test_what_comes_to_rest_without_its_partition_goes_on_here_when_that_is_back():
    """That it went to wait elsewhere could only be committed here, where it need not."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.attempt > 1:
            return publish(delivery.record)
        await asyncio.sleep(7)  # longer than a partition is kept for it
        return RetryAt(LoopClock().now() + timedelta(seconds=1), FailureKind.TIMEOUT, memo="one call")

    log = log_of(1)
    world = World(log, SimApp(do, postpones=True))
    await world.join()
    await world.until(lambda: world.app.calls.total() == 1)
    await world.group.rebalance({})
    await asyncio.sleep(20)
    await world.join()
    await world.all_committed()
    assert (world.app.calls.total(), world.app.postponed) == (2, [])
    await world.process.stop()


@told
async def test_a_call_after_a_rest_is_interrupted_as_the_first_one_is_and_no_rest_leaves_a_sleeper_behind():
    attempts: list[tuple[int, bool]] = []

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        attempts.append((delivery.attempt, delivery.lease.interrupted))
        if delivery.attempt == 1:
            return RetryAt(LoopClock().now() + timedelta(seconds=5_000), FailureKind.TIMEOUT)
        if not delivery.lease.interrupted:
            await asyncio.sleep(500)
        return publish(delivery.record)

    log = log_of(1)
    world = World(log, SimApp(do), longest_rest=timedelta(hours=2))
    await world.join()
    await world.until(lambda: len(attempts) == 1)
    work = world.engine.runners[0].works[0]
    work.nudge()
    await world.until(lambda: len(attempts) == 2)
    await asyncio.sleep(1)

    work.lease.interrupt()
    await world.all_committed(2)

    assert attempts == [(1, False), (2, False), (3, True)]
    assert [one for one in asyncio.all_tasks() if LoopClock.sleep.__qualname__ in repr(one)] == []
    await world.process.stop()


@told
async def test_what_an_inline_application_rests_for_keeps_its_process_from_reading_no_other_partition():
    """It rests in the poll loop's own task: when its partition is away that goes on at once."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.record.partition == 0:
            return RetryAt(LoopClock().now() + timedelta(seconds=2), FailureKind.INTERNAL)
        return publish(delivery.record)

    log = log_of(1, 0)
    world = World(log, SimApp(do, inline=True))
    await world.join()
    await world.until(lambda: world.app.calls.total() == 1)

    await world.group.rebalance({"one": [1]})
    log.append(1, b"1-0")
    await world.until(lambda: log.results.total() == 1, 20)

    await world.process.stop()


@told
async def test_who_takes_a_moment_to_leave_is_waited_for():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        delivery.lease.waiting = True
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            delivery.lease.waiting = False
            await asyncio.sleep(0.5)
        return publish(delivery.record)

    log = log_of(1)
    world = World(log, SimApp(do))
    await world.join()
    await world.until(lambda: world.app.calls.total() == 1)

    await world.group.rebalance({})

    assert log.results.total() == 1
    await world.process.stop()


@told
async def test_only_the_partition_that_is_taken_away_is_let_go():
    log = log_of(1, 1)
    world = World(log, SimApp())
    await world.join()
    await world.all_committed()

    await world.process.member._revoked([0])

    assert list(world.engine.runners) == [1]
    assert not world.engine.runners[1].leaving
    await world.process.stop()


@told
async def test_a_partition_that_is_assigned_again_without_having_been_let_go_has_one_lane():
    """aiokafka takes no notice of an error that ended the letting go."""
    log = log_of(1)
    world = World(log, SimApp())
    await world.join()
    await world.all_committed()
    before = world.engine._lanes[0]

    await world.process.member._assigned([0])

    assert before.done()
    log.append(0, b"0-1")
    await world.all_committed()
    assert log.results.total() == 2
    await world.process.stop()
