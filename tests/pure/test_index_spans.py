"""Strangers' spans: capped, counted by kind, or left out; never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanProto

from console.index.chunks import chunks_of, packed, unpacked
from console.index.facts import facts_of
from console.index.postings import number_of, of_spans
from console.index.rows import Facts
from console.index.spans import (
    AHEAD_NS,
    INT64,
    MAX_ATTRIBUTES,
    MAX_ITEMS,
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    decoded,
)  # fmt: skip
from schemas import codec
from schemas.topics import SPANS

AT_MS = 1_795_348_800_000
AT_NS = AT_MS * 1_000_000


def request(**told) -> bytes:
    """One span, otherwise sound."""
    span = SpanProto(
        **{
            "trace_id": b"\1" * 16, "span_id": b"\2" * 8, "name": "n", "start_time_unix_nano": AT_NS,
            "end_time_unix_nano": AT_NS + 5, **told,
        }
    )  # fmt: skip
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.append(span)
    return bytes(message.SerializeToString())


def pairs(**values) -> list[KeyValue]:
    return [KeyValue(key=key, value=value) for key, value in values.items()]


def read(value: bytes) -> tuple[list, dict[str, int]]:
    told = decoded(value, timestamp_ms=AT_MS)
    return told.spans, dict(told.broken)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"\xff\xff", "undecodable"),
        (request(trace_id=b"\1" * 15), "no_id"),
        (request(trace_id=b"\0" * 16), "no_id"),
        (request(span_id=b""), "no_id"),
        (request(start_time_unix_nano=AT_NS + AHEAD_NS + 1_000_000), "future"),
        (request(start_time_unix_nano=2**64 - 1, end_time_unix_nano=2**64 - 1), "future"),
    ],
)
def test_what_is_no_span_of_our_time_is_left_out_and_counted(value, kind):
    assert read(value) == ([], {kind: 1})


def test_a_broken_span_does_not_take_its_neighbours_with_it():
    message = ExportTraceServiceRequest()
    for value in (request(span_id=b""), request(), request(start_time_unix_nano=2**63)):
        message.MergeFromString(value)

    spans, broken = read(bytes(message.SerializeToString()))

    assert ([span.span_id for span in spans], broken) == (["02" * 8], {"no_id": 1, "future": 1})


def test_a_span_that_ends_before_it_starts_lasts_no_time():
    [span], broken = read(request(end_time_unix_nano=AT_NS - 1))

    assert (span.end_ns - span.start_ns, broken) == (0, {"ends_before_start": 1})


def test_long_texts_and_many_attributes_are_cut():
    many = [KeyValue(key=f"k{n}", value=AnyValue(int_value=n)) for n in range(10_000)]

    [span], broken = read(
        request(name="n" * 10**6, attributes=[*pairs(long=AnyValue(string_value="x" * 10**6)), *many])
    )

    assert (len(span.name), len(span.attributes["long"])) == (MAX_NAME_CHARS, MAX_TEXT_CHARS)
    assert len(span.attributes) == MAX_ATTRIBUTES
    assert broken == {"text_cut": 2, "attributes_cut": 1}


def test_events_and_links_are_read_and_bounded():
    told = SpanProto(
        events=[SpanProto.Event(name="exception", time_unix_nano=2**64 - 1)] * (MAX_ITEMS + 1),
        links=[SpanProto.Link(trace_id=b"\3" * 16, span_id=b"\4" * 8), SpanProto.Link(trace_id=b"\3")],
        kind=SpanProto.SPAN_KIND_PRODUCER,
    )

    [span], broken = read(request(events=told.events, links=told.links, kind=told.kind))

    assert (len(span.events), span.kind) == (MAX_ITEMS, "producer")
    assert span.events[0] == {"name": "exception", "time_ns": INT64, "attributes": {}}
    assert span.links == [{"trace_id": "03" * 16, "span_id": "04" * 8}]
    assert broken == {"events_cut": 1}


def test_values_of_every_kind_are_told_as_json():
    deep = AnyValue(string_value="bottom")
    for _ in range(20):
        outer = AnyValue()
        outer.array_value.values.append(deep)
        deep = outer
    values = {
        "nan": AnyValue(double_value=float("nan")), "inf": AnyValue(double_value=float("inf")),
        "half": AnyValue(double_value=0.5), "yes": AnyValue(bool_value=True), "none": AnyValue(),
        "raw": AnyValue(bytes_value=b"abc"), "least": AnyValue(int_value=-(2**63)),
        "nul": AnyValue(string_value="a\0b"), "deep": deep,
    }  # fmt: skip

    [span], broken = read(request(attributes=pairs(**values)))

    told = codec.decode(codec.encode(span.attributes))
    assert (told["nan"], told["inf"], told["half"], told["yes"], told["none"]) == ("nan", "inf", 0.5, True, None)
    assert (told["raw"], told["least"], told["nul"]) == ("3 bytes", -(2**63), "a\0b")
    assert broken == {"depth_cut": 1}


def test_prompts_in_attributes_are_replaced_by_their_size_unless_capture_is_on():
    value = request(attributes=pairs(**{"gen_ai.input.messages": AnyValue(string_value="planted")}))

    assert "planted" not in str(decoded(value, timestamp_ms=AT_MS).spans)
    assert decoded(value, timestamp_ms=AT_MS, capture=True).spans[0].attributes == {"gen_ai.input.messages": "planted"}


def test_packed_spans_come_back_as_they_were():
    [span], _ = read(request(attributes=pairs(a=AnyValue(int_value=1)), kind=SpanProto.SPAN_KIND_CLIENT))
    [chunk] = [chunk for chunk, _, _ in chunks_of([span], AT_MS)]

    assert unpacked(chunk.body) == [span]
    assert len(packed([span, span])["resources"]) == 1


def test_a_span_belongs_to_the_job_that_one_above_it_names():
    who = {"novix.tenant": AnyValue(string_value="t"), "novix.job.id": AnyValue(string_value="j"),
           "novix.submission": AnyValue(int_value=3)}  # fmt: skip
    message = ExportTraceServiceRequest()
    for value in (
        request(attributes=pairs(**who)),
        request(span_id=b"\3" * 8, parent_span_id=b"\2" * 8),
        request(span_id=b"\4" * 8, parent_span_id=b"\3" * 8),
        request(span_id=b"\5" * 8, parent_span_id=b"\5" * 8),  # its own parent
        request(span_id=b"\6" * 8, parent_span_id=b"\2" * 8, trace_id=b"\7" * 16),  # of another trace
    ):
        message.MergeFromString(value)
    spans, _ = read(bytes(message.SerializeToString()))

    owned = {chunk.job: chunk.spans for chunk, _, _ in chunks_of(spans, AT_MS)}

    assert owned == {("t", "j", 3): 3, ("", "01" * 16, 0): 1, ("", "07" * 16, 0): 1}


def test_an_attribute_is_found_by_its_value_as_people_type_it():
    values = {"a": AnyValue(bool_value=True), "b": AnyValue(int_value=12), "c": AnyValue(double_value=0.5)}
    many = AnyValue()
    many.array_value.values.extend([AnyValue(string_value="x"), AnyValue(int_value=7)])
    spans, _ = read(request(attributes=pairs(**values, many=many)))

    numbers = of_spans(spans)

    for name, value in (("a", "true"), ("b", "12"), ("c", "0.5"), ("many", "x"), ("many", "7"), ("name", "n")):
        assert number_of(name, value) in numbers, name
    assert number_of("a", "false") not in numbers
    assert number_of("error", "true") not in numbers
    assert number_of("ab", "c") != number_of("a", "bc")


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_any_bytes_after_a_sound_span_give_rows(noise, inside):
    """Protobuf takes fields that nobody knows, repeated ones and messages cut short."""
    for value in (
        request() + noise,
        noise,
        request(attributes=[KeyValue(key="k", value=AnyValue(bytes_value=inside))]) + inside,
    ):
        facts = facts_of(SPANS.name, 0, 0, AT_MS, value)
        assert isinstance(facts, Facts)
        assert all(row.spans > 0 for row in facts.chunks)
