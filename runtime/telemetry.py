"""Names of spans, attributes and events in one table; trace ids by identity; spans built from the lane's own times.

Messaging names follow OpenTelemetry's semantic conventions 1.44 (messaging, Development), `gen_ai.*` the conventions as
of opentelemetry-semantic-conventions 0.66b2; ours stand under `novix.*`. The hot path's spans are drafts that a lane
writes in its own transaction; the SDK owns resource, sampler and propagation.
"""

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from opentelemetry import trace
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceProto
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runtime import otlp
from runtime.otlp import AttributeValue
from schemas import headers as names
from schemas.headers import Headers
from schemas.values import frozen

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
HF_API = "novix.hf_api_version"
"""Of every span's resource."""
HF_API_VERSION = "2.4"
"""The wire contract's name in the brief, the only one that settings take (`HF_API_VERSION`)."""

_OF_ONE_JOB = frozenset({OFFSET, JOB_ID, DECISION_ID})
"""Attributes whose values do not come again."""

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
    "group.incomplete": "the group did not read every partition of a topic that has grown; it divides its work anew",
    "process.failed": "a fault that no lane can mend ends the process",
    "job.assigned": "the router chose candidates",
    "job.forwarded": "a job arrived away from its tenant's home and was sent there",
    "job.rejected": "the router refused a job with a typed result",
    "job.expired": "the deadline passed before a call",
    "job.cancelled": "somebody cancelled a job before it had ended",
    "job.duplicate": "an identity came again with the same content: no second result",
    "job.conflict": "an identity came again with other content: a dead letter",
    "job.redriven": "a dead letter was driven again as its identity's next submission",
    "job.redriven_before": "a dead letter was driven again a second time: nothing new",
    "redrive.not_read": "a dead letter that is driven again could not be read",
    "job.succeeded": "a worker settled a job with an output",
    "job.failed": "a worker settled a job without one",
    "call.ambiguous": "a call that may be charged for was cut short, by a crash or a cancel: counted with its ceiling",
    "call.repeated": "an answer was lost with its process before it was committed: the call is made again",
    "intents.unavailable": "calls cannot be noted before they are made: none is made",
    "intents.replaced": "the file of noted calls is damaged, or locked for ever: another takes its place",
    "job.postponed": "a job went to a retry topic: what it waits for and until when",
    "job.returned": "a job went back from a retry topic to its workers",
    "credential.unusable": "a file of a token or of keys has changed to what cannot be used; the last good one is kept",
    "credential.refused": "a provider refuses a credential: nobody calls with it but for a trial, jobs wait",
    "credential.accepted": "a credential that was refused is taken again",
    "record.dead_lettered": "a record was set aside with its bytes and a reason",
}
"""Every event that is logged or audited, past tense."""

MAX_STATE_CHARS = 512
"""Of a `tracestate` that is handed on (W3C Trace Context asks for at least so many); a longer one is dropped whole."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SCOPE = bytes(InstrumentationScope(name="novix").SerializeToString())
_COMMON_PARENT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])")
"""`traceparent` as nearly every program writes it; what looks otherwise is read by OpenTelemetry's own reader."""
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
CONSUMER, CLIENT, INTERNAL, PRODUCER = (
    Span.SPAN_KIND_CONSUMER,
    Span.SPAN_KIND_CLIENT,
    Span.SPAN_KIND_INTERNAL,
    Span.SPAN_KIND_PRODUCER,
)


@frozen
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


@frozen
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
        told = _told_parent(given, names.first(headers, names.TRACESTATE) or "")
        if told is not None:
            return told
    trace_id = _digest("trace", *identity)[:32]
    return TraceContext(trace_id, None, _sampled(int(trace_id, 16)))


def _told_parent(parent: str, state: str) -> TraceContext | None:
    """The context that a producer told; None if it is not valid."""
    common = _COMMON_PARENT.fullmatch(parent) if not state else None
    if common is not None and common[1] != _NO_TRACE and common[2] != _NO_SPAN:
        return TraceContext(common[1], common[2], common[3] == "1")
    carrier = {"traceparent": parent, **({"tracestate": state} if len(state) <= MAX_STATE_CHARS else {})}
    span = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    if not span.is_valid:
        return None
    known = span.trace_state.to_header()  # what the standard allows of it
    return TraceContext(f"{span.trace_id:032x}", f"{span.span_id:016x}", span.trace_flags.sampled, known)


def span_id(context: TraceContext, stage: str, *where: object) -> str:
    """A span's id from its trace, its stage and where it happened: topic, partition, offset, attempt."""
    return _digest("span", context.trace_id, stage, *where)[:16]


def _digest(*parts: object) -> str:
    digest = hashlib.sha256("\0".join(map(str, parts)).encode(errors="replace")).hexdigest()
    return "1" + digest[1:] if digest.startswith(_NO_SPAN) else digest  # an id of zeros would be invalid


@functools.cache
def _sampler() -> sampling.Sampler:
    return TracerProvider().sampler  # reads OTEL_TRACES_SAMPLER and its argument, as any OpenTelemetry program does


def _sampled(trace_id: int) -> bool:
    if _sampler() is sampling.DEFAULT_ON:  # a first span of its trace is always taken: no need to ask at length
        return True
    return _sampler().should_sample(None, trace_id, "process").decision == sampling.Decision.RECORD_AND_SAMPLE


@functools.cache
def _resource(service: str) -> bytes:
    own = {"service.name": service, "service.namespace": "novix", HF_API: HF_API_VERSION}
    merged = Resource.create(own)
    attributes = [KeyValue(key=key, value=_any(value)) for key, value in merged.attributes.items()]
    return bytes(ResourceProto(attributes=attributes).SerializeToString())


def _any(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return AnyValue(array_value=ArrayValue(values=[_any(item) for item in value]))
    return AnyValue(string_value=str(value))


def encode_spans(service: str, spans: Sequence[SpanDraft]) -> bytes | None:
    """One OTLP `ExportTraceServiceRequest` (protobuf) with the sampled spans; None if there are none."""
    sampled = [_span(draft) for draft in spans if draft.context.sampled]
    return otlp.request(_resource(service), _SCOPE, sampled) if sampled else None


def _span(draft: SpanDraft) -> bytes:
    context, start_ns = draft.context, _nanos(draft.start)
    return otlp.span(
        trace_id=context.trace_id,
        span_id=draft.span_id,
        parent_id=context.parent_id,
        state=context.state,
        name=draft.name,
        kind=draft.kind,
        start_ns=start_ns,
        end_ns=max(start_ns, _nanos(draft.end)),
        attributes=draft.attributes,
        links=draft.links,
        error=draft.error,
        unique=_OF_ONE_JOB,
    )


def _nanos(instant: datetime) -> int:
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000  # exact: no float
