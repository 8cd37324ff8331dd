"""Spans of the index as OTLP/JSON, for any program that opens traces. Pure.

The form is that of opentelemetry.io/docs/specs/otlp "JSON Protobuf Encoding": protobuf's JSON mapping, but trace and
span ids in hexadecimal, and enumerations as numbers.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

_IDS = ("traceId", "spanId", "parentSpanId")
_LIMIT = 2**63
_KINDS = frozenset(Span.SpanKind.keys())


def of_spans(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A `TracesData` document of `Index.spans` rows, one resource after the other."""
    groups: dict[str, tuple[Mapping[str, Any], list[Span]]] = {}
    for row in rows:
        resource = row.get("resource") or {"service.name": row["service"]}
        groups.setdefault(json.dumps(resource, sort_keys=True, default=str), (resource, []))[1].append(_span(row))
    scope = InstrumentationScope(name="novix")
    data = TracesData(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=_pairs(resource)), scope_spans=[ScopeSpans(scope=scope, spans=spans)]
            )
            for resource, spans in groups.values()
        ]
    )
    document: dict[str, Any] = json_format.MessageToDict(data, use_integers_for_enums=True)
    for group in document["resourceSpans"]:
        for part in group["scopeSpans"]:
            for span in part["spans"]:
                for one in (span, *span.get("links", ())):
                    one.update({name: base64.b64decode(one[name]).hex() for name in _IDS if name in one})
    return document


def _span(row: Mapping[str, Any]) -> Span:
    error = row["error"]
    return Span(
        trace_id=bytes.fromhex(row["trace_id"]),
        span_id=bytes.fromhex(row["span_id"]),
        parent_span_id=bytes.fromhex(row["parent_id"] or ""),
        name=_text(row["name"]),
        kind=_kind(str(row.get("kind") or "")),
        start_time_unix_nano=row["start_ns"],
        end_time_unix_nano=row["end_ns"],
        attributes=_pairs(row["attributes"]),
        events=[
            Span.Event(name=_text(one["name"]), time_unix_nano=one["time_ns"], attributes=_pairs(one["attributes"]))
            for one in row.get("events") or ()
        ],
        links=[
            Span.Link(trace_id=bytes.fromhex(one["trace_id"]), span_id=bytes.fromhex(one["span_id"]))
            for one in row.get("links") or ()
        ],
        status=Status(code=Status.STATUS_CODE_ERROR, message=_text(error)) if error else None,
    )


def _kind(name: str) -> "Span.SpanKind.ValueType":
    full = f"SPAN_KIND_{name.upper().removeprefix('SPAN_KIND_')}"
    return Span.SpanKind.Value(full) if full in _KINDS else Span.SPAN_KIND_UNSPECIFIED


def _pairs(told: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=_text(name), value=_value(value)) for name, value in told.items()]


def _value(value: object) -> AnyValue:
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
    if isinstance(value, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=_pairs(value)))
    return AnyValue() if value is None else _scalar(value)


def _scalar(value: object) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int() if -_LIMIT <= value < _LIMIT:
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case _:
            return AnyValue(string_value=_text(str(value)))


def _text(text: str) -> str:
    return text.encode(errors="replace").decode()
