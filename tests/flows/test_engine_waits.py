"""The lane engine in virtual time: where a record waits for its next attempt, and what ends its wait early."""

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta

import pytest
from engine_story import log_of, told
from sim_log import LATER
from sim_world import SimApp, SimHandler, World, publish
from virtual_time import LoopClock, run

from runtime.outcome import Outcome, RetryAt
from runtime.ports import Delivery, Lease
from schemas.failure import FailureKind


def again_in(seconds: float, memo: object = None, *, in_memory: bool = True) -> RetryAt:
    when = LoopClock().now() + timedelta(seconds=seconds)
    return RetryAt(when, FailureKind.TIMEOUT, memo, in_memory=in_memory)


def first_retries(retry_in_s: float, *, in_memory: bool = True):
    """The first delivery of a record asks for another attempt; what comes back from elsewhere is done at once."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if handler.app.calls[delivery.record.value] == 1:
            return again_in(retry_in_s, "so far", in_memory=in_memory)
        return publish(delivery.record)

    return do


# where it waits


@told
async def test_a_short_wait_passes_in_memory():
    log = log_of(1)
    world = World(log, SimApp(first_retries(5), postpones=True))
    await world.join()
    await world.all_committed()

    assert (world.app.postponed, log.results) == ([], Counter([b"0-0"]))
    await world.process.stop()


@pytest.mark.parametrize(("seconds", "in_memory"), [(6, True), (1, False)])
def test_a_longer_wait_or_one_that_shall_leaves_in_the_lanes_transaction_with_what_it_remembers(
    seconds: float, in_memory: bool
):
    async def story() -> None:
        log = log_of(1)
        world = World(log, SimApp(first_retries(seconds, in_memory=in_memory), postpones=True))
        await world.join()
        await world.until(lambda: bool(log.written[LATER]), 1)

        assert world.app.postponed == [(b"0-0", 1, "so far")]
        await world.until(lambda: log.results == Counter([b"0-0"]))
        await world.process.stop()

    run(story())


@told
async def test_a_record_that_cannot_leave_waits_in_memory_however_long_that_is():
    log = log_of(1)
    world = World(log, SimApp(first_retries(500)))
    await world.join()
    await asyncio.sleep(490)
    assert not log.results

    await world.all_committed()
    assert log.results == Counter([b"0-0"])
    await world.process.stop()


# a drain


@told
async def test_a_drain_forgets_nothing_that_was_attempted():
    """One record rests, another was attempted and waits for its slot; both leave with what they remember."""
    log = log_of(2)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.record.offset == 0:
            return again_in(4, "rested")
        delivery.lease.waiting = True
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            assert delivery.lease.draining
            assert delivery.lease.held
            return again_in(50, "waited for a slot")
        finally:
            delivery.lease.waiting = False
        return publish(delivery.record)

    world = World(log, SimApp(do, postpones=True, custody="a" * 12))
    await world.join()
    await asyncio.sleep(1)

    await asyncio.wait_for(world.process.stop(), 2)

    assert sorted(memo for _, _, memo in world.app.postponed) == ["rested", "waited for a slot"]
    assert [record.value for record in log.written[LATER]] == [b"0-0", b"0-1"]
    assert log.positions[0].offset == 2
    assert world.app.calls == Counter({b"0-0": 1, b"0-1": 1})


@told
async def test_a_handler_that_is_told_of_a_drain_may_take_its_time_to_answer():
    log = log_of(1)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        delivery.lease.waiting = True
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(100)
        await asyncio.sleep(1)  # notes what it has been through; it is not cancelled a second time
        return again_in(50, "noted")

    world = World(log, SimApp(do, postpones=True))
    await world.join()
    await asyncio.sleep(1)

    await asyncio.wait_for(world.process.stop(), 5)

    assert [memo for _, _, memo in world.app.postponed] == ["noted"]


@told
async def test_a_handler_that_waits_and_does_not_catch_the_end_of_its_wait_leaves_its_record_to_the_next_owner():
    log = log_of(1)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        delivery.lease.waiting = True
        await asyncio.sleep(100)
        return publish(delivery.record)

    world = World(log, SimApp(do, postpones=True))
    await world.join()
    await asyncio.sleep(1)

    await asyncio.wait_for(world.process.stop(), 2)

    assert (world.app.postponed, log.results, world.engine.window.used) == ([], Counter(), 0)


@told
async def test_a_record_that_wants_to_rest_in_a_drain_leaves_instead():
    log = log_of(1)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(3)
        return again_in(0.1, "failed in the drain")

    world = World(log, SimApp(do, postpones=True))
    await world.join()
    await asyncio.sleep(1)

    await asyncio.wait_for(world.process.stop(), 5)

    assert [memo for _, _, memo in world.app.postponed] == ["failed in the drain"]
    assert world.app.calls == Counter({b"0-0": 1})


@told
async def test_who_hurries_a_drain_has_what_is_settled_committed_and_what_runs_cancelled():
    log = log_of(3)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(500 if delivery.record.offset == 1 else 0.5)
        return publish(delivery.record)

    world = World(log, SimApp(do), drain_s=400)
    await world.join()
    await asyncio.sleep(0.45)
    stopping = asyncio.create_task(world.process.stop())
    await asyncio.sleep(5)
    assert not stopping.done()

    world.engine.hurry()
    await asyncio.wait_for(stopping, 5)

    assert log.results == Counter([b"0-0", b"0-2"])
    assert (world.app.running, world.engine.window.used) == (0, 0)


# being interrupted


class Held:
    """A handler whose leases the test keeps."""

    def __init__(self, do) -> None:
        self.leases: list[Lease] = []
        self.attempts: list[int] = []
        self._do = do

    async def __call__(self, handler: SimHandler, delivery: Delivery) -> Outcome:
        self.leases.append(delivery.lease)
        self.attempts.append(delivery.attempt)
        return await self._do(handler, delivery)


@told
async def test_an_interrupted_rest_ends_at_once_and_the_handler_is_asked_again():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        return publish(delivery.record, b"cancelled") if delivery.lease.interrupted else again_in(500)

    log, held = log_of(1), Held(do)
    world = World(log, SimApp(held))
    await world.join()
    await asyncio.sleep(1)

    held.leases[0].interrupt()
    await world.all_committed(2)

    assert (held.attempts, log.results) == ([1, 2], Counter([b"cancelled"]))
    held.leases[0].interrupt()
    await world.process.stop()


@pytest.mark.parametrize("uncancels", [True, False])
def test_a_handler_that_catches_an_interruption_may_answer_and_its_answer_counts(uncancels: bool):
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        try:
            await asyncio.sleep(500)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if uncancels and task is not None:
                task.uncancel()
            if delivery.attempt == 1:
                return again_in(1)  # a rest behind an interruption is a rest as any other
        return publish(delivery.record, b"cancelled")

    async def story() -> None:
        log, held = log_of(1), Held(do)
        world = World(log, SimApp(held))
        await world.join()
        await asyncio.sleep(1)

        held.leases[0].interrupt()
        await asyncio.sleep(3)
        assert held.attempts == [1, 2]
        await world.engine.runners[0].works[0].task  # the second attempt is not interrupted: it runs to its end
        await world.all_committed(600)

        assert log.results == Counter([b"cancelled"])
        await world.process.stop()

    run(story())


@told
async def test_an_interruption_that_was_answered_is_over_for_the_task_as_well():
    """The handler told its task nothing. Later it is cancelled from inside: a fault of its own, not the work's end."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.attempt == 2:
            raise asyncio.CancelledError
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(500)
        return again_in(1)

    log, held = log_of(1), Held(do)
    world = World(log, SimApp(held))
    await world.join()
    await asyncio.sleep(1)

    held.leases[0].interrupt()
    await world.all_committed(10)

    assert held.attempts == [1, 2]
    assert [letter.value for letter in log.written["inference.dlq.v1"]] == [b"0-0"]
    await world.process.stop()


@told
async def test_a_handler_that_does_not_catch_an_interruption_is_asked_again():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.lease.interrupted:
            return publish(delivery.record, b"cancelled")
        await asyncio.sleep(500)
        return publish(delivery.record)

    log, held = log_of(1), Held(do)
    world = World(log, SimApp(held))
    await world.join()
    await asyncio.sleep(1)

    held.leases[0].interrupt()
    await world.all_committed(2)

    assert (held.attempts, log.results) == ([1, 2], Counter([b"cancelled"]))
    await world.process.stop()


@told
async def test_an_interruption_of_a_call_whose_partition_is_gone_ends_it_and_its_next_owner_does_the_record():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if handler.app.calls[delivery.record.value] == 1:
            await asyncio.sleep(500)
        return publish(delivery.record)

    log, held = log_of(1), Held(do)
    world = World(log, SimApp(held))
    await world.join()
    await asyncio.sleep(1)
    await world.group.rebalance({})

    held.leases[0].interrupt()
    await asyncio.sleep(1)
    assert (world.app.running, world.engine.window.used) == (0, 0)

    await world.group.rebalance({"one": [0]})
    await world.all_committed()
    assert log.results == Counter([b"0-0"])
    await world.process.stop()
