"""Spans to a receiver: which one the standard variables name, what its answers mean, and that nothing is lost."""

import gzip
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from console.relay.sending import (
    FIRST_WAIT_S,
    LONGEST_TOLD_S,
    LONGEST_WAIT_S,
    Answer,
    Sender,
    bodies,
    is_readable,
    meaning_of,
    told_wait,
    transport_to,
    wait_after,
)
from console.relay.target import BadTarget, Target, target_of
from runtime.http import ConnectError, MockTransport, Request, Response
from runtime.telemetry import CLIENT, SpanDraft, TraceContext, encode_spans

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BASE = "http://127.0.0.1:4318"


def record(number: int) -> bytes:
    """What a lane writes for one job."""
    context = TraceContext(f"{number + 1:032x}", None)
    value = encode_spans(
        "novix-router",
        [SpanDraft(context, f"{number + 1:016x}", "POST", CLIENT, NOON, NOON + timedelta(seconds=1), {})],
    )
    assert value is not None
    return value


def told(**variables: str) -> Target | None:
    return target_of({f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()})


def test_without_an_endpoint_nothing_is_relayed() -> None:
    assert target_of({}) is None
    assert target_of({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}) is None


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("OTEL_TRACES_EXPORTER", "none", False),
        ("OTEL_TRACES_EXPORTER", "console", False),
        ("OTEL_TRACES_EXPORTER", "console, otlp", True),
        ("OTEL_TRACES_EXPORTER", "", True),
        ("OTEL_SDK_DISABLED", "True", False),
        ("OTEL_SDK_DISABLED", "0", True),
    ],
)
def test_nothing_is_relayed_where_the_standard_says_that_no_trace_is_sent(name: str, value: str, sent: bool) -> None:
    assert (target_of({"OTEL_EXPORTER_OTLP_ENDPOINT": BASE, name: value}) is not None) is sent


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"ENDPOINT": BASE}, BASE + "/v1/traces"),
        ({"ENDPOINT": BASE + "/"}, BASE + "/v1/traces"),
        ({"ENDPOINT": BASE + "/otlp"}, BASE + "/otlp/v1/traces"),
        ({"TRACES_ENDPOINT": BASE + "/mine"}, BASE + "/mine"),
        ({"ENDPOINT": "http://127.0.0.1:1", "TRACES_ENDPOINT": BASE + "/mine"}, BASE + "/mine"),
    ],
)
def test_the_endpoint_of_traces_is_taken_as_it_is_and_the_common_one_gets_the_path(
    variables: dict[str, str], url: str
) -> None:
    target = told(**variables)

    assert target is not None
    assert target.url == url


def test_headers_timeout_compression_and_certificates_follow_the_variables_and_traces_own_win() -> None:
    target = told(
        ENDPOINT=BASE, HEADERS="authorization=Bearer%20abc, X-Team = a%2Cb", TIMEOUT="3", TRACES_TIMEOUT="2.5",
        COMPRESSION="gzip", CERTIFICATE="/ca.pem", CLIENT_KEY="/k.pem", TRACES_CLIENT_CERTIFICATE="/c.pem",
    )  # fmt: skip

    assert target == Target(
        BASE + "/v1/traces", (("authorization", "Bearer abc"), ("x-team", "a,b")), 2.5, True, "/ca.pem", "/c.pem",
        "/k.pem",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADERS", "secret-without-equals"),
        ("HEADERS", "a b=secret"),
        ("HEADERS", "a=secret%0d%0ahost: x"),
        ("ENDPOINT", "http://user:secret@127.0.0.1"),
        ("ENDPOINT", "127.0.0.1:4318"),
        ("PROTOCOL", "grpc"),
        ("COMPRESSION", "zstd"),
        ("TIMEOUT", "soon"),
        ("TIMEOUT", "0"),
        ("TIMEOUT", "nan"),
        ("CLIENT_KEY", "/k.pem"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_variables_name_and_no_secret_is_told(
    name: str, value: str
) -> None:
    with pytest.raises(BadTarget, match="OTEL_EXPORTER_OTLP_") as refused:
        told(**{"ENDPOINT": BASE, name: value})

    assert "secret" not in str(refused.value)


def test_a_target_does_not_show_its_headers() -> None:
    assert "abc" not in repr(told(ENDPOINT=BASE, HEADERS="authorization=abc"))


def test_a_certificate_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(OSError, match="No such file"):
        transport_to(Target(BASE, ca_file="/no/such.pem"))
    with pytest.raises((OSError, ssl.SSLError)):
        transport_to(Target(BASE, client_certificate="/no/such.pem", client_key="/no/key.pem"))


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=30), st.integers(1, 100))
def test_every_record_is_in_one_request_in_its_place_and_none_is_over_the_limit(
    values: list[bytes], limit: int
) -> None:
    requests = list(bodies(values, limit))

    assert [value for request in requests for value in request] == values
    assert all(sum(map(len, request)) <= limit or len(request) == 1 for request in requests)


def test_records_put_one_behind_the_other_are_one_request_for_opentelemetrys_own_classes() -> None:
    request = ExportTraceServiceRequest.FromString(b"".join(map(record, range(5))))

    assert [one.scope_spans[0].spans[0].span_id.hex() for one in request.resource_spans] == [
        f"{number + 1:016x}" for number in range(5)
    ]


def test_what_is_no_request_is_known_before_it_is_sent() -> None:
    assert is_readable(record(1))
    assert not is_readable(b"\x0a\xff garbage")
    assert not is_readable(record(1)[:-3])


@given(st.integers(100, 599))
def test_only_what_is_wrong_with_the_content_is_ever_given_up(status: int) -> None:
    meaning = meaning_of(status)

    assert (meaning == "taken") is (200 <= status < 300)
    assert (meaning == "refused") is (status in (400, 413, 422))


@given(st.integers(1, 10**6), st.floats(0, 1), st.none() | st.floats(0, 10**9))
def test_waits_grow_within_bounds_and_never_undercut_what_the_receiver_asks_for(
    failures: int, jitter: float, asked: float | None
) -> None:
    wait = wait_after(failures, jitter, asked)

    assert FIRST_WAIT_S / 2 <= wait <= max(LONGEST_WAIT_S, LONGEST_TOLD_S)
    assert wait >= min(asked or 0.0, LONGEST_TOLD_S)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("Sun, 22 Nov 2026 12:00:09 GMT", 9.0),
        ("Sun, 22 Nov 2020 12:00:09 GMT", 0.0),
        ("-3", None),
        ("soon", None),
        ("9" * 400, None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert told_wait(header, NOON) == seconds


async def posted(answer: Callable[[Request], Response], target: Target) -> tuple[Answer, list[Request]]:
    seen: list[Request] = []

    def handle(request: Request) -> Response:
        seen.append(request)
        return answer(request)

    async with Sender(target, MockTransport(handle)) as sender:
        return await sender.post([record(1), record(2)]), seen


async def test_a_request_is_what_the_standard_asks_for() -> None:
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 3
    target = Target(BASE + "/v1/traces", (("authorization", "Bearer abc"),), gzip=True)

    answer, (request,) = await posted(lambda _: Response(200, content=partial.SerializeToString()), target)

    assert (request.method, str(request.url)) == ("POST", BASE + "/v1/traces")
    assert request.headers["content-type"] == "application/x-protobuf"
    assert (request.headers["content-encoding"], request.headers["authorization"]) == ("gzip", "Bearer abc")
    assert len(ExportTraceServiceRequest.FromString(gzip.decompress(request.content)).resource_spans) == 2
    assert (answer.meaning, answer.rejected) == ("taken", 3)


async def test_a_foreign_body_of_a_success_is_still_a_success() -> None:
    answer, _ = await posted(lambda _: Response(200, content=b"\xff\xffOK, thanks"), Target(BASE))

    assert (answer.meaning, answer.rejected) == ("taken", 0)


async def test_a_receiver_that_is_away_asks_for_time_or_redirects_is_waited_for() -> None:
    def away(request: Request) -> Response:
        raise ConnectError("refused", request=request)

    busy, _ = await posted(lambda _: Response(503, headers={"retry-after": "4"}), Target(BASE))
    gone, _ = await posted(away, Target(BASE))
    elsewhere, seen = await posted(lambda _: Response(302, headers={"location": "http://127.0.0.2/"}), Target(BASE))

    assert (busy.meaning, busy.why, busy.wait_s) == ("later", "503", 4.0)
    assert (gone.meaning, gone.why) == ("later", "ConnectError")
    assert (elsewhere.meaning, len(seen)) == ("later", 1)
