"""A producer that knows nothing but Kafka and W3C Trace Context: its trace runs on, from its header to the page."""

import secrets
from collections.abc import Iterator

import pytest
from console_process import Console, console
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from stranger import Found, Stranger, encoded
from system import chat

from schemas.topics import JOBS, RESULTS, SPANS

SPAN = "00f067aa0ba902b7"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


@pytest.fixture(scope="module")
def pages(novix: Stranger) -> Iterator[Console]:
    with console(novix, novix.folder / "console.log") as shown:
        yield shown


@pytest.fixture
def trace() -> str:
    return secrets.token_hex(16)


def ran(novix: Stranger, tenant: str, job_id: str, *headers: tuple[str, bytes]) -> tuple[dict, Found]:
    """Publish a job with these headers and nothing else of ours; its result, and the record that it lies in."""
    novix.write([(tenant.encode(), encoded(chat(job_id, tenant)), list(headers))])
    result = novix.result(job_id, tenant)
    key = f"{tenant}/{job_id}".encode()
    return result, next(found for found in novix.read(RESULTS.name) if found.key == key)


def spans_of(novix: Stranger, trace_id: str) -> list[Span]:
    """A trace's spans, read with OpenTelemetry's own classes, as any collector's Kafka receiver reads the topic."""
    novix.quiet()
    found = []
    for record in novix.read(SPANS.name):
        request = ExportTraceServiceRequest.FromString(record.value or b"")
        found += [
            span
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.trace_id.hex() == trace_id
        ]
    return found


def test_its_trace_runs_from_its_header_through_the_spans_to_the_result_and_into_the_page(
    novix: Stranger, pages: Console, tenant: str, trace: str
):
    result, record = ran(
        novix, tenant, "w3c", ("traceparent", f"00-{trace}-{SPAN}-01".encode()), ("tracestate", STATE.encode())
    )

    assert result["trace_id"] == trace
    told = (record.header("traceparent") or "").split("-")
    assert (told[0], told[1], told[3]) == ("00", trace, "01")
    assert record.header("tracestate") == STATE
    spans = spans_of(novix, trace)
    by_id = {span.span_id.hex(): span for span in spans}
    assert told[2] in by_id, "the result's parent is a span that can be looked up"
    [first] = [span for span in spans if span.name == f"process {JOBS.name}"]
    assert first.parent_span_id.hex() == SPAN
    assert [span.name for span in spans if span.parent_span_id.hex() not in {SPAN, *by_id}] == []
    assert {span.trace_state for span in spans} == {STATE}

    job = pages.ended(tenant, "w3c")
    assert job["submissions"][0]["trace_id"] == trace
    assert {span["span_id"] for span in job["submissions"][0]["spans"]} == set(by_id)
    for asked in (trace, trace.upper()):
        answer = pages.get(f"/traces/{asked}")
        assert (answer.status, answer.headers["location"]) == (303, f"/jobs/{tenant}/w3c")


def test_two_jobs_of_one_trace_are_both_found_by_it(novix: Stranger, pages: Console, tenant: str, trace: str):
    parent = ("traceparent", f"00-{trace}-{SPAN}-01".encode())
    for job_id in ("first", "second"):
        result, _ = ran(novix, tenant, job_id, parent)
        assert result["trace_id"] == trace
        pages.ended(tenant, job_id)

    answer = pages.get(f"/traces/{trace}")

    assert answer.status == 200
    assert f"/jobs/{tenant}/first" in answer.text
    assert f"/jobs/{tenant}/second" in answer.text


def test_a_version_of_the_future_is_read_as_far_as_it_is_known(novix: Stranger, tenant: str, trace: str):
    result, record = ran(
        novix, tenant, "future", ("traceparent", f"cc-{trace}-{SPAN}-01-what-the-future-will-be-like".encode())
    )

    assert result["trace_id"] == trace
    assert (record.header("traceparent") or "").startswith(f"00-{trace}-"), "we write the version that we speak"


def test_a_producer_that_samples_nothing_gets_its_trace_id_back_unsampled(novix: Stranger, tenant: str, trace: str):
    result, record = ran(novix, tenant, "unsampled", ("traceparent", f"00-{trace}-{SPAN}-00".encode()))

    assert result["trace_id"] == trace
    assert (record.header("traceparent") or "").endswith("-00")


def test_a_hostile_state_is_dropped_and_its_trace_kept(novix: Stranger, tenant: str, trace: str):
    parent = ("traceparent", f"00-{trace}-{SPAN}-01".encode())
    for at, state in enumerate((b"a=" + b"x" * 100_000, b"<script>=1", b"\xff\xfe", b"a=1\r\nx-evil: 1")):
        result, record = ran(novix, tenant, f"state-{at}", parent, ("tracestate", state))
        assert result["trace_id"] == trace
        assert not record.header("tracestate")


@pytest.mark.parametrize(
    "parent",
    [
        b"", b"ff-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"00-" + b"0" * 32 + b"-" + b"b" * 16 + b"-01",
        b"00-" + b"a" * 32 + b"-" + b"0" * 16 + b"-01", b"00-" + b"A" * 32 + b"-" + b"B" * 16 + b"-01",
        b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01-extra", b"\xff\x00\xfe", b"00-" + b"a" * 500_000,
        b"<script>alert(1)</script>", "00-١٢٣٤٥٦٧٨١٢٣٤٥٦٧٨١٢٣٤٥٦٧٨١٢٣٤٥٦٧٨-1234567812345678-01".encode(),
    ],
    ids=["empty", "version ff", "no trace", "no span", "upper case", "longer", "bytes", "large", "markup", "digits"],
)  # fmt: skip
def test_a_hostile_parent_is_no_parent_and_the_job_has_a_trace_of_its_own(
    novix: Stranger, pages: Console, tenant: str, parent: bytes
):
    result, record = ran(novix, tenant, "hostile", ("traceparent", parent), ("tracestate", STATE.encode()))

    assert result["status"] == "succeeded"
    own = result["trace_id"]
    assert len(own) == 32
    assert int(own, 16) > 0
    assert own not in parent.decode(errors="replace")
    assert (record.header("traceparent") or "").split("-")[1] == own
    assert not record.header("tracestate"), "a state without its parent says nothing"
    pages.ended(tenant, "hostile")
    assert pages.get(f"/traces/{own}").headers["location"] == f"/jobs/{tenant}/hostile"
