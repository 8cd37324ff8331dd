"""Strangers' trace headers: continued where they are valid, capped, and never a reason to log, to fail or to drop."""

import json
import logging
import logging.handlers
import queue
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from router.arrival import Arrival, forwarded, read_arrival
from runtime.partitions import home_partition
from runtime.ports import Record
from runtime.telemetry import MAX_STATE_CHARS, TraceContext, capped, told_trace, trace_of
from schemas import headers as names
from schemas.headers import Headers
from schemas.job import ReadableJob
from schemas.topics import JOBS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{PARENT}-01".encode()
KEYS = st.from_regex(r"[a-z][a-z0-9_*/-]{0,9}(@[a-z][a-z0-9]{0,5})?", fullmatch=True)
VALUES = st.from_regex(r"[!-+\--<>-~]{1,9}", fullmatch=True)
TEN_THOUSAND = ",".join(f"k{number}=v" for number in range(10_000)).encode()
HOME = home_partition("default", 6)
HOSTILE: list[Headers] = [
    (("traceparent", VALID), ("traceparent", VALID)),
    (("traceparent", VALID), ("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")),
    tuple(("traceparent", VALID) for _ in range(10_000)),
    (("traceparent", VALID.upper()),),
    (("traceparent", b"ff" + VALID[2:]),),
    (("traceparent", VALID + b"-more"),),
    (("traceparent", b"\xff" * 55),),
    (("traceparent", VALID + b" " * 600),),
    (("traceparent", None),),  # type: ignore[list-item]  # Kafka's headers may be null
    (("traceparent", b"00-\xd9\xa3" + VALID[4:]),),
]


@pytest.mark.parametrize("told", HOSTILE)
def test_a_traceparent_that_is_not_there_exactly_once_and_valid_is_none_at_all(told: Headers) -> None:
    assert told_trace(told) is None
    assert trace_of((*told, ("tracestate", b"a=1")), "acme") == trace_of((), "acme")


@pytest.mark.parametrize("parent", [b"01-%s", b"fe-%s", b"cc-%s-what-a-newer-version-adds"])
def test_a_newer_version_is_read_as_the_first(parent: bytes) -> None:
    told = told_trace((("traceparent", parent % VALID[3:]),))

    assert told is not None
    assert (told.trace_id, told.parent_id) == (TRACE, PARENT)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=40), st.integers(1, 4))
def test_a_valid_state_goes_on_whole_or_not_at_all_in_however_many_headers_it_comes(
    state: dict[str, str], parts: int
) -> None:
    members = [f"{key}={value}" for key, value in state.items()]
    cut = [members[at::parts] for at in range(parts)]
    told = told_trace(
        (("traceparent", VALID), *(("tracestate", ", ".join(one).encode()) for one in cut))
    )  # fmt: skip

    joined = ",".join(member for one in cut for member in one)
    size = sum(len(", ".join(one)) for one in cut) + parts - 1
    assert told is not None
    assert told.state == (joined if size <= MAX_STATE_CHARS and len(members) <= 32 else "")


@pytest.mark.parametrize(
    "state",
    [TEN_THOUSAND, b"a=1,prompt: my secret", b"A=1", b"a=1,a=2", b"a=\xc3\xa9", b"a=b=c", b"a=", b"=b", b"a\n=b"],
)
def test_a_state_that_is_no_state_is_dropped_whole_and_the_trace_goes_on(state: bytes) -> None:
    told = told_trace((("traceparent", VALID), ("tracestate", state)))

    assert told == TraceContext(TRACE, PARENT, True, "")


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=600) | st.text(max_size=100).map(str.encode), st.binary(max_size=700))
@example(VALID, ",".join(f"k{number}=v" for number in range(33)).encode())
@example(VALID, b"k=v,k=v")
def test_no_header_of_a_stranger_is_ever_logged_or_an_error(parent: bytes, state: bytes) -> None:
    """OpenTelemetry's own reader logs a member that is none, content and all."""
    heard = queue.SimpleQueue[logging.LogRecord]()
    handler = logging.handlers.QueueHandler(heard)
    logging.getLogger("opentelemetry").addHandler(handler)
    try:
        told_trace((("traceparent", parent), ("tracestate", state)))
        told = told_trace((("traceparent", VALID), ("tracestate", state)))
    finally:
        logging.getLogger("opentelemetry").removeHandler(handler)

    assert told is not None
    assert heard.empty()


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=8), st.booleans())
def test_what_we_write_opentelemetrys_own_reader_reads_as_the_same(state: dict[str, str], sampled: bool) -> None:
    joined = ",".join(f"{key}={value}" for key, value in state.items())
    sent = {name: value.decode() for name, value in TraceContext(TRACE, PARENT, sampled, joined).headers()}

    read = get_current_span(TraceContextTextMapPropagator().extract(sent)).get_span_context()

    assert (f"{read.trace_id:032x}", f"{read.span_id:016x}", read.trace_flags.sampled) == (TRACE, PARENT, sampled)
    assert read.trace_state.to_header() == joined


def job(told: Headers, partition: int = HOME) -> Arrival:
    value = json.dumps({"id": "a1", "task": "chat-completion", "input": {"messages": []}}).encode()
    arrival = read_arrival(Record(JOBS.name, partition, 3, None, value, told, 1_000), NOON, 6, "")
    assert isinstance(arrival, Arrival)
    return arrival


@pytest.mark.parametrize("told", [*HOSTILE, (("traceparent", VALID), ("tracestate", TEN_THOUSAND))])
def test_no_job_is_refused_for_its_trace_headers_and_none_travels_on_with_more_than_counts(told: Headers) -> None:
    assert isinstance(job(told).reading, ReadableJob)
    sent = forwarded(job((*told, ("x", b"y")), partition=(HOME + 1) % 6))

    assert ("x", b"y") in sent.headers
    assert names.size_of(sent.headers) < 2_500
    assert told_trace(sent.headers) == told_trace(told)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["traceparent", "tracestate", "x"]), st.binary(max_size=300)), max_size=12))
def test_capping_changes_no_trace_and_nothing_else(told: list[tuple[str, bytes]]) -> None:
    kept = capped(tuple(told))

    assert [one for one in kept if one[0] == "x"] == [one for one in told if one[0] == "x"]
    assert told_trace(kept) == told_trace(tuple(told))
