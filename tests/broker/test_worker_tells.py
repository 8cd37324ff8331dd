"""What a real worker process says of itself: whether its provider's door answers, and how often what happened."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from stranger import Stranger, installation
from system import Process, chat

from console.index.spans import Span, decode_spans
from schemas.topics import AUDIT, RETRY_TIERS, SPANS, TEXT, worker_group

WITHIN_S = 30
BEHAVIOURS: dict[str, dict[str, object]] = {
    "google/gemma-4-31B-it": {"status": 400},
    "Qwen/Qwen3-32B": {"status": 503},
    "MiniMaxAI/MiniMax-M3": {"stall": True},
    "deepseek-ai/DeepSeek-V4-Flash": {"fail_first": 2, "fail_status": 429},
    "meta-llama/Llama-3.1-8B-Instruct": {},
}
"""How the stub answers for each model."""


@contextmanager
def provider(port: str = "0") -> Iterator[str]:
    """A stub provider on that port; yields the port."""
    child = subprocess.Popen([sys.executable, "-m", "sandbox.stub", port], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
    finally:
        child.kill()
        child.wait()


def told(process: Process, path: str) -> int:
    """The status of `/readyz` or `/healthz`; 0 if nobody answers."""
    url = f"http://127.0.0.1:{process.environment['NOVIX_HEALTH_PORT']}{path}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return 0


def until_ready(process: Process, status: int) -> None:
    """Wait for what the process finds out by itself and tells only who asks."""
    end = time.monotonic() + WITHIN_S
    while told(process, "/readyz") != status:
        assert time.monotonic() < end, process.health()
        time.sleep(0.05)


@pytest.fixture
def novix(broker, tmp_path: Path) -> Iterator[Stranger]:
    """An installation that has told nothing yet: each job is tried twice, every wait passes in a retry topic."""
    with installation(
        broker.bootstrap, tmp_path, NOVIX_BREAKER="false", NOVIX_READ_TIMEOUT_S="0.5", NOVIX_MAX_RETRIES="1",
        NOVIX_BACKOFF_FACTOR_S="0.05", NOVIX_RETRY_IN_MEMORY_S="0", NOVIX_RETRY_BUDGET="1000",
    ) as stranger:  # fmt: skip
        yield stranger


def test_a_worker_is_ready_only_while_its_provider_answers_and_healthy_all_the_time(broker, tmp_path: Path):
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        port = first.enter_context(provider())
        url = f"http://127.0.0.1:{port}"
        novix = stack.enter_context(
            installation(broker.bootstrap, tmp_path, start=False, NOVIX_HF_ROUTER_URL=url, NOVIX_PROBE_S="0.2")
        )
        worker = novix.system.worker.start()
        until_ready(worker, 200)
        assert worker.health()[1]["providers"] == {url: "reachable"}

        first.close()
        until_ready(worker, 503)
        status, state = worker.health()
        assert (status, state["providers"], state["ready"]) == (200, {url: "unreachable"}, False)

        stack.enter_context(provider(port))
        until_ready(worker, 200)


def test_counters_spans_audit_and_results_tell_of_the_same_failures(novix: Stranger, tenant: str):
    """A mix of refusals, overload, silence and 429s, with retries that leave the process's memory."""
    for model, how in BEHAVIOURS.items():
        novix.system.stub("/admin/behave", {"model": model, **how})
    novix.publish(
        *(chat(f"{number}-{at}", tenant, model=model) for at, model in enumerate(BEHAVIOURS) for number in range(3))
    )
    results = novix.results_of(tenant)
    assert len(results) == 3 * len(BEHAVIOURS)
    assert sum(found.header("novix-return-to") is not None for found in novix.read(RETRY_TIERS[0][1].name)) > 0

    health = novix.system.worker.health()[1]
    ended = Counter(f"{one['status']}/{one['error']['kind']}" if one["error"] else one["status"] for one in results)
    failed = Counter(call["kind"] for one in results for call in one["attempts"] if call["kind"])
    assert ended == {"failed/request_refused": 3, "failed/overloaded": 3, "failed/timeout": 3, "succeeded": 6}
    assert failed == {"request_refused": 3, "overloaded": 6, "timeout": 6, "rate_limited": 2}
    assert health["jobs_ended"] == ended
    assert health["attempts_failed"] == failed

    spans = [span for found in novix.read(SPANS.name) for span in decode_spans(found.value or b"")]
    assert errors(spans, f"process {TEXT.name}") == Counter(one["error"]["kind"] for one in results if one["error"])
    assert errors(spans, "POST") == failed

    entries = [
        entry
        for found in novix.read(AUDIT.name)
        for entry in found.json["entries"]
        if found.json["lane"].startswith(worker_group("text")) and "attempts" in entry["detail"]
    ]
    kinds = Counter("/".join(filter(None, (outcome(entry), entry["detail"].get("kind")))) for entry in entries)
    assert kinds == ended
    calls = sum(entry["detail"]["attempts"] for entry in entries)
    assert calls == sum(failed.values()) + 6 == len(novix.system.stub("/admin/calls"))


def outcome(entry: dict) -> str:
    """`job.failed` is `failed`."""
    return str(entry["action"]).removeprefix("job.")


def errors(spans: list[Span], name: str) -> Counter[str]:
    """The spans of that name whose status is an error, by kind."""
    return Counter(span.error for span in spans if span.name == name and span.error)
