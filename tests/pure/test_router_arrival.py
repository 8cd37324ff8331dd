"""A jobs record as a lane meets it: forwarding home, and headers that a producer forged."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.arrival import Arrival, Claim, driven_again, forwarded, read_arrival
from runtime.partitions import home_partition
from runtime.ports import Outgoing, Record
from schemas import headers
from schemas.failure import FailureKind
from schemas.headers import Headers
from schemas.job import ReadableJob, RefusedJob, Unreadable
from schemas.topics import JOBS

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
HOME = home_partition("default", 6)
AWAY = (HOME + 1) % 6
GOOD = {"id": "a1", "task": "chat-completion", "input": {"messages": []}}


def record(
    job: Any = None, *, partition: int = HOME, offset: int = 7, told: Headers = (), timestamp_ms: int = NOW_MS - 500
) -> Record:
    value = job if isinstance(job, bytes) else json.dumps(GOOD if job is None else job).encode()
    return Record(JOBS.name, partition, offset, b"default", value, told, timestamp_ms)


def read(one: Record) -> Arrival:
    arrival = read_arrival(one, NOW, 6, "")
    assert isinstance(arrival, Arrival)
    return arrival


def arrived(out: Outgoing, offset: int = 3) -> Record:
    assert out.partition is not None
    return Record(out.topic, out.partition, offset, out.key, out.value, out.headers, out.timestamp_ms or 0)


def test_a_job_away_from_home_is_forwarded_with_its_origin_and_else_as_it_was() -> None:
    one = record(partition=AWAY, told=(("traceparent", b"t"), ("x", b"\xff")))
    out = forwarded(read(one))
    assert (out.topic, out.partition, out.key, out.value) == (JOBS.name, HOME, one.key, one.value)
    assert out.timestamp_ms == one.timestamp_ms
    assert out.headers == (*one.headers, (headers.ORIGIN, f"{AWAY}/7/{NOW_MS - 500}".encode()))


def test_at_home_a_forwarded_job_is_the_job_that_its_producer_wrote() -> None:
    one = record(partition=AWAY)
    direct, home = read(one), read(arrived(forwarded(read(one))))
    assert home.at_home
    assert home.received.partition == AWAY
    assert (home.received, home.published) == (direct.received, direct.published)
    assert isinstance(home.reading, ReadableJob)
    assert home.reading == direct.reading


def test_a_forwarded_job_keeps_its_deadline_where_the_broker_sets_the_times_of_records() -> None:
    """`message.timestamp.type=LogAppendTime`: the forwarded record is a second younger than what the producer wrote."""
    direct = read(record(partition=AWAY))
    stamped = replace(arrived(forwarded(direct)), timestamp_ms=NOW_MS + 500)
    assert read(stamped).published == direct.published


def test_a_job_with_as_many_headers_as_it_may_have_is_still_good_at_home() -> None:
    told = tuple((f"h{n}", b"v") for n in range(headers.MAX_HEADERS))
    home = read(arrived(forwarded(read(record(partition=AWAY, told=told)))))
    assert isinstance(home.reading, ReadableJob)


def test_a_refused_job_is_forwarded_as_its_names_alone() -> None:
    huge = {**GOOD, "model": "org/m", "input": {"messages": ["x" * 300_000]}}
    one = record(huge, partition=AWAY, told=tuple((f"h{n}", b"v" * 100) for n in range(200)))
    out = forwarded(read(one))
    assert out.value is not None
    assert len(out.value) + headers.size_of(out.headers) < 2_000
    home = read(arrived(out)).reading
    assert isinstance(home, RefusedJob)
    assert home == read(one).reading
    assert (home.kind, home.task, home.model) == (FailureKind.TOO_LARGE, "chat-completion", "org/m")


def test_a_redelivery_gets_the_same_decision_id_and_another_record_never_does() -> None:
    one = record()
    ids = {
        read(one).decision_id,
        read(record(offset=8)).decision_id,
        read(record({**GOOD, "id": "a2"})).decision_id,
        read(record({**GOOD, "model": "m"})).decision_id,
    }
    assert read(record()).decision_id == read(one).decision_id
    assert len(ids) == 4
    other = read_arrival(one, NOW, 6, "test.")
    assert isinstance(other, Arrival)
    assert other.decision_id not in ids


@pytest.mark.parametrize(
    "forged",
    [
        b"", b"0/1", b"a/b/c", b"-1/2/3", b"99/1/1", b"0/1/999999999999999", b"1/2/3/4", b"\xff/1/2",
        b"0/" + b"9" * 30 + b"/1", "١/٢/٣".encode(), str(HOME).encode() + b"/0/0",
    ],
)  # fmt: skip
def test_an_origin_that_cannot_be_true_is_not_believed(forged: bytes) -> None:
    arrival = read(record(told=((headers.ORIGIN, forged),)))
    assert (arrival.received.partition, arrival.received.offset) == (HOME, 7)


def test_a_forged_origin_changes_neither_the_decision_id_nor_the_home() -> None:
    forged = read(record(told=((headers.ORIGIN, f"{AWAY}/0/1".encode()),)))
    assert forged.decision_id == read(record()).decision_id
    assert forged.at_home


def test_a_forged_origin_is_overwritten_on_the_way_home() -> None:
    one = record(partition=AWAY, told=((headers.ORIGIN, b"5/5/5"), (headers.REFUSED, b"{}")))
    out = forwarded(read(one))
    assert [value for name, value in out.headers if name == headers.ORIGIN] == [f"{AWAY}/7/{NOW_MS - 500}".encode()]
    assert headers.first(out.headers, headers.REFUSED) is None


@pytest.mark.parametrize(
    "forged",
    [b"", b"[]", b"{}", b'{"kind":"too_large"}', b'{"kind":"x","message":"y"}', b'{"kind":"internal","message":"y"}',
     b'{"kind":"too_large","message":"\\u0007"}', b'{"kind":["a"],"message":"y"}', b"\xff"],
)  # fmt: skip
def test_a_refusal_that_no_lane_writes_is_not_believed(forged: bytes) -> None:
    bad = {"id": "a1", "task": 5, "input": {}}
    honest = read(record(bad)).reading
    assert read(record(bad, told=((headers.REFUSED, forged),))).reading == honest


def test_a_forged_refusal_cannot_refuse_a_good_job() -> None:
    forged = ((headers.REFUSED, b'{"kind":"too_large","message":"no"}'),)
    assert isinstance(read(record(told=forged)).reading, ReadableJob)


def claiming(place: bytes, by: bytes = b"ops", **more: Any) -> Record:
    return record(told=((headers.REDRIVE, place), (headers.REDRIVEN_BY, by)), **more)


def test_a_claim_is_read_cleaned_and_believed_in_nothing() -> None:
    claimed = read(claiming(b"2/31", b"ada\r\n" + b"x" * 200))
    assert claimed.claim == Claim(2, 31, "ada??" + "x" * 123)
    assert claimed.decision_id == read(record()).decision_id
    assert read(claiming(b"2/31", b"\xff")).claim == Claim(2, 31, "")


def test_a_dead_letter_is_decided_under_one_id_whatever_record_drives_it_again() -> None:
    first, second, other = (
        read(one) for one in (claiming(b"2/31"), claiming(b"2/31", b"eve", offset=99), claiming(b"2/32"))
    )
    ids = [driven_again(one, one.claim or Claim(0, 0, ""), "").decision_id for one in (first, second, other)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] != first.decision_id
    elsewhere = driven_again(first, Claim(2, 31, ""), "test.")
    content = read(claiming(b"2/31", job={**GOOD, "model": "m"}))
    assert len({ids[0], elsewhere.decision_id, driven_again(content, Claim(2, 31, ""), "").decision_id}) == 3


@pytest.mark.parametrize("body", [None, {"id": "a1", "task": 5, "input": {}}], ids=["good", "refused"])
def test_a_claim_goes_home_written_anew(body: Any) -> None:
    away = claiming(b"2/31", b"ada\n" + b"x" * 5_000, job=body, partition=AWAY)
    home = read(arrived(forwarded(read(away))))
    assert home.claim == read(away).claim
    assert headers.size_of(forwarded(read(away)).headers) < 500


@settings(deadline=None)
@given(
    st.binary(max_size=200) | st.none(),
    st.lists(
        st.tuples(
            st.sampled_from([headers.ORIGIN, headers.REFUSED, headers.REDRIVE, "novix-identity", "x"]),
            st.binary(max_size=60) | st.just(b"1/2"),
        ),
        max_size=4,
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 5),
)
def test_any_record_can_be_read(
    value: bytes | None, told: list[tuple[str, bytes]], timestamp_ms: int, partition: int
) -> None:
    one = Record(JOBS.name, partition, 0, None, value, tuple(told), timestamp_ms)
    arrival = read_arrival(one, NOW, 6, "")
    if isinstance(arrival, Unreadable):
        assert arrival.kind in FailureKind
    else:
        assert arrival.published <= NOW


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1))
def test_any_timestamp_gives_a_publication_that_is_not_in_the_future(timestamp_ms: int) -> None:
    assert read(record(timestamp_ms=timestamp_ms)).published <= NOW
