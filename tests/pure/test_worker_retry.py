"""What comes after a failed call and before the next one: properties."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_world import candidate

from schemas.failure import FAILURES, FailureKind
from workers.attempt import is_ambiguous
from workers.errors import ProviderError
from workers.retry import (
    UNFIT,
    Again,
    Refused,
    RetryPolicy,
    Stop,
    Terms,
    Tried,
    after_failure,
    backoff,
    before_call,
    counted,
    possible,
    wait_after,
)

K = FailureKind
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
POLICY = RetryPolicy(attempts=6, factor_s=0.5, max_s=60)


def terms(*ceilings: int, max_cost: int = 10_000, left_s: float = 600, named: bool = False) -> Terms:
    listed = [candidate(ceiling_nanousd=each, provider=f"p{at}") for at, each in enumerate(ceilings or (10,))]
    return Terms(listed, max_cost, NOW + timedelta(seconds=left_s), named)


def after(kind: FailureKind, tried: Tried, to: Terms, jitter: float = 0.5, **error: object) -> Again | Stop:
    failure = ProviderError(kind, "no", **error)  # type: ignore[arg-type]
    return after_failure(failure, counted(tried, failure, 0), to, now=NOW, jitter=jitter, policy=POLICY)


kinds = st.sampled_from(list(FailureKind))
waits = st.none() | st.timedeltas(timedelta(), timedelta(days=400))
all_terms = st.builds(
    lambda ceilings, cost, left, named: terms(*ceilings, max_cost=cost, left_s=left, named=named),
    st.lists(st.integers(0, 100), min_size=1, max_size=4),
    st.integers(0, 400),
    st.floats(-10, 1_000),
    st.booleans(),
)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0.001, 60), st.floats(0.001, 3_600))
def test_a_backoff_lies_between_nothing_and_the_doubling_and_never_over_the_longest(
    attempt: int, jitter: float, factor: float, longest: float
) -> None:
    wait = backoff(attempt, jitter, RetryPolicy(6, factor, longest)).total_seconds()
    assert 0 <= wait <= longest + 1e-6
    assert wait <= factor * 2.0 ** min(attempt - 1, 64) + 1e-6


def test_full_jitter_spreads_over_the_whole_span() -> None:
    """Requirement A37: factor 0.5, doubling, capped at 60 s."""
    highest = [backoff(n, 0.999999, POLICY).total_seconds() for n in range(1, 10)]
    assert highest == pytest.approx([0.5, 1, 2, 4, 8, 16, 32, 60, 60], rel=1e-4)
    assert backoff(5, 0.0, POLICY) == timedelta()


@given(kinds, waits, st.booleans(), all_terms, st.integers(0, 6), st.integers(0, 400), st.floats(0, 0.999))
def test_whatever_failed_the_next_call_is_in_time_affordable_and_counted(
    kind: FailureKind, wait: timedelta | None, emitted: bool, to: Terms, calls: int, spent: int, jitter: float
) -> None:
    error = ProviderError(kind, "no", retry_after=wait, emitted=emitted)
    tried = counted(Tried(calls=calls, spent_nanousd=spent), error, 0)
    step = after_failure(error, tried, to, now=NOW, jitter=jitter, policy=POLICY)
    if isinstance(step, Stop):
        assert step.kind in (kind, K.PRICE_CEILING)
        return
    assert tried.calls < POLICY.attempts
    assert NOW <= step.when < to.deadline
    assert step.when - NOW <= timedelta(seconds=POLICY.max_s)
    assert spent + to.candidates[step.candidate].ceiling_nanousd <= to.max_cost_nanousd
    assert FAILURES[kind].retryable or kind in UNFIT
    if step.candidate != 0:
        assert not emitted
        assert not to.provider_named
    elif wait is not None and kind is not K.MODEL_LOADING:
        assert step.when == NOW + wait


@given(all_terms, st.integers(0, 400), st.booleans(), st.sets(st.integers(0, 3)))
def test_before_a_call_nothing_impossible_is_called(to: Terms, spent: int, pinned: bool, away: set[int]) -> None:
    tried = Tried(spent_nanousd=spent, pinned=pinned)
    refused = {at: Refused(K.BREAKER_OPEN, NOW + timedelta(seconds=100 * (at + 1)), "open") for at in away}
    step = before_call(tried, to, refused, now=NOW)
    if isinstance(step, Stop):
        assert step.kind in (K.DEADLINE_PASSED, K.PRICE_CEILING, K.BREAKER_OPEN)
        return
    assert step.candidate in possible(tried, to)
    assert step.when < to.deadline
    assert (step.when > NOW) == (step.candidate in refused)


def test_a_job_that_always_fails_is_called_six_times() -> None:
    tried, to = Tried(), terms()
    for _ in range(20):
        error = ProviderError(K.OVERLOADED, "no")
        tried = counted(tried, error, 0)
        step = after_failure(error, tried, to, now=NOW, jitter=0.5, policy=POLICY)
        if isinstance(step, Stop):
            break
    assert (tried.calls, step) == (6, Stop(K.OVERLOADED, "no (call 6 of 6)"))


@pytest.mark.parametrize("kind", sorted(UNFIT))
def test_not_here_goes_to_the_next_candidate_at_once(kind: FailureKind) -> None:
    assert after(kind, Tried(), terms(1, 1)) == Again(1, NOW)
    assert after(kind, Tried(), terms(1)) == Stop(kind, "no")
    assert after(kind, Tried(), terms(1, 1, named=True)) == Stop(kind, "no")


def test_not_now_stays_with_the_same_candidate() -> None:
    assert after(K.OVERLOADED, Tried(), terms(1, 1)) == Again(0, NOW + timedelta(seconds=0.25))


@pytest.mark.parametrize(
    ("candidates", "asked"), [(1, [0] * 6), (2, [0] * 3 + [1] * 3), (3, [0, 0, 1, 1, 2, 2]), (4, [0, 0, 1, 2, 2, 3])]
)
def test_who_always_says_not_now_has_its_share_of_the_attempts_and_then_the_next_is_asked(
    candidates: int, asked: list[int]
) -> None:
    tried, to, found = Tried(), terms(*[1] * candidates), []
    error = ProviderError(K.OVERLOADED, "not now")
    while True:
        found.append(tried.candidate)
        tried = counted(tried, error, 0)
        step = after_failure(error, tried, to, now=NOW, jitter=0.5, policy=POLICY)
        if isinstance(step, Stop):
            break
        tried = replace(tried, candidate=step.candidate)

    assert found == asked


def test_once_output_has_begun_a_share_that_is_used_up_changes_nothing() -> None:
    error = ProviderError(K.STREAM_CUT, "cut", emitted=True)
    tried = counted(Tried(calls=4), error, 0)
    step = after_failure(error, tried, terms(1, 1), now=NOW, jitter=0.5, policy=POLICY)

    assert isinstance(step, Again)
    assert step.candidate == 0


def test_a_retry_after_that_is_too_long_goes_elsewhere_or_ends() -> None:
    long = timedelta(seconds=61)
    assert after(K.RATE_LIMITED, Tried(), terms(1, 1), retry_after=long) == Again(1, NOW)
    assert isinstance(after(K.RATE_LIMITED, Tried(), terms(1), retry_after=long), Stop)
    assert isinstance(after(K.RATE_LIMITED, Tried(), terms(1, left_s=5), retry_after=timedelta(seconds=5)), Stop)


def test_a_loading_model_is_asked_again_after_the_longest_wait() -> None:
    error = ProviderError(K.MODEL_LOADING, "no", retry_after=timedelta(minutes=10))
    assert wait_after(error, 1, 0.5, POLICY) == timedelta(seconds=60)


def test_when_only_a_cheaper_candidate_still_fits_it_is_asked() -> None:
    tried = Tried(spent_nanousd=60)
    assert after(K.TIMEOUT, tried, terms(50, 30, max_cost=100)) == Again(1, NOW)
    stop = after(K.TIMEOUT, tried, terms(50, 45, max_cost=100))
    assert isinstance(stop, Stop)
    assert stop.kind == K.PRICE_CEILING


def test_a_trial_elsewhere_and_an_open_breaker_are_waited_for_in_order() -> None:
    to = terms(1, 1)
    refused = {
        0: Refused(K.BREAKER_OPEN, NOW + timedelta(seconds=50), "open"),
        1: Refused(K.BREAKER_OPEN, NOW, "open", trial=True),
    }
    assert before_call(Tried(), to, {0: refused[0]}, now=NOW) == Again(1, NOW)
    assert before_call(Tried(), to, refused, now=NOW) == Again(1, NOW)
    late = {at: replace(one, until=to.deadline) for at, one in refused.items()}
    stop = before_call(Tried(), to, late, now=NOW)
    assert isinstance(stop, Stop)
    assert stop.kind == K.BREAKER_OPEN


@pytest.mark.parametrize("kind", list(K))
def test_a_call_that_failed_is_one_call_whatever_it_failed_with_and_its_cost_is_spent(kind: FailureKind) -> None:
    before = Tried(calls=1, candidate=1, unfit=frozenset({0}), pinned=True, spent_nanousd=7)

    after_it = counted(before, ProviderError(kind, "no"), 5)

    unfit = {0, 1} if kind in UNFIT else {0}
    assert after_it == Tried(calls=2, candidate=1, unfit=frozenset(unfit), pinned=True, spent_nanousd=12)


def test_a_provider_that_asks_for_no_wait_is_asked_again_at_once() -> None:
    at_once = ProviderError(K.RATE_LIMITED, "no", retry_after=timedelta())

    assert wait_after(at_once, 3, 0.9, POLICY) == timedelta()


@pytest.mark.parametrize("kind", list(K))
def test_a_call_may_be_charged_whatever_it_failed_with_once_it_was_taken_up_or_answered_in_part(
    kind: FailureKind,
) -> None:
    assert is_ambiguous(ProviderError(kind, "no")) is FAILURES[kind].maybe_charged
    assert is_ambiguous(ProviderError(kind, "no", emitted=True))
    assert is_ambiguous(ProviderError(kind, "no", accepted=True))
    assert not is_ambiguous(ProviderError(kind, "no", nothing_sent=True))
