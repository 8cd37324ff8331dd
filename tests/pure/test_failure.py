"""The closed list of failures: every kind has a row, and the rows do not contradict each other."""

import pytest

from schemas.failure import FAILURES, FailureKind


def test_each_kind_has_exactly_one_row_in_the_order_of_the_list():
    assert list(FAILURES) == list(FailureKind)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_meaning_is_told_in_whole_sentences(kind: FailureKind):
    meaning = FAILURES[kind].meaning

    assert meaning.endswith(".")
    assert meaning[0].isupper()
    assert meaning.isprintable()
    assert len(meaning) >= 20


@pytest.mark.parametrize("kind", FailureKind)
def test_a_kind_travels_as_its_lower_case_name(kind: FailureKind):
    assert kind.value == kind.name.lower() == str(kind)


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if FAILURES[kind].retryable])
def test_what_may_succeed_later_is_kept_for_replay(kind: FailureKind):
    assert FAILURES[kind].replay


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if FAILURES[kind].counts_for_breaker])
def test_only_a_fault_of_the_provider_counts_for_its_breaker(kind: FailureKind):
    assert FAILURES[kind].retryable
    assert kind is not FailureKind.RATE_LIMITED


def test_a_rate_limit_feeds_the_limiter_and_not_the_breaker():
    assert not FAILURES[FailureKind.RATE_LIMITED].counts_for_breaker
    assert FAILURES[FailureKind.RATE_LIMITED].retryable


def test_a_call_whose_answer_is_missing_may_have_been_charged_and_a_refused_one_not():
    charged = {kind for kind in FailureKind if FAILURES[kind].maybe_charged}

    assert {FailureKind.TIMEOUT, FailureKind.CONNECTION_LOST, FailureKind.STREAM_CUT} <= charged
    assert not charged & {
        FailureKind.CONNECT_FAILED,
        FailureKind.RATE_LIMITED,
        FailureKind.BREAKER_OPEN,
        FailureKind.PRICE_CEILING,
    }
