"""What the whole way leaves behind on a real broker: traces, audit chains, group members; and other tasks."""

import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

from stranger import Stranger, encoded
from system import MODEL, PARTITIONS, chat

from console.index.spans import decode_spans
from runtime import audit, progress
from schemas.decision import DecisionBatch
from schemas.topics import AUDIT, DECISIONS, JOBS, RESULTS, RETRY_TIERS, SPANS, TEXT, TOPICS, retry_group

# What is left behind


def test_one_trace_id_runs_through_decision_result_and_spans(novix: Stranger, tenant: str):
    given = uuid.uuid4().hex
    parent = f"00-{given}-00f067aa0ba902b7-01"
    job, plain = chat("traced", tenant), chat("untraced", tenant)
    novix.write([(tenant.encode(), encoded(job), [("traceparent", parent.encode())])])
    novix.publish(plain)
    traced, untraced = novix.result("traced", tenant), novix.result("untraced", tenant)
    novix.quiet()

    decisions = {
        decision.job_id: decision
        for found in novix.read(DECISIONS.name)
        for decision in DecisionBatch.model_validate_json(found.value or b"").decisions
        if decision.tenant == tenant
    }
    spans = defaultdict(list)
    for found in novix.read(SPANS.name):
        for span in decode_spans(found.value or b""):
            spans[span.trace_id].append(span)
    assert traced["trace_id"] == given
    for result in (traced, untraced):
        decision = decisions[result["job_id"]]
        assert decision.trace_id == result["trace_id"]
        assert decision.decision_id == result["decision_id"]
        mine = spans[result["trace_id"]]
        assert {span.name for span in mine} >= {f"process {JOBS.name}", f"process {TEXT.name}", "POST"}
        known = {span.span_id for span in mine} | {"00f067aa0ba902b7"}
        roots = [span for span in mine if span.parent_id not in known]
        assert len(roots) <= (0 if result is traced else 1)


def test_the_audit_chains_of_router_and_worker_hold(novix: Stranger, tenant: str):
    novix.publish(*(chat(f"audited-{number}", tenant) for number in range(20)))
    assert len(novix.results_of(tenant)) == 20

    heads: dict[str, tuple[int, str]] = {}
    deeds: Counter[str] = Counter()
    for found in novix.read(AUDIT.name):
        batch = found.json
        sequence, head = heads.get(batch["lane"], (0, progress.GENESIS))
        assert (batch["sequence"], batch["previous"]) == (sequence + 1, head)
        assert audit.verify(found.value or b"")
        heads[batch["lane"]] = batch["sequence"], batch["hash"]
        deeds.update(entry["action"] for entry in batch["entries"] if entry.get("tenant") == tenant)
    assert deeds == {"job.assigned": 20, "job.succeeded": 20}
    assert {lane.rpartition(".")[0] for lane in heads} == {
        f"novix-router.{JOBS.name}",
        f"novix-worker-text.{TEXT.name}",
        *(f"{retry_group(tier)}.{tier.name}" for _, tier in RETRY_TIERS),  # they have told where they begin
    }


def test_the_lane_groups_have_no_member_but_ours(novix: Stranger, tenant: str):
    novix.run(chat("anyone", tenant))

    for group in ("novix-router", "novix-worker-text"):
        [(client_id, held)] = novix.members(group).items()
        assert client_id.startswith(f"{novix.named(group)}-")
        assert held == set(range(PARTITIONS))


def test_everything_that_exists_bears_the_prefix(novix: Stranger):
    assert novix.topics() == {topic.name for topic in TOPICS}


# Other tasks and several tenants at once


def test_text_generation_takes_the_other_door(novix: Stranger, tenant: str):
    job = {
        "id": "story", "tenant": tenant, "task": "text-generation", "model": "openai-community/gpt2",
        "input": {"inputs": "Once upon a time", "parameters": {"max_new_tokens": 12}},
    }  # fmt: skip
    result = novix.run(job)

    assert result["status"] == "succeeded", result
    assert (
        result["output"]["generated_text"].startswith("stub")
        if isinstance(result["output"], dict)
        else result["output"]
    )


def test_producers_of_many_tenants_at_once_get_a_result_for_each_job(novix: Stranger, tenant: str):
    tenants = [f"{tenant}-{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: novix.publish(*(chat(f"many-{n}", one) for n in range(50))), tenants))
    novix.quiet()
    keys = Counter(found.key for found in novix.read(RESULTS.name) if (found.key or b"").startswith(tenant.encode()))

    assert keys == Counter({f"{one}/many-{n}".encode(): 1 for one in tenants for n in range(50)})


def test_the_model_that_serves_is_the_one_that_was_asked_for(novix: Stranger, tenant: str):
    result = novix.run(chat("named", tenant))

    assert result["asked"]["model"] == result["served"]["model"] == MODEL
