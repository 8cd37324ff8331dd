"""One job at home: what its answers are made from. Pure."""

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.arrival import Arrival, Claim
from router.redrive import Checked, NotRedriven
from runtime import telemetry
from runtime.ports import LaneId
from runtime.telemetry import TraceContext
from schemas.audit import AuditEntry
from schemas.job import InferenceJob, ReadableJob
from schemas.result import Who


@dataclass(frozen=True)
class Case:
    """One job at home, with everything that its answers name."""

    arrival: Arrival
    lane: LaneId
    submission: int
    arrived_at: datetime
    decided_at: datetime
    redrive: Checked = None
    """What was found of its claim to be a dead letter driven again, if it makes one."""
    cancelled_by: str | None = None
    """Who cancelled it before it was decided."""

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


def deed(case: Case, action: str, detail: dict[str, Any], span_id: str | None = None) -> AuditEntry:
    """An audit entry about one job. A claim to be driven again that was not believed is told with it."""
    if isinstance(case.redrive, NotRedriven):
        detail = {**detail, **told_of(case.redrive.claim), "redrive_refused": case.redrive.why}
    return AuditEntry.made(
        at=case.decided_at,
        action=action,
        tenant=case.arrival.reading.tenant,
        job_id=case.arrival.reading.id,
        submission=case.submission,
        trace_id=case.context.trace_id,
        span_id=span_id,
        detail=detail,
    )


def told_of(claim: Claim) -> dict[str, Any]:
    """A claim as the audit tells it."""
    return {"dead_letter": claim.place, "by": claim.by}
