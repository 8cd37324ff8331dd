"""The offline checker says no to what went wrong while a run went on: each lie is planted, and found."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from stranger import Found
from watched import Sight, in_order, never_past, trials_only, within_bounds

RESULTS, TEXT = "inference.results.v1", "inference.text.v1"
RETRY = "inference.retry.5s.v1"
FIRST, SECOND = ("acme", "a", 1), ("acme", "b", 1)
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def found(topic: str, offset: int, value: Any = None) -> Found:
    return Found(topic, 0, offset, b"key", json.dumps(value).encode(), [])


def sight(committed: int, results: int, retries: int = 0) -> Sight:
    return Sight(
        {("novix-worker-text", 0): committed, ("novix-router", 0): 900}, {(RESULTS, 0): results, (RETRY, 0): retries}
    )


ASSIGNED = {FIRST: [found(TEXT, 4)], SECOND: [found(TEXT, 6)]}
ENDED = {FIRST: [found(RESULTS, 11)], SECOND: [found(RESULTS, 10)]}


def test_an_offset_that_passes_only_what_has_ended_is_nothing_to_complain_of():
    assert list(never_past([sight(4, 0), sight(4, 11), sight(5, 12), sight(7, 12)], ASSIGNED, ENDED)) == []


def test_an_offset_that_passes_a_job_whose_outcome_came_later_is_found():
    """The highest finished offset was committed: 6 was done, 4 was not."""
    [told] = never_past([sight(7, 11), sight(7, 12)], ASSIGNED, ENDED)

    assert "'a', 1) at 0/4 was passed at 7" in told


def test_an_offset_that_passes_a_job_without_any_outcome_is_found():
    assert len(list(never_past([sight(7, 99)], ASSIGNED, {}))) == 2


def test_a_record_that_left_for_a_retry_topic_has_its_outcome_there_and_needs_another_when_it_is_back():
    assigned = {FIRST: [found(TEXT, 4), found(TEXT, 8)]}
    outcomes = {FIRST: [found(RETRY, 2), found(RESULTS, 11)]}

    assert list(never_past([sight(5, 0, 3), sight(9, 12, 3)], assigned, outcomes)) == []
    assert len(list(never_past([sight(9, 11, 3)], assigned, outcomes))) == 1


def test_more_than_may_be_is_found_by_its_name():
    peaks = {"MiB of worker": (301.0, 300.0), "MiB of router": (300.0, 300.0)}

    assert list(within_bounds(peaks)) == ["301 MiB of worker; 300 may be"]


def ordered(offset: int, job_id: str, key: str | None = "k") -> Found:
    job = {"tenant": "acme", "id": job_id} | ({"ordering_key": key} if key else {})
    return found(TEXT, offset, {"job": job, "submission": 1})


def ends(*ids: str) -> Found:
    entries = [{"action": "job.succeeded", "tenant": "acme", "job_id": one, "submission": 1} for one in ids]
    return found("inference.audit.v1", 0, {"lane": "l", "sequence": 1, "entries": entries})


def test_jobs_of_one_key_that_end_in_another_order_are_found_and_others_need_no_order():
    assigned = [ordered(1, "a"), ordered(2, "x", None), ordered(3, "b"), ordered(4, "c")]

    assert list(in_order(assigned, [ends("x", "a", "b")], {"succeeded"})) == []
    [told] = in_order(assigned, [ends("a", "c", "x", "b")], {"succeeded"})
    assert told.endswith("ended in another order: c before b")


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def attempts(*seconds: float, kind: str | None = "overloaded") -> list[dict[str, Any]]:
    made = [{"provider": "p", "model": "m", "started_at": at(one), "kind": kind} for one in seconds]
    return [{"attempts": [one]} for one in made]


def state(name: str, since: float, retry_at: float | None = None) -> dict[str, Any]:
    told = {"provider": "p", "model": "m", "state": name, "since": at(since), "at": at(since), "by": "w"}
    return told | ({"retry_at": at(retry_at)} if retry_at is not None else {})


STATES = [
    state("open", 10, 20),
    state("open", 10, 20),
    state("half-open", 20),
    state("open", 21, 31),
    state("closed", 32),
]


def test_one_trial_call_each_time_that_a_breaker_may_be_tried_is_what_may_be():
    assert list(trials_only(attempts(1, 2, 9.9, 10.2, 20.5, 31.5, 33, 34), STATES)) == []


def test_calls_while_a_breaker_is_open_are_found():
    [told] = trials_only(attempts(1, 14, 15, 20.5, 31.5), STATES)

    assert told == "2 calls of p/m while its breaker was open"


def test_two_trial_calls_at_once_are_found():
    assert list(trials_only(attempts(20.5, 20.6, 31.5), STATES)) == ["2 trial calls of p/m at once; 1 may be"]


def test_where_the_clock_stepped_back_trials_are_counted_from_when_one_was_let_through():
    """Calls that began at 3,620 by the clock before it was set back by an hour; then it was set right again."""
    states = [state("open", 10, 20), state("half-open", 3_630), state("open", 3_631, 3_641), state("closed", 3_642)]

    calls = attempts(3_620, 3_620.1, 3_630.5, 3_641.5, 3_643)
    assert list(trials_only(calls, states, stepped=True)) == []
    assert list(trials_only(calls, states)) == ["3 trial calls of p/m at once; 1 may be"]
    assert list(trials_only(attempts(3_630.5, 3_630.6), states, stepped=True)) == [
        "2 trial calls of p/m at once; 1 may be"
    ]
