"""From an answer, or an exception, to an outcome: total, and silent about content."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.outcome import Done, GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Delivery, Record
from runtime.settle import elsewhere, rests, settled, wait_before
from schemas.failure import FailureKind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DELIVERY = Delivery(Record("inference.jobs.v1", 0, 7, None, b"CANARY", (), 1), NOON)
TYPED = GiveUp(FailureKind.INTERNAL, "typed")


class Answering:
    """A handler that knows what its own faults mean."""

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        assert delivery is DELIVERY
        return TYPED


class Helpless:
    """A handler whose judgement of a fault fails as well."""

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        raise LookupError("CANARY")


@pytest.mark.parametrize("outcome", [Publish(), TYPED, RetryAt(NOON, FailureKind.TIMEOUT)])
def test_an_answer_is_its_own_outcome(outcome: Outcome):
    assert settled(Helpless(), DELIVERY, outcome) is outcome  # type: ignore[arg-type]


def test_an_exception_is_what_the_handler_says_it_is():
    assert settled(Answering(), DELIVERY, ValueError("CANARY")) is TYPED  # type: ignore[arg-type]


def test_a_handler_that_fails_twice_leaves_a_dead_letter_that_names_classes_and_no_content():
    done = settled(Helpless(), DELIVERY, ValueError("CANARY"))  # type: ignore[arg-type]

    assert isinstance(done, GiveUp)
    assert done.kind is FailureKind.INTERNAL
    assert done.error_type == "ValueError"
    assert "LookupError" in done.message
    assert "CANARY" not in done.message


@settings(deadline=None)
@given(st.timedeltas(timedelta(days=-9), timedelta(days=9)))
def test_a_record_rests_until_its_time_and_never_less_than_nothing(ahead: timedelta):
    assert wait_before(RetryAt(NOON + ahead, FailureKind.TIMEOUT), NOON) == max(timedelta(0), ahead)


@pytest.mark.parametrize(
    ("seconds", "in_memory", "draining", "passes_here"),
    [
        (-3, True, False, True),
        (5, True, False, True),
        (5.001, True, False, False),
        (1, False, False, False),
        (0, True, True, False),
        (60, True, True, False),
    ],
)
def test_a_short_wait_passes_in_memory_unless_its_handler_or_a_drain_wants_it_elsewhere(
    seconds: float, in_memory: bool, draining: bool, passes_here: bool
):
    retry = RetryAt(NOON + timedelta(seconds=seconds), FailureKind.TIMEOUT, in_memory=in_memory)

    assert rests(retry, NOON, longest=timedelta(seconds=5), draining=draining) is passes_here


class Postponing:
    """A handler that breaks when it is asked to write a record elsewhere, and knows what it had to remember."""

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        assert (delivery.record, delivery.memo) == (DELIVERY.record, "what was paid by then")
        return TYPED

    def postpone(self, delivery: Delivery, retry: RetryAt) -> Publish | None:
        raise LookupError("CANARY")


def test_a_handler_that_fails_to_postpone_has_its_fault_as_the_outcome():
    retry = RetryAt(NOON, FailureKind.TIMEOUT, memo="what was paid by then")

    assert elsewhere(Postponing(), DELIVERY, retry) is TYPED  # type: ignore[arg-type]
