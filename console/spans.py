"""Spans out of OTLP trace requests (opentelemetry.proto, `ExportTraceServiceRequest`). Pure."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanProto
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True, slots=True)
class Span:
    """One span; ids are lower-case hex, times nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str | None
    service: str
    name: str
    start_ns: int
    end_ns: int
    error: str | None
    attributes: dict[str, Any]


def decode_spans(value: bytes) -> list[Span]:
    """The spans of one record; none where the bytes are no trace request. Spans without valid ids are left out."""
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(value)
    except DecodeError:
        return []
    spans = []
    for group in request.resource_spans:
        named = {pair.key: _plain(pair.value) for pair in group.resource.attributes}
        service = str(named.get("service.name", "unknown"))
        spans += [
            _span(span, service)
            for scope in group.scope_spans
            for span in scope.spans
            if len(span.trace_id) == 16 and len(span.span_id) == 8
        ]
    return spans


def _span(span: SpanProto, service: str) -> Span:
    failed = span.status.code == Status.STATUS_CODE_ERROR
    limit = 2**63 - 1  # SQLite's integers
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() or None,
        service=service,
        name=span.name,
        start_ns=min(span.start_time_unix_nano, limit),
        end_ns=min(max(span.start_time_unix_nano, span.end_time_unix_nano), limit),
        error=(span.status.message or "error") if failed else None,
        attributes={pair.key: _plain(pair.value) for pair in span.attributes},
    )


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return f"{len(value.bytes_value)} bytes"
    return None if kind is None else getattr(value, kind)
