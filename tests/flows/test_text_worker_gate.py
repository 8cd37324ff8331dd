"""The text worker at the gate to a call: what a job that was not called leaves there, and how its wait is told."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from worker_world import START, answer, assigned, candidate, failing, result_of, world

from runtime.breaker import BreakerKey, Breakers, Permit
from runtime.intents import IntentsUnavailable, NoIntents
from runtime.limits import Limits
from runtime.metrics.work import WorkMeter
from runtime.outcome import RetryAt
from runtime.ports import Delivery, Record
from runtime.registry import Registry
from schemas.failure import FAILURES, FailureKind
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import REGISTRY
from workers.leave import Leave
from workers.pace import Pace

K = FailureKind
KEY = BreakerKey("auto", "acme/chat")


class Notes(NoIntents):
    """Calls can be noted, or not, and who asks may have to wait for the answer."""

    full = False
    slow: asyncio.Event | None = None

    async def begin(self, *_: Any) -> None:
        full = self.full
        if self.slow is not None:
            await self.slow.wait()
        if full:
            raise IntentsUnavailable("the file of intents cannot be written: SQLITE_FULL")


async def test_a_trial_call_that_was_not_made_after_all_leaves_its_place_to_the_next_job() -> None:
    notes = Notes()
    it = world(failing(500), failing(500), failing(500), answer(), breaker=True, intents=notes)
    await it.run(assigned(deadline=START + timedelta(seconds=60)))
    it.clock.turn(400)
    later = {"deadline": START + timedelta(hours=1)}
    notes.full = True
    assert isinstance(await it.lane.handle(Delivery(assigned(offset=8, **later), it.clock.now())), RetryAt)
    assert len(it.script.requests) == 3, "it had the trial call, and could not be noted"

    notes.full = False
    both = candidate(), candidate(model="acme/other")
    result = result_of(await it.lane.handle(Delivery(assigned(*both, offset=9, **later), it.clock.now())))

    assert [one.model for one in result.attempts] == ["acme/chat"]
    assert it.breakers.views()[KEY].state == "closed"


async def test_who_waits_for_a_trial_call_that_is_not_made_makes_it() -> None:
    notes = Notes()
    it = world(failing(500), failing(500), failing(500), answer(), breaker=True, intents=notes)
    await it.run(assigned(deadline=START + timedelta(seconds=60)))
    it.clock.turn(400)
    until = it.clock.now() + timedelta(seconds=2)
    notes.full, notes.slow = True, asyncio.Event()
    first = asyncio.create_task(it.lane.handle(Delivery(assigned(offset=8, deadline=until), it.clock.now())))
    await asyncio.sleep(0)
    second = asyncio.create_task(it.lane.handle(Delivery(assigned(offset=9, deadline=until), it.clock.now())))
    await asyncio.sleep(0)

    notes.full = False
    notes.slow.set()

    assert isinstance(await first, RetryAt)
    assert result_of(await second).status == "succeeded"


async def test_who_may_ask_nobody_else_any_more_waits_for_the_trial_call_of_another_job() -> None:
    """Its first candidate was withdrawn. To look again without waiting would be to look for ever."""
    notes, registry = Notes(), Registry()
    gone = {"kind": "admission", "at": START, "model": "acme/gone", "state": "withdrawn"}
    value = RegistryRecord(event=REGISTRY_EVENTS.validate_python(gone)).encode()
    registry.fold(Record(REGISTRY.name, 0, 0, None, value, (), 0))
    it = world(
        failing(500), failing(500), failing(500), answer(), breaker=True, intents=notes, shared={"registry": registry}
    )
    await it.run(assigned(deadline=START + timedelta(seconds=60)))
    it.clock.turn(400)
    later = {"deadline": START + timedelta(hours=1)}
    notes.slow = asyncio.Event()
    trial = asyncio.create_task(it.lane.handle(Delivery(assigned(offset=8, **later), it.clock.now())))
    await asyncio.sleep(0)
    both = candidate(model="acme/gone", provider_model="acme/gone"), candidate()
    delivery = Delivery(assigned(*both, offset=9, **later), it.clock.now())
    second = asyncio.create_task(it.lane.handle(delivery))
    await asyncio.sleep(0)
    assert delivery.lease.waiting

    notes.slow.set()

    assert [result_of(await one).status for one in (trial, second)] == ["succeeded", "succeeded"]


@pytest.mark.parametrize("kind", list(K))
def test_only_a_refusal_for_load_tells_the_limit_that_there_were_too_many_calls(kind: FailureKind) -> None:
    """And only what counts for the breaker that one failed: a client's error is none of the provider's."""
    limits: Limits[BreakerKey] = Limits(4)
    breakers = Breakers(fail_max=1)
    slot, permit, told = limits.slot(KEY, 4), breakers.admit(KEY), []
    assert isinstance(permit, Permit)
    assert slot.acquire_now()
    limits.told = lambda key, outcome, *_: told.append(outcome)  # type: ignore[method-assign, assignment]

    Leave(slot, permit, Pace(), WorkMeter()).failed(kind, timedelta(seconds=1))

    counts = FAILURES[kind].counts_for_breaker
    assert told == (["limited"] if kind in (K.RATE_LIMITED, K.OVERLOADED) else ["failed"] if counts else [])
    assert (breakers.views()[KEY].state == "open") is counts


async def test_a_job_for_which_no_slot_comes_free_until_its_deadline_expires() -> None:
    it = world()
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    short = assigned(candidate(max_in_flight=1), deadline=START + timedelta(milliseconds=20))
    job = asyncio.create_task(it.run(short))
    await asyncio.sleep(0)
    it.clock.turn(0.02)
    result = result_of(await job)

    assert (result.status, result.error and result.error.kind) == ("expired", K.DEADLINE_PASSED)
    assert result.error
    assert result.error.retryable, "nobody was called, and published again it may have its time"
    assert it.script.requests == []


async def test_a_wait_for_a_slot_that_a_429_holds_back_is_told_as_one() -> None:
    it = world(failing(429, {"error": "Rate limit reached"}, retry_after="0.02"), answer())
    assert isinstance(await it.lane.handle(Delivery(assigned(), it.clock.now())), RetryAt)
    job = asyncio.create_task(it.lane.handle(Delivery(assigned(offset=8), it.clock.now())))
    await asyncio.sleep(0)
    it.clock.turn(0.02)
    done = await job

    assert result_of(done).timing_ms["waiting"] == 20
    assert "wait throttle" in [span.name for span in done.spans]
