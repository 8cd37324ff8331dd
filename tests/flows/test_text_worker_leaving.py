"""The text worker while its partition is taken away: what was tried goes along, what was not stays where it is."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worker_machine import killed_while_calling, machine, never, opened
from worker_world import World, assigned, candidate, failing, world

from runtime.breaker import BreakerKey
from runtime.outcome import Publish, RetryAt
from runtime.ports import Delivery
from runtime.registry import Registry
from schemas.assignment import AssignedJob
from schemas.failure import FailureKind
from workers.postpone import STAY_WAIT

KEY = BreakerKey("auto", "acme/chat")


async def tried(it: World) -> tuple[Delivery, RetryAt]:
    """A job after its first call, at rest."""
    delivery = Delivery(assigned(candidate(max_in_flight=1)), it.clock.now())
    failed = await it.lane.handle(delivery)
    assert isinstance(failed, RetryAt)
    return delivery, failed


async def waits_again(it: World) -> tuple[Delivery, asyncio.Task[Any]]:
    """A job that was called once, and waits for a slot to be called again."""
    delivery, failed = await tried(it)
    it.clock.turn_to(failed.when)
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    waiting = asyncio.create_task(it.lane.handle(replace(delivery, attempt=2, memo=failed.memo)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert delivery.lease.waiting
    return delivery, waiting


async def test_a_job_that_rests_after_a_call_leaves_with_it() -> None:
    it = world(failing(503))
    delivery, failed = await tried(it)
    delivery.lease.leaving = True
    left = it.lane.postpone(delivery, failed)

    assert isinstance(left, Publish)
    envelope = AssignedJob.model_validate_json(left.records[0].value or b"")
    assert envelope.carried is not None
    assert [attempt.kind for attempt in envelope.carried.attempts] == [FailureKind.OVERLOADED]


async def test_a_job_that_nothing_has_happened_to_stays_where_it_is() -> None:
    it = world(failing(500), failing(500), failing(500), breaker=True)
    for offset in (1, 2, 3):
        await it.lane.handle(Delivery(assigned(offset=offset), it.clock.now()))
    delivery = Delivery(assigned(offset=4), it.clock.now())
    behind = await it.lane.handle(delivery)
    assert isinstance(behind, RetryAt)
    assert behind.kind == FailureKind.BREAKER_OPEN
    delivery.lease.leaving = True

    assert it.lane.postpone(delivery, replace(behind, in_memory=True)) is None


@pytest.mark.parametrize("goes", ["leaving", "draining"])
async def test_a_job_that_was_called_leaves_although_its_breaker_has_it_ask_again_in_a_moment(goes: str) -> None:
    it = world(failing(500), breaker=True, breaker_fail_max=1)
    delivery, failed = await tried(it)
    it.clock.turn_to(failed.when)
    behind = await it.lane.handle(replace(delivery, attempt=2, memo=failed.memo))
    assert isinstance(behind, RetryAt)
    assert behind.kind == FailureKind.BREAKER_OPEN
    soon = replace(behind, when=it.clock.now() + STAY_WAIT)
    assert it.lane.postpone(delivery, soon) is None
    setattr(delivery.lease, goes, True)

    assert isinstance(it.lane.postpone(delivery, soon), Publish)


async def test_a_job_whose_only_call_was_cut_by_the_end_of_its_process_leaves_with_that(tmp_path: Path) -> None:
    """It counts against the money, if not against the retries: the next owner may not find our notes."""
    it = world(never, shared={"registry": Registry()})
    async with machine(tmp_path) as start:
        await killed_while_calling(it, await opened(it, await start()))
        lane = await opened(it, await start())
        delivery = Delivery(assigned(registry=2), it.clock.now())
        unread = await lane.handle(delivery)
        delivery.lease.leaving = True
        left = lane.postpone(delivery, unread)

    assert isinstance(left, Publish)
    envelope = AssignedJob.model_validate_json(left.records[0].value or b"")
    assert envelope.carried is not None
    assert [attempt.kind for attempt in envelope.carried.attempts] == [FailureKind.INTERRUPTED]


async def test_a_job_that_was_called_and_waits_when_its_work_is_dropped_is_over() -> None:
    """Its record is another's now: to come to rest here would be to rest for ever."""
    delivery, waiting = await waits_again(world(failing(503)))
    delivery.lease.held = False
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_job_that_was_called_and_waits_for_a_slot_is_told_and_leaves() -> None:
    it = world(failing(503))
    delivery, waiting = await waits_again(it)
    delivery.lease.leaving = True
    waiting.cancel()
    rests = await waiting

    assert isinstance(rests, RetryAt)
    assert not rests.in_memory
    assert isinstance(it.lane.postpone(delivery, rests), Publish)
    assert (len(it.script.requests), it.limits.total_in_flight) == (1, 1), "the one that was busy all the time"


async def test_a_job_that_was_not_called_and_waits_for_a_slot_has_nothing_to_take_along() -> None:
    it = world()
    delivery = Delivery(assigned(candidate(max_in_flight=1)), it.clock.now())
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    waiting = asyncio.create_task(it.lane.handle(delivery))
    for _ in range(5):
        await asyncio.sleep(0)
    delivery.lease.leaving = True
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    busy.release()
