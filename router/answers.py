"""What a router lane writes about one job: assigned job or refusal, decision, audit entry and span. Pure."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.arrival import Arrival
from router.decide import Ruling
from router.fold import Entry
from runtime import telemetry
from runtime.ports import LaneId, Outgoing
from runtime.telemetry import SpanDraft, TraceContext
from schemas import codec, headers
from schemas.assignment import Assignment
from schemas.audit import AuditEntry
from schemas.decision import Decision
from schemas.failure import FAILURES, FailureKind
from schemas.job import InferenceJob, ReadableJob
from schemas.result import Error, JobResult, Status, Who
from schemas.topics import MODALITY_TOPICS, RESULTS


@dataclass(frozen=True, slots=True)
class Fact:
    """A decision on its way into the lane's transaction: what is remembered of it, and its JSON."""

    entry: Entry
    encoded: bytes


@dataclass(frozen=True)
class Case:
    """One job at home, with everything that its answers name."""

    arrival: Arrival
    lane: LaneId
    submission: int
    arrived_at: datetime
    decided_at: datetime

    @property
    def job(self) -> InferenceJob | None:
        """The job; None where it could not be read whole."""
        reading = self.arrival.reading
        return reading.job if isinstance(reading, ReadableJob) else None

    @functools.cached_property
    def context(self) -> TraceContext:
        """The producer's trace, or one made from the job's identity."""
        reading = self.arrival.reading
        return telemetry.trace_of(self.arrival.record.headers, reading.tenant, reading.id, self.submission)

    @property
    def task(self) -> str | None:
        """As the job names it."""
        reading = self.arrival.reading
        return reading.job.task if isinstance(reading, ReadableJob) else reading.task

    @property
    def asked(self) -> Who:
        """Whom the job asked for, `auto` included."""
        reading = self.arrival.reading
        named = reading.job if isinstance(reading, ReadableJob) else reading
        return Who(model=named.model, provider=named.provider)


class Answers:
    """The answers to one ruled case."""

    def __init__(self, case: Case, ruling: Ruling, versions: Mapping[str, str]) -> None:
        self._case = case
        self._ruling = ruling
        self._versions = versions
        record = case.arrival.record
        self._context = case.context
        self._span_id = telemetry.span_id(self._context, "process", record.topic, record.partition, record.offset)
        self._headers = (
            *self._context.child_of(self._span_id).headers(),
            (headers.IDENTITY, f"{case.arrival.identity}/{case.submission}".encode()),
        )

    def assigned(self) -> Outgoing:
        """The job with its assignment, for its modality's workers. The job's own bytes are embedded as they are."""
        case, ruling, reading = self._case, self._ruling, self._case.arrival.reading
        if not isinstance(reading, ReadableJob) or ruling.modality is None:
            raise ValueError("only a job that was read whole can be assigned")
        assignment = Assignment(
            candidates=list(ruling.candidates),
            parameters=ruling.parameters,
            adapted=ruling.adapted,
            max_cost_nanousd=ruling.max_cost_nanousd,
            deadline=ruling.deadline,
            decision_id=case.arrival.decision_id,
        )
        value = codec.encode(
            {
                "schema": 1,
                "submission": case.submission,
                "job": codec.Fragment(reading.raw),
                "assignment": codec.Fragment(assignment.encode()),
                "received": codec.Fragment(case.arrival.received.encode()),
                "routed_at": case.decided_at,
            }
        )
        key = f"{reading.tenant}/{reading.job.ordering_key or reading.id}".encode()
        return Outgoing(MODALITY_TOPICS[ruling.modality].name, key, value, self._headers)

    def refused(self, status: Status) -> Outgoing:
        """The terminal result of a job that nobody will work on."""
        case, ruling = self._case, self._ruling
        kind = ruling.kind or FailureKind.INTERNAL
        result = JobResult(
            job_id=case.arrival.reading.id,
            tenant=case.arrival.reading.tenant,
            submission=case.submission,
            status=status,
            task=case.task,
            error=Error(kind=kind, message=ruling.message or "", retryable=FAILURES[kind].retryable),
            asked=case.asked,
            timing_ms={
                "total": _ms(case.arrival.published, case.decided_at),
                "queued": _ms(case.arrival.published, case.arrived_at),
            },
            received=case.arrival.received,
            decision_id=case.arrival.decision_id,
            trace_id=self._context.trace_id,
            completed_at=case.decided_at,
        )
        return Outgoing(RESULTS.name, case.arrival.identity.encode(), result.encode(), self._headers)

    def fact(self) -> Fact:
        """The decision, for the lane's own partition of the decisions topic."""
        case, ruling, arrival = self._case, self._ruling, self._case.arrival
        decision = Decision(
            decision_id=arrival.decision_id,
            tenant=arrival.reading.tenant,
            job_id=arrival.reading.id,
            submission=case.submission,
            digest=arrival.digest,
            verdict=ruling.verdict,
            task=case.task,
            modality=ruling.modality,
            policy=self._versions["policy"],
            versions=dict(self._versions),
            complexity=ruling.complexity,
            candidates=[_told(one) for one in ruling.candidates],
            exclusions=list(ruling.exclusions),
            parameters=ruling.parameters,
            bound_by=ruling.bound_by,
            max_cost_nanousd=ruling.max_cost_nanousd,
            deadline=ruling.deadline,
            kind=ruling.kind,
            message=ruling.message,
            metadata=case.job.metadata if case.job else {},
            received=arrival.received,
            trace_id=self._context.trace_id,
            decided_at=case.decided_at,
        )
        rejected = ruling.verdict == "rejected"
        entry = Entry(arrival.identity, case.submission, arrival.digest, rejected, arrival.decision_id)
        return Fact(entry, decision.encode())

    def audit(self) -> AuditEntry:
        """The deed: assigned, rejected or expired, and why. No content."""
        case, ruling = self._case, self._ruling
        detail: dict[str, Any] = {"decision_id": case.arrival.decision_id, "task": case.task}
        if ruling.kind is not None:
            detail |= {"kind": ruling.kind, "message": ruling.message}
        for first in ruling.candidates[:1]:
            detail |= {
                "model": first.model,
                "provider": first.provider,
                "estimate_nanousd": first.estimate_nanousd,
                "ceiling_nanousd": first.ceiling_nanousd,
            }
        return deed(case, f"job.{ruling.verdict}", detail, self._span_id)

    def span(self) -> SpanDraft:
        """The router's own span of the job's trace, from the record's arrival to the decision."""
        case, ruling, arrival = self._case, self._ruling, self._case.arrival
        parent = self._context.parent_id
        return SpanDraft(
            context=self._context,
            span_id=self._span_id,
            name=f"process {arrival.record.topic}",
            kind=telemetry.CONSUMER,
            start=case.arrived_at,
            end=case.decided_at,
            attributes={
                telemetry.SYSTEM: "kafka",
                telemetry.OPERATION: "process",
                telemetry.OPERATION_TYPE: "process",
                telemetry.DESTINATION: arrival.record.topic,
                telemetry.PARTITION: str(arrival.record.partition),
                telemetry.OFFSET: arrival.record.offset,
                telemetry.GROUP: case.lane.group,
                telemetry.TENANT: arrival.reading.tenant,
                telemetry.JOB_ID: arrival.reading.id,
                telemetry.SUBMISSION: case.submission,
                telemetry.TASK: case.task,
                telemetry.STATUS: ruling.verdict,
                telemetry.DECISION_ID: arrival.decision_id,
                telemetry.QUEUED_MS: _ms(arrival.published, case.arrived_at),
                telemetry.COMPLEXITY: ruling.complexity,
                telemetry.POLICY: self._versions["policy"],
                telemetry.GEN_AI_REQUEST_MODEL: ruling.candidates[0].model if ruling.candidates else None,
                telemetry.ERROR_TYPE: ruling.kind,
            },
            error=ruling.kind,
            links=((self._context.trace_id, parent),) if parent else (),
        )


def deed(case: Case, action: str, detail: dict[str, Any], span_id: str | None = None) -> AuditEntry:
    """An audit entry about one job."""
    return AuditEntry(
        at=case.decided_at,
        action=action,
        tenant=case.arrival.reading.tenant,
        job_id=case.arrival.reading.id,
        submission=case.submission,
        trace_id=case.context.trace_id,
        span_id=span_id,
        detail=detail,
    )


def _told(candidate: Any) -> dict[str, Any]:
    """A candidate as the decision keeps it: who, at what price from which source, expected and at most."""
    return {
        "model": candidate.model,
        "provider": candidate.provider,
        "price": candidate.price,
        "estimate_nanousd": candidate.estimate_nanousd,
        "ceiling_nanousd": candidate.ceiling_nanousd,
    }


def _ms(start: datetime, end: datetime) -> int:
    return max(0, int((end - start).total_seconds() * 1000))
