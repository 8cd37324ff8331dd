"""Which jobs wait for an endpoint, by decisions and results alone, in whatever order the two are read."""

from datetime import timedelta

from endpoints_world import BEGIN, MODEL
from hypothesis import given
from hypothesis import strategies as st

from hub.endpoints import waiting
from hub.endpoints.waiting import LATE, Waiting
from runtime.ports import Record
from schemas.decision import Decision, DecisionBatch
from schemas.endpoints import Measured
from schemas.result import JobResult, Received, Who

RECEIVED = Received(topic="inference.jobs.v1", partition=0, offset=0, timestamp_ms=0)


def decided(
    job_id: str, provider: str = "endpoint.small", *, at: float = 0, left_s: float | None = 600, **more
) -> Record:
    when = BEGIN + timedelta(seconds=at)
    decision = Decision.model_validate(
        {
            "decision_id": job_id, "tenant": "t", "job_id": job_id, "submission": 1, "digest": "", "task": "x",
            "verdict": "assigned", "candidates": [{"model": MODEL, "provider": provider}], "received": RECEIVED,
            "decided_at": when, "deadline": None if left_s is None else when + timedelta(seconds=left_s), **more,
        }
    )  # fmt: skip
    return Record("decisions", 0, 0, b"0", DecisionBatch(lane="l", decisions=[decision]).encode(), (), 0)


def ended(job_id: str, *, at: float = 1, kinds: tuple[str | None, ...] = (None,), **more) -> Record:
    when = BEGIN + timedelta(seconds=at)
    attempts = [
        {"attempt": number, "model": MODEL, "provider": "endpoint.small", "started_at": when, "waited_ms": 0,
         "duration_ms": 100 * number, "kind": kind}
        for number, kind in enumerate(kinds, 1)
    ]  # fmt: skip
    result = JobResult.model_validate(
        {
            "job_id": job_id, "tenant": "t", "status": "succeeded", "task": "x", "completed_at": when,
            "asked": Who(model=MODEL, provider="auto"), "attempts": attempts, **more,
        }
    )  # fmt: skip
    return Record("results", 0, 0, b"", result.encode(), (), 0)


def test_what_was_assigned_and_has_not_ended_waits():
    fold = Waiting()
    for number in range(5):
        fold.decided(decided(f"j{number}", at=number, left_s=600 - number * 10))
    fold.ended(ended("j0", at=30))
    lag = fold.lag("small", BEGIN + timedelta(seconds=40))
    assert lag.jobs == 4
    assert lag.oldest == BEGIN + timedelta(seconds=1)
    assert lag.deadline == BEGIN + timedelta(seconds=4 + 560)
    assert lag.last_end == BEGIN + timedelta(seconds=30)
    assert fold.lag("other", BEGIN).jobs == 0


def test_who_was_assigned_elsewhere_first_or_refused_does_not_wait():
    fold = Waiting()
    fold.decided(decided("a", "together"))
    fold.decided(decided("b", verdict="rejected"))
    fold.decided(decided("c", candidates=[]))
    two = [{"model": MODEL, "provider": "together"}, {"model": MODEL, "provider": "endpoint.small"}]
    fold.decided(decided("d", candidates=two))
    assert fold.lag("small", BEGIN).jobs == 0


@given(st.permutations([("d", 0), ("d", 1), ("d", 2), ("e", 0), ("e", 1)]))
def test_the_order_in_which_the_two_topics_are_read_changes_nothing(steps: list[tuple[str, int]]):
    fold = Waiting()
    for kind, number in steps:
        if kind == "d":
            fold.decided(decided(f"j{number}"))
        else:
            fold.ended(ended(f"j{number}"))
    assert fold.lag("small", BEGIN).jobs == 1
    assert fold.measured("small").succeeded == 2


def test_a_job_without_a_result_is_not_waited_for_for_ever():
    fold = Waiting()
    fold.decided(decided("lost", left_s=60))
    edge = BEGIN + timedelta(seconds=60) + LATE
    assert fold.lag("small", edge).jobs == 1
    assert fold.lag("small", edge + timedelta(seconds=1)).jobs == 0


def test_deadlines_that_a_start_would_miss_are_counted_apart():
    fold = Waiting()
    for job, left in (("a", 100), ("b", 300), ("c", None)):
        fold.decided(decided(job, left_s=left))
    lag = fold.lag("small", BEGIN, timedelta(seconds=200))
    assert (lag.jobs, lag.lost, lag.deadline) == (3, 1, BEGIN + timedelta(seconds=300))


def test_calls_are_counted_with_those_that_failed():
    fold = Waiting()
    fold.decided(decided("a"))
    fold.ended(ended("a", kinds=("overloaded", None)))
    measured = fold.measured("small")
    assert (measured.attempts, measured.succeeded, measured.call_ms) == (2, 1, 200)
    assert measured.availability == 0.5
    assert fold.measured("other").availability is None


def test_what_is_unreadable_is_passed_over():
    fold = Waiting()
    for value in (None, b"", b"{", b"[]", b"\xff", b'{"decisions": 7}'):
        record = Record("decisions", 0, 0, None, value, (), 0)
        fold.decided(record)
        fold.ended(record)
    assert fold.lag("small", BEGIN).jobs == 0


def test_memory_has_a_bound(monkeypatch):
    monkeypatch.setattr(waiting, "MOST", 10)
    fold = Waiting()
    for number in range(30):
        fold.decided(decided(f"j{number}"))
        fold.ended(ended(f"unknown{number}"))
    assert fold.lag("small", BEGIN).jobs == 10
    assert len(fold._ended) == 10


def test_who_begins_counts_on_from_what_was_told_and_counts_no_call_twice():
    """Else an endpoint's price would be all that it has ever cost, by the calls of one day."""
    told = Measured(attempts=500, succeeded=490, call_ms=9_000, since=BEGIN - timedelta(days=9), until=BEGIN)
    fold = Waiting()
    fold.begin("small", told)
    assert fold.measured("small") == told
    for at in (-60, 0, 60):
        fold.ended(ended(f"j{at}", at=at))
    found = fold.measured("small")
    assert (found.attempts, found.succeeded, found.call_ms) == (501, 491, 9_100)
    assert (found.since, found.until) == (told.since, BEGIN + timedelta(seconds=60))
    fold.begin("small", told)
    assert fold.measured("small") == found, "what was told before is no news"


def test_a_job_that_is_decided_anew_waits_for_its_new_endpoint_alone():
    fold = Waiting()
    fold.decided(decided("a"))
    fold.decided(decided("a", "endpoint.large", at=5))
    assert (fold.lag("small", BEGIN).jobs, fold.lag("large", BEGIN).jobs) == (0, 1)
