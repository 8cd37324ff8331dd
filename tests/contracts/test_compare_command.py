"""`novix compare`: from the topics and the explorer's memory to a table, and who is best for what."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from console_world import NOON, Story
from measured_world import LLAMA, QWEN, catalogue

from console.index.facts import facts_of
from console.index.store import Store
from console.serve import store_path
from runtime.ports import Outgoing
from runtime.settings import load
from schemas import codec
from schemas.catalog import CatalogEntry
from schemas.evals import EvalRun, Score
from schemas.topics import CATALOG, EVALS, REGISTRY, RESULTS

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e"


def evaluated(log, model, value):
    score = Score(metric="accuracy", value=value, low=value - 0.01, high=value + 0.01, method="wilson", n=500)
    told = {"run_id": "eval-1", "task": "chat-completion", "tenant": "t", "dataset": "reviews", "asked": 500}
    more = {"answered": 500, "started_at": NOON, "ended_at": NOON, "scores": (score,), "model": model}
    run = EvalRun.model_validate({**told, **more})
    log.append(Outgoing(EVALS.name, b"k", run.encode(), partition=0))


@pytest.fixture
def observed(tmp_path):
    """The explorer's memory where the command looks for it: 30 jobs of each model, of a tenant of its own."""
    settings = load({"NOVIX_HOME": str(tmp_path / "home")}).settings
    store = Store(store_path(settings), now_ms=lambda: 0)
    now = NOON
    for number in range(60):
        model, took = (LLAMA, 100 + number) if number % 2 else (QWEN, 1_000 + number)
        story = Story(job_id=f"j{number}", tenant="acme", began=now + timedelta(seconds=number), offset=number)
        told = codec.decode(story.result.encode())
        document = {
            **told, "served": {"model": model, "provider": "groq"}, "attempts": told["attempts"][-1:],
            "timing_ms": {"total": took + 9, "calling": took}, "usage": {"input_tokens": 1_000, "output_tokens": 100},
        }  # fmt: skip
        store.add([facts_of(RESULTS.name, 0, number, 1_795_348_800_000 + number, codec.encode(document))])
    store.close()


@pytest.fixture
def at_noon(monkeypatch):
    """The command's own clock, a minute after the jobs."""
    from console.hub import known

    made = known.World.__init__

    def world(self, *arguments, **_):
        made(self, *arguments, now=lambda: NOON + timedelta(minutes=2))

    monkeypatch.setattr(known.World, "__init__", world)


def test_everything_that_is_known_stands_beside_each_other_and_the_best_are_named(novix, log, observed, at_noon):
    catalogue(log, LLAMA, QWEN, license="MIT", parameters=8_000_000_000)
    evaluated(log, LLAMA, 0.8)
    evaluated(log, QWEN, 0.9)

    done = novix("compare", LLAMA, QWEN, "--tenant", "acme", "--weight", "cost=0", "--json")

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    support = told["decision_support"]
    assert support["best_for_speed"]["models"] == [LLAMA]
    assert support["best_for_quality"] == {
        "models": [QWEN], "tie": False, "why": "accuracy 0.900 (0.890 to 0.910) on reviews, 500 examples"
    }  # fmt: skip
    assert support["weights"] == {"speed": 0.5, "quality": 0.5}
    assert told["analysis"]["performance"][0]["n"] == 30
    assert told["analysis"]["performance"][0]["p50_ms"] == 129
    assert told["mix"] == {"tenant": "acme", "own": True, "jobs": 60, "tasks": {"chat-completion": 60}}
    rows = {row["name"]: row["cells"] for row in told["comparison"]["rows"]}
    assert [cell["text"] for cell in rows["license"]] == ["MIT", "MIT"]
    assert [cell["text"] for cell in rows["downloads"]] == ["unknown", "unknown"]
    assert set(told) >= {"comparison", "recommendations", "analysis", "decision_support", "criteria", "models"}


def test_the_same_question_has_the_same_answer(novix, log, observed, at_noon):
    catalogue(log, LLAMA, QWEN)

    answers = [json.loads(novix("compare", LLAMA, QWEN, "--json").stdout) for _ in range(2)]

    assert {**answers[0], "at": ""} == {**answers[1], "at": ""}


def test_without_the_explorers_memory_speed_is_unknown_and_it_says_so(novix, log):
    catalogue(log, LLAMA, QWEN)

    done = novix("compare", LLAMA, QWEN)

    assert done.exit_code == 0
    assert "nothing observed is known" in done.stderr
    assert "p95\tunknown\tunknown" in done.stdout
    assert "best for speed: nobody knows" in done.stdout
    assert "no tenant is named, so costs are of a usual job of 600 tokens in and 200 out" in done.stderr


def test_a_memory_of_another_version_is_as_if_there_were_none(novix, log, observed):
    settings = load({"NOVIX_HOME": os.environ["NOVIX_HOME"]}).settings
    with closing(sqlite3.connect(store_path(settings))) as file:
        file.execute("DROP INDEX job_by_model")
    catalogue(log, LLAMA, QWEN)

    done = novix("compare", LLAMA, QWEN)

    assert done.exit_code == 0, repr(done.exception)
    assert "nothing observed is known" in done.stderr


def test_a_model_that_nobody_knows_is_told_with_those_near_it(novix, log):
    catalogue(log, "google-bert/bert-base-uncased", "google-bert/bert-large-cased")

    done = novix("compare", "bert-base-uncased", LLAMA)

    assert done.exit_code == 3
    assert "'bert-base-uncased' is not in the catalogue; near it: google-bert/bert-base-uncased" in done.stderr


def test_an_entry_that_has_gone_or_cannot_be_read_is_not_there(novix, log):
    gone = CatalogEntry(id="org/gone")
    log.append(Outgoing(CATALOG.name, gone.key.encode(), gone.encode()))
    log.append(Outgoing(CATALOG.name, gone.key.encode(), None))
    log.append(Outgoing(CATALOG.name, b"model/org/broken", b"\xff"))

    for name in ("org/gone", "org/broken"):
        done = novix("compare", name, LLAMA)
        assert (done.exit_code, "is not in the catalogue" in done.stderr) == (3, True)


def test_who_may_not_be_used_is_told(novix, log):
    catalogue(log, LLAMA, QWEN)
    event = {"kind": "admission", "model": QWEN, "state": "withdrawn", "at": NOON.isoformat(), "reason": "leaks"}
    log.append(Outgoing(REGISTRY.name, b"k", codec.encode({"event": event}), partition=0))

    done = novix("compare", LLAMA, QWEN, "--tenant", "acme")

    assert f"{QWEN} may not be used" in done.stderr
    assert "leaks" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (tuple(f"m{n}" for n in range(21)), "21 models; 20 are compared at most"),
        ((LLAMA, "--weight", "beauty=1"), "write speed=2"),
        ((LLAMA, "--weight", "speed=fast"), "write speed=2"),
        ((LLAMA, "--weight", "speed=-1"), "weights.speed"),
        ((LLAMA, "--weight", "speed=nan"), "weights.speed"),
        (("x" * 300,), "models.0"),
        ((LLAMA, "--tenant", "a/b"), "tenant"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_limit(novix, log, words, told):
    done = novix("compare", *words)

    assert done.exit_code == 2
    assert told in done.stderr


def test_a_terminal_obeys_nothing_of_a_card(novix, log):
    catalogue(log, "org/hostile", license_raw=ESCAPES, name=ESCAPES)

    done = novix("compare", "org/hostile", LLAMA)

    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output
    assert "its card says" in done.stdout
