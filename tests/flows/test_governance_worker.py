"""A model that is withdrawn while its job waits is called no more: not by the next attempt, not as a fallback."""

import asyncio
from datetime import timedelta
from typing import Any

from worker_world import START, answer, assigned, candidate, failing, result_of, world

from runtime.intents import NoIntents
from runtime.outcome import RetryAt
from runtime.ports import Delivery, Record
from runtime.registry import Registry
from schemas.failure import FailureKind
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.result import Resolved
from schemas.topics import REGISTRY

MODEL, OTHER = "acme/chat", "acme/other"


def say(registry: Registry, state: str, model: str = MODEL, **more: Any) -> None:
    event = REGISTRY_EVENTS.validate_python(
        {"kind": "admission", "at": START, "model": model, "state": state, **more}
    )  # fmt: skip
    value = RegistryRecord(event=event).encode()
    registry.fold(Record(REGISTRY.name, 0, int(registry.version), None, value, (), 0))


async def test_a_job_whose_only_model_was_withdrawn_meanwhile_is_refused_without_a_call() -> None:
    registry = Registry()
    say(registry, "withdrawn", reason="recalled")
    it = world(answer(), shared={"registry": registry})
    result = result_of(await it.run(assigned()))
    assert it.script.requests == []
    assert result.error is not None
    assert (result.status, result.error.kind) == ("failed", FailureKind.NOT_APPROVED)
    assert "withdrawn for everybody" in result.error.message
    assert "recalled" in result.error.message
    assert result.cost_nanousd == 0


async def test_the_next_candidate_is_called_where_the_first_was_withdrawn() -> None:
    registry = Registry()
    say(registry, "withdrawn")
    it = world(answer(), shared={"registry": registry})
    result = result_of(await it.run(assigned(candidate(), candidate(model=OTHER, provider_model=OTHER))))
    assert (result.status, result.served.model if result.served else None) == ("succeeded", OTHER)
    assert len(it.script.requests) == 1


async def test_a_withdrawal_between_two_attempts_stops_the_second() -> None:
    registry = Registry()

    def first(_: Any) -> Any:
        say(registry, "withdrawn")
        return failing(503)

    it = world(first, answer(), shared={"registry": registry})
    result = result_of(await it.run(assigned()))
    assert len(it.script.requests) == 1
    assert result.error is not None
    assert result.error.kind == FailureKind.NOT_APPROVED
    assert len(result.attempts) == 1, "the call that was made stays told"


async def test_a_withdrawal_for_the_jobs_own_tenant_alone_stops_its_call() -> None:
    registry = Registry()
    say(registry, "withdrawn", tenant="acme")
    it = world(answer(), shared={"registry": registry})
    result = result_of(await it.run(assigned()))
    assert it.script.requests == []
    assert result.error is not None
    assert result.error.kind == FailureKind.NOT_APPROVED


async def test_another_tenants_withdrawal_and_rules_of_routing_stop_no_attempt() -> None:
    """What else the registry says is judged when a job is routed, and not again."""
    registry = Registry()
    say(registry, "withdrawn", tenant="somebody-else")
    rules = REGISTRY_EVENTS.validate_python({"kind": "rules", "at": START, "admitted_only": True})
    registry.fold(Record(REGISTRY.name, 0, 1, None, RegistryRecord(event=rules).encode(), (), 0))
    it = world(answer(), shared={"registry": registry})
    assert result_of(await it.run(assigned())).status == "succeeded"


async def test_a_model_that_is_admitted_again_before_the_call_is_called() -> None:
    registry = Registry()
    say(registry, "withdrawn")
    say(registry, "admitted")
    it = world(answer(), shared={"registry": registry})
    assert result_of(await it.run(assigned())).status == "succeeded"


async def test_a_result_says_what_its_alias_stood_for_whatever_became_of_the_job() -> None:
    stood = Resolved(alias="fast", version=3, model=MODEL, revision="c0ffee")
    for steps in ([answer()], [failing(400)]):
        result = result_of(await world(*steps).run(assigned(resolved=stood)))
        assert result.resolved == stood
    assert result_of(await world(answer()).run(assigned())).resolved is None


async def test_a_model_that_is_withdrawn_while_its_job_waits_for_a_slot_is_not_called() -> None:
    registry = Registry()

    async def first(_: Any) -> Any:
        await asyncio.sleep(0.05)  # the second has asked for a slot by then
        say(registry, "withdrawn")
        return answer()

    it = world(first, answer(), shared={"registry": registry}, max_in_flight=1, bulkhead_share=1.0)
    results = await asyncio.gather(it.run(assigned()), it.run(assigned(job={"id": "second"}, offset=8)))
    ends = [result_of(one) for one in results]
    assert [one.status for one in ends] == ["succeeded", "failed"]
    assert ends[1].error is not None
    assert ends[1].error.kind == FailureKind.NOT_APPROVED
    assert len(it.script.requests) == 1


async def test_a_model_that_is_withdrawn_while_its_call_is_noted_is_not_called_and_the_note_is_taken_back() -> None:
    registry, withdrawn = Registry(), []

    class SlowDisk(NoIntents):
        async def begin(self, lane: str, offset: int, attempt: int, note: str) -> None:
            say(registry, "withdrawn")

        def withdraw(self, lane: str, offset: int, attempt: int) -> None:
            withdrawn.append((offset, attempt))

    it = world(answer(), intents=SlowDisk(), shared={"registry": registry})
    record = assigned()
    result = result_of(await it.run(record))
    assert it.script.requests == []
    assert result.error is not None
    assert (result.error.kind, result.attempts, result.cost_nanousd) == (FailureKind.NOT_APPROVED, [], 0)
    assert withdrawn == [(record.offset, 1)]
    assert it.limits.total_in_flight == 0


async def test_the_next_candidate_is_called_where_the_first_was_withdrawn_while_its_call_was_noted() -> None:
    registry = Registry()

    class SlowDisk(NoIntents):
        async def begin(self, *_: Any) -> None:
            say(registry, "withdrawn")

    it = world(answer(), intents=SlowDisk(), shared={"registry": registry})
    both = candidate(), candidate(model=OTHER, provider_model=OTHER)
    result = result_of(await it.run(assigned(*both)))
    assert [attempt.model for attempt in result.attempts] == [OTHER]
    assert len(it.script.requests) == 1


async def test_capitals_and_names_of_the_catalogues_own_are_no_way_round_a_withdrawal() -> None:
    registry = Registry()
    say(registry, "withdrawn", "Acme/CHAT")
    for one in (candidate(), candidate(model="mine/own", provider_model="acme/chat:groq")):
        it = world(answer(), shared={"registry": registry})
        result = result_of(await it.run(assigned(one)))
        assert it.script.requests == []
        assert result.error is not None
        assert result.error.kind == FailureKind.NOT_APPROVED


async def test_nothing_is_called_before_the_registry_that_it_was_assigned_from_has_been_read() -> None:
    """A follower that is behind, or a process that started on a registry that was emptied."""
    registry = Registry()
    it = world(answer(), shared={"registry": registry})
    for _ in range(2):
        assert isinstance(await it.lane.handle(Delivery(assigned(registry=2), it.clock.now())), RetryAt)
        assert it.script.requests == []
        say(registry, "withdrawn", OTHER)
    assert result_of(await it.run(assigned(registry=2))).status == "succeeded"


async def test_nothing_is_called_by_a_registry_that_became_another_one() -> None:
    registry = Registry()
    say(registry, "admitted")
    registry.fold(Record(REGISTRY.name, 0, 0, None, b"another", (), 0))
    it = world(answer(), shared={"registry": registry})
    assert isinstance(await it.lane.handle(Delivery(assigned(registry=1), it.clock.now())), RetryAt)
    assert it.script.requests == []


async def test_a_job_whose_registry_never_comes_ends_at_its_deadline_and_says_why() -> None:
    it = world(answer())
    ended = result_of(await it.run(assigned(registry=7, deadline=START + timedelta(milliseconds=900))))
    assert ended.error is not None
    assert ended.error.kind == FailureKind.DEADLINE_PASSED
    assert "version 7 was decided from, and 0 is known here" in ended.error.message
    assert it.script.requests == []
