"""A job's progress through a retry topic and back, and what a crash left of it: properties."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from worker_world import assigned, candidate

from runtime.intents import Left
from schemas.assignment import AssignedJob, Carried
from schemas.failure import FailureKind
from schemas.result import Attempt
from workers.assigned import Assigned, read_assigned
from workers.attempt import failed_attempt
from workers.carried import NotResting, carried, taken_up
from workers.cost import Charge, together
from workers.errors import ProviderError
from workers.progress import MOST_WAITS, Progress, Wait
from workers.recall import CallEnd, Intent, has_crashed, is_suspect, recalled
from workers.retry import Tried

K = FailureKind
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

instants = st.integers(0, 10**7).map(lambda ms: START + timedelta(milliseconds=ms))
charges = st.builds(Charge, st.integers(0, 10**12), st.sampled_from(["provider", "computed", "estimated", "none"]))
attempts = st.builds(
    Attempt,
    attempt=st.integers(1, 100),
    model=st.just("acme/chat"),
    provider=st.just("auto"),
    started_at=instants,
    waited_ms=st.integers(0, 10**6),
    duration_ms=st.integers(0, 10**6),
    kind=st.none() | st.sampled_from(list(K)),
    upstream_status=st.none() | st.integers(100, 599),
    request_id=st.none() | st.text(max_size=20),
    ambiguous=st.booleans(),
)


@st.composite
def at_rest(draw: st.DrawFn) -> Progress:
    """Progress as a worker has it when a job goes to rest."""
    calls = draw(st.lists(st.tuples(attempts, charges), max_size=8))
    made = tuple(attempt.model_copy(update={"cost_nanousd": charge.nanousd}) for attempt, charge in calls)
    paid = tuple(charge for _, charge in calls)
    tried = Tried(
        calls=draw(st.integers(0, 8)),
        candidate=draw(st.integers(0, 3)),
        unfit=draw(st.frozensets(st.integers(0, 3))),
        pinned=draw(st.booleans()),
        spent_nanousd=sum(charge.nanousd for charge in paid),
    )
    waits = tuple(draw(st.lists(st.builds(Wait, st.sampled_from(["slot", "breaker"]), instants, instants), max_size=5)))
    progress = Progress(
        draw(instants), tried, made, paid, waits,
        bounces=draw(st.integers(0, 9)), deaths=draw(st.integers(0, 9)),
        upstream_status=draw(st.none() | st.integers(100, 599)),
    )  # fmt: skip
    return progress.rest("retry", draw(instants))


@given(at_rest())
def test_what_a_job_has_been_through_comes_back_from_a_retry_topic_as_it_left(progress: Progress) -> None:
    on_the_wire = Carried.model_validate_json(carried(progress).encode())
    assert taken_up(on_the_wire) == progress


@given(at_rest(), instants)
def test_time_in_a_retry_topic_is_told_as_a_wait_and_changes_nothing_else(progress: Progress, now: datetime) -> None:
    back = taken_up(carried(progress)).back(now)
    assert back.resting is None
    assert (back.attempts, back.charges, back.tried) == (progress.attempts, progress.charges, progress.tried)
    waited = sum((wait.end - wait.start for wait in back.waits), timedelta())
    before = sum((wait.end - wait.start for wait in progress.waits), timedelta())
    assert progress.resting is not None
    assert now <= progress.resting.start or waited > before or back.waits[-1].end >= now


def test_only_what_rests_travels() -> None:
    with pytest.raises(NotResting):
        carried(Progress(START))


def test_a_carried_job_whose_costs_have_no_source_is_refused() -> None:
    told = json.loads(carried(Progress(START).rest("slot", START)).encode())
    told["cost_sources"] = ["computed"]
    with pytest.raises(ValidationError, match="0 attempts have 1 sources"):
        Carried.model_validate(told)


def test_a_carried_job_that_names_a_candidate_which_is_not_there_is_no_job() -> None:
    record = assigned(candidate())
    envelope = AssignedJob.model_validate_json(record.value or b"")
    told = Carried(arrived_at=START, since=START, wait="slot", candidate=1)
    forged = replace(record, value=envelope.model_copy(update={"carried": told}).encode())
    assert read_assigned(forged) == "carried.candidate is 1; there are 1"


@given(st.lists(st.tuples(st.sampled_from(["slot", "breaker", "retry"]), st.integers(1, 10)), max_size=300))
def test_however_long_a_job_waits_the_waits_that_it_carries_are_bounded_and_their_end_is_told(
    spans: list[tuple[str, int]],
) -> None:
    progress, now = Progress(START), START
    for name, seconds in spans:
        end = now + timedelta(seconds=seconds)
        progress, now = progress.waited(name, now, end), end
    assert len(progress.waits) <= MOST_WAITS
    assert not spans or progress.waits[-1].end == now
    assert sum((wait.end - wait.start for wait in progress.waits), timedelta()) == now - START


def test_a_wait_that_goes_on_is_one_wait_and_an_attempt_parts_two() -> None:
    second = timedelta(seconds=1)
    progress = Progress(START).waited("slot", START, START + second).waited("slot", START + second, START + 5 * second)
    assert progress.waits == (Wait("slot", START, START + 5 * second),)
    failed = failed_attempt(progress, candidate(), ProviderError(K.OVERLOADED, "no"), START + 5 * second, second)
    again = failed.waited("slot", START + 6 * second, START + 7 * second)
    assert len(again.waits) == 2


# After a crash


def job(**more: Any) -> Assigned:
    read = read_assigned(assigned(candidate(), candidate(model="acme/other", ceiling_nanousd=70), job=more))
    assert isinstance(read, Assigned)
    return read


def note(owner: str, attempt: int = 1, end: CallEnd | None = None, *, order: int = 1, **change: object) -> Left:
    intent = Intent(
        **{
            "tenant": "acme", "job_id": "a1", "submission": 1, "candidate": 0, "model": "acme/chat", "provider": "auto",
            "ceiling_nanousd": 1_000, "began_at": START, **change,
        }
    )  # fmt: skip
    return Left(7, attempt, owner, intent.model_dump_json(), end and end.model_dump_json(), order)


def over(kind: FailureKind | None, cost: int = 0, *, emitted: bool = False) -> CallEnd:
    attempt = Attempt(
        attempt=1, model="acme/chat", provider="auto", started_at=START, waited_ms=3, duration_ms=40, kind=kind,
        upstream_status=503 if kind else 200, cost_nanousd=cost,
    )  # fmt: skip
    return CallEnd(attempt=attempt, source="computed" if cost else "none", emitted=emitted)


def test_an_interrupted_call_counts_with_its_ceiling_against_the_money_and_not_against_the_retries() -> None:
    progress, _ = recalled(Progress(START), job(), [note("p1")])
    (attempt,) = progress.attempts
    assert (attempt.kind, attempt.ambiguous, attempt.cost_nanousd) == (K.INTERRUPTED, True, 1_000)
    assert (progress.tried.calls, progress.tried.spent_nanousd) == (0, 1_000)
    assert together(progress.charges) == Charge(1_000, "estimated")


def test_a_call_that_failed_before_the_crash_counts_as_it_did_then() -> None:
    progress, _ = recalled(Progress(START), job(), [note("p1", end=over(K.OVERLOADED))])
    (attempt,) = progress.attempts
    assert (attempt.kind, attempt.ambiguous, attempt.upstream_status) == (K.OVERLOADED, False, 503)
    assert (progress.tried.calls, progress.tried.spent_nanousd, progress.upstream_status) == (1, 0, 503)


def test_output_that_had_begun_before_the_crash_still_pins_the_candidate() -> None:
    progress, _ = recalled(Progress(START), job(), [note("p1", end=over(K.STREAM_CUT, 5, emitted=True), candidate=1)])
    assert progress.tried.pinned
    assert progress.tried.candidate == 1


@pytest.mark.parametrize("end", [None, over(K.INTERRUPTED, 5), over(None, 30)])
def test_a_call_whose_pieces_may_have_been_published_pins_its_candidate(end: CallEnd | None) -> None:
    """What readers of the deltas have seen begin is not gone on with by another model."""
    streamed, _ = recalled(Progress(START), job(stream=True), [note("p1", end=end, candidate=1)])
    plain, _ = recalled(Progress(START), job(), [note("p1", end=end, candidate=1)])

    assert (streamed.tried.pinned, streamed.tried.candidate) == (True, 1)
    assert not plain.tried.pinned


def test_a_call_that_failed_before_its_first_piece_pins_nobody() -> None:
    progress, _ = recalled(Progress(START), job(stream=True), [note("p1", end=over(K.OVERLOADED))])
    assert not progress.tried.pinned


def test_an_answer_that_was_lost_counts_with_what_it_cost() -> None:
    progress, _ = recalled(Progress(START), job(), [note("p1", end=over(None, 30))])
    (attempt,) = progress.attempts
    assert (attempt.kind, attempt.ambiguous, attempt.cost_nanousd) == (K.INTERRUPTED, False, 30)
    assert (progress.tried.calls, progress.tried.spent_nanousd) == (0, 30)
    assert progress.deaths == 0


def test_a_process_that_lives_has_not_died_of_the_call_it_had_out_when_it_lost_the_lane() -> None:
    left = [replace(note(f"p{at}", order=at, alone=True), alive=True) for at in range(5)]
    progress, alone = recalled(Progress(START), job(), left)
    assert [attempt.ambiguous for attempt in progress.attempts] == [True] * 5
    assert (progress.deaths, alone) == (0, False)


def test_a_call_that_was_broken_off_at_the_end_of_a_drain_has_killed_nobody() -> None:
    cut = over(K.INTERRUPTED, 1_000)
    progress, alone = recalled(Progress(START), job(), [note("p1", end=cut, alone=True)])
    (attempt,) = progress.attempts
    assert (attempt.kind, attempt.ambiguous, attempt.cost_nanousd) == (K.INTERRUPTED, True, 1_000)
    assert (progress.deaths, progress.tried.calls, alone) == (0, 0, False)


def test_what_was_recalled_once_is_not_recalled_again() -> None:
    left = [note("p1"), note("p2", order=2)]
    once, _ = recalled(Progress(START), job(), left)
    assert recalled(once, job(), left)[0] == once
    assert [attempt.attempt for attempt in once.attempts] == [1, 2]


def test_notes_of_another_job_at_the_same_place_are_passed_over() -> None:
    left = [note("p1", job_id="b2"), note("p2", submission=2), note("p3", candidate=2), Left(7, 1, "p4", "{", None, 4)]
    assert recalled(Progress(START), job(), left) == (Progress(START), False)


@pytest.mark.parametrize(
    ("deaths", "suspect", "crashed"),
    [
        ([False], False, False),
        ([False, False], True, False),
        ([False, False, False], True, False),
        ([False, False, True], True, True),
        ([False, True], True, False),
        ([False, False, True, False], True, False),
    ],
)
def test_only_a_third_death_while_alone_ends_a_job(deaths: list[bool], suspect: bool, crashed: bool) -> None:
    left = [note(f"p{at}", order=at, alone=alone) for at, alone in enumerate(deaths)]
    progress, alone = recalled(Progress(START), job(), left)
    assert progress.deaths == len(deaths)
    assert (is_suspect(progress), has_crashed(progress, alone)) == (suspect, crashed)
