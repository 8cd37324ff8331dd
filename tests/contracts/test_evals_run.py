"""`novix eval`: labelled examples asked through a log, scored, kept; labels and inputs told to nobody else."""

import asyncio
import contextlib
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from console_world import MemoryLog
from measured_world import answering, jobs_on, runs_on

from console.hub import measuring
from console.hub.measuring import Order, measure
from hub.evals.labelled import Columns, labelled
from hub.evals.made import NO_RESULT, NO_USE
from runtime.settings import load
from schemas.topics import EVALS, JOBS

CANARY = "the-canary-sings-at-dawn"
CLASSIFIER, OTHER = "org/classifier", "org/other"


@pytest.fixture
def catalogue_file(tmp_path):
    """Two classifiers that anybody may ask, a nano-dollar a call."""
    offer = {
        "provider": "hf-inference", "dialect": "hf-inference", "base": "huggingface", "max_in_flight": 4,
        "tasks": ["text-classification"], "price": {"nanousd_per_call": 1_000, "source": "test", "as_of": "2026-11-22"},
    }  # fmt: skip
    rows = [{"model": model, "tier": None, "offers": [offer]} for model in (CLASSIFIER, OTHER)]
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps({"origin": "test", "models": rows}))
    return str(path)


@pytest.fixture
def labelled_file(tmp_path):
    """Ten reviews; every text says its own label."""
    path = tmp_path / "reviews.jsonl"
    rows = [{"text": f"{CANARY} {label} {n}", "label": label} for n, label in enumerate(["good", "bad"] * 5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def reads_the_text(job):
    """One model is always right, the other always says good."""
    said = "good" if job["model"] == OTHER or "good" in job["input"]["inputs"] else "bad"
    return {"output": [{"label": said, "score": 0.9}], "cost_nanousd": 1_000}


def evaluate(novix, file, catalogue, *more, models=(CLASSIFIER, OTHER)):
    words = ("eval", "run", *models, "--task", "text-classification", "--file", file, *more, "--json")
    return novix(*words, NOVIX_CATALOGUE=catalogue)


def test_a_run_is_scored_and_kept_and_every_model_is_asked_the_same(novix, log, labelled_file, catalogue_file):
    log.on_publish = answering(reads_the_text)

    done = evaluate(novix, labelled_file, catalogue_file)

    assert done.exit_code == 0, done.output
    kept = {run["model"]: run for run in runs_on(log)}
    assert list(kept.values()) == json.loads(done.stdout)["runs"]
    scores = {model: {(s["metric"], s["average"]): s["value"] for s in run["scores"]} for model, run in kept.items()}
    assert (scores[CLASSIFIER]["accuracy", ""], scores[OTHER]["accuracy", ""]) == (1.0, 0.5)
    assert scores[OTHER]["f1", "macro"] == pytest.approx((2 / 3 + 0) / 2)
    assert {run["dataset_digest"] for run in kept.values()} == {kept[OTHER]["dataset_digest"]}
    assert (kept[OTHER]["asked"], kept[OTHER]["cost_nanousd"], kept[OTHER]["dataset"]) == (10, 10_000, "reviews.jsonl")


def test_inputs_and_labels_are_in_the_jobs_alone(novix, log, labelled_file, catalogue_file, caplog):
    caplog.set_level(logging.DEBUG)
    log.on_publish = answering(reads_the_text)

    done = evaluate(novix, labelled_file, catalogue_file)

    assert CANARY not in done.output + caplog.text
    for (topic, _), rows in log.records.items():
        if topic != JOBS.name:
            assert not [row for row in rows if CANARY.encode() in (row.value or b"")]


def test_examples_without_a_usable_answer_are_wrong_and_are_told(novix, log, labelled_file, catalogue_file):
    """Of ten, two fail and two answer nonsense: six are right."""

    def answer(job):
        place = int(job["id"].rpartition(".")[2])
        if place < 2:
            error = {"kind": "provider_error", "message": "no", "retryable": True}
            return {"status": "failed", "error": error, "cost_nanousd": 0}
        return {**reads_the_text(job), **({"output": {"odd": 1}} if place < 4 else {})}

    log.on_publish = answering(answer)

    done = evaluate(novix, labelled_file, catalogue_file, models=(CLASSIFIER,))

    [run] = runs_on(log)
    assert done.exit_code == 1
    assert (run["asked"], run["answered"]) == (10, 6)
    assert run["failed"] == {"provider_error": 2, NO_USE: 2}
    assert run["scores"][0]["value"] == 0.6


def test_a_total_that_is_too_small_scores_what_all_models_were_asked_and_says_so(
    novix, log, labelled_file, catalogue_file
):
    """A job may cost two calls of 1,000 each: 21,000 pay for so many that each costs its ceiling, and no more."""
    log.on_publish = answering(lambda job: {**reads_the_text(job), "cost_nanousd": job["max_cost_nanousd"]})

    done = evaluate(novix, labelled_file, catalogue_file, "--max-cost", "0.000021")

    told = json.loads(done.stdout)
    assert done.exit_code == 3
    assert sum(job["max_cost_nanousd"] for job in jobs_on(log)) <= 21_000
    assert {run["asked"] for run in told["runs"]} == {told["runs"][0]["asked"]}
    assert 0 < told["runs"][0]["asked"] < 10
    assert len({run["dataset_digest"] for run in told["runs"]}) == 1
    assert sum(run["cost_nanousd"] for run in told["runs"]) == told["spent_nanousd"]
    assert "is left of $0.000021" in told["stopped"]


def test_runs_are_listed_and_shown(novix, log, labelled_file, catalogue_file):
    log.on_publish = answering(reads_the_text)
    evaluate(novix, labelled_file, catalogue_file)
    run_id = runs_on(log)[0]["run_id"]

    listed = novix("eval", "list", OTHER)
    assert listed.stdout.count(run_id) == 1
    assert "accuracy 0.500" in listed.stdout
    shown = novix("eval", "show", run_id)
    assert shown.exit_code == 0
    assert "accuracy 1.000 (0.722 to 1.000), wilson, n=10" in shown.stdout
    assert json.loads(novix("eval", "list", "--kind", "eval", "--json").stdout)[0]["run_id"] == run_id
    assert novix("eval", "list", "--kind", "bench").exit_code == 3
    assert novix("eval", "list", "--kind", "odd").exit_code == 2
    assert novix("eval", "show", "never").exit_code == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "either --file or --dataset"),
        (("--file", "x.jsonl", "--dataset", "org/x"), "either --file or --dataset"),
        (("--file", "missing.jsonl"), "missing.jsonl: No such file"),
        (("--file", "missing.jsonl", "--max-cost", "-1"), "--max-cost"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_published(novix, log, words, told):
    done = novix("eval", "run", OTHER, "--task", "text-classification", *words)

    assert done.exit_code == 2
    assert told in done.stderr
    assert log.records == {}


def order(file_rows=20, **more):
    rows = [{"text": f"good {n}", "label": "good"} for n in range(file_rows)]
    found = labelled("set", "text-classification", rows, Columns(), limit=100)
    told = {"limit_nanousd": 10**9, "timeout_s": 60.0, "at_once": 2, **more}
    inputs = [one.input for one in found.examples]
    return Order("eval", (CLASSIFIER,), "text-classification", "t", inputs, dataset="set", labelled=found, **told)


def test_what_was_measured_is_kept_when_it_is_broken_off(catalogue_file):
    """Five of twenty jobs are answered, then somebody presses Ctrl-C."""
    log, told = MemoryLog(), []

    def answer(job):
        return reads_the_text(job) if int(job["id"].rpartition(".")[2]) < 5 else None

    log.on_publish = answering(answer)

    async def broken_off():
        loaded = load({"NOVIX_CATALOGUE": catalogue_file})
        task = asyncio.create_task(measure(loaded, log, order(), lambda: None, told.append))
        while len(jobs_on(log)) < 7:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(broken_off())

    [run] = runs_on(log)
    assert (run["asked"], run["answered"], run["notes"]["broken_off"]) == (5, 5, True)
    assert run["notes"]["without_result_nanousd"] > 0
    assert [one.run_id for one in told[0].runs] == [run["run_id"]]


def test_a_job_without_a_result_in_time_is_told_and_its_ceiling_stays_open(catalogue_file, monkeypatch):
    from console.hub import runs

    monkeypatch.setattr(runs, "LATE_S", 0.0)
    log = MemoryLog()
    log.on_publish = answering(lambda job: None if job["id"].endswith(".0") else reads_the_text(job))
    loaded = load({"NOVIX_CATALOGUE": catalogue_file})

    done = asyncio.run(measure(loaded, log, order(3, timeout_s=0.3), lambda: None, lambda _: None))

    [run] = done.runs
    assert (run.asked, run.answered, run.failed, run.cost_is_known) == (3, 2, {NO_RESULT: 1}, False)
    assert (done.found.spent_nanousd, done.found.open_nanousd) == (2_000, 2_000)


def test_a_connection_that_breaks_ends_the_run_and_does_not_hang(catalogue_file):
    class Broken(MemoryLog):
        async def publish(self, records):
            if records[0].topic != EVALS.name:
                raise ConnectionError("gone")
            return await super().publish(records)

    loaded = load({"NOVIX_CATALOGUE": catalogue_file})

    async def run():
        async with asyncio.timeout(5):
            await measure(loaded, Broken(), order(), lambda: None, lambda _: None)

    with pytest.raises(ConnectionError):
        asyncio.run(run())


def test_the_machine_is_named_with_its_cores():
    assert measuring.machine().split(" x ")[0].isdecimal()
    assert "Python 3" in measuring.machine()


# Rows of the Hub's viewer


@pytest.fixture
def viewer():
    """A dataset viewer on this machine; it answers what its `said` holds, and keeps what it was asked."""

    class Answer(BaseHTTPRequestHandler):
        asked: ClassVar[list] = []
        said: ClassVar[tuple] = (200, b"{}")

        def do_GET(self):
            self.asked.append(self.path)
            status, body = self.said
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Error-Code", "DatasetNotFound\x1b[2J" if status == 404 else "")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Answer, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(5)


def test_rows_of_the_hubs_viewer_are_asked_like_any_others(novix, log, viewer, catalogue_file):
    answer, url = viewer
    log.on_publish = answering(reads_the_text)
    features = [{"name": "text", "type": {"_type": "Value"}},
                {"name": "label", "type": {"names": ["bad", "good"], "_type": "ClassLabel"}}]  # fmt: skip
    rows = [{"row": {"text": f"it is {word}", "label": at}} for at, word in enumerate(["bad", "good"])]
    answer.said = 200, json.dumps({"features": features, "rows": rows, "num_rows_total": 2}).encode()

    words = ("eval", "run", CLASSIFIER, "--task", "text-classification", "--dataset", "org/set", "--json")
    done = novix(*words, NOVIX_CATALOGUE=catalogue_file, NOVIX_HF_VIEWER_URL=url)

    [run] = runs_on(log)
    assert done.exit_code == 0, done.output
    assert (run["scores"][0]["value"], run["dataset"], run["split"]) == (1.0, "org/set", "default/test")
    assert answer.asked == ["/rows?dataset=org%2Fset&config=default&split=test&offset=0&length=100"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((404, b"{}"), "answers 404 DatasetNotFound"),
        ((200, b"<html>"), "is no JSON"),
        ((200, b"x" * 17_000_000), "more than 16777216 bytes"),
    ],
)
def test_a_viewer_that_gives_no_rows_is_told_and_nothing_is_published(novix, log, viewer, catalogue_file, said, told):
    answer, url = viewer
    answer.said = said

    words = ("eval", "run", CLASSIFIER, "--task", "text-classification", "--dataset", "org/set")
    done = novix(*words, NOVIX_CATALOGUE=catalogue_file, NOVIX_HF_VIEWER_URL=url)

    assert done.exit_code == 2
    assert told in done.stderr
    assert "\x1b" not in done.stderr
    assert log.records == {}


def test_a_viewer_that_is_not_there_is_told(novix, log, catalogue_file):
    words = ("eval", "run", CLASSIFIER, "--task", "text-classification", "--dataset", "org/set")
    done = novix(*words, NOVIX_CATALOGUE=catalogue_file, NOVIX_HF_VIEWER_URL="http://127.0.0.1:9")

    assert done.exit_code == 2
    assert "the dataset viewer at 127.0.0.1 does not answer" in done.stderr


# What models call labels


def numbers(job):
    """A model that is always right, and answers with numbers."""
    label = "LABEL_1" if "good" in job["input"]["inputs"] else "LABEL_0"
    return {"output": [{"label": label, "score": 0.9}], "cost_nanousd": 1_000}


def test_a_models_numbers_are_read_from_its_configuration_on_the_hub(
    novix, log, viewer, labelled_file, catalogue_file, monkeypatch
):
    answer, url = viewer
    answer.said = 200, b'{"id2label": {"0": "bad", "1": "GOOD"}}'
    answer.asked.clear()
    monkeypatch.setenv("NOVIX_HF_HUB_URL", url)
    log.on_publish = answering(numbers)

    done = evaluate(novix, labelled_file, catalogue_file, models=(CLASSIFIER,))

    [run] = runs_on(log)
    assert done.exit_code == 0, done.output
    assert answer.asked == [f"/{CLASSIFIER}/raw/main/config.json"]
    assert run["scores"][0]["value"] == 1.0
    assert run["notes"]["labels"]["mapped"] == {"LABEL_0": "bad", "LABEL_1": "good"}


def test_labels_that_nobody_explains_have_no_score_and_the_way_out_is_told(
    novix, log, viewer, labelled_file, catalogue_file, monkeypatch
):
    answer, url = viewer
    answer.said = 404, b""
    monkeypatch.setenv("NOVIX_HF_HUB_URL", url)
    log.on_publish = answering(numbers)

    words = ("eval", "run", CLASSIFIER, "--task", "text-classification", "--file", labelled_file)
    done = novix(*words, NOVIX_CATALOGUE=catalogue_file)

    assert done.exit_code == 1
    assert "unmapped_label 10" in done.stdout
    assert "labels that are none of the set's: LABEL_1 5, LABEL_0 5; say what they mean: --map" in done.stdout
    assert "no score: no answer has a label of the set" in done.stdout
    assert "config.json was not read" in done.stdout
    [run] = runs_on(log)
    assert run["scores"] == []


def test_a_mapping_is_told_with_the_command_and_asks_the_hub_nothing(
    novix, log, viewer, labelled_file, catalogue_file, monkeypatch
):
    answer, url = viewer
    answer.asked.clear()
    monkeypatch.setenv("NOVIX_HF_HUB_URL", url)
    log.on_publish = answering(numbers)
    told = ("--map", "LABEL_0=bad", "--map", "LABEL_1=good")

    done = evaluate(novix, labelled_file, catalogue_file, *told, models=(CLASSIFIER,))

    [run] = runs_on(log)
    assert (done.exit_code, run["scores"][0]["value"], answer.asked) == (0, 1.0, [])
    assert run["marks"] == [1.0] * 10


def test_a_mapping_to_a_label_that_the_set_has_not_is_refused_before_anything_is_published(
    novix, log, labelled_file, catalogue_file
):
    done = evaluate(novix, labelled_file, catalogue_file, "--map", "LABEL_0=angry")

    assert done.exit_code == 2
    assert "the set has no such label; it has 2: bad, good" in done.stderr
    assert log.records == {}
