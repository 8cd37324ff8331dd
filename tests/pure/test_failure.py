"""The closed list of failures: every kind has a row, and the rows do not contradict each other."""

from typing import get_args

import pytest

from schemas.failure import FAILURES, FailureKind, Fault


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


@pytest.mark.parametrize("kind", FailureKind)
def test_each_kind_says_whose_fault_it_is_and_what_to_do(kind: FailureKind):
    failure = FAILURES[kind]

    assert failure.fault in get_args(Fault)
    assert failure.advice[0].isupper()
    assert failure.advice.endswith(".")
    assert failure.advice != failure.meaning
    assert len(failure.advice) <= 200


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if FAILURES[kind].counts_for_breaker])
def test_a_breaker_counts_what_provider_or_network_do_and_nothing_of_ours_or_the_producers(kind: FailureKind):
    assert FAILURES[kind].fault in ("provider", "network")


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if FAILURES[kind].fault == "producer"])
def test_what_the_producer_has_to_mend_is_not_tried_again_as_it_is(kind: FailureKind):
    assert not FAILURES[kind].retryable


def test_money_rights_and_token_are_the_accounts():
    kinds = {kind for kind in FailureKind if FAILURES[kind].fault == "account"}

    assert kinds == {
        FailureKind.UNAUTHORIZED,
        FailureKind.PAYMENT_REQUIRED,
        FailureKind.FORBIDDEN,
        FailureKind.RATE_LIMITED,
        FailureKind.OVER_BUDGET,
    }
