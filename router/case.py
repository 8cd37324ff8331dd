"""One job at home: what its answers are made from. Pure."""

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.arrival import Arrival, Claim
from router.redrive import Checked, NotRedriven, Redriven
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
    held_at: datetime | None = None
    """Since when it waits, if it did not go on at once."""
    held_for: str = ""
    """What it waited for first: `rate`, `money` or `turn`."""

    @property
    def job(self) -> InferenceJob | None:
        """The job; None where it could not be read whole."""
        reading = self.arrival.reading
        return reading.job if isinstance(reading, ReadableJob) else None

    @functools.cached_property
    def context(self) -> TraceContext:
        """The producer's trace, or one made from the job's identity: where nobody told one, and for one of a batch or
        a dead letter driven again, which link to where they come from."""
        reading = self.arrival.reading
        told = None if self._has_own_trace else telemetry.told_trace(self.arrival.record.headers)
        return told or telemetry.derived_trace(reading.tenant, reading.id, self.submission)

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """(trace id, span id) of what brought it here: what published it, and the submission that became the dead
        letter."""
        told = telemetry.told_trace(self.arrival.record.headers)
        redriven = self.redrive.cause if isinstance(self.redrive, Redriven) else None
        published = (told.trace_id, told.parent_id) if told is not None and told.parent_id is not None else None
        return tuple(dict.fromkeys(one for one in (published, redriven) if one is not None))

    @property
    def _has_own_trace(self) -> bool:
        return isinstance(self.redrive, Redriven) or is_of_a_batch(self.arrival)

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


def is_of_a_batch(arrival: Arrival) -> bool:
    """Whether the job is one of many that were published together (priority `batch`): their producer's trace would
    hold them all."""
    reading = arrival.reading
    return isinstance(reading, ReadableJob) and reading.job.priority == "batch"


def deed(
    case: Case, action: str, detail: dict[str, Any], span_id: str | None = None, authority: str = "tenant"
) -> AuditEntry:
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
        authority=authority,
    )


def told_of(claim: Claim) -> dict[str, Any]:
    """A claim as the audit tells it."""
    return {"dead_letter": claim.place, "by": claim.by}
