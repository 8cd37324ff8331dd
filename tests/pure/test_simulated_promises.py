"""What the verdict on a schedule says of each job: its candidates, deadline, ceiling, attempts, key and pieces."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from simulation.kernel import NOON, START_S
from simulation.provider import SMALL, Call
from simulation.schedule import Fault, plan
from simulation.verdict_jobs import DELTAS, as_promised, of_call, of_result, one_at_a_time, streamed
from stranger import Found
from verdict import RESULTS, TEXT

DEADLINE = "2026-11-22T12:00:20Z"
AT_S = START_S + (datetime.fromisoformat(DEADLINE) - NOON).total_seconds()
"""The same, by the kernel."""


def job(id: str = "a", key: str | None = None) -> dict[str, Any]:
    told = {"id": id, "tenant": "ants"} | ({} if key is None else {"ordering_key": key})
    candidates = [{"model": SMALL, "provider": "groq"}]
    terms = {"candidates": candidates, "deadline": DEADLINE, "max_cost_nanousd": 100}
    return {"submission": 1, "job": told, "assignment": terms}


def result(id: str = "a", *kinds: str | None, **more: Any) -> dict[str, Any]:
    attempts = [
        {"attempt": at, "kind": kind, "request_id": f"call-{at}"} for at, kind in enumerate(kinds or (None,), 1)
    ]
    told = {"tenant": "ants", "job_id": id, "submission": 1, "status": "succeeded", "attempts": attempts}
    ended = {"cost_nanousd": 100, "completed_at": "2026-11-22T12:00:21Z"}
    return told | ended | {"output": {"choices": [{"message": {"content": "buzz"}}]}} | more


def called(trace: str = "ants/a", at: float = START_S, number: int = 0, **more: Any) -> Call:
    return Call(number, at, trace, 1, "worker-0", **({"model": SMALL, "provider": "groq"} | more))


def found(topic: str, offset: int, document: dict[str, Any]) -> Found:
    return Found(topic, 0, offset, b"k", json.dumps(document).encode(), [])


def test_what_was_promised_is_not_complained_of() -> None:
    records = [found(TEXT, 0, job()), found(RESULTS, 0, result("a", "interrupted", "timeout", None))]
    assert list(of_call(called(at=AT_S), [job()])) == []
    assert list(of_result(result("a", "interrupted", "timeout", None), [job()], retries=1)) == []
    assert list(streamed(records, [result()])) == list(one_at_a_time(records, [], {})) == []


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (called(provider="together"), "done by"),
        (called(model="org/other"), "done by"),
        (called(at=AT_S + 0.2), "0.20 s after its deadline"),
    ],
)
def test_a_call_to_nobody_of_the_candidates_or_after_the_deadline_is_told(call: Call, what: str) -> None:
    [complaint] = of_call(call, [job()])
    assert what in complaint


@pytest.mark.parametrize(
    ("ended", "what"),
    [
        (result("a", "timeout", "timeout", None), "3 attempts; 2 may be"),
        (result("a", attempts=[{"attempt": 2, "kind": None}]), "has the attempts [2]"),
        (result(cost_nanousd=101), "its ceiling is 100"),
        (result(completed_at="2026-11-22T12:00:24Z"), "4.00 s after its deadline"),
    ],
)
def test_a_result_with_too_much_in_it_or_too_late_is_told(ended: dict[str, Any], what: str) -> None:
    [complaint] = of_result(ended, [job()], retries=1)
    assert what in complaint


def test_who_ends_behind_others_of_its_key_may_end_late() -> None:
    late = result(completed_at="2026-11-22T12:00:59Z")
    assert list(of_result(late, [job(key="k")], retries=1)) == []


def test_a_call_for_the_next_of_a_key_before_the_answer_of_the_one_before_is_told() -> None:
    records = [found(TEXT, 0, job("a", "k")), found(TEXT, 1, job("b", "k")), found(RESULTS, 0, result("a"))]
    before = called("ants/a", number=1, answered_at=START_S + 2)
    after, early = called("ants/b", START_S + 2, 2), called("ants/b", START_S + 1, 2)

    assert list(one_at_a_time(records, [before, after], {})) == []
    [complaint] = one_at_a_time(records, [before, early], {})
    assert "called for ants/b" in complaint
    assert list(one_at_a_time(records, [before, early], {1: [(0.0, 1e9)]})) == []


@pytest.mark.parametrize(("pieces", "wrong"), [(["bu", "zz"], 0), (["bu"], 0), (["bu", "bu"], 1), (["", "hum"], 1)])
def test_pieces_that_are_not_the_answers_are_told(pieces: list[str], wrong: int) -> None:
    told = [
        {"tenant": "ants", "job_id": "a", "submission": 1, "attempt": 1, "number": at, "text": text}
        for at, text in enumerate(pieces)
    ]
    records = [found(DELTAS, at, piece) for at, piece in enumerate(told)]
    assert len(list(streamed(records, [result()]))) == wrong
    assert not list(streamed(records[1:], [result()])), "one is missing: nothing can be said"


def test_of_instants_nothing_is_said_where_a_clock_was_set() -> None:
    records = [found(TEXT, 0, job()), found(RESULTS, 0, result(completed_at="2026-11-22T12:00:24Z"))]
    calm, late = replace(plan(0), faults=()), called(at=AT_S + 1)
    stepped = replace(calm, faults=(Fault(1.0, "clock_step", "machine-0", by_s=5.0),))

    assert len(list(as_promised(records, [late], calm, {}, 1))) == 2
    assert list(as_promised(records, [late], stepped, {}, 1)) == []
