"""What a record of a retry topic does next: rest, go back, wait on. The clock may lie."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from runtime import later
from runtime.ports import Record
from runtime.retrying import Waiting, identity_of, read_waiting, rest_of, still_to_wait
from schemas import headers
from schemas.headers import Headers
from schemas.topics import RETRY_TIERS, TEXT

NOW = later.EPOCH + timedelta(days=20_000)
INSTANTS = st.timedeltas(timedelta(days=-400), timedelta(days=400)).map(lambda span: NOW + span)
LENGTHS = st.sampled_from([timedelta(milliseconds=longest_ms) for longest_ms, _ in RETRY_TIERS])
TIER = RETRY_TIERS[1][1].name


def waiting(not_before: datetime) -> Waiting:
    return Waiting(not_before, TEXT.name, 1, "rate_limited", ("acme", "a1", 1))


def record(given_headers: Headers) -> Record:
    return Record(TIER, 0, 5, b"acme/a1", b"not looked at", given_headers, 1_700_000_000_000)


@given(INSTANTS, INSTANTS, LENGTHS, INSTANTS)
def test_no_record_rests_longer_than_its_tier_whatever_the_clock_says(
    not_before: datetime, written: datetime, length: timedelta, now: datetime
):
    assert timedelta(0) <= rest_of(waiting(not_before), written, length, now) <= length


@given(INSTANTS, LENGTHS, st.timedeltas(timedelta(0), timedelta(minutes=10)), st.timedeltas(timedelta(0), timedelta(1)))
def test_with_a_steady_clock_a_record_goes_back_when_it_is_due_and_not_before(
    written: datetime, length: timedelta, wait: timedelta, read_after: timedelta
):
    """A wait that fits the tier: at the end of the rest it is due, and before that the rest was not over."""
    wait = min(wait, length)
    now = written + read_after
    rest = rest_of(waiting(written + wait), written, length, now)

    assert now + rest == max(now, written + wait)
    assert still_to_wait(waiting(written + wait), written, length, now + rest) is None


@given(INSTANTS, LENGTHS, st.timedeltas(timedelta(milliseconds=1), timedelta(days=30)))
def test_a_wait_longer_than_the_tier_goes_on_until_the_same_instant(
    written: datetime, length: timedelta, more: timedelta
):
    due = written + length + more
    rest = rest_of(waiting(due), written, length, written)

    assert rest == length
    assert still_to_wait(waiting(due), written, length, written + rest) == due


@given(LENGTHS, st.timedeltas(timedelta(milliseconds=2), timedelta(days=30)))
def test_a_record_that_is_read_late_waits_on_until_the_same_instant(length: timedelta, more: timedelta):
    """Its process was away for half of what is still to wait."""
    due = NOW + length + more

    assert still_to_wait(waiting(due), NOW, length, due - more / 2) == due


@given(
    LENGTHS, st.timedeltas(timedelta(seconds=-5), timedelta(days=8)), st.timedeltas(timedelta(0), timedelta(days=365))
)
def test_a_clock_that_is_set_back_adds_nothing_to_what_is_still_to_wait(
    length: timedelta, wait: timedelta, set_back: timedelta
):
    """Rested for the tier's length by the monotonic clock, while the wall clock was set back."""
    now = NOW + length - set_back
    on = still_to_wait(waiting(NOW + wait), NOW, length, now)

    assert on is None or on - now <= max(timedelta(0), wait - length)


def test_a_rest_in_a_tier_begins_when_it_was_decided_and_not_when_its_transaction_was_written():
    """Else a wait of several tiers would be late by the transactions between them."""
    length, due = timedelta(seconds=5), NOW + timedelta(minutes=1)
    decided = replace(waiting(due), since=NOW)
    written = NOW + timedelta(seconds=3)

    assert rest_of(decided, written, length, written) == timedelta(seconds=2)
    assert still_to_wait(decided, written, length, NOW + length) == due


def test_a_clock_that_is_set_back_between_a_decision_and_its_transaction_makes_no_wait_longer():
    """The broker's record bears the time of the transaction, an hour before the decision's own."""
    step, wait, length = timedelta(hours=1), timedelta(seconds=2), timedelta(seconds=5)
    decided = NOW + step
    waiting = Waiting(decided + wait, TEXT.name, 1, "rate_limited", ("acme", "a1", 1), decided)

    rest = rest_of(waiting, NOW, length, NOW)

    assert rest <= length
    assert still_to_wait(waiting, NOW, length, NOW + rest) is None


@given(
    st.text(min_size=1, max_size=9).filter(lambda text: "/" not in text), st.text(min_size=1), st.integers(0, 10**9 - 1)
)
def test_an_identity_is_read_back_whatever_the_id_holds(tenant: str, job_id: str, submission: int):
    assert identity_of(f"{tenant}/{job_id}/{submission}") == (tenant, job_id, submission)


@given(st.none() | st.text(max_size=12))
def test_any_text_is_an_identity_or_none(text: str | None):
    found = identity_of(text)

    assert found is None or (found[0] and found[1] and "/" not in found[0])


def test_what_was_postponed_is_read_as_it_was_meant():
    sent = later.postponed(
        record(((headers.IDENTITY, b"acme/a/1/2"),)), b"{}", not_before=NOW + timedelta(seconds=20), now=NOW, attempt=3,
        cause="rate_limited", back_to=TEXT.name,
    )  # fmt: skip

    found = read_waiting(record(sent.headers))

    assert found == Waiting(NOW + timedelta(seconds=20), TEXT.name, 3, "rate_limited", ("acme", "a/1", 2), NOW)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*later.OURS, headers.IDENTITY]), st.binary(max_size=30) | st.just(b"inference.text.v1")
        ),
        max_size=8,
    ).map(tuple)
)
def test_any_headers_are_read_or_refused_with_words_that_hold_nothing_of_them(told: Headers):
    found = read_waiting(record(told))

    if isinstance(found, Waiting):
        assert found.back_to == TEXT.name
        assert found.attempt >= 0
    else:
        assert found.startswith("novix-")
        assert len(found) < 200


def test_a_record_is_sent_back_to_a_modality_alone():
    due = (headers.NOT_BEFORE, b"1")
    for elsewhere in ("inference.results.v1", TIER, "", "somebody.elses.topic"):
        assert isinstance(read_waiting(record((due, (headers.RETURN_TO, elsewhere.encode())))), str)
