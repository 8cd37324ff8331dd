"""What a worker does with a job whose dedicated endpoint is not there: call, wait, or refuse at once."""

from datetime import timedelta
from typing import Any

from endpoints_world import BEGIN, MODEL, spec_of, state_of

from runtime.ports import Record
from schemas.assignment import Candidate, Price
from schemas.endpoints import EndpointState
from workers.sleeping import LONGEST, Asleep, Sleeping, Stopped, TooLate

URL = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"


def candidate(url: str = URL) -> Candidate:
    return Candidate(
        model=MODEL, provider="endpoint.small", provider_model=MODEL, dialect="endpoint", base_url=url, max_in_flight=8,
        price=Price(nanousd_per_call=1, source="x", as_of=""), estimate_nanousd=1, ceiling_nanousd=1,
    )  # fmt: skip


def record(state: EndpointState | None, key: bytes = b"acme/small") -> Record:
    return Record("endpoints", 0, 0, key, None if state is None else state.encode(), (), 0)


def told(status: str = "scaledToZero", **more: Any) -> Sleeping:
    fold = Sleeping()
    fold.fold(record(state_of(status, **({"url": URL + "/", "cold_start_s": 100.0} | more))))
    return fold


def look(fold: Sleeping, left_s: float = 3_600, at: float = 0):
    now = BEGIN + timedelta(seconds=at)
    return fold.look(candidate(), now, now + timedelta(seconds=left_s))


def test_what_serves_and_what_is_not_known_is_called():
    assert look(told("running", ready=True)) is None
    assert look(Sleeping()) is None
    assert told().look(candidate("https://other"), BEGIN, BEGIN) is None


def test_a_job_waits_for_one_that_sleeps_and_looks_again_after_half_a_minute_at_most():
    rest = look(told())
    assert isinstance(rest, Asleep)
    assert rest.until == BEGIN + LONGEST
    assert rest.message == "the endpoint acme/small is scaledToZero"


def test_one_that_starts_is_waited_for_as_long_as_the_start_has_left():
    rest = look(told("initializing", starting_since=BEGIN), at=88)
    assert isinstance(rest, Asleep)
    assert rest.until == BEGIN + timedelta(seconds=100)
    late = look(told("initializing", starting_since=BEGIN), at=400)  # it should have been there
    assert isinstance(late, Asleep)
    assert late.until == BEGIN + timedelta(seconds=401)
    silent = look(told("running", ready=False))
    assert isinstance(silent, Asleep)


def test_what_cannot_be_there_in_time_is_refused_at_once_with_both_times():
    rest = look(told(), left_s=99)
    assert isinstance(rest, TooLate)
    assert "starts in 100 s; 99 s are left" in rest.message
    assert isinstance(look(told("initializing", starting_since=BEGIN), left_s=30, at=50), TooLate)


def test_at_the_last_moment_the_call_wakes_it_itself():
    assert look(told(), left_s=120) is None
    assert isinstance(look(told(), left_s=121), Asleep)


def test_one_that_no_job_wakes_is_woken_by_the_call():
    assert look(told(spec=spec_of(scaling={"wake_on_lag": False}))) is None


def test_one_that_is_stopped_is_not_called():
    for status in ("paused", "failed", "deleted", "refused"):
        rest = look(told(status))
        assert isinstance(rest, Stopped)
        assert status in rest.message


def test_the_newest_record_counts_and_what_is_forgotten_or_unreadable_is_called():
    fold = told()
    fold.fold(record(state_of("running", url=URL, ready=True)))
    assert look(fold) is None
    fold = told()
    fold.fold(record(None))
    assert look(fold) is None
    fold = told()
    fold.fold(Record("endpoints", 0, 0, b"acme/small", b"{", (), 0))
    assert look(fold) is None
    fold = told()
    fold.fold(record(state_of("scaledToZero", url="https://moved")))
    assert look(fold) is None  # nothing is known of the old address
