"""What the demonstration tells of its jobs, and that it notices a promise that it did not keep."""

import hashlib
from typing import Any

import pytest

from console.demo_report import KILLED, LIMITED, REFUSED, WIDTH, answer, not_shown, sections, told, what_they_are

MODEL, PROVIDER = "org/model", "hf-inference"
SOUND = b"fLaC" + bytes(100)


def job(name: str, task: str = "chat-completion", **task_input: Any) -> dict[str, Any]:
    return {"id": name, "task": task, "input": task_input or {"messages": [{"role": "user", "content": "Hi"}]}}


def attempt(kind: str | None = None, status: int | None = 200) -> dict[str, Any]:
    return {"kind": kind, "upstream_status": status}


def result(name: str, *attempts: dict[str, Any], task: str = "chat-completion", **more: Any) -> dict[str, Any]:
    return {
        "job_id": name, "task": task, "status": "succeeded", "output": {"text": "yes"}, "error": None,
        "served": {"model": MODEL, "provider": PROVIDER}, "cost_nanousd": 1_500,
        "attempts": list(attempts or (attempt(),)), "timing_ms": {"total": 2_000, "calling": 640}, **more,
    }  # fmt: skip


def refusal(kind: str = "price_ceiling", **more: Any) -> dict[str, Any]:
    error = {"kind": kind, "message": "max_cost_nanousd is 1"}
    empty: dict[str, Any] = {"output": None, "served": None, "attempts": [], "cost_nanousd": 0}
    return {**result(REFUSED), **empty, "status": "rejected", "error": error, **more}


JOBS = [job(name) for name in (REFUSED, LIMITED, KILLED, "other")]
KEPT = {
    REFUSED: refusal(),
    LIMITED: result(LIMITED, attempt("rate_limited", 429), attempt()),
    KILLED: result(KILLED, attempt("interrupted", None), attempt()),
    "other": result("other"),
}


def test_a_run_that_kept_its_word_misses_nothing():
    assert not_shown(JOBS, KEPT) == []


@pytest.mark.parametrize(
    ("name", "instead", "missing"),
    [
        (REFUSED, result(REFUSED), "not refused for its price"),
        (REFUSED, refusal("context_exceeded"), "not refused for its price"),
        (REFUSED, refusal(cost_nanousd=1), "not refused for its price"),
        (LIMITED, result(LIMITED), "met no 429"),
        (LIMITED, {**refusal("rate_limited"), "attempts": [attempt("rate_limited", 429)]}, "did not succeed"),
        (KILLED, result(KILLED), "cut short"),
        ("other", {**refusal("timeout"), "status": "failed"}, "other did not succeed: failed: timeout"),
    ],
)
def test_what_a_run_did_not_show_is_told(name: str, instead: dict[str, Any], missing: str):
    (line,) = not_shown(JOBS, {**KEPT, name: instead})

    assert missing in line


def test_a_job_is_told_with_model_provider_cost_and_time_and_what_went_wrong_first():
    lines = told(KEPT[LIMITED])

    assert lines[0].split() == (
        f"{LIMITED} chat-completion by {MODEL} at {PROVIDER}, paid $0.0000015, 640 ms in calls, 2.00 s in all".split()
    )
    assert [line.strip() for line in lines[1:]] == ["first: rate_limited (429)", "yes"]


def test_a_refusal_is_told_with_its_reason_and_nobody_who_served():
    first, reason = told(refusal())

    assert "by nobody, paid $0.00" in first
    assert reason.strip() == "rejected: price_ceiling: max_cost_nanousd is 1"


def test_a_sound_is_told_by_its_measures_and_never_by_its_bytes():
    sha256 = hashlib.sha256(SOUND).hexdigest()
    ref = {"sha256": sha256, "uri": f"blob://{sha256}", "media_type": "audio/flac", "bytes": 340_532}
    spoken = result("speech", task="text-to-speech", output={"audio": {"$ref": {**ref, "duration_ms": 15_520}}})

    assert told(spoken)[-1].strip() == f"audio/flac, 340,532 bytes, 15.52 s, blob://{sha256[:12]}..."


def test_costs_are_added_up_for_each_modality_and_most_text_is_not_told_job_by_job():
    heard = job("transcript", "automatic-speech-recognition", inputs="data:audio/flac;base64,AAAA")
    results = {**KEPT, "transcript": result("transcript", task="automatic-speech-recognition")}

    lines = sections([*JOBS, heard], results)

    assert lines[0] == "text: 4 jobs, paid $0.0000045 (chat-completion)"
    assert "audio: 1 job, paid $0.0000015 (automatic-speech-recognition)" in lines
    assert any(line.startswith("  transcript") for line in lines)
    assert not any(line.startswith("  other") for line in lines)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ({"choices": [{"message": {"content": " two\nlines "}}]}, "two lines"),
        ([{"generated_text": "A page"}], "A page"),
        ([{"label": "speech", "score": 0.987}, {"label": "music", "score": 0.1}], "speech (0.99)"),
        ([{"answer": "Ada", "score": 1.0}], "Ada (1.00)"),
        ([[0.5, 0.25]], "[[0.5,0.25]]"),
        ({"text": "\x1b[2Jgone"}, "\N{REPLACEMENT CHARACTER}[2Jgone"),
        ({"text": "x" * 1_000}, "x" * 240),
    ],
)
def test_an_answer_is_one_short_line_that_cannot_move_the_cursor(output: Any, line: str):
    assert answer(output) == line


def test_each_model_that_answered_is_described_once():
    lines = what_they_are(KEPT, {MODEL: "A small model. " * 20})

    assert " ".join(line.strip() for line in lines) == f"{MODEL}: {('A small model. ' * 20).strip()}"
    assert all(len(line) <= WIDTH for line in lines)
    assert what_they_are(KEPT, {}) == [f"  {MODEL}: nothing is told about it"]
