"""What a router lane answers where there is nothing to decide: sent home, decided before, unreadable. Pure."""

from datetime import datetime
from typing import Any

from router.arrival import Arrival, forwarded
from router.case import Case, deed, is_of_a_batch, told_of
from router.redrive import Redriven
from router.standing import AlreadyDecided, Conflict, Duplicate
from runtime import telemetry
from runtime.outcome import Done, GiveUp, Publish
from runtime.ports import Record
from schemas.audit import AuditEntry
from schemas.failure import FailureKind
from schemas.job import ReadableJob, Unreadable


def repeated(case: Case, standing: AlreadyDecided | Duplicate | Conflict) -> Done:
    """An identity that came again: never a second result. `case.submission` is the one that was decided.

    A redelivery says nothing. Another record of the same content is told to the audit, and so is a dead letter that is
    driven a second time; other content is a dead letter besides.
    """
    arrival = case.arrival
    detail: dict[str, Any] = {"decision_id": arrival.decision_id, "received": arrival.received.model_dump()}
    if isinstance(standing, AlreadyDecided):
        if not isinstance(case.redrive, Redriven):
            return Publish()
        return Publish(audit=(deed(case, "job.redriven_before", {**detail, **told_of(case.redrive.claim)}),))
    if isinstance(standing, Duplicate):
        return Publish(audit=(deed(case, "job.duplicate", detail),))
    message = f"the id was used before with other content (submission {standing.submission})"
    if not isinstance(arrival.reading, ReadableJob):
        message += f"; this one is refused besides: {arrival.reading.kind}"
    return GiveUp(FailureKind.CONFLICT, message, audit=(deed(case, "job.conflict", detail),))


def sent_home(arrival: Arrival, now: datetime) -> Publish:
    """A job that entered away from its tenant's home goes there, once."""
    record = arrival.record
    told = None if is_of_a_batch(arrival) else telemetry.told_trace(record.headers)
    entry = AuditEntry(
        at=now,
        action="job.forwarded",
        tenant=arrival.reading.tenant,
        job_id=arrival.reading.id,
        # Without a producer's trace the id is made from the submission, and only the home lane knows that.
        trace_id=told.trace_id if told is not None else None,
        detail={"from": f"{record.partition}/{record.offset}", "to": arrival.home},
        authority="tenant",
    )
    return Publish((forwarded(arrival),), (entry,))


def unreadable(record: Record, reading: Unreadable, now: datetime) -> GiveUp:
    """A record that names nobody: a dead letter, and no result, for there is nobody to tell."""
    where = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "kind": reading.kind}
    entry = AuditEntry(at=now, action="record.dead_lettered", detail={**where, "message": reading.message})
    return GiveUp(reading.kind, reading.message, audit=(entry,))
