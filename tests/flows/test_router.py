"""A router lane over an in-memory log: what becomes of one job, at home, away from it, and when it is no job."""

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from router_world import MemoryLog, World, chat

from runtime.commit import SHARED_LIMIT_BYTES as BATCH_BYTES
from runtime.outcome import Done, GiveUp, Publish
from runtime.partitions import home_partition
from runtime.ports import Delivery
from schemas import codec, headers
from schemas.assignment import AssignedJob
from schemas.decision import Decision, DecisionBatch
from schemas.failure import FailureKind
from schemas.result import JobResult
from schemas.topics import DECISIONS, DLQ, JOBS, RESULTS, TEXT

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def audited(done: Done) -> list[str]:
    return [entry.action for entry in done.audit]


def decisions(world: World) -> list[dict[str, Any]]:
    return [one for batch in world.on(DECISIONS.name) for one in batch["decisions"]]


# one job


async def test_a_job_becomes_an_assignment_a_decision_and_a_span_of_its_producers_trace(world: World) -> None:
    parent = ((headers.TRACEPARENT, f"00-{TRACE}-{PARENT}-01".encode()),)
    record = world.job(chat(metadata={"team": "search"}), headers=parent)
    world.clock.turn(1.5)
    written = await world.run(record)

    (assigned,) = [one for one in written if one.topic == TEXT.name]
    job = AssignedJob.model_validate_json(assigned.value or b"")
    assert assigned.key == b"default/a1"
    assert job.job == chat(metadata={"team": "search"})
    assert job.submission == 1
    assert job.assignment.candidates[0].base_url == world.settings.sandbox_url
    assert job.received.model_dump() == {
        "topic": JOBS.name, "partition": world.partition, "offset": 0, "timestamp_ms": record.timestamp_ms
    }  # fmt: skip
    (batch,) = [DecisionBatch.model_validate(one) for one in world.on(DECISIONS.name)]
    (decision,) = batch.decisions
    assert (decision.verdict, decision.decision_id) == ("assigned", job.assignment.decision_id)
    assert decision.metadata == {"team": "search"}
    assert decision.versions["scorer"] == "features/2"
    assert decision.trace_id == TRACE

    done = world.outcomes[0]
    span, sent = done.spans
    assert (span.context.trace_id, span.context.parent_id) == (TRACE, PARENT)
    assert (span.name, span.links) == ("process inference.jobs.v1", ((TRACE, PARENT),))
    assert span.attributes["novix.queued_ms"] == 1500
    told = dict(assigned.headers)
    assert (sent.name, sent.context.parent_id) == ("send inference.text.v1", span.span_id)
    assert told[headers.TRACEPARENT] == f"00-{TRACE}-{sent.span_id}-01".encode()
    assert told[headers.IDENTITY] == b"default/a1/1"
    (entry,) = done.audit
    assert (entry.action, entry.span_id, entry.trace_id) == ("job.assigned", span.span_id, TRACE)
    assert entry.detail["deadline"] == job.assignment.deadline.isoformat()


async def test_what_is_written_without_the_contracts_models_is_what_they_would_write(world: World) -> None:
    jobs = (
        chat("a1", metadata={"team": "s", "n": 1, "x": 0.5}, input={"max_tokens": 20_000}, timeout_s=7.25),
        chat("a2", model="no/such"), chat("a3", max_cost_nanousd=1), chat("a4", deadline="2026-11-22T11:59:59Z"),
        {"id": "a5", "task": "chat-completion", "input": {"messages": [], "n": 3}},
    )  # fmt: skip
    world.clock.turn(0.000_25)
    written = await world.run(*(world.job(job) for job in jobs))
    for record in written:
        model = {DECISIONS.name: DecisionBatch, TEXT.name: AssignedJob}.get(record.topic)
        if model is not None:
            told = codec.decode(record.value or b"")
            again = codec.decode(model.model_validate(told).encode())
            assert again == told | ({"carried": None} if model is AssignedJob else {})
            assert list(again) == [*told, *(["carried"] if model is AssignedJob else [])]
    told = [one for batch in world.on(DECISIONS.name) for one in batch["decisions"]]
    assert all(list(one) == list(Decision.model_fields) for one in told)
    assert any(one["exclusions"] for one in told)


async def test_an_ordering_key_keeps_jobs_of_one_tenant_on_one_partition(world: World) -> None:
    written = await world.run(world.job(chat(ordering_key="thread-1")))
    assert [one.key for one in written if one.topic == TEXT.name] == [b"default/thread-1"]


async def test_a_job_without_a_trace_gets_one_from_its_identity(world: World) -> None:
    await world.run(world.job(chat()))
    first = world.outcomes[0].spans[0].context
    await world.crash()
    await world.run(world.job(chat("a2")))
    assert first.parent_id is None
    assert world.outcomes[1].spans[0].context.trace_id != first.trace_id


@pytest.mark.parametrize(
    ("job", "status", "kind"),
    [
        (chat(max_cost_nanousd=1), "rejected", "price_ceiling"),
        (chat(model="no/such"), "rejected", "unknown_model"),
        (chat(deadline="2026-11-22T11:59:59Z"), "expired", "deadline_passed"),
        ({"id": "a1", "task": "nothing", "input": {}}, "rejected", "unknown_task"),
        ({"id": "a1", "task": "chat-completion", "input": 3}, "rejected", "invalid_job"),
        ({**chat(), "schema": 9}, "rejected", "unknown_schema"),
        (chat(text="x" * 300_000), "rejected", "too_large"),
    ],
)
async def test_a_refusal_is_one_complete_result(world: World, job: dict[str, Any], status: str, kind: str) -> None:
    written = await world.run(world.job(job))
    (result,) = [JobResult.model_validate(one) for one in world.on(RESULTS.name)]
    assert (result.status, result.error.kind if result.error else None) == (status, kind)
    assert (result.job_id, result.tenant, result.submission, result.cost_nanousd) == ("a1", "default", 1, 0)
    assert result.asked.provider == "auto"
    assert result.received is not None
    assert result.trace_id == world.outcomes[0].spans[0].context.trace_id
    (decision,) = decisions(world)
    assert (decision["verdict"], decision["kind"]) == (status, kind)
    assert decision["decision_id"] == result.decision_id
    assert [one.key for one in written if one.topic == RESULTS.name] == [b"default/a1"]
    assert audited(world.outcomes[0]) == [f"job.{status}"]
    assert not [one for one in written if one.topic == TEXT.name]


@pytest.mark.parametrize("value", [None, b"", b"\xff\xfe", b"[]", b"3", b'{"task":"x"}', b'{"id":""}', b"{" * 100])
async def test_a_record_that_names_nobody_is_a_dead_letter_and_the_lane_goes_on(
    world: World, value: bytes | None
) -> None:
    done = await world.handle(world.job(value))
    assert isinstance(done, GiveUp)
    assert (done.records, done.facts) == ((), ())
    assert audited(done) == ["record.dead_lettered"]
    assert isinstance(await world.handle(world.job(chat())), Publish)


# identities


async def test_the_same_id_twice_is_run_once(world: World) -> None:
    await world.run(world.job(chat()), world.job(chat()))
    await world.run(world.job(chat()))
    assert len(world.on(TEXT.name)) == len(decisions(world)) == 1
    assert [audited(one) for one in world.outcomes] == [["job.assigned"], ["job.duplicate"], ["job.duplicate"]]


async def test_an_id_with_other_content_is_a_conflict_and_a_dead_letter(world: World) -> None:
    await world.run(world.job(chat()))
    done = await world.handle(world.job(chat(text="other")))
    assert isinstance(done, GiveUp)
    assert (done.kind, done.records) == (FailureKind.CONFLICT, ())
    assert audited(done) == ["job.conflict"]
    refused = await world.handle(world.job({"id": "a1", "task": 3, "input": {}}))
    assert isinstance(refused, GiveUp)
    assert refused.kind == FailureKind.CONFLICT


async def test_two_tenants_may_use_the_same_id(tmp_path: Path) -> None:
    home = home_partition("default", 3)
    other = next(f"t{n}" for n in range(99) if home_partition(f"t{n}", 3) == home)
    world = World(tmp_path)
    await world.run(world.job(chat()), world.job(chat(tenant=other), tenant=other))
    assert [one["job"].get("tenant", "default") for one in world.on(TEXT.name)] == ["default", other]


async def test_an_id_that_was_rejected_may_be_sent_again_as_the_next_submission(world: World) -> None:
    await world.run(world.job(chat(model="no/such")), world.job(chat(model="no/such")))
    await world.run(world.job(chat()), world.job(chat()))
    assert [(one["submission"], one["verdict"]) for one in decisions(world)] == [
        (1, "rejected"), (2, "rejected"), (3, "assigned"),
    ]  # fmt: skip
    assert [one["submission"] for one in world.on(RESULTS.name)] == [1, 2]
    assert audited(world.outcomes[3]) == ["job.duplicate"]


async def test_an_expired_id_is_a_duplicate_when_it_comes_again(world: World) -> None:
    job = chat(deadline="2026-11-22T11:00:00Z")
    await world.run(world.job(job), world.job(job))
    assert len(world.on(RESULTS.name)) == 1


# home


async def test_a_job_away_from_home_is_forwarded_once_and_decided_there(tmp_path: Path) -> None:
    log = MemoryLog()
    home = World(tmp_path, log=log)
    away = World(tmp_path, log=log, partition=(home.partition + 1) % 3)
    record = away.job(chat(), headers=(("x-mine", b"1"),))
    (sent,) = await away.run(record)
    assert (sent.topic, sent.partition) == (JOBS.name, home.partition)
    assert audited(away.outcomes[0]) == ["job.forwarded"]
    assert away.outcomes[0].facts == ()

    home.clock.turn(2)
    await home.run(sent)
    (assigned,) = home.on(TEXT.name)
    assert assigned["received"] == {
        "topic": JOBS.name, "partition": away.partition, "offset": 0, "timestamp_ms": record.timestamp_ms
    }  # fmt: skip
    assert home.outcomes[0].spans[0].attributes["novix.queued_ms"] == 2000


async def test_an_id_that_comes_again_on_another_partition_is_known_at_home(tmp_path: Path) -> None:
    log = MemoryLog()
    home = World(tmp_path, log=log)
    away = World(tmp_path, log=log, partition=(home.partition + 1) % 3)
    await home.run(home.job(chat()))
    records = [away.job(chat()), away.job(chat(text="other")), away.job({**chat(), "task": 3})]
    await home.run(*(await away.run(*records)))
    assert [audited(one) for one in home.outcomes[1:]] == [["job.duplicate"], ["job.conflict"], ["job.conflict"]]
    assert len(home.on(TEXT.name)) == 1


async def test_a_refused_job_away_from_home_is_rejected_at_home_with_the_first_lanes_reason(tmp_path: Path) -> None:
    log = MemoryLog()
    home = World(tmp_path, log=log)
    away = World(tmp_path, log=log, partition=(home.partition + 1) % 3)
    many = tuple((f"h{n}", b"v") for n in range(10_000))
    (sent,) = await away.run(away.job(chat(), headers=many))
    await home.run(sent)
    (result,) = home.on(RESULTS.name)
    assert (result["status"], result["error"]["kind"]) == ("rejected", "too_large")
    assert "10000" in result["error"]["message"]
    assert result["received"]["partition"] == away.partition


async def test_forged_headers_do_no_harm(world: World) -> None:
    """Two honest jobs, and between them one that claims to come from elsewhere, refused, and somebody else's."""
    forged = (
        (headers.ORIGIN, b"%d/0/%d" % ((world.partition + 1) % 3, world.clock.now().timestamp() * 1000)),
        (headers.REFUSED, b'{"kind":"too_large","message":"forged"}'),
        (headers.IDENTITY, b"other/b9/7"),
        (headers.HAS_RESULT, b"true"),
    )
    first, second = world.job(chat("a1")), world.job(chat("a2"), headers=forged)
    written = await world.run(first, second, world.job(chat("a3")))
    assert [one["job"]["id"] for one in world.on(TEXT.name)] == ["a1", "a2", "a3"]
    for one in written:
        assert headers.HAS_RESULT not in dict(one.headers)
    assert [dict(one.headers)[headers.IDENTITY] for one in written if one.topic == TEXT.name] == [
        b"default/a1/1", b"default/a2/1", b"default/a3/1",
    ]  # fmt: skip


# the transaction


async def test_a_transactions_decisions_are_one_record_and_large_ones_are_split(world: World) -> None:
    lane = await world.lane()
    for n in range(600):
        await world.handle(world.job(chat(f"a{n}", metadata={"pad": "x" * 2000})))
    written = [one for one in await world.commit() if one.topic == DECISIONS.name]
    assert len(written) > 1
    assert all(len(one.value or b"") <= BATCH_BYTES for one in written)
    assert {one.partition for one in written} == {world.partition}
    read = [one for record in written for one in codec.decode(record.value or b"")["decisions"]]
    assert [one["job_id"] for one in read] == [f"a{n}" for n in range(600)]
    assert lane.seal([], BATCH_BYTES) == []
    assert len(lane.seal([world.outcomes[0].facts[0]], BATCH_BYTES)) == 1


async def test_an_assigned_job_that_no_topic_takes_ends_with_a_typed_result(world: World) -> None:
    done = await world.handle(world.job(chat()))
    assert isinstance(done, Publish)
    assert done.shrunk is not None
    small = done.shrunk(2_000_000)
    result = JobResult.model_validate_json(small.records[0].value or b"")
    assert (result.status, result.error.kind if result.error else None) == ("rejected", FailureKind.TOO_LARGE)
    assert "2000000 bytes" in (result.error.message if result.error else "")
    assert audited(await world.handle(world.job(chat()))) == ["job.assigned"], "the rejected id may come again"


async def test_a_fault_of_ours_is_a_failed_result_with_a_copy_for_replay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("canary in an exception")

    monkeypatch.setattr("router.lane.decide", broken)
    done = await world.handle(world.job(chat()))
    monkeypatch.undo()
    assert isinstance(done, GiveUp)
    assert (done.kind, done.error_type) == (FailureKind.INTERNAL, "ZeroDivisionError")
    result = JobResult.model_validate_json(done.records[0].value or b"")
    assert (result.status, result.error.kind if result.error else None) == ("failed", FailureKind.INTERNAL)
    assert "canary" not in repr(done)
    await world.commit()
    assert audited(await world.handle(world.job(chat()))) == ["job.assigned"], "it may be sent again"


async def test_a_prompt_stands_in_the_assigned_job_and_in_a_dead_letter_and_nowhere_else(world: World) -> None:
    secret = "canary-4711"
    jobs = (
        chat("a1", secret), chat("a2", secret, model="no/such"), chat("a3", secret, input={"max_tokens": secret}),
        chat("a4", secret, max_cost_nanousd=0), chat("a1", secret + "other"), {**chat("a5", secret), "task": secret},
    )  # fmt: skip
    written = await world.run(*(world.job(job) for job in jobs[:-1]))
    for record in written:
        assert (secret.encode() in (record.value or b"")) == (record.topic in (TEXT.name, DLQ.name))
    for done in world.outcomes:
        assert secret not in repr((done.audit, done.spans, getattr(done, "message", "")))


# a thousand bad ones


def mutants(count: int, seed: int) -> list[bytes | None]:
    """Good jobs with something broken: bytes cut or flipped, fields removed, retyped, overgrown."""
    chance = random.Random(seed)
    odd: list[Any] = [
        None, True, -1, 1e308, "", "x" * 5000, [], {}, {"$ref": {}}, "a/b", "\u0000", [[[[[[]]]]]], "٣", 2**63,
    ]  # fmt: skip
    made: list[bytes | None] = []
    for n in range(count):
        job: dict[str, Any] = chat(f"bad-{n}", "text", metadata={"n": n}, timeout_s=60)
        data = codec.encode(job)
        way = chance.randrange(6)
        if way == 0:
            at = chance.randrange(len(data))
            made.append(data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :])
        elif way == 1:
            made.append(data[: chance.randrange(len(data))])
        elif way == 2:
            job.pop(chance.choice(sorted(job)))
            made.append(codec.encode(job))
        elif way == 3:
            job[chance.choice([*sorted(job), "tenant", "model", "deadline", "priority"])] = chance.choice(odd)
            made.append(codec.encode(job))
        elif way == 4:
            job["input"] = {**job["input"], chance.choice(["messages", "max_tokens", "n", "tools"]): chance.choice(odd)}
            made.append(codec.encode(job))
        else:
            made.append(chance.choice([None, b"", b"\x00" * 40, b"[" * 300, b'{"id":"' + b"y" * 400 + b'"}']))
    return made


async def test_a_thousand_mutated_jobs_among_good_ones_are_all_accounted_for(tmp_path: Path) -> None:
    """Every good one is assigned; every bad one is assigned, answered, forwarded or a dead letter; none raises."""
    world = World(tmp_path)
    lane = await world.lane()
    ways: dict[str, int] = {}
    for n, value in enumerate(mutants(1000, seed=11)):
        for record in (world.job(value), world.job(chat(f"good-{n}"))):
            outcome = await lane.handle(Delivery(record, world.clock.now()))
            assert isinstance(outcome, Publish | GiveUp)
            world.settle(record, outcome)
            way = "dead letter" if isinstance(outcome, GiveUp) else audited(outcome)[0]
            ways[way] = ways.get(way, 0) + 1
            terminal = [one for one in outcome.records if one.topic in (TEXT.name, RESULTS.name, JOBS.name)]
            assert len(terminal) == (0 if isinstance(outcome, GiveUp) or way == "job.duplicate" else 1)
        if n % 100 == 99:
            await world.commit()
    good = [one["job"]["id"] for one in world.on(TEXT.name) if one["job"]["id"].startswith("good-")]
    assert len(good) == len(set(good)) == 1000
    assert sum(ways.values()) == 2000
    assert {"job.assigned", "job.rejected", "dead letter"} <= set(ways)
    await world.crash()
    with sqlite3.connect(next((tmp_path / "seen").glob("*.sqlite"))) as db:
        assert db.execute("SELECT count(*) FROM seen").fetchone()[0] == len(decisions(world))
    db.close()
