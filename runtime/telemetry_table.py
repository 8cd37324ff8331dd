"""Every span that a lane of ours writes: its name, its kind, its attributes and their types. Pure.

A test holds what router, workers and retry lanes write against `SPANS`; `docs/observability/tracing.md` tells it in
words.
"""

from collections.abc import Mapping
from datetime import datetime

from runtime import telemetry as names
from runtime.otlp import AttributeValue
from runtime.telemetry import CLIENT, CONSUMER, INTERNAL, PRODUCER, SpanDraft, TraceContext
from schemas.values import frozen

Types = Mapping[str, type]


@frozen
class SpanKind:
    """One kind of span."""

    name: str
    """How its name begins; what follows is a topic, a model or a wait."""
    kind: int
    meaning: str
    required: Types
    optional: Types

    def fault(self, span: SpanDraft) -> str | None:
        """What is wrong with a span of this kind; None: nothing."""
        told = {name: value for name, value in span.attributes.items() if value is not None}
        if span.kind != self.kind:
            return f"{span.name}: kind {span.kind}, not {self.kind}"
        if missing := self.required.keys() - told.keys():
            return f"{span.name}: without {', '.join(sorted(missing))}"
        known = {**self.required, **self.optional}
        for name, value in told.items():
            if name not in known:
                return f"{span.name}: {name} is not in the table"
            if not isinstance(value, known[name]) or (isinstance(value, bool) and known[name] is not bool):
                return f"{span.name}: {name} is {type(value).__name__}, not {known[name].__name__}"
        if (span.error is not None) != (names.ERROR_TYPE in told):
            return f"{span.name}: status and {names.ERROR_TYPE} disagree"
        return None


_MESSAGE: Types = {names.SYSTEM: str, names.OPERATION: str, names.OPERATION_TYPE: str, names.DESTINATION: str}
_RECORD: Types = {**_MESSAGE, names.PARTITION: str, names.OFFSET: int, names.GROUP: str}
_JOB: Types = {names.JOB_ID: str, names.TENANT: str, names.SUBMISSION: int}

PROCESS_JOB = SpanKind(
    "process inference.jobs.",
    CONSUMER,
    "the router's work on one job: from its record's arrival to the decision",
    {**_RECORD, **_JOB, names.STATUS: str, names.DECISION_ID: str, names.QUEUED_MS: int, names.POLICY: str},
    {names.TASK: str, names.COMPLEXITY: float, names.GEN_AI_REQUEST_MODEL: str, names.ERROR_TYPE: str},
)
PROCESS_RETRY = SpanKind(
    "process inference.retry.",
    CONSUMER,
    "a rest in a retry topic: from the record's arrival in a process to its way back",
    _RECORD,
    {names.JOB_ID: str, names.TENANT: str, names.SUBMISSION: int, names.CAUSE: str},
)
PROCESS = SpanKind(
    "process inference.",
    CONSUMER,
    "a worker's work on one job: from its first arrival at a worker to its end",
    {**_RECORD, **_JOB, names.TASK: str, names.STATUS: str, names.COST: int, names.DECISION_ID: str,
     names.QUEUED_MS: int, names.WAITED_MS: int},
    {names.ERROR_TYPE: str},
)  # fmt: skip
SEND = SpanKind(
    "send inference.",
    PRODUCER,
    "a record's way out: from the outcome to the lane's transaction that holds it, the wait for the commit",
    {**_MESSAGE, names.CONVERSATION: str},
    {},
)
WAIT = SpanKind("wait ", INTERNAL, "a time in which nothing was called or decided", {names.WAIT: str}, {})
POST = SpanKind(
    "POST",
    CLIENT,
    "one attempt: an HTTP exchange, or several where a queue is polled",
    {names.HTTP_METHOD: str, names.ATTEMPT: int, names.WAITED_MS: int, names.COST: int, names.PROVIDER: str},
    {names.HTTP_STATUS: int, names.HTTP_RESEND: int, names.SERVER_ADDRESS: str, names.SERVER_PORT: int,
     names.REQUEST_ID: str, names.AMBIGUOUS: bool, names.ERROR_TYPE: str},
)  # fmt: skip
CALL = SpanKind(
    "",
    CLIENT,
    "`OPERATION MODEL`, the logical call: all attempts and the waits between them; tokens stand here alone",
    {names.GEN_AI_OPERATION: str, names.GEN_AI_PROVIDER: str, names.GEN_AI_REQUEST_MODEL: str, names.PROVIDER: str,
     names.COST: int},
    {names.GEN_AI_RESPONSE_MODEL: str, names.GEN_AI_FINISH_REASONS: tuple, names.GEN_AI_MAX_TOKENS: int,
     names.GEN_AI_TEMPERATURE: float, names.GEN_AI_TOP_P: float, names.GEN_AI_STREAM: bool,
     names.GEN_AI_INPUT_TOKENS: int, names.GEN_AI_CACHED_TOKENS: int, names.GEN_AI_OUTPUT_TOKENS: int,
     names.GEN_AI_REASONING_TOKENS: int, names.GEN_AI_FIRST_CHUNK: float, names.ERROR_TYPE: str,
     names.INPUT_REF: str, names.INPUT_SHA256: str, names.INPUT_BYTES: int,
     names.OUTPUT_REF: str, names.OUTPUT_SHA256: str, names.OUTPUT_BYTES: int},
)  # fmt: skip
SPANS = (PROCESS_JOB, PROCESS_RETRY, PROCESS, SEND, WAIT, POST, CALL)
"""The first that a span's name begins as is its kind."""


def kind_of(span: SpanDraft) -> SpanKind:
    """The kind of a span, by its name."""
    return next(one for one in SPANS if span.name.startswith(one.name))


def sending(topic: str, inside: TraceContext, span_id: str, since: datetime, conversation: str | None) -> SpanDraft:
    """`send TOPIC` from `since` on: it ends as the transaction that holds the record is put together. Whoever reads the
    record goes on from it, so its id stands in the record's `traceparent`."""
    told: dict[str, AttributeValue | None] = {
        names.SYSTEM: "kafka",
        names.OPERATION: "send",
        names.OPERATION_TYPE: "send",
        names.DESTINATION: topic,
        names.CONVERSATION: conversation,
    }
    return SpanDraft(inside, span_id, f"send {topic}", PRODUCER, since, None, told)
