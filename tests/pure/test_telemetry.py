"""Traces: the same ids on every delivery, strangers' headers only where they are valid, spans any collector reads."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runtime import telemetry, telemetry_limits
from runtime.settings import Settings
from runtime.telemetry import CLIENT, SpanDraft, TraceContext, encode_spans, span_id, trace_of
from runtime.telemetry_events import EVENTS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{PARENT}-01"
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=9)  # as ids are: printable
IDENTITIES = st.tuples(NAMES, NAMES, st.integers(1, 9))


@pytest.fixture
def _fresh_sampler() -> Iterator[None]:
    bounds = telemetry_limits.told, telemetry_limits._set
    caches = telemetry._sampler, telemetry.is_off, telemetry._resource, *bounds
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def headers(**values: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode()) for name, value in values.items())


def draft(context: TraceContext, **more: Any) -> SpanDraft:
    values = {"attributes": {}, "start": NOON, "end": NOON + timedelta(milliseconds=5), **more}
    return SpanDraft(context=context, span_id=span_id(context, "call"), name="chat", kind=CLIENT, **values)


def decoded(value: bytes | None) -> Any:
    return ExportTraceServiceRequest.FromString(value or b"").resource_spans[0]


@settings(deadline=None)
@given(IDENTITIES, IDENTITIES)
def test_an_identity_always_has_the_same_trace_and_another_identity_another(one: Any, other: Any):
    assert trace_of((), *one) == trace_of((), *one)
    assert (trace_of((), *one).trace_id == trace_of((), *other).trace_id) is (one == other)


@settings(deadline=None)
@given(IDENTITIES, st.lists(st.integers(0, 2**63 - 1), max_size=3))
def test_ids_are_lower_case_hex_of_the_standards_length_and_never_zero(identity: Any, where: list[int]):
    context = trace_of((), *identity)
    span = span_id(context, "route", *where)

    assert (len(context.trace_id), len(span), context.parent_id) == (32, 16, None)
    assert int(context.trace_id, 16) > 0
    assert int(span, 16) > 0
    assert context.trace_id + span == (context.trace_id + span).lower()


def test_the_ids_do_not_change_from_version_to_version():
    context = trace_of((), "acme", "a1", 1)

    assert context.trace_id == "021eefad17ab5c7e458f8d842e30553f"
    assert span_id(context, "call", "inference.text.v1", 3, 812, 2) == "9b186fc515f60779"


def test_stage_place_and_attempt_each_make_another_span():
    context = trace_of((), "acme", "a1", 1)
    spans = [span_id(context, *what) for what in (("route", 1), ("call", 1), ("call", 2), ("call", 1, 1), ("call",))]

    assert len(set(spans)) == len(spans)


def test_a_valid_traceparent_is_continued_with_its_state():
    context = trace_of(headers(traceparent=VALID, tracestate="vendor=1,other=2"), "acme", "a1", 1)

    assert context == TraceContext(TRACE, PARENT, True, "vendor=1,other=2")


def test_an_unsampled_traceparent_stays_unsampled():
    assert not trace_of(headers(traceparent=VALID[:-1] + "0"), "a").sampled


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "x",
        "0" * 10_000,
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
        VALID + "-more",
        VALID.upper(),
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"{VALID}\r\nx: y",
        f"00-{TRACE}-{PARENT}-zz",
        "00-٣" + VALID[4:],
    ],
)
def test_a_traceparent_that_is_not_valid_is_ignored(hostile: str):
    assert trace_of(headers(traceparent=hostile), "acme") == trace_of((), "acme")


def test_a_traceparent_that_is_no_text_is_ignored():
    assert trace_of((("traceparent", b"\xff" * 55),), "acme") == trace_of((), "acme")


@settings(deadline=None)
@given(st.text(max_size=600))
def test_a_hostile_tracestate_never_leaves_the_standards_form(state: str):
    context = trace_of((("traceparent", VALID.encode()), ("tracestate", state.encode(errors="replace"))), "acme")

    assert (context.trace_id, context.parent_id) == (TRACE, PARENT)
    assert len(context.state) <= telemetry.MAX_STATE_CHARS
    assert context.state.isascii()
    assert context.state.isprintable()


def test_baggage_is_never_read():
    with_baggage = headers(traceparent=VALID, baggage="tenant=somebody-else")

    assert trace_of(with_baggage, "acme") == trace_of(headers(traceparent=VALID), "acme")
    assert all(name != "baggage" for name, _ in trace_of(with_baggage, "acme").child_of(PARENT).headers())


@settings(deadline=None)
@given(st.booleans())
def test_what_is_sent_on_is_read_as_the_same_trace(sampled: bool):
    sent = TraceContext(TRACE, None, sampled, "vendor=1").child_of(PARENT).headers()

    assert trace_of(sent, "acme") == TraceContext(TRACE, PARENT, sampled, "vendor=1")


def test_spans_are_one_otlp_request_that_opentelemetrys_own_classes_read():
    context = TraceContext(TRACE, PARENT, True, "vendor=1")
    given_span = draft(
        context,
        attributes={"text": "t", "flag": True, "count": 5, "ratio": 0.5, "list": ("a", "b"), "none": None},
        error="timeout",
        links=(("ab" * 16, "cd" * 8),),
    )

    resource = decoded(encode_spans("novix-router", [given_span]))
    span = resource.scope_spans[0].spans[0]

    names = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert (names["service.name"], names["service.namespace"]) == ("novix-router", "novix")
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.span_id.hex()) == (TRACE, PARENT, given_span.span_id)
    assert (span.name, span.kind, span.trace_state, span.status.message) == ("chat", CLIENT, "vendor=1", "timeout")
    assert span.end_time_unix_nano - span.start_time_unix_nano == 5_000_000
    assert (span.links[0].trace_id.hex(), span.links[0].span_id.hex()) == ("ab" * 16, "cd" * 8)
    values = {item.key: item.value for item in span.attributes}
    assert set(values) == {"text", "flag", "count", "ratio", "list"}
    assert (values["text"].string_value, values["count"].int_value, values["ratio"].double_value) == ("t", 5, 0.5)
    assert values["flag"].WhichOneof("value") == "bool_value"
    assert [item.string_value for item in values["list"].array_value.values] == ["a", "b"]


@settings(deadline=None)
@given(st.datetimes(datetime(1970, 1, 1), datetime(2500, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_spans_times_are_exact_to_the_microsecond(start: datetime):
    span = (
        decoded(encode_spans("s", [draft(TraceContext(TRACE, None), start=start, end=start)])).scope_spans[0].spans[0]
    )

    seconds, rest = divmod(span.start_time_unix_nano, 1_000_000_000)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=rest // 1000) == start


def test_a_span_never_ends_before_it_begins_though_clocks_step():
    stepped = draft(TraceContext(TRACE, None), start=NOON, end=NOON - timedelta(seconds=3))

    span = decoded(encode_spans("s", [stepped])).scope_spans[0].spans[0]

    assert span.start_time_unix_nano == span.end_time_unix_nano


def test_unsampled_spans_are_left_out():
    seen, unseen = TraceContext(TRACE, None, True), TraceContext("ab" * 16, None, False)

    both = decoded(encode_spans("s", [draft(seen), draft(unseen)])).scope_spans[0].spans

    assert [span.trace_id.hex() for span in both] == [TRACE]
    assert encode_spans("s", [draft(unseen)]) is None
    assert encode_spans("s", []) is None


@pytest.mark.usefixtures("_fresh_sampler")
@pytest.mark.parametrize(
    ("name", "argument", "sampled", "follows"),
    [
        ("always_off", "", 0, "never"),
        ("always_on", "", 400, "always"),
        ("parentbased_always_off", "", 0, "parent"),
        ("parentbased_always_on", "", 400, "parent"),
        ("traceidratio", "0.25", 100, "ratio"),
        ("parentbased_traceidratio", "0.25", 100, "parent"),
    ],
)
def test_traces_follow_the_standard_variables_as_any_opentelemetry_program_does(
    monkeypatch: pytest.MonkeyPatch, name: str, argument: str, sampled: int, follows: str
):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)

    kept = sum(trace_of((), "acme", str(number), 1).sampled for number in range(400))

    assert abs(kept - sampled) <= (40 if argument else 0)
    told = [trace_of(headers(traceparent=VALID[:-1] + flag), "acme").sampled for flag in "01"]
    by_ratio = trace_of(headers(traceparent=VALID), "acme").sampled
    assert (
        told == {"never": [False] * 2, "always": [True] * 2, "parent": [False, True], "ratio": [by_ratio] * 2}[follows]
    )


def test_every_span_says_which_wire_contract_it_was_made_under():
    """Requirement A22: HF_API_VERSION, of which settings take no other value."""
    resource = decoded(encode_spans("s", [draft(TraceContext(TRACE, None, True))])).resource
    told = {one.key: one.value.string_value for one in resource.attributes}

    assert told["novix.hf_api_version"] == telemetry.HF_API_VERSION == Settings().hf_api_version


def test_every_event_is_told_in_the_past_tense_and_explained():
    for name, meaning in EVENTS.items():
        assert name.count(".") == 1
        assert len(meaning) > 10


@pytest.mark.usefixtures("_fresh_sampler")
@pytest.mark.parametrize(
    ("name", "value", "off"),
    [
        ("OTEL_TRACES_SAMPLER", "always_off", True),
        ("OTEL_TRACES_SAMPLER", "always_on", False),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off", False),  # a producer's trace goes on, errors are kept
        ("OTEL_SDK_DISABLED", "TRUE", True),
        ("OTEL_SDK_DISABLED", "no", False),
    ],
)
def test_tracing_is_off_where_the_standard_says_so(monkeypatch: pytest.MonkeyPatch, name: str, value: str, off: bool):
    monkeypatch.setenv(name, value)

    assert telemetry.is_off() is off


@pytest.mark.usefixtures("_fresh_sampler")
def test_service_name_and_resource_attributes_are_the_operators_but_not_our_role(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=web,team=a%20b,novix.role=forged,service.name=no")
    resource = decoded(encode_spans("novix-router", [draft(TraceContext(TRACE, None))])).resource
    told = {one.key: one.value.string_value for one in resource.attributes}

    assert (told["service.name"], told["service.namespace"], told["team"]) == ("shop", "web", "a b")
    assert told["novix.role"] == "novix-router"
    assert told["telemetry.sdk.language"] == "python"


def test_a_span_without_an_end_ends_with_its_transaction():
    sent = draft(TraceContext(TRACE, None), end=None)
    later = decoded(encode_spans("s", [sent], NOON + timedelta(milliseconds=80))).scope_spans[0].spans[0]
    at_once = decoded(encode_spans("s", [sent])).scope_spans[0].spans[0]

    assert later.end_time_unix_nano - later.start_time_unix_nano == 80_000_000
    assert at_once.end_time_unix_nano == at_once.start_time_unix_nano


@settings(deadline=None)
@given(IDENTITIES, st.integers(0, 5), st.integers(0, 2**62))
def test_the_spans_of_a_record_have_ids_of_their_own_the_same_on_every_delivery(
    identity: Any, partition: int, offset: int
):
    context = trace_of((), *identity)
    ids, again = (telemetry.SpanIds(context, "t", partition, offset) for _ in range(2))
    told = [ids.process, ids.send, ids.call, *(ids.nth(number) for number in range(300))]

    assert ids.process == span_id(context, "process", "t", partition, offset)
    assert told == [again.process, again.send, again.call, *(again.nth(number) for number in range(300))]
    assert len(set(told)) == len(told)
    assert all(len(one) == 16 and int(one, 16) > 0 for one in told)


def test_who_wrote_the_spans_and_after_which_conventions_stands_beside_them():
    scope = decoded(encode_spans("s", [draft(TraceContext(TRACE, None))])).scope_spans[0]

    assert (scope.scope.name, scope.scope.version) == ("novix", metadata.version("novix"))
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"


@pytest.mark.parametrize(("year", "told_ns"), [(1, 0), (1969, 0), (2600, 2**64 - 1), (9999, 2**64 - 1)])
def test_a_year_that_otlp_cannot_tell_fails_no_transaction(year: int, told_ns: int):
    """A record of a worker's past may be forged: its times are any that a datetime has."""
    when = datetime(year, 1, 1, tzinfo=UTC)
    spans = decoded(encode_spans("s", [draft(TraceContext(TRACE, None), start=when, end=when)])).scope_spans[0].spans

    assert (spans[0].start_time_unix_nano, spans[0].end_time_unix_nano) == (told_ns, told_ns)


@settings(deadline=None)
@given(st.integers(-(2**70), 2**70), st.text(max_size=150), st.sampled_from(["n", "k" * 119, "k" * 200]))
def test_an_attribute_of_any_size_is_what_opentelemetrys_own_classes_read(number: int, text: str, key: str):
    attributes = {key: number, key + "t": text}
    (span,) = decoded(encode_spans("s", [draft(TraceContext(TRACE, None), attributes=attributes)])).scope_spans[0].spans
    told = {one.key: one.value for one in span.attributes}

    if -(2**63) <= number < 2**63:
        assert (told[key].WhichOneof("value"), told[key].int_value) == ("int_value", number)
    else:
        assert told[key].string_value == str(number)
    assert told[key + "t"].string_value == text


@pytest.mark.usefixtures("_fresh_sampler")
@pytest.mark.parametrize(
    ("variables", "text", "count", "dropped"),
    [
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3"}, "abc", 4, 0),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "2"}, "ab", 4, 0),
        ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "2"}, "abcdef", 2, 2),
        ({"OTEL_ATTRIBUTE_COUNT_LIMIT": "1"}, "abcdef", 1, 3),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "many"}, "abcdef", 4, 0),
        ({"OTEL_SPAN_LINK_COUNT_LIMIT": "-1"}, "abcdef", 4, 0),
        ({}, "abcdef", 4, 0),
    ],
)
def test_the_standards_limits_cut_attributes_and_count_what_they_take_and_a_bad_one_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], text: str, count: int, dropped: int
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    given_span = draft(
        trace_of((), "a"), attributes={"a": "abcdef", "b": 7_000, "none": None, "c": ("abcdef",), "d": 1}
    )
    (span,) = decoded(encode_spans("s", [given_span])).scope_spans[0].spans
    told = {one.key: one.value for one in span.attributes}

    assert (told["a"].string_value, len(told), span.dropped_attributes_count) == (text, count, dropped)
    assert [one.string_value for one in told["c"].array_value.values] == [text] if "c" in told else dropped
