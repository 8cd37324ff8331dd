"""Models measured on a real broker: the bill is within the total, and what was measured outlives Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time

from stranger import Stranger
from system import MODEL

from schemas.topics import EVALS, JOBS, RESULTS

SLOW = "Qwen/Qwen3-32B"
WITHIN_S = 60


def measuring(novix: Stranger, tenant: str) -> list[dict]:
    """The runs that were kept for a tenant."""
    return [run for found in novix.read(EVALS.name) if (run := found.json)["tenant"] == tenant]


def jobs_of(novix: Stranger, tenant: str) -> list[dict]:
    return [found.json for found in novix.read(JOBS.name) if f'"{tenant}"'.encode() in (found.value or b"")]


def test_a_bench_is_paid_within_its_total_and_says_what_the_provider_billed(novix: Stranger, tenant: str):
    """Each job is billed 12 tokens out; the slow model takes 300 ms a call, the other none."""
    novix.system.stub("/admin/behave", {"model": SLOW, "delay_ms": 300.0})
    words = ("bench", "models", MODEL, SLOW, "--task", "chat-completion", "--max-cost", "0.01", "--jobs", "12")

    done = novix.cli(*words, "--tenant", tenant, "--at-once", "2", "--json")

    told = json.loads(done.stdout)
    runs = {run["model"]: run for run in told["runs"]}
    results = novix.results_of(tenant)
    assert len(results) == 24
    assert {model: (run["asked"], run["answered"]) for model, run in runs.items()} == {MODEL: (12, 12), SLOW: (12, 12)}
    for model, run in runs.items():
        own = [one["cost_nanousd"] for one in results if one["served"]["model"] == model]
        assert (len(own), sum(own)) == (12, run["cost_nanousd"])
    assert told["spent_nanousd"] == sum(one["cost_nanousd"] for one in results) <= 10_000_000
    assert sum(job["max_cost_nanousd"] for job in jobs_of(novix, tenant)) <= 10_000_000
    assert runs[SLOW]["latency_p50_ms"] >= 300 > runs[MODEL]["latency_p50_ms"]
    assert runs[SLOW]["jobs_per_s"] < 2 / 0.3
    assert sorted(measuring(novix, tenant), key=str) == sorted(told["runs"], key=str)
    listed = novix.cli("eval", "list", MODEL, "--kind", "bench")
    assert runs[MODEL]["run_id"] in listed.stdout


def test_ctrl_c_keeps_what_was_measured(novix: Stranger, tenant: str):
    novix.system.stub("/admin/behave", {"model": SLOW, "delay_ms": 200.0})
    words = ("bench", "models", SLOW, "--task", "chat-completion", "--max-cost", "0.10", "--jobs", "2000")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOVIX_", "HF_"))}
    command = [sys.executable, "-m", "console", *words, "--tenant", tenant, "--json"]
    with subprocess.Popen(
        command, env={**kept, **novix.system.environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            novix.until(
                lambda found: (
                    sum(one.topic == RESULTS.name and tenant in (one.key or b"").decode() for one in found) > 8
                ),
                WITHIN_S,
            )
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=WITHIN_S)
        finally:
            process.kill()

    assert process.returncode == 130, stderr[-2000:]
    [run] = json.loads(stdout)["runs"]
    assert measuring(novix, tenant) == [run]
    assert run["notes"]["broken_off"] is True
    assert 8 <= run["asked"] == run["answered"] < 2000
    time.sleep(1)
    assert len(jobs_of(novix, tenant)) < 2000  # whoever is gone publishes nothing more
