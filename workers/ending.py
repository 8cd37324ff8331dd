"""How a job ends: its result, its audit entry, its spans, and whether a copy goes to the dead letters. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.metrics.work import Ended
from runtime.outcome import Done, GiveUp, Publish
from runtime.ports import Outgoing, Record
from runtime.telemetry import HF_API_VERSION
from schemas import headers
from schemas.audit import AuditEntry
from schemas.failure import FAILURES, FailureKind
from schemas.result import Attempt, Error, JobResult, Status, Who
from schemas.topics import RESULTS
from schemas.values import frozen
from workers.assigned import Assigned
from workers.cost import together
from workers.progress import Progress
from workers.settlement import Settled, given_back, money_of, settled
from workers.spans import interface_of, spans_of

ACTIONS: dict[Status, str] = {
    "succeeded": "job.succeeded",
    "failed": "job.failed",
    "expired": "job.expired",
    "cancelled": "job.cancelled",
}
PUBLISHED_AGAIN_MAY_SUCCEED = frozenset({FailureKind.BREAKER_OPEN, FailureKind.DEADLINE_PASSED})
"""Beside the retryable kinds: what had no time here may have it later."""
CUT_SHORT = frozenset({FailureKind.INTERRUPTED, FailureKind.CANCELLED})
"""Kinds of attempts that ended for our reasons, not the provider's."""


@frozen
class Ending:
    """What a job came to. `kind` is None for a success."""

    kind: FailureKind | None = None
    message: str = ""
    output: Any = None
    served: Who | None = None
    adapted: Mapping[str, Any] = field(default_factory=dict)
    error_type: str = ""
    """Class name of the exception behind a fault of ours."""
    by: str = ""
    """Who cancelled it."""


@frozen
class Fact:
    """What the process remembers once an outcome is committed."""

    offset: int
    """Of the record that is done with: its notes of calls are needed no more."""
    attempts_failed: tuple[FailureKind, ...] = ()
    """Those of this record, by kind; what it carried here was told of when it left."""
    status: Status | None = None
    """How the job ended; None: it waits elsewhere, or was set aside unread."""
    kind: FailureKind | None = None
    settled: Settled | None = None
    """The end of its reservation."""
    ended: Ended | None = None
    """How the job ended, as it is counted; None where `status` is."""


def failures_of(job: Assigned, progress: Progress) -> tuple[FailureKind, ...]:
    """The kinds of the attempts that failed for this record."""
    return tuple(attempt.kind for attempt in _attempts_here(job, progress) if attempt.kind is not None)


def _attempts_here(job: Assigned, progress: Progress) -> Sequence[Attempt]:
    carried = job.envelope.carried
    return progress.attempts if carried is None else progress.attempts[len(carried.attempts) :]


def ended(job: Assigned, progress: Progress, ending: Ending, *, now: datetime) -> Done:
    """The outcome of a job that is done, however it ended.

    A result that no record can hold becomes a failed one, with what was paid for it.
    """
    result = result_of(job, progress, ending, now=now)
    value = result.encode()
    tenant, job_id, submission = job.identity
    record = Outgoing(
        RESULTS.name,
        f"{tenant}/{job_id}".encode(),
        value,
        (
            *job.trace.child_of(job.spans.send).headers(),
            (headers.IDENTITY, f"{tenant}/{job_id}/{submission}".encode()),
        ),
    )
    audit = (*told_of(job, progress, now), _audit(job, result, value, ending.by))
    told = settled(job, progress, result)
    measured = _measured(job, progress, result)
    facts = (Fact(job.record.offset, failures_of(job, progress), result.status, ending.kind, told, measured),)
    spans = spans_of(job, progress, result)

    def shrunk(size_bytes: int) -> Done:
        message = f"the result has {size_bytes} bytes and does not fit into one record of the results topic"
        small = Ending(FailureKind.OUTPUT_TOO_LARGE, message, adapted=ending.adapted)
        return ended(job, progress, small, now=now)

    if ending.kind is not None and FAILURES[ending.kind].replay:
        return GiveUp(
            ending.kind, ending.message, (record,), audit, spans, facts, error_type=ending.error_type, shrunk=shrunk
        )
    return Publish((record,), audit, spans, facts, shrunk=shrunk)


def _measured(job: Assigned, progress: Progress, result: JobResult) -> Ended:
    """What is counted of the job, from the result itself: so both tell the same."""
    return Ended(
        result.tenant,
        str(result.task),
        result.status,
        str(result.error.kind) if result.error else "",
        result.timing_ms,
        progress.attempts,
        tuple((wait.name, (wait.end - wait.start).total_seconds()) for wait in progress.waits),
        result.usage,
        result.cost_nanousd,
        progress.first_token.total_seconds() if progress.first_token is not None else None,
        interface_of(job, progress),
    )


def undecodable(record: Record, message: str, now: datetime, *, uncalled: bool) -> GiveUp:
    """A record that is no assigned job: there is nobody to tell, so it is set aside. What was reserved for it comes
    back if the record says so, and nobody can have been called for it (`uncalled`)."""
    told = given_back(record, now) if uncalled else None
    facts = () if told is None else (Fact(record.offset, settled=told),)
    return GiveUp(FailureKind.UNDECODABLE, message, facts=facts)


def result_of(job: Assigned, progress: Progress, ending: Ending, *, now: datetime) -> JobResult:
    """The terminal answer. Every time in it is a difference of instants, never less than 0."""
    received, cost = job.envelope.received, together(progress.charges)
    tenant, job_id, submission = job.identity
    error = None
    if ending.kind is not None:
        retryable = FAILURES[ending.kind].retryable or ending.kind in PUBLISHED_AGAIN_MAY_SUCCEED
        error = Error(
            kind=ending.kind,
            message=ending.message,
            retryable=retryable,
            upstream_status=progress.upstream_status,
        )
    return JobResult.made(
        schema_version=1,
        job_id=job_id,
        tenant=tenant,
        submission=submission,
        status=_status(ending.kind),
        task=job.job.task,
        output=ending.output,
        error=error,
        asked=Who.made(model=job.job.model, provider=job.job.provider),
        resolved=job.assignment.resolved,
        served=ending.served,
        adapted={**(job.assignment.adapted or {}), **ending.adapted} or None,
        usage=dict(progress.usage),
        cost_nanousd=cost.nanousd,
        cost_source=cost.source,
        money=money_of(job, progress, cost.nanousd),
        attempts=list(progress.attempts),
        timing_ms=_timing(job, progress, now),
        received=received,
        decision_id=job.assignment.decision_id,
        trace_id=job.trace.trace_id,
        completed_at=now,
    )


def _status(kind: FailureKind | None) -> Status:
    if kind is None:
        return "succeeded"
    if kind is FailureKind.CANCELLED:
        return "cancelled"
    return "expired" if kind is FailureKind.DEADLINE_PASSED else "failed"


def _timing(job: Assigned, progress: Progress, now: datetime) -> dict[str, int]:
    published = datetime.fromtimestamp(job.envelope.received.timestamp_ms / 1000, UTC)
    waits = sum((wait.end - wait.start for wait in progress.waits), timedelta())
    spans = {
        "total": now - published,
        "queued": job.envelope.routed_at - published,
        "routed": progress.arrived_at - job.envelope.routed_at,
        "waiting": waits,
    }
    if progress.first_token is not None:
        spans["first_token"] = progress.first_token
    told = {name: milliseconds(span) for name, span in spans.items()}
    return told | {"calling": sum(attempt.duration_ms for attempt in progress.attempts)}


def milliseconds(span: timedelta) -> int:
    """Whole milliseconds, at least 0: clocks of two machines may disagree."""
    return max(0, (span.days * 86_400 + span.seconds) * 1_000 + round(span.microseconds / 1_000))


def entry_of(job: Assigned, action: str, at: datetime, detail: dict[str, Any], by: str = "") -> AuditEntry:
    """One deed of a worker about a job, for the audit: on the word of the decision that assigned it, or of somebody."""
    tenant, job_id, submission = job.identity
    return AuditEntry.made(
        at=at, action=action, tenant=tenant, job_id=job_id, submission=submission, trace_id=job.trace.trace_id,
        span_id=job.span, detail=detail, authority=f"operator:{by}" if by else f"decision:{job.assignment.decision_id}",
    )  # fmt: skip


def told_of(job: Assigned, progress: Progress, now: datetime) -> tuple[AuditEntry, ...]:
    """An entry for each call of this record that was cut short: what may have been charged with no answer for it, and
    what was answered and is paid for again. Those that the job carried here were told of when it left."""
    return tuple(
        entry_of(
            job,
            "call.ambiguous" if attempt.ambiguous else "call.repeated",
            now,
            {
                "attempt": attempt.attempt,
                "kind": attempt.kind,
                "model": attempt.model,
                "provider": attempt.provider,
                "began_at": attempt.started_at.isoformat(),
                "ceiling_nanousd" if attempt.ambiguous else "cost_nanousd": attempt.cost_nanousd,
            },
        )
        for attempt in _attempts_here(job, progress)
        if attempt.kind in CUT_SHORT and (attempt.ambiguous or attempt.kind is FailureKind.INTERRUPTED)
    )


def _audit(job: Assigned, result: JobResult, value: bytes, by: str) -> AuditEntry:
    detail: dict[str, Any] = {
        "cost_nanousd": result.cost_nanousd,
        "cost_source": result.cost_source,
        "attempts": len(result.attempts),
        "assigned_bytes": len(job.record.value or b""),
        "result_bytes": len(value),
        "result_sha256": hashlib.sha256(value).hexdigest(),
        "hf_api_version": HF_API_VERSION,
    }
    if by:
        detail["by"] = by
    if result.served is not None:
        detail |= {"model": result.served.model, "provider": result.served.provider}
    if result.error is not None:
        detail |= {"kind": result.error.kind, "upstream_status": result.error.upstream_status}
    return entry_of(job, ACTIONS[result.status], result.completed_at, detail, by)
