"""Names of spans and attributes in one table; trace ids by identity; spans built from the lane's own times.

Messaging names follow OpenTelemetry's semantic conventions 1.44.0 (messaging, Development), `gen_ai.*` the conventions
as they stood when core 1.44.0 moved them to open-telemetry/semantic-conventions-genai (Development as well): both as in
the package opentelemetry-semantic-conventions 0.66b2, against which a test holds every name here that is not ours.
Ours stand under `novix.*`. `runtime/telemetry_table.py` says which span has which. The hot path's spans are drafts that
a lane writes in its own transaction; the SDK owns resource, sampler and propagation.
"""

import functools
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata

from opentelemetry import trace
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceProto
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runtime import otlp
from runtime import telemetry_limits as limits
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
CONVERSATION = "messaging.message.conversation_id"
"""The job's decision: what all its records have in common."""
GEN_AI_OPERATION = "gen_ai.operation.name"
GEN_AI_PROVIDER = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
GEN_AI_CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
"""They are in `input_tokens` as well: who adds the two counts them twice."""
GEN_AI_REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
"""They are in `output_tokens` as well."""
GEN_AI_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
GEN_AI_FINISH_REASONS = "gen_ai.response.finish_reasons"
GEN_AI_MAX_TOKENS = "gen_ai.request.max_tokens"
GEN_AI_TEMPERATURE = "gen_ai.request.temperature"
GEN_AI_TOP_P = "gen_ai.request.top_p"
GEN_AI_STREAM = "gen_ai.request.stream"
HTTP_METHOD = "http.request.method"
HTTP_STATUS = "http.response.status_code"
HTTP_RESEND = "http.request.resend_count"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
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
PROVIDER = "novix.provider"
"""Who ran the model; `gen_ai.provider.name` names whose interface was spoken."""
REQUEST_ID = "novix.request_id"
"""The provider's own id of the call."""
AMBIGUOUS = "novix.ambiguous"
"""The call may have been charged although no answer came."""
CAUSE = "novix.cause"
"""The failure kind that a job waits for."""
WAIT = "novix.wait"
"""What was waited for: a name of `WAITS`."""
INPUT_REF, INPUT_SHA256, INPUT_BYTES = "novix.input.ref", "novix.input.sha256", "novix.input.size_bytes"
OUTPUT_REF, OUTPUT_SHA256, OUTPUT_BYTES = "novix.output.ref", "novix.output.sha256", "novix.output.size_bytes"
"""Where the blob store keeps `gen_ai.input.messages` and `gen_ai.output.messages`, with NOVIX_CAPTURE_CONTENT."""
ROLE = "novix.role"
"""Of every span's resource: the consumer group whose lane wrote it, whatever OTEL_SERVICE_NAME says."""
HF_API = "novix.hf_api_version"
"""Of every span's resource."""
HF_API_VERSION = "2.4"
"""The wire contract's name in the brief, the only one that settings take (`HF_API_VERSION`)."""

_OF_ONE_JOB = frozenset(
    {OFFSET, JOB_ID, DECISION_ID, CONVERSATION, REQUEST_ID, INPUT_REF, INPUT_SHA256, OUTPUT_REF, OUTPUT_SHA256}
)
"""Attributes whose values do not come again."""

WAITS = {
    "slot": "a free slot of the model at its provider",
    "throttle": "the same, while the provider's 429 or Retry-After holds everybody back",
    "breaker": "an open circuit breaker",
    "retry": "the backoff or Retry-After before the next attempt; long ones in a retry topic",
    "budget": "others' successes that pay for a retry",
    "suspect": "the end of another call that may be what kills processes",
    "intent": "the note of a call, before it is made",
    "ready": "payloads, the model's name at its provider, or a credential",
    "rate": "the tenant's limit of jobs in a time",
    "money": "a budget",
    "turn": "the job's turn among others, or room in its workers' queue",
}
"""What a job waits for inside a process, and what spans `wait NAME` are called by."""

OPERATIONS = {
    "chat-completion": "chat",
    "text-generation": "text_completion",
    "feature-extraction": "embeddings",
}
"""`gen_ai.operation.name` of a task; for the others the task's name with underscores, as the conventions allow."""

MAX_STATE_CHARS = 512
"""Of a `tracestate` that is handed on (W3C Trace Context asks for at least so many); a longer one is dropped whole."""
MAX_STATE_MEMBERS = 32
"""W3C Trace Context 3.3.1.1."""
MAX_PARENT_CHARS = 512
SCHEMA_URL = Schemas.V1_44_0.value
"""Of the conventions whose names the spans' attributes are. None is told for the resource: its names are an operator's
as well."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_COMMON_PARENT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])")
"""`traceparent` as nearly every program writes it; what looks otherwise is read by OpenTelemetry's own reader."""
_KEY = "[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_MEMBER = re.compile(f"(?:{_KEY})=[ -+\\--<>-~]{{0,255}}[!-+\\--<>-~]")
"""A member of a `tracestate` (W3C Trace Context 3.3.1.3). OpenTelemetry's reader logs what is none, content and all,
and a line for each list of too many: so it is shown none."""
TRACE_HEADERS = frozenset({names.TRACEPARENT, names.TRACESTATE})
_TAKES_FIRST = (sampling.DEFAULT_ON, sampling.ALWAYS_ON)
_TAKEN = sampling.Decision.RECORD_AND_SAMPLE
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
    end: datetime | None
    """None: it ends when the lane's transaction that holds it is put together."""
    attributes: Mapping[str, AttributeValue | None]
    error: str | None = None
    """A `FailureKind` or status word; never a message."""
    links: tuple[tuple[str, str], ...] = ()
    """(trace id, span id) of what it was caused by."""


def trace_of(headers: Headers, *identity: object) -> TraceContext:
    """The trace of a record: the one that its producer told, else one derived from `identity`.

    Derived ids are the same on every delivery, so that a redelivery does not split a trace. Baggage is never read:
    producers are not trusted with it.
    """
    return told_trace(headers) or derived_trace(*identity)


def derived_trace(*identity: object) -> TraceContext:
    """The trace of what nobody told one of: always the same for an identity."""
    trace_id = _digest("trace", *identity)[:32]
    return TraceContext(trace_id, None, _sampled(trace_id))


def told_trace(headers: Headers) -> TraceContext | None:
    """The context of a record's `traceparent` and `tracestate` (W3C Trace Context, level 1). Total; None unless there
    is exactly one valid `traceparent`. Several `tracestate` headers are one with commas between; what is not valid or
    longer than `MAX_STATE_CHARS` is dropped whole, and so is the state beside an invalid `traceparent`."""
    parents = [value for name, value in headers if name == names.TRACEPARENT]
    if len(parents) != 1:
        return None
    states = [value or b"" for name, value in headers if name == names.TRACESTATE]
    parent = _ascii(parents[0], MAX_PARENT_CHARS)
    common = _COMMON_PARENT.fullmatch(parent) if not states else None
    if common is not None and common[1] != _NO_TRACE and common[2] != _NO_SPAN:
        return _followed(TraceContext(common[1], common[2], common[3] == "1"))
    state = _state(_ascii(b",".join(states), MAX_STATE_CHARS))
    carrier = {"traceparent": parent, **({"tracestate": state} if state else {})}
    span = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    if not span.is_valid:
        return None
    known = span.trace_state.to_header()  # what the standard allows of it
    return _followed(TraceContext(f"{span.trace_id:032x}", f"{span.span_id:016x}", span.trace_flags.sampled, known))


def capped(headers: Headers) -> Headers:
    """The headers of a record that is written on as it came: of the trace's no more than counts, the rest untouched."""
    if not any(name in TRACE_HEADERS for name, _ in headers):
        return headers
    whole = sum(len(value or b"") + 1 for name, value in headers if name == names.TRACESTATE) <= MAX_STATE_CHARS + 1
    parents = 0
    kept: list[tuple[str, bytes]] = []
    for name, value in headers:
        if name == names.TRACEPARENT:
            parents += 1
            if parents > 2 or len(value or b"") > MAX_PARENT_CHARS:  # two are as invalid as a thousand
                continue
        elif name == names.TRACESTATE and not whole:
            continue
        kept.append((name, value))
    return tuple(kept)


def _ascii(value: bytes | None, most: int) -> str:
    """A header as text; empty where it is longer, or no ASCII."""
    return value.decode() if value is not None and len(value) <= most and value.isascii() else ""


def _state(told: str) -> str:
    members = [member for part in told.split(",") if (member := part.strip(" \t"))]
    fits = len(members) <= MAX_STATE_MEMBERS and all(_MEMBER.fullmatch(member) for member in members)
    return ",".join(members) if fits else ""


def span_id(context: TraceContext, stage: str, *where: object) -> str:
    """A span's id from its trace, its stage and where it happened: topic, partition, offset, attempt."""
    return _digest("span", context.trace_id, stage, *where)[:16]


class SpanIds:
    """The ids of the spans of one record's processing, all from one digest: they are the same on every delivery."""

    __slots__ = ("_digest",)

    def __init__(self, context: TraceContext, topic: str, partition: int, offset: int) -> None:
        self._digest = _digest("span", context.trace_id, "process", topic, partition, offset)

    @property
    def process(self) -> str:
        """That of `span_id(context, "process", topic, partition, offset)`."""
        return self._digest[:16]

    @property
    def send(self) -> str:
        """Of the way of what is answered."""
        return self._digest[16:32]

    @property
    def call(self) -> str:
        """Of the logical call."""
        return self._digest[32:48]

    def nth(self, number: int) -> str:
        """Of one of many: a wait, an attempt."""
        return f"{(int(self._digest[48:], 16) + number) % 2**64 or 1:016x}"


def _digest(*parts: object) -> str:
    digest = hashlib.sha256("\0".join(map(str, parts)).encode(errors="replace")).hexdigest()
    return "1" + digest[1:] if digest.startswith(_NO_SPAN) else digest  # an id of zeros would be invalid


@functools.cache
def _sampler() -> sampling.Sampler:
    # Reads OTEL_TRACES_SAMPLER and its argument, as any OpenTelemetry program does; limits are read elsewhere, for one
    # that is bad would keep the process from starting.
    return TracerProvider(span_limits=limits.told()).sampler


@functools.cache
def is_off() -> bool:
    """Whether no span is to be written at all: OTEL_TRACES_SAMPLER=always_off, or OTEL_SDK_DISABLED=true. Then none
    is made either."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return disabled or _sampler() is sampling.ALWAYS_OFF


def _sampled(trace_id: str) -> bool:
    if _sampler() in _TAKES_FIRST:  # no need to ask at length
        return True
    return _sampler().should_sample(None, int(trace_id, 16), "process").decision == _TAKEN


def _followed(context: TraceContext) -> TraceContext:
    """A producer's context, sampled if our sampler says so: one that is based on the parent follows it."""
    if _sampler() is sampling.DEFAULT_ON:
        return context
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if context.sampled else trace.TraceFlags.DEFAULT)
    parent = trace.SpanContext(int(context.trace_id, 16), int(context.parent_id or "", 16), True, flags)
    inside = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    taken = _sampler().should_sample(inside, parent.trace_id, "process").decision == _TAKEN
    return TraceContext(context.trace_id, context.parent_id, taken, context.state)


@functools.cache
def _resource(service: str) -> bytes:
    told = OTELResourceDetector().detect().attributes  # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES: they win
    merged = Resource.create(
        {"service.name": service, "service.namespace": "novix", **told, ROLE: service, HF_API: HF_API_VERSION}
    )
    attributes = [KeyValue(key=key, value=_any(value)) for key, value in merged.attributes.items()]
    return bytes(ResourceProto(attributes=attributes).SerializeToString())


@functools.cache
def _scope() -> bytes:
    try:
        version = metadata.version("novix")
    except metadata.PackageNotFoundError:  # a tree that is not installed
        version = ""
    return bytes(InstrumentationScope(name="novix", version=version).SerializeToString())


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


def encode_spans(service: str, spans: Sequence[SpanDraft], now: datetime | None = None) -> bytes | None:
    """One OTLP `ExportTraceServiceRequest` (protobuf) with the sampled spans; None if there are none.

    `now` ends those that have no end; without it they have no length.
    """
    encoded = _span if limits.is_none() else _limited_span
    sampled = [encoded(draft, now) for draft in spans if draft.context.sampled]
    return otlp.request(_resource(service), _scope(), sampled, SCHEMA_URL) if sampled else None


def _limited_span(draft: SpanDraft, now: datetime | None) -> bytes:
    attributes, dropped = limits.limited(draft.attributes)
    return _span(replace(draft, attributes=attributes), now, dropped)


def _span(draft: SpanDraft, now: datetime | None, dropped: int = 0) -> bytes:
    context, start_ns = draft.context, _nanos(draft.start)
    return otlp.span(
        context.trace_id, draft.span_id, context.parent_id, context.state, draft.name, draft.kind, start_ns,
        max(start_ns, _nanos(draft.end or now or draft.start)), draft.attributes, draft.links, draft.error, _OF_ONE_JOB,
        dropped,
    )  # fmt: skip


def _nanos(instant: datetime) -> int:
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000  # exact: no float
