"""The text worker's notes of calls: none stays of a call that was not made, and the audit tells of each call once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from worker_machine import killed_while_calling, machine, never, opened
from worker_world import LANE, START, World, answer, assigned, failing, result_of, returned, world

from runtime.outcome import Abandoned, Publish, RetryAt
from runtime.ports import Delivery, Record
from runtime.registry import Registry
from schemas.failure import FailureKind
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import REGISTRY

K = FailureKind
Meanwhile = Callable[[World, Delivery], None]


def the_partition_goes(_: World, delivery: Delivery) -> None:
    delivery.lease.held = False


def the_deadline_passes(it: World, _: Delivery) -> None:
    it.clock.turn(3_600)


def the_model_is_withdrawn(it: World, _: Delivery) -> None:
    event = REGISTRY_EVENTS.validate_python(
        {"kind": "admission", "at": START, "model": "acme/chat", "state": "withdrawn"}
    )
    it.shared["registry"].fold(Record(REGISTRY.name, 0, 0, None, RegistryRecord(event=event).encode(), (), 0))


@pytest.mark.parametrize("meanwhile", [the_partition_goes, the_deadline_passes, the_model_is_withdrawn])
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
