"""On a real broker: after jobs of every kind of end, /metrics of router and worker agree with results, ledger, audit,
spans, dead letters and the provider's own log."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from metrics_worlds import Samples, total
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from prometheus_client.parser import text_string_to_metric_families
from stranger import TOKEN, Stranger, installation
from system import Process, chat

from schemas.topics import AUDIT, DECISIONS, DLQ, JOBS, LEDGER, RESULTS, SPANS

TENANT = "counted"
CANARY = "the-canary-counts-the-stars-over-the-mine"
ILL: dict[str, dict[str, Any]] = {
    "openai/gpt-oss-20b": {"status": 500, "echo": True},
    "Qwen/Qwen3-32B": {"status": 401, "echo": True},
    "google/gemma-4-31B-it": {"status": 400, "echo": True},
    "zai-org/GLM-4.7": {"answer": {"nonsense": CANARY}},
    "meta-llama/Llama-3.3-70B-Instruct": {"stall": True},
}
"""Models, and how the provider treats who calls them."""
JOBS_OF_A_KIND = 6
NANO = 1_000_000_000


@pytest.fixture(scope="module")
def novix(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """An installation of this suite's own: what it counts is what is published here."""
    folder = tmp_path_factory.mktemp("metrics")
    quick: dict[str, Any] = {"NOVIX_BREAKER": "false", "NOVIX_BACKOFF_FACTOR_S": "0.05", "NOVIX_MAX_RETRIES": "1"}
    quick |= {"NOVIX_READ_TIMEOUT_S": "1", "NOVIX_LOG_LEVEL": "debug"}
    with installation(broker.bootstrap, folder, NOVIX_HF_TOKEN=TOKEN, **quick) as stranger:
        yield stranger


def scrape(process: Process) -> Samples:
    url = f"http://127.0.0.1:{process.environment['NOVIX_HEALTH_PORT']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        page = answer.read().decode()
    found: Samples = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def money(samples: Samples, name: str) -> int:
    """In nano-dollars, exactly."""
    return sum(round(value * NANO) for value in samples.get(name, {}).values())


def by(samples: Samples, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for told, value in samples.get(name, {}).items():
        found[tuple(dict(told)[label] for label in labels)] += int(value)
    return +found


@dataclass
class Happened:
    """What was published has come to its ends, and what both processes tell of it."""

    novix: Stranger
    results: list[dict[str, Any]]
    router: Samples
    worker: Samples


@pytest.fixture(scope="module")
def told(novix: Stranger) -> Happened:
    """Jobs of every kind of end. Prompts hold a canary, and providers that refuse quote prompt and token."""
    for model, how in ILL.items():
        novix.system.stub("/admin/behave", {"model": model, **how})
    good = [chat(f"good-{number}", TENANT, text=CANARY) for number in range(JOBS_OF_A_KIND)]
    ill = [chat(f"ill-{number}", TENANT, model=model, text=CANARY) for number, model in enumerate(ILL)]
    dear = [chat(f"dear-{number}", TENANT, max_cost_nanousd=1, text=CANARY) for number in range(JOBS_OF_A_KIND)]
    unknown = [chat("unknown", TENANT, text=CANARY) | {"task": CANARY}]
    novix.publish(*good, *ill, *dear, *unknown)
    novix.publish(good[1], chat("good-0", TENANT, text="Something else."))
    novix.write([(None, f'{{"no json {CANARY} {TOKEN}'.encode(), [])])
    results = novix.results_of(TENANT)
    assert Counter(result["status"] for result in results) == {
        "succeeded": JOBS_OF_A_KIND, "failed": len(ILL), "rejected": JOBS_OF_A_KIND + 1
    }  # fmt: skip
    return Happened(novix, results, scrape(novix.system.router), scrape(novix.system.worker))


def test_what_is_counted_is_what_was_written(told: Happened) -> None:
    novix, results, router, worker = told.novix, told.results, told.router, told.worker
    worked = [result for result in results if result["status"] != "rejected"]

    # results
    ended = by(worker, "novix_jobs_ended_total", "status", "kind")
    assert ended == Counter((one["status"], (one["error"] or {}).get("kind", "")) for one in worked)
    assert by(router, "novix_refusals_total", "reason") == Counter(
        (one["error"]["kind"],) for one in results if one["status"] == "rejected"
    )
    decisions = [one for found in novix.read(DECISIONS.name) for one in found.json["decisions"]]
    assert by(router, "novix_decisions_total", "verdict") == Counter((one["verdict"],) for one in decisions)
    assert total(worker, "gen_ai_client_operation_duration_seconds", {}) == len(worked)

    # calls and tokens, and what the provider's own log says of them
    attempts = [attempt for one in worked for attempt in one["attempts"]]
    assert by(worker, "novix_calls_total", "outcome") == Counter((one["kind"] or "ok",) for one in attempts)
    assert sum(by(worker, "novix_calls_total", "outcome").values()) == sum(novix.system.calls().values())
    for unit in ("input_tokens", "output_tokens"):
        tokens = total(worker, "novix_usage_total", {"unit": unit})
        assert tokens == sum(one["usage"].get(unit, 0) for one in worked)
        kind = unit.removesuffix("_tokens")
        assert total(worker, "gen_ai_client_token_usage_sum", {"gen_ai_token_type": kind}) == tokens

    # money, to the nano-dollar
    ledger = [entry for found in novix.read(LEDGER.name) for entry in found.json["entries"]]
    assert money(worker, "novix_money_settled_usd_total") == sum(one["cost_nanousd"] for one in worked)
    assert money(worker, "novix_money_settled_usd_total") == sum(one["cost_nanousd"] for one in ledger)
    assert money(worker, "novix_money_ambiguous_usd_total") == sum(
        charge["nanousd"] for one in ledger for charge in one["charges"] if charge["ambiguous"]
    )
    reserved = money(router, "novix_money_reserved_usd_total")
    assert reserved == sum(one["reserve"]["nanousd"] for one in decisions if one["reserve"])
    assert reserved == money(worker, "novix_money_settled_usd_total") + money(worker, "novix_money_released_usd_total")

    # records
    both = (router, worker)
    audit = [entry for found in novix.read(AUDIT.name) for entry in found.json["entries"]]
    assert sum((by(one, "novix_audit_entries_total", "action") for one in both), Counter()) == Counter(
        (entry["action"],) for entry in audit
    )
    spans = [
        span
        for found in novix.read(SPANS.name)
        for resource in TracesData.FromString(found.value or b"").resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert sum(total(one, "novix_spans_written_total", {}) or 0 for one in both) == len(spans)
    letters = novix.read(DLQ.name)
    reasons = Counter(((found.header("__dlq.errors.message") or "").partition(":")[0],) for found in letters)
    assert sum((by(one, "novix_dead_letters_total", "reason") for one in both), Counter()) == reasons
    for topic, count in ((RESULTS.name, len(novix.read(RESULTS.name))), (DLQ.name, len(letters))):
        sent = [total(one, "messaging_client_sent_messages_total", {"messaging_destination_name": topic}) or 0
                for one in both]  # fmt: skip
        assert sum(sent) == count

    # lanes
    published = len(novix.read(JOBS.name))
    of_jobs = {"topic": JOBS.name}
    assert total(router, "novix_records_committed_total", of_jobs) == published
    assert total(router, "novix_records_settled_total", of_jobs) == published
    assert total(router, "messaging_client_consumed_messages_total", {"messaging_destination_name": JOBS.name}) == (
        published
    )
    assert total(worker, "novix_records_committed_total", {}) == len(worked)
    assert total(worker, "novix_lane_in_flight_records", {}) == 0
    assert total(worker, "novix_ready", {}) == total(router, "novix_ready", {}) == 1


def test_the_log_names_the_trace_of_each_job_that_failed_and_holds_neither_prompt_nor_token(told: Happened) -> None:
    lines: list[dict[str, Any]] = []
    for file in told.novix.folder.glob("*.log"):
        text = file.read_text()
        assert CANARY not in text
        assert TOKEN not in text
        lines += [json.loads(line) for line in text.splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)

    for result in told.results:
        said = [line for line in lines if line.get("trace_id") == result["trace_id"]]
        if result["status"] == "succeeded":
            assert "job.succeeded" not in {line["event"] for line in said}
            continue
        [end] = [line for line in said if line["event"] == f"job.{result['status']}"]
        assert end["kind"] == result["error"]["kind"]
    assert [line["offset"] for line in lines if line["event"] == "record.dead_lettered"]
