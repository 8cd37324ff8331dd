"""The lane engine in virtual time: records that nobody was called for yet change hands without a trace."""

import asyncio
from datetime import timedelta

import pytest
from engine_story import log_of, told
from sim_world import SimApp, SimHandler, World, publish
from virtual_time import LoopClock, run

from runtime import progress
from runtime.outcome import Outcome, RetryAt
from runtime.ports import Delivery
from schemas.failure import FailureKind

MINE = "a" * 12


def custody_of(log) -> str:
    position = log.positions[0]
    return progress.decode(position.offset, position.metadata).custody


async def for_a_slot(handler: SimHandler, delivery: Delivery) -> Outcome:
    """The odd ones have noted a call, whatever came of it."""
    delivery.lease.uncalled = delivery.record.offset % 2 == 0
    delivery.lease.waiting = True
    try:
        await asyncio.sleep(100)
    finally:
        delivery.lease.waiting = False
    return publish(delivery.record)


async def in_memory(handler: SimHandler, delivery: Delivery) -> Outcome:
    delivery.lease.uncalled = delivery.record.offset % 2 == 0
    return RetryAt(LoopClock().now() + timedelta(seconds=4), FailureKind.RATE_LIMITED)


@pytest.mark.parametrize(("records", "named"), [(1, ""), (2, MINE)])
@pytest.mark.parametrize("waits", [for_a_slot, in_memory])
@pytest.mark.parametrize("ends", [False, True], ids=["taken-away", "drained"])
def test_a_lane_that_closes_names_its_journal_only_for_records_that_may_have_been_called(waits, records, named, ends):
    """Else their next owner, on another machine, would have to count a call for each of them."""
    run(closed(waits, records, named, drained=ends))


async def closed(waits, records: int, named: str, *, drained: bool) -> None:
    log = log_of(records)
    world = World(log, SimApp(waits, custody=MINE))
    await world.join()
    await asyncio.sleep(1)
    assert (world.app.calls.total(), custody_of(log)) == (records, MINE)

    if drained:
        await asyncio.wait_for(world.process.stop(), 5)
        assert custody_of(log) == named
    else:
        await world.group.rebalance({})
        assert custody_of(log) == named
        await world.process.kill()


@told
async def test_who_waits_for_a_slot_when_its_partition_is_taken_away_gives_its_place_back_and_is_not_asked_again():
    log = log_of(1)
    world = World(log, SimApp(for_a_slot, custody=MINE))
    await world.join()
    await world.until(lambda: world.app.calls.total() == 1)

    await world.group.rebalance({})

    assert (world.app.calls.total(), world.engine.window.used) == (1, 0)
    await world.join()
    await world.until(lambda: world.app.calls.total() == 2)
    await world.process.stop()
