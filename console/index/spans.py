"""Spans out of OTLP trace requests (opentelemetry.proto, `ExportTraceServiceRequest`). Pure and total.

Anybody's spans: whatever a stranger writes is capped, counted by kind or left out, and never an exception.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanProto
from opentelemetry.proto.trace.v1.trace_pb2 import Status

MAX_ATTRIBUTES = 128
"""Of a span, an event, a link's group or a resource; OpenTelemetry's own default for a span."""
MAX_TEXT_CHARS = 2_048
MAX_NAME_CHARS = 256
MAX_ITEMS = 64
"""Events, links, items of a list."""
MAX_VALUE_DEPTH = 8
AHEAD_NS = 3_600 * 10**9
"""A span may begin so much later than the record that tells of it: clocks differ. More is a span from the future."""
INT64 = 2**63 - 1
"""Largest integer of SQLite."""
CONTENT = frozenset(
    {
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.prompt",
        "gen_ai.completion",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.tool.definitions",
        "input.value",
        "output.value",
    }
)
"""Attributes whose values are inputs or outputs, in OpenTelemetry's GenAI conventions and OpenInference."""
KINDS = {
    SpanProto.SPAN_KIND_INTERNAL: "internal",
    SpanProto.SPAN_KIND_SERVER: "server",
    SpanProto.SPAN_KIND_CLIENT: "client",
    SpanProto.SPAN_KIND_PRODUCER: "producer",
    SpanProto.SPAN_KIND_CONSUMER: "consumer",
}


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
    kind: str = "internal"
    events: list[dict[str, Any]] = field(default_factory=list)
    """`name`, `time_ns`, `attributes`."""
    links: list[dict[str, str]] = field(default_factory=list)
    """`trace_id`, `span_id`."""
    resource: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one record told."""

    spans: list[Span]
    broken: Counter[str]
    """What was capped or left out, by kind."""


def decode_spans(value: bytes) -> list[Span]:
    """The spans of one record; see `decoded`."""
    return decoded(value).spans


def decoded(value: bytes, *, timestamp_ms: int | None = None, capture: bool = False) -> Decoded:
    """The spans of one record that was written at `timestamp_ms`, and what is wrong with it.

    Left out are spans without valid ids and spans from the future; everything, where the bytes are no trace request.
    Unless `capture`, inputs and outputs that somebody put into attributes are replaced by their length.
    """
    spans: list[Span] = []
    reading = _Reading(Counter(), capture)
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(value)
    except DecodeError:
        reading.broken["undecodable"] += 1
        return Decoded([], reading.broken)
    latest = INT64 if timestamp_ms is None else timestamp_ms * 1_000_000 + AHEAD_NS
    for group in request.resource_spans:
        resource = reading.attributes(group.resource.attributes)
        service = str(resource.get("service.name", "unknown"))[:MAX_NAME_CHARS]
        for scope in group.scope_spans:
            for span in scope.spans:
                if len(span.trace_id) != 16 or len(span.span_id) != 8 or not any(span.trace_id):
                    reading.broken["no_id"] += 1
                elif span.start_time_unix_nano > latest:
                    reading.broken["future"] += 1
                else:
                    spans.append(reading.span(span, service, resource))
    return Decoded(spans, reading.broken)


@dataclass(frozen=True, slots=True)
class _Reading:
    broken: Counter[str]
    capture: bool

    def span(self, span: SpanProto, service: str, resource: dict[str, Any]) -> Span:
        start, end = min(span.start_time_unix_nano, INT64), min(span.end_time_unix_nano, INT64)
        if end < start:
            self.broken["ends_before_start"] += 1
        failed = span.status.code == Status.STATUS_CODE_ERROR
        return Span(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex() if len(span.parent_span_id) == 8 else None,
            service=service,
            name=self.text(span.name, MAX_NAME_CHARS),
            start_ns=start,
            end_ns=max(start, end),
            error=(self.text(span.status.message, MAX_NAME_CHARS) or "error") if failed else None,
            attributes=self.attributes(span.attributes),
            kind=KINDS.get(span.kind, "unspecified"),
            events=[
                {
                    "name": self.text(event.name, MAX_NAME_CHARS),
                    "time_ns": min(event.time_unix_nano, INT64),
                    "attributes": self.attributes(event.attributes),
                }
                for event in self.some(span.events, "events_cut")
            ],
            links=[
                {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()}
                for link in self.some(span.links, "links_cut")
                if len(link.trace_id) == 16 and len(link.span_id) == 8
            ],
            resource=resource,
        )

    def attributes(self, pairs: Iterable[KeyValue]) -> dict[str, Any]:
        """A span's attributes, the first of each name that is told more than once."""
        told: dict[str, Any] = {}
        for pair in pairs:
            if len(told) >= MAX_ATTRIBUTES:
                self.broken["attributes_cut"] += 1
                break
            key = self.text(pair.key, MAX_NAME_CHARS)
            if key in CONTENT and not self.capture:
                told.setdefault(key, f"(hidden, {pair.value.ByteSize()} bytes)")
            else:
                told.setdefault(key, self.value(pair.value))
        return told

    def value(self, value: AnyValue, depth: int = 0) -> Any:
        kind = value.WhichOneof("value")
        if kind in ("array_value", "kvlist_value"):
            return self.nested(value, kind, depth)
        plain = None if kind is None else getattr(value, kind)
        if isinstance(plain, str):
            return self.text(plain, MAX_TEXT_CHARS)
        if isinstance(plain, bytes):
            return f"{len(plain)} bytes"
        if isinstance(plain, float) and not math.isfinite(plain):
            return str(plain)  # no JSON
        return plain

    def nested(self, value: AnyValue, kind: str, depth: int) -> Any:
        if depth >= MAX_VALUE_DEPTH:
            self.broken["depth_cut"] += 1
            return "…"
        if kind == "array_value":
            return [self.value(item, depth + 1) for item in self.some(value.array_value.values, "items_cut")]
        pairs = self.some(value.kvlist_value.values, "items_cut")
        return {self.text(pair.key, MAX_NAME_CHARS): self.value(pair.value, depth + 1) for pair in pairs}

    def text(self, text: str, limit: int) -> str:
        if len(text) <= limit:
            return text
        self.broken["text_cut"] += 1
        return text[: limit - 1] + "…"

    def some(self, items: Any, kind: str) -> Any:
        if len(items) > MAX_ITEMS:
            self.broken[kind] += 1
        return items[:MAX_ITEMS]
