"""The text worker's notes of calls: none stays of a call that was not made, and the audit tells of each call once."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from worker_machine import killed_while_calling, machine, never, opened
from worker_world import LANE, START, World, answer, assigned, candidate, failing, result_of, returned, world

from runtime.breaker import BreakerKey
from runtime.intents import NoIntents
from runtime.outcome import Abandoned, Publish, RetryAt
from runtime.ports import Delivery, Lease, Record
from runtime.registry import Registry
from schemas.failure import FailureKind
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import REGISTRY

K = FailureKind
Meanwhile = Callable[[World, Delivery], None]


def the_partition_goes(_: World, delivery: Delivery) -> None:
    delivery.lease.held = False


def the_deadline_comes(it: World, _: Delivery) -> None:
    it.clock.turn_to(START + timedelta(minutes=10))


def the_model_is_withdrawn(it: World, _: Delivery) -> None:
    event = REGISTRY_EVENTS.validate_python(
        {"kind": "admission", "at": START, "model": "acme/chat", "state": "withdrawn"}
    )
    it.shared["registry"].fold(Record(REGISTRY.name, 0, 0, None, RegistryRecord(event=event).encode(), (), 0))


@pytest.mark.parametrize("meanwhile", [the_partition_goes, the_deadline_comes, the_model_is_withdrawn])
async def test_a_call_that_is_not_made_once_it_was_noted_has_no_note(tmp_path: Path, meanwhile: Meanwhile) -> None:
    """The note takes its time; then somebody looks once more. A note that stayed would be a call that may be charged,
    to whoever has the record next."""
    it = world(answer(), shared={"registry": Registry()})
    async with machine(tmp_path) as start:
        intents = await start()
        lane = await opened(it, intents)
        delivery = Delivery(assigned(), it.clock.now())
        begin = intents.begin
        noted: list[tuple[Any, ...]] = []

        async def begun(*place: Any) -> None:
            await begin(*place)
            noted.append(place)
            meanwhile(it, delivery)

        intents.begin = begun
        try:
            await lane.handle(delivery)
        except Abandoned:
            assert meanwhile is the_partition_goes
        await intents.flush()
        left = await (await start()).left(LANE, 0, (), intents.custody)

    assert len(noted) == 1
    assert it.script.requests == []
    assert left == {}


@pytest.mark.parametrize("meanwhile", [the_partition_goes, the_deadline_comes, the_model_is_withdrawn])
async def test_what_comes_about_while_a_slot_is_waited_for_keeps_a_call_from_being_noted(meanwhile: Meanwhile) -> None:
    """Nor are its payloads loaded, or the Hub asked for its name: all that for a call that is not made. A process that
    ended before it had taken the note back would leave a call behind that may be charged."""
    noted: list[tuple[Any, ...]] = []

    class Notes(NoIntents):
        async def begin(self, *place: Any) -> None:
            noted.append(place)

    it = world(answer(), intents=Notes(), shared={"registry": Registry()})
    busy = it.limits.slot(BreakerKey("auto", "acme/chat"), 1)
    await busy.acquire()
    delivery = Delivery(assigned(candidate(max_in_flight=1)), it.clock.now())
    job = asyncio.create_task(it.lane.handle(delivery))
    await asyncio.sleep(0)
    assert delivery.lease.waiting
    meanwhile(it, delivery)
    busy.release()

    if meanwhile is the_partition_goes:
        with pytest.raises(Abandoned):
            await job
    else:
        error = result_of(await job).error  # type: ignore[arg-type]
        assert error is not None
        assert error.kind is (K.NOT_APPROVED if meanwhile is the_model_is_withdrawn else K.DEADLINE_PASSED)
    assert (noted, it.script.requests, it.limits.total_in_flight) == ([], [], 0)


async def test_a_call_for_which_a_doubt_had_to_be_cleared_up_has_what_is_left_of_its_jobs_time() -> None:
    it = world(answer())
    lease = Lease(sure=lambda: it.clock.now() >= START + timedelta(seconds=200))
    result = result_of(await it.lane.handle(Delivery(assigned(), it.clock.now(), lease=lease)))  # type: ignore[arg-type]

    (attempt,), (request,) = result.attempts, it.script.requests
    assert attempt.started_at - START == pytest.approx(timedelta(seconds=200), abs=timedelta(seconds=1))
    assert request.extensions["timeout"]["pool"] == pytest.approx(400, abs=1)


@pytest.mark.parametrize(("held_s", "waits_s"), [(3_600, 600), (30, 30)])
async def test_a_doubt_is_waited_for_until_the_jobs_deadline_or_until_its_partition_is_known_to_be_gone(
    held_s: int, waits_s: int
) -> None:
    it = world(answer())
    delivery = Delivery(assigned(), it.clock.now())

    def sure() -> bool:
        delivery.lease.held = it.clock.passed < timedelta(seconds=held_s)
        return it.clock.passed > timedelta(hours=2)

    delivery.lease.sure = sure
    if held_s == waits_s:
        with pytest.raises(Abandoned):
            await it.lane.handle(delivery)
    else:
        assert result_of(await it.lane.handle(delivery)).status == "expired"  # type: ignore[arg-type]
    assert it.clock.passed == pytest.approx(timedelta(seconds=waits_s), abs=timedelta(seconds=1))
    assert it.script.requests == []


async def test_a_call_that_was_told_of_when_its_job_left_is_not_told_again_when_it_is_back(tmp_path: Path) -> None:
    """The result lists it, wherever the job has been; the audit has one entry for it, in the batch of its leaving."""
    it = world(never, failing(429, {"error": "Rate limit reached"}, retry_after="20"), answer())
    async with machine(tmp_path) as start:
        await killed_while_calling(it, await opened(it, await start()))
        lane = await opened(it, await start())
        delivery = Delivery(assigned(), it.clock.now())
        resting = await lane.handle(delivery)
        assert isinstance(resting, RetryAt)
        left = lane.postpone(delivery, resting)
        assert isinstance(left, Publish)
        it.clock.turn_to(resting.when)
        done = await lane.handle(Delivery(returned(left, delivery.record), it.clock.now()))

    assert [attempt.kind for attempt in result_of(done).attempts] == [K.INTERRUPTED, K.RATE_LIMITED, None]
    assert [entry.action for entry in left.audit] == ["call.ambiguous", "job.postponed"]
    assert [entry.action for entry in done.audit] == ["job.succeeded"]
