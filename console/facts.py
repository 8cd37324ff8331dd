"""What one record tells the store: rows for its tables. Pure and total: any bytes give rows or none."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.spans import Span, decode_spans
from runtime import telemetry
from schemas import codec
from schemas.job import DEFAULT_TENANT
from schemas.topics import DECISIONS, JOBS, RESULTS, SPANS

QUEUED, DECIDED, TERMINAL = 0, 1, 2
SHOWN_TEXT = 256
"""Characters of a stranger's field that a list shows."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """What one record says of one submission. None: it does not say."""

    tenant: str
    job_id: str
    submission: int | None
    """None: a record of the jobs topic, which cannot know."""
    rank: int
    status: str
    changed_ms: int
    task: str | None = None
    asked_model: str | None = None
    model: str | None = None
    provider: str | None = None
    cost_nanousd: int | None = None
    total_ms: int | None = None
    attempts: int | None = None
    published_ms: int | None = None
    trace_id: str | None = None
    error_kind: str | None = None
    partition: int | None = None
    offset: int | None = None
    written_ms: int | None = None
    """When the lane's transaction wrote the result."""
    decision: str | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class RecordRow:
    """Which job a record belongs to."""

    topic: str
    partition: int
    offset: int
    tenant: str
    job_id: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All rows of some records."""

    jobs: list[JobRow]
    records: list[RecordRow]
    spans: list[Span]


def facts_of(topic: str, partition: int, offset: int, timestamp_ms: int, value: bytes | None) -> Facts:
    """The rows of one record. `topic` is the logical name, without prefix."""
    facts = Facts([], [], [])
    if topic == SPANS.name:
        facts.spans.extend(decode_spans(value or b""))
        facts.records.extend(row for span in facts.spans if (row := _record_of(span)) is not None)
        return facts
    document = _object(value)
    told: list[JobRow | None] = []
    if topic == JOBS.name:
        told = [_arrived(document, partition, offset, timestamp_ms)]
    elif topic == DECISIONS.name:
        batch = document.get("decisions")
        told = [_decided(_dict(item), timestamp_ms) for item in batch] if isinstance(batch, list) else []
    elif topic == RESULTS.name:
        told = [_ended(document, timestamp_ms)]
    facts.jobs.extend(row for row in told if row is not None)
    if topic != DECISIONS.name:  # a batch belongs to many jobs
        facts.records.extend(RecordRow(topic, partition, offset, row.tenant, row.job_id) for row in facts.jobs)
    return facts


def _arrived(job: dict[str, Any], partition: int, offset: int, timestamp_ms: int) -> JobRow | None:
    named = _named(job.get("tenant", DEFAULT_TENANT), job.get("id"))
    if named is None:
        return None  # it will be a dead letter
    return JobRow(
        *named,
        None,
        QUEUED,
        "queued",
        timestamp_ms,
        task=_text(job.get("task")),
        asked_model=_text(job.get("model")) or "auto",
        published_ms=timestamp_ms,
        partition=partition,
        offset=offset,
    )


def _decided(decision: dict[str, Any], timestamp_ms: int) -> JobRow | None:
    named = _named(decision.get("tenant"), decision.get("job_id"))
    if named is None:
        return None
    received = _dict(decision.get("received"))
    return JobRow(
        *named,
        _submission(decision),
        DECIDED,
        "routed",
        timestamp_ms,
        task=_text(decision.get("task")),
        published_ms=_int(received.get("timestamp_ms")),
        trace_id=_text(decision.get("trace_id")),
        partition=_int(received.get("partition")),
        offset=_int(received.get("offset")),
        decision=codec.encode(decision).decode(),
    )


def _ended(result: dict[str, Any], timestamp_ms: int) -> JobRow | None:
    named = _named(result.get("tenant"), result.get("job_id"))
    status = _text(result.get("status"))
    if named is None or status is None:
        return None
    served, received, timing = (
        _dict(result.get("served")),
        _dict(result.get("received")),
        _dict(result.get("timing_ms")),
    )
    attempts = result.get("attempts")
    return JobRow(
        *named,
        _submission(result),
        TERMINAL,
        status,
        _milliseconds(result.get("completed_at")) or timestamp_ms,
        task=_text(result.get("task")),
        asked_model=_text(_dict(result.get("asked")).get("model")),
        model=_text(served.get("model")),
        provider=_text(served.get("provider")),
        cost_nanousd=_int(result.get("cost_nanousd")),
        total_ms=_int(timing.get("total")),
        attempts=len(attempts) if isinstance(attempts, list) else None,
        published_ms=_int(received.get("timestamp_ms")),
        trace_id=_text(result.get("trace_id")),
        error_kind=_text(_dict(result.get("error")).get("kind")),
        partition=_int(received.get("partition")),
        offset=_int(received.get("offset")),
        written_ms=timestamp_ms,
        result=codec.encode(result).decode(),
    )


def _record_of(span: Span) -> RecordRow | None:
    told = span.attributes
    named = _named(told.get(telemetry.TENANT), told.get(telemetry.JOB_ID))
    topic, offset = told.get(telemetry.DESTINATION), _int(told.get(telemetry.OFFSET))
    partition = str(told.get(telemetry.PARTITION, ""))
    if named is None or not isinstance(topic, str) or offset is None or not partition.isdecimal():
        return None
    return RecordRow(topic, min(int(partition), 2**31), offset, *named)


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        document = codec.decode(value or b"")
    except codec.Undecodable:
        return {}
    return _dict(document)


def _named(tenant: object, job_id: object) -> tuple[str, str] | None:
    return (tenant, job_id) if isinstance(tenant, str) and isinstance(job_id, str) and tenant and job_id else None


def _submission(told: dict[str, Any]) -> int:
    return max(1, _int(told.get("submission")) or 1)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value[:SHOWN_TEXT] if isinstance(value, str) and value else None


def _int(value: Any) -> int | None:
    usable = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return value if usable else None


def _milliseconds(instant: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(instant).timestamp() * 1_000)
    except (TypeError, ValueError, OverflowError):
        return None
