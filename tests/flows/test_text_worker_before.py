"""The text worker before a call: what a job that is not called yet waits for, and what is told of that."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from worker_world import START, World, answer, assigned, candidate, failing, result_of, returned, world

from runtime.breaker import BreakerKey
from runtime.intents import NoIntents
from runtime.limits import Limits
from runtime.outcome import Abandoned, Publish, RetryAt
from runtime.ports import Delivery, Lease, Record
from runtime.registry import Registry
from schemas.assignment import AssignedJob
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import REGISTRY

OTHER = {"model": "acme/other", "provider_model": "acme/other"}
LATER: dict[str, Any] = {"deadline": START + timedelta(hours=1)}


class Notes(NoIntents):
    """Who notes a call waits until somebody lets all go."""

    def __init__(self) -> None:
        self.slow = asyncio.Event()
        self.slow.set()

    async def begin(self, *_: Any) -> None:
        await self.slow.wait()


async def broken(it: World, **change: Any) -> None:
    """The breaker of one model opens."""
    await it.run(assigned(candidate(**change), deadline=it.clock.now() + timedelta(seconds=60)))


async def test_who_would_have_to_wait_longer_elsewhere_waits_for_the_trial_call_of_another_job() -> None:
    """Nobody knows when that ends. To rest until an instant would be to ask again and again without a pause."""
    notes = Notes()
    it = world(*[failing(500)] * 6, answer(), breaker=True, intents=notes)
    await broken(it)
    it.clock.turn(400)
    await broken(it, **OTHER)
    assert it.limits.total_in_flight == 0, "whom a breaker turns away keeps no slot"
    notes.slow.clear()
    trial = asyncio.create_task(it.lane.handle(Delivery(assigned(offset=8, **LATER), it.clock.now())))
    await asyncio.sleep(0)
    delivery = Delivery(assigned(candidate(), candidate(**OTHER), offset=9, **LATER), it.clock.now())
    second = asyncio.create_task(it.lane.handle(delivery))
    await asyncio.sleep(0)
    assert delivery.lease.waiting

    notes.slow.set()

    results = [result_of(await one) for one in (trial, second)]  # type: ignore[arg-type]
    assert [[attempt.model for attempt in one.attempts] for one in results] == [["acme/chat"], ["acme/chat"]]


async def test_whose_partition_is_gone_waits_for_no_slot() -> None:
    it = world()
    busy = it.limits.slot(BreakerKey("auto", "acme/chat"), 1)
    await busy.acquire()
    gone = Delivery(assigned(candidate(max_in_flight=1)), it.clock.now(), lease=Lease(held=False))

    with pytest.raises(Abandoned):
        await asyncio.wait_for(it.lane.handle(gone), 5)


async def test_nobody_waits_for_a_slot_of_a_model_that_was_withdrawn() -> None:
    registry = Registry()
    gone = {"kind": "admission", "at": START, "model": "acme/chat", "state": "withdrawn"}
    value = RegistryRecord(event=REGISTRY_EVENTS.validate_python(gone)).encode()
    registry.fold(Record(REGISTRY.name, 0, 0, None, value, (), 0))
    it = world(answer(), shared={"registry": registry})
    busy = it.limits.slot(BreakerKey("auto", "acme/chat"), 1)
    await busy.acquire()
    both = candidate(max_in_flight=1), candidate(**OTHER)

    result = result_of(await asyncio.wait_for(it.run(assigned(*both)), 5))

    assert [attempt.model for attempt in result.attempts] == ["acme/other"]


async def test_how_often_a_job_left_without_a_call_travels_with_it_and_is_told_in_the_audit() -> None:
    it = world()
    it.limits = Limits(1, waiting=0, clock=it.clock.monotonic)
    it.lane = it.process(limits=it.limits)
    busy = it.limits.slot(BreakerKey("auto", "acme/chat"), 1)
    await busy.acquire()
    record: Record = assigned()
    for bounces in (1, 2, 3):
        delivery = Delivery(record, it.clock.now())
        crowded = await it.lane.handle(delivery)
        assert isinstance(crowded, RetryAt)
        delivery.lease.leaving, delivery.lease.draining = bounces == 2, bounces == 3
        left = it.lane.postpone(delivery, crowded)
        assert isinstance(left, Publish)
        envelope = AssignedJob.model_validate_json(left.records[0].value or b"")
        assert envelope.carried is not None
        assert (envelope.carried.bounces, envelope.carried.calls) == (bounces, 0)
        assert (left.audit[-1].action, left.audit[-1].detail["bounces"]) == ("job.postponed", bounces)
        record = returned(left, record)
        it.clock.turn_to(crowded.when)
    busy.release()

    assert len(result_of(await it.run(record)).attempts) == 1
