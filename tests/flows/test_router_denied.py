"""Jobs that get no assignment: cancelled, denied or forged; what each leaves behind in the same transaction."""

from pathlib import Path
from typing import Any

import pytest
from router_world import MemoryLog, World, chat

from runtime.outcome import Done
from schemas import headers
from schemas.failure import FailureKind
from schemas.result import JobResult
from schemas.topics import DECISIONS, DLQ, RESULTS, TEXT

FORGED = (
    (headers.IDENTITY, b"other/b9/7"),
    (headers.ORDERED, b"1"),
    (headers.NOT_BEFORE, b"99999999999999"),
    (headers.ATTEMPT, b"5"),
    (headers.RETURN_TO, b"inference.results.v1"),
    (headers.CAUSE, b"timeout"),
    (headers.HAS_RESULT, b"true"),
    (headers.DLQ_TOPIC, b"inference.text.v1"),
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def audited(done: Done) -> list[str]:
    return [entry.action for entry in done.audit]


# cancelled


async def test_a_job_cancelled_before_it_is_routed_ends_as_cancelled_and_is_assigned_to_nobody(world: World) -> None:
    record = world.job(chat(metadata={"team": "search"}))
    world.cancel(by="ada\n")
    written = await world.run(record)
    (result,) = [JobResult.model_validate(one) for one in world.on(RESULTS.name)]
    assert (result.status, result.submission, result.cost_nanousd) == ("cancelled", 1, 0)
    assert (result.error.kind if result.error else None) == FailureKind.CANCELLED
    (decision,) = world.on(DECISIONS.name)[0]["decisions"]
    assert (decision["verdict"], decision["kind"], decision["candidates"]) == ("cancelled", "cancelled", [])
    assert decision["decision_id"] == result.decision_id
    (entry,) = world.outcomes[0].audit
    assert (entry.action, entry.detail["by"]) == ("job.cancelled", "ada?")
    span, _ = world.outcomes[0].spans
    assert (span.context.trace_id, span.error) == (result.trace_id, FailureKind.CANCELLED)
    assert not [one for one in written if one.topic in (TEXT.name, DLQ.name)]


async def test_a_cancelled_identity_is_known_and_only_its_own_submission_is_cancelled(world: World) -> None:
    world.cancel("other")
    world.cancel(submission=2)
    await world.run(world.job(chat()))
    world.cancel()
    await world.run(world.job(chat("a2")), world.job(chat()))
    assert [audited(one) for one in world.outcomes] == [["job.assigned"], ["job.assigned"], ["job.duplicate"]]
    await world.run(world.job(chat("other")), world.job(chat("other")))
    assert [audited(one) for one in world.outcomes[3:]] == [["job.cancelled"], ["job.duplicate"]]


async def test_a_wish_that_arrives_between_a_decision_and_its_commit_holds_if_the_lane_dies(world: World) -> None:
    record = world.job(chat())
    await world.handle(record)
    world.cancel()
    await world.crash()
    await world.run(record)
    assert [one["status"] for one in world.on(RESULTS.name)] == ["cancelled"]
    assert world.on(TEXT.name) == []


async def test_a_redelivered_job_that_was_assigned_is_left_to_its_worker(world: World) -> None:
    record = world.job(chat())
    await world.run(record)
    world.cancel()
    await world.crash()
    assert await world.run(record) == []


async def test_a_job_that_cannot_be_read_whole_is_cancelled_as_well(world: World) -> None:
    world.cancel()
    await world.run(world.job({"id": "a1", "task": 3, "input": {}}))
    assert [one["status"] for one in world.on(RESULTS.name)] == ["cancelled"]


# denied


@pytest.mark.parametrize(
    ("job", "action"),
    [
        (chat(max_cost_nanousd=1), "job.rejected"),
        (chat(provider="nobody"), "job.rejected"),
        (chat(deadline="2026-11-22T11:59:59Z"), "job.expired"),
        ({"id": "a1", "task": "chat-completion", "input": 3}, "job.rejected"),
        (chat(text="x" * 300_000), "job.rejected"),
        (b"{", "record.dead_lettered"),
    ],
)
async def test_whoever_is_denied_stands_in_the_audit_of_the_same_transaction(
    world: World, job: Any, action: str
) -> None:
    await world.run(world.job(job))
    done = world.outcomes[0]
    assert audited(done) == [action]
    assert done.audit[0].detail["kind"]
    assert done.audit[0].detail["message"]
    told = [one.topic for one in world.published if one.topic in (RESULTS.name, DLQ.name)]
    assert len(told) == 1, "the result or the dead letter is of the transaction that holds the entry"


# ordered, forged


async def test_a_job_with_an_ordering_key_is_marked_and_no_other_is(world: World) -> None:
    written = await world.run(world.job(chat(ordering_key="thread-1")), world.job(chat("a2"), headers=FORGED))
    ordered, free = (one for one in written if one.topic == TEXT.name)
    assert (ordered.key, dict(ordered.headers)[headers.ORDERED]) == (b"default/thread-1", b"1")
    assert (free.key, dict(free.headers).get(headers.ORDERED)) == (b"default/a2", None)


async def test_headers_of_ours_on_a_job_change_nothing_and_are_not_copied(tmp_path: Path) -> None:
    def content(one: Any) -> Any:
        return one.topic, one.key, one.value, [told for told in one.headers if told[0] != headers.TRACEPARENT]

    written = []
    for name, given in (("honest", ()), ("forged", FORGED)):
        world = World(tmp_path / name)
        written.append([content(one) for one in await world.run(world.job(chat(), headers=given))])
    assert written[0] == written[1]


async def test_headers_of_ours_do_not_travel_home_and_a_producers_own_do(tmp_path: Path) -> None:
    log = MemoryLog()
    home = World(tmp_path, log=log)
    away = World(tmp_path, log=log, partition=(home.partition + 1) % 3)
    own = ((headers.SCHEMA, b"1"), ("x-mine", b"\xff"), (headers.TRACESTATE, b"a=b"))
    (sent,) = await away.run(away.job(chat(), headers=(*FORGED, *own)))
    assert [name for name, _ in sent.headers] == [headers.SCHEMA, "x-mine", headers.TRACESTATE, headers.ORIGIN]
