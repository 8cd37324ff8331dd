"""What a lane learns from failed transactions: smaller ones next time, and which outcome cannot be written."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.blame import LEAST_SHARED_BYTES, PATIENCE, Blame
from runtime.ports import RecordTooLarge
from runtime.progress import HORIZON, MetadataTooLarge
from schemas.failure import FailureKind


class Broker(Exception):
    """Trouble of the broker's."""


@given(st.integers(1, 10_000), st.integers(1, 30))
def test_half_as_much_is_tried_after_a_failure_and_twice_as_much_after_a_success(most: int, failures: int):
    blame = Blame(most)
    for _ in range(failures):
        tried = blame.crowd
        blame.failed(range(tried), Broker(), None)
        assert blame.crowd == max(1, tried // 2)
    while blame.crowd < most:
        tried = blame.crowd
        assert blame.committed(range(tried)) == min(most, tried * 2)
    assert blame.committed([1]) == most


@given(st.lists(st.sampled_from([Broker(), TimeoutError(), AssertionError(), OSError()]), max_size=20))
def test_trouble_of_the_brokers_condemns_no_outcome(errors: list[Exception]):
    blame = Blame(500)
    for error in errors:
        blame.failed([7], error, None)

    assert blame.instead(7) is None


def test_an_outcome_that_fails_alone_by_a_fault_of_ours_is_given_up_after_three_times():
    blame = Blame(500)
    for _ in range(PATIENCE):
        assert blame.instead(7) is None
        blame.failed([7, 8], TypeError(), None)
        blame.failed([7], TypeError("with a secret in it"), None)

    instead = blame.instead(7)
    assert instead is not None
    assert (instead.kind, instead.error_type) == (FailureKind.INTERNAL, "TypeError")
    assert "secret" not in instead.message
    assert blame.instead(8) is None

    blame.committed([7])
    assert blame.instead(7) is None


def test_a_shared_record_that_cannot_be_split_further_condemns_the_outcome_that_makes_it_alone():
    blame = Blame(500)
    while blame.shared_limit > LEAST_SHARED_BYTES:
        blame.failed([1, 2], RecordTooLarge(0, 2_000_000), None)
    for _ in range(PATIENCE):
        blame.failed([1], RecordTooLarge(0, 2_000_000), None)

    assert blame.instead(1) is not None


def test_every_size_that_was_refused_of_a_records_outcomes_is_remembered_until_it_is_committed():
    blame = Blame(500)
    blame.failed([1, 2], RecordTooLarge(0, 5_000), 2)
    blame.failed([1, 2], RecordTooLarge(0, 4_000), 2)

    assert (blame.refused(1), blame.refused(2)) == ([], [5_000, 4_000])
    assert blame.crowd == 500, "the others were not at fault"

    blame.committed([2])
    assert blame.refused(2) == []


def test_a_broker_that_takes_less_metadata_is_told_of_fewer_finished_records():
    blame = Blame(500)
    blame.failed([1], MetadataTooLarge(), None)

    assert blame.horizon == HORIZON // 2
    for _ in range(40):
        blame.failed([1], MetadataTooLarge(), None)
    assert blame.horizon > 0
