"""Names of spans, attributes and events in one table; trace ids by identity; spans built from the lane's own times.

Messaging names follow OpenTelemetry's semantic conventions 1.44 (messaging, Development), `gen_ai.*` the conventions as
of opentelemetry-semantic-conventions 0.66b2; ours stand under `novix.*`. The hot path's spans are drafts that a lane
writes in its own transaction; the SDK owns resource, sampler and propagation.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceProto
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemas import headers as names
from schemas.headers import Headers

SYSTEM = "messaging.system"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
OFFSET = "messaging.kafka.offset"
GROUP = "messaging.consumer.group.name"
GEN_AI_OPERATION = "gen_ai.operation.name"
GEN_AI_PROVIDER = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
GEN_AI_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
HTTP_METHOD = "http.request.method"
HTTP_STATUS = "http.response.status_code"
HTTP_RESEND = "http.request.resend_count"
SERVER_ADDRESS = "server.address"
ERROR_TYPE = "error.type"
JOB_ID = "novix.job.id"
TENANT = "novix.tenant"
SUBMISSION = "novix.submission"
TASK = "novix.task"
STATUS = "novix.status"
COST = "novix.cost_nanousd"
DECISION_ID = "novix.decision.id"
QUEUED_MS = "novix.queued_ms"
WAITED_MS = "novix.waited_ms"
ATTEMPT = "novix.attempt"
COMPLEXITY = "novix.complexity"
POLICY = "novix.policy"

OPERATIONS = {
    "chat-completion": "chat",
    "text-generation": "text_completion",
    "feature-extraction": "embeddings",
}
"""`gen_ai.operation.name` of a task; for the others the task's name with underscores, as the conventions allow."""

EVENTS = {
    "lane.opened": "a lane has fenced its predecessors and reads from its committed offset",
    "lane.closed": "a lane has committed what was settled and let its partition go",
    "lane.rebuilt": "a transaction failed or stayed indefinite; the producer was replaced",
    "lane.stopped": "a lane must not go on: its committed offset is gone or out of range",
    "lane.history_unread": "ACLs keep a lane from looking whether it has worked before; taken for a first start",
    "seen.rebuilt": "the cache of seen identities was damaged and is folded anew from the decisions",
    "seen.not_rebuilt": "folding the seen identities failed; it is tried again before anything is decided",
    "process.failed": "a fault that no lane can mend ends the process",
    "job.assigned": "the router chose candidates",
    "job.forwarded": "a job arrived away from its tenant's home and was sent there",
    "job.rejected": "the router refused a job with a typed result",
    "job.expired": "the deadline passed before a call",
    "job.duplicate": "an identity came again with the same content: no second result",
    "job.conflict": "an identity came again with other content: a dead letter",
    "job.succeeded": "a worker settled a job with an output",
    "job.failed": "a worker settled a job without one",
    "record.dead_lettered": "a record was set aside with its bytes and a reason",
}
"""Every event that is logged or audited, past tense."""

MAX_STATE_CHARS = 512
"""Of a `tracestate` that is handed on (W3C Trace Context asks for at least so many); a longer one is dropped whole."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

AttributeValue = str | int | float | bool | Sequence[str]
CONSUMER, CLIENT, INTERNAL, PRODUCER = (
    Span.SPAN_KIND_CONSUMER,
    Span.SPAN_KIND_CLIENT,
    Span.SPAN_KIND_INTERNAL,
    Span.SPAN_KIND_PRODUCER,
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where a span belongs. Ids are lower-case hex (32 and 16 digits); no parent: the span is its trace's first."""

    trace_id: str
    parent_id: str | None
    sampled: bool = True
    state: str = ""

    def child_of(self, span_id: str) -> "TraceContext":
        """The context of what happens inside span `span_id`."""
        return TraceContext(self.trace_id, span_id, self.sampled, self.state)

    def headers(self) -> Headers:
        """`traceparent` (W3C Trace Context, level 1) for what is sent from inside the parent span."""
        parent = f"00-{self.trace_id}-{self.parent_id or '0' * 15 + '1'}-{'01' if self.sampled else '00'}"
        return (
            (names.TRACEPARENT, parent.encode()),
            *(((names.TRACESTATE, self.state.encode()),) if self.state else ()),
        )


@dataclass(frozen=True, slots=True)
class SpanDraft:
    """A span whose times are known: written in the transaction of the lane that settles the job."""

    context: TraceContext
    span_id: str
    name: str
    kind: "Span.SpanKind.ValueType"
    start: datetime
    end: datetime
    attributes: Mapping[str, AttributeValue | None]
    error: str | None = None
    """A `FailureKind` or status word; never a message."""
    links: tuple[tuple[str, str], ...] = ()
    """(trace id, span id) of what it was caused by."""


def trace_of(headers: Headers, *identity: object) -> TraceContext:
    """The trace of a record: its own `traceparent` if that is valid, else one derived from `identity`.

    Derived ids are the same on every delivery, so that a redelivery does not split a trace. Baggage is never read:
    producers are not trusted with it.
    """
    given = names.first(headers, names.TRACEPARENT)
    if given is not None:
        state = names.first(headers, names.TRACESTATE) or ""
        carrier = {"traceparent": given, **({"tracestate": state} if len(state) <= MAX_STATE_CHARS else {})}
        span = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
        if span.is_valid:
            known = span.trace_state.to_header()  # what the standard allows of it
            return TraceContext(f"{span.trace_id:032x}", f"{span.span_id:016x}", span.trace_flags.sampled, known)
    trace_id = _digest("trace", *identity)[:32]
    return TraceContext(trace_id, None, _sampled(int(trace_id, 16)))


def span_id(context: TraceContext, stage: str, *where: object) -> str:
    """A span's id from its trace, its stage and where it happened: topic, partition, offset, attempt."""
    return _digest("span", context.trace_id, stage, *where)[:16]


def _digest(*parts: object) -> str:
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode(errors="replace")).hexdigest()
    return digest if int(digest[:16], 16) else "1" + digest[1:]  # an id of zeros would be invalid


@functools.cache
def _sampler() -> sampling.Sampler:
    return TracerProvider().sampler  # reads OTEL_TRACES_SAMPLER and its argument, as any OpenTelemetry program does


def _sampled(trace_id: int) -> bool:
    return _sampler().should_sample(None, trace_id, "process").decision == sampling.Decision.RECORD_AND_SAMPLE


@functools.cache
def _resource(service: str) -> ResourceProto:
    merged = Resource.create({"service.name": service, "service.namespace": "novix"})
    return ResourceProto(attributes=[_attribute(key, value) for key, value in merged.attributes.items()])


def encode_spans(service: str, spans: Sequence[SpanDraft]) -> bytes | None:
    """One OTLP `ExportTraceServiceRequest` (protobuf) with the sampled spans; None if there are none."""
    sampled = [_span(draft) for draft in spans if draft.context.sampled]
    if not sampled:
        return None
    scope = ScopeSpans(scope=InstrumentationScope(name="novix"), spans=sampled)
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=_resource(service), scope_spans=[scope])]
    )
    return bytes(request.SerializeToString())


def _span(draft: SpanDraft) -> Span:
    context = draft.context
    return Span(
        trace_id=bytes.fromhex(context.trace_id),
        span_id=bytes.fromhex(draft.span_id),
        parent_span_id=bytes.fromhex(context.parent_id) if context.parent_id else b"",
        trace_state=context.state,
        name=draft.name,
        kind=draft.kind,
        start_time_unix_nano=_nanos(draft.start),
        end_time_unix_nano=max(_nanos(draft.start), _nanos(draft.end)),
        attributes=[_attribute(key, value) for key, value in draft.attributes.items() if value is not None],
        links=[Span.Link(trace_id=bytes.fromhex(t), span_id=bytes.fromhex(s)) for t, s in draft.links],
        status=Status(code=Status.STATUS_CODE_ERROR, message=draft.error) if draft.error else None,
    )


def _nanos(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1_000  # exact, where a float would round


def _attribute(key: str, value: object) -> KeyValue:
    return KeyValue(key=key, value=_any(value))


def _any(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, Sequence):
        return AnyValue(array_value=ArrayValue(values=[_any(item) for item in value]))
    return AnyValue(string_value=str(value))
