"""`novix bench models`: real jobs through a log, interleaved, within a total, and what is kept of them."""

import json

import pytest
from measured_world import LLAMA, QWEN, answering, jobs_on, runs_on

from schemas.topics import JOBS

BENCH = ("bench", "models", LLAMA, QWEN, "--task", "chat-completion")


def usual(job):
    slow = job["model"] == QWEN
    return {"cost_nanousd": 3_000 if slow else 1_000, "timing_ms": {"total": 900, "calling": 700 if slow else 200}}


def test_every_model_is_asked_the_same_and_its_run_is_kept_with_the_machine(novix, log):
    log.on_publish = answering(usual)

    done = novix(*BENCH, "--max-cost", "0.50", "--jobs", "10", "--json")

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    by_model = {run["model"]: run for run in told["runs"]}
    assert {model: (run["asked"], run["answered"], run["cost_nanousd"]) for model, run in by_model.items()} == {
        LLAMA: (10, 10, 10_000), QWEN: (10, 10, 30_000)
    }  # fmt: skip
    assert (by_model[LLAMA]["latency_p50_ms"], by_model[QWEN]["latency_p95_ms"]) == (200, 700)
    assert by_model[LLAMA]["jobs_per_s"] > 0
    assert by_model[LLAMA]["machine"].split(" x ")[0].isdecimal()
    assert told["spent_nanousd"] == 40_000
    kept = runs_on(log)
    assert kept == told["runs"]
    asked = {model: [job["input"] for job in jobs_on(log) if job["model"] == model] for model in (LLAMA, QWEN)}
    assert asked[LLAMA] == asked[QWEN]
    assert {job["metadata"]["novix.run"] for job in jobs_on(log)} == {kept[0]["run_id"]}


def test_models_take_turns_so_that_time_changes_them_alike(novix, log):
    log.on_publish = answering(usual)

    novix(*BENCH, "--max-cost", "0.50", "--jobs", "6", "--at-once", "1", "--tenant", "t")

    [rows] = [rows for (topic, _), rows in log.records.items() if topic == JOBS.name]
    models = [json.loads(row.value)["model"] for row in rows]
    assert all({one, other} == {LLAMA, QWEN} for one, other in zip(models[::2], models[1::2], strict=True))


def test_what_does_not_fit_into_the_total_is_not_published_and_the_exit_code_is_3(novix, log):
    """Each job costs its whole ceiling: what was spent and what is open never passes the total."""
    log.on_publish = answering(lambda job: {"cost_nanousd": job["max_cost_nanousd"]})

    done = novix(*BENCH, "--max-cost", "0.0001", "--jobs", "200", "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 3
    assert 0 < len(jobs_on(log)) < 400
    assert sum(job["max_cost_nanousd"] for job in jobs_on(log)) <= 100_000
    assert told["spent_nanousd"] == sum(run["cost_nanousd"] for run in told["runs"]) <= 100_000
    assert "is left of $0.0001" in told["stopped"]
    assert sum(run["asked"] for run in told["runs"]) == len(jobs_on(log))
    # No more jobs would have fitted: the next one's ceiling is larger than what is left.
    assert 100_000 - told["spent_nanousd"] < max(job["max_cost_nanousd"] for job in jobs_on(log))


def test_failures_are_counted_by_kind_and_are_no_answers(novix, log):
    def answer(job):
        if job["model"] == QWEN:
            error = {"kind": "rate_limited", "message": "no", "retryable": True}
            return {"status": "failed", "error": error, "cost_nanousd": 0, "served": None}
        return usual(job)

    log.on_publish = answering(answer)

    done = novix(*BENCH, "--max-cost", "0.50", "--jobs", "4", "--json")

    qwen = next(run for run in json.loads(done.stdout)["runs"] if run["model"] == QWEN)
    assert done.exit_code == 1
    assert (qwen["asked"], qwen["answered"], qwen["failed"]) == (4, 0, {"rate_limited": 4})
    assert (qwen["latency_p50_ms"], qwen["jobs_per_s"]) == (None, None)


def test_the_time_of_a_job_that_needed_two_calls_is_not_the_time_of_a_call(novix, log):
    def answer(job):
        if not job["id"].endswith(".0"):
            return usual(job)
        call = {"attempt": 1, "model": LLAMA, "provider": "groq", "started_at": "2026-11-22T12:00:00Z", "waited_ms": 0}
        return {**usual(job), "attempts": [{**call, "duration_ms": 5}] * 2, "timing_ms": {"total": 1, "calling": 9_999}}

    log.on_publish = answering(answer)

    done = novix("bench", "models", LLAMA, "--task", "chat-completion", "--max-cost", "1", "--jobs", "3", "--json")

    [run] = json.loads(done.stdout)["runs"]
    assert (run["latency_p95_ms"], run["notes"]["latency_n"], run["answered"]) == (200, 2, 3)


def test_a_model_that_nobody_serves_is_told_and_nothing_is_sent_for_it(novix, log):
    log.on_publish = answering(usual)

    done = novix("bench", "models", LLAMA, "nobody/has-it", "--task", "chat-completion", "--max-cost", "1", "--jobs",
                 "3", "--json")  # fmt: skip

    stranger = next(run for run in json.loads(done.stdout)["runs"] if run["model"] == "nobody/has-it")
    assert {job["model"] for job in jobs_on(log)} == {LLAMA}
    assert (stranger["asked"], stranger["answered"], stranger["notes"]["not_sent"]) == (3, 0, 3)
    assert sum(stranger["failed"].values()) == 3


def test_results_of_another_run_or_tenant_are_none_of_it(novix, log):
    """A result with a foreign key is on the topic before ours: it neither ends a job nor counts as spent."""

    def noisy(record, place):
        ours = answering(usual)(record, place)
        return [
            type(one)(one.topic, b"other/" + (one.key or b""), (one.value or b"").replace(b"1000", b"9999"))
            for one in ours
        ] + ours

    log.on_publish = noisy

    done = novix("bench", "models", LLAMA, "--task", "chat-completion", "--max-cost", "1", "--jobs", "5", "--json")

    assert json.loads(done.stdout)["spent_nanousd"] == 5_000


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--task", "flying", "--max-cost", "1"), "flying"),
        (("--task", "chat-completion", "--max-cost", "much"), "--max-cost"),
        (("--task", "chat-completion", "--max-cost", "0"), "--max-cost"),
        (("--task", "video-classification", "--max-cost", "1"), "--file"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_published(novix, log, wrong, told):
    done = novix("bench", "models", LLAMA, *wrong)

    assert done.exit_code == 2
    assert told in done.stderr
    assert log.records == {}


def test_more_than_twenty_models_are_refused_with_number_and_limit(novix, log):
    done = novix("bench", "models", *(f"org/m{n}" for n in range(21)), "--task", "chat-completion", "--max-cost", "1")

    assert done.exit_code == 2
    assert "21 models; 20" in done.stderr
