"""What a router lane writes about one job beside its decision: assigned job or refusal, audit entries, span. Pure."""

import hashlib
from datetime import datetime
from typing import Any

from router.case import Case, deed, told_of
from router.decide import Ruling
from router.facts import place
from router.redrive import Redriven
from router.view import View
from runtime import telemetry
from runtime.ports import Outgoing
from runtime.telemetry import SpanDraft
from runtime.telemetry_table import sending
from schemas import codec, headers
from schemas.audit import AuditEntry
from schemas.failure import FailureKind
from schemas.job import ReadableJob
from schemas.result import Error, JobResult, Status
from schemas.topics import MODALITY_TOPICS, RESULTS

COME_BACK = frozenset({FailureKind.OVER_BUDGET, FailureKind.OVER_RATE, FailureKind.DEADLINE_PASSED})
"""Refusals after which the same job, published again later, may be done: nobody was called, and nothing is wrong with
it."""
IN_ORDER = (headers.ORDERED, b"1")


class Answers:
    """The answers to one ruled case.

    The assigned job is written without the contract's models, as decisions are (`router/facts.py`).
    """

    def __init__(self, case: Case, ruling: Ruling, view: View) -> None:
        self._case = case
        self._ruling = ruling
        self._versions = view.versions
        self._terms = view.terms
        record = case.arrival.record
        self._context = case.context
        self._ids = telemetry.SpanIds(self._context, record.topic, record.partition, record.offset)
        self._span_id, self._send_id = self._ids.process, self._ids.send
        self._headers = (
            *self._context.child_of(self._send_id).headers(),
            (headers.IDENTITY, f"{case.arrival.identity}/{case.submission}".encode()),
        )

    def assigned(self, home: int) -> Outgoing:
        """The job with its assignment (`AssignedJob`), for its modality's workers; its own bytes stay as they are.

        `home`: the partition where the end of its reservation is told."""
        case, ruling, reading = self._case, self._ruling, self._case.arrival.reading
        if not isinstance(reading, ReadableJob) or ruling.modality is None:
            raise ValueError("only a job that was read whole can be assigned")
        assignment: dict[str, Any] = {
            "candidates": [codec.Fragment(one.plain()) for one in ruling.candidates],
            "parameters": ruling.parameters,
            "adapted": ruling.adapted,
            "max_cost_nanousd": ruling.max_cost_nanousd,
            "deadline": ruling.deadline,
            "decision_id": case.arrival.decision_id,
            "reserved": self._reserved(home),
            "bill_to": self._terms.bill_to,
        }
        resolved = ruling.resolved
        assignment["resolved"] = None if resolved is None else codec.Fragment(resolved.plain())
        assignment["registry"] = int(self._versions.get("registry", "0"))
        value = codec.encode(
            {
                "schema": 1,
                "submission": case.submission,
                "job": codec.Fragment(reading.raw),
                "assignment": assignment,
                "received": place(case.arrival.received),
                "routed_at": case.decided_at,
            }
        )
        order = reading.job.ordering_key
        key = f"{reading.tenant}/{order or reading.id}".encode()
        told = (*self._headers, IN_ORDER) if order else self._headers
        return Outgoing(MODALITY_TOPICS[ruling.modality].name, key, value, told)

    def _reserved(self, home: int) -> dict[str, Any] | None:
        reserve = self._ruling.reserve
        if reserve is None:
            return None
        return {
            "home": home,
            "nanousd": reserve.nanousd,
            "quoted_nanousd": reserve.quoted_nanousd,
            "price_version": self._versions.get("prices", ""),
            "policy": self._versions["policy"],
        }

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
            error=Error(kind=kind, message=ruling.message or "", retryable=kind in COME_BACK),
            asked=case.asked,
            resolved=ruling.resolved,
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

    def audit(self, decision: bytes) -> tuple[AuditEntry, ...]:
        """The deed: assigned, rejected, expired or cancelled, and why; before it, that it was redriven. No content.
        `decision` is the decision as it is written: its digest binds all that it was made from."""
        case, ruling = self._case, self._ruling
        detail: dict[str, Any] = {
            "decision_id": case.arrival.decision_id,
            "decision_sha256": hashlib.sha256(decision).hexdigest(),
            "policy": self._versions["policy"],
            "task": case.task,
        }
        if ruling.kind is not None:
            detail |= {"kind": ruling.kind, "message": ruling.message}
        else:
            detail["deadline"] = ruling.deadline.isoformat()
        for first in ruling.candidates[:1]:
            detail |= {
                "model": first.model,
                "provider": first.provider,
                "estimate_nanousd": first.estimate_nanousd,
                "ceiling_nanousd": first.ceiling_nanousd,
            }
        if ruling.reserve is not None:
            detail["reserved_nanousd"] = ruling.reserve.nanousd
        if case.cancelled_by is not None:
            detail["by"] = case.cancelled_by
        authority = "tenant" if ruling.kind is None else f"rule:{ruling.kind}"
        if case.cancelled_by is not None:
            authority = f"operator:{case.cancelled_by}"
        decided = deed(case, f"job.{ruling.verdict}", detail, self._span_id, authority)
        if isinstance(case.redrive, Redriven):
            again = {"decision_id": case.arrival.decision_id, **told_of(case.redrive.claim)}
            return deed(case, "job.redriven", again, self._span_id, f"operator:{case.redrive.claim.by}"), decided
        return (decided,)

    def spans(self) -> tuple[SpanDraft, ...]:
        """The router's share of the job's trace: from the record's arrival to the decision, in that the wait for a turn
        or a limit, and the way of what was answered."""
        case, ruling = self._case, self._ruling
        if telemetry.is_off():
            return ()
        inside = self._context.child_of(self._span_id)
        topic = MODALITY_TOPICS[ruling.modality].name if ruling.verdict == "assigned" and ruling.modality else None
        sent = sending(
            topic or RESULTS.name, inside, self._send_id, case.decided_at, case.arrival.decision_id
        )  # fmt: skip
        if case.held_at is None:
            return self._process(), sent
        name, told = f"wait {case.held_for}", {telemetry.WAIT: case.held_for}
        held = SpanDraft(inside, self._ids.nth(0), name, telemetry.INTERNAL, case.held_at, case.decided_at, told)
        return self._process(), held, sent

    def _process(self) -> SpanDraft:
        case, ruling, arrival = self._case, self._ruling, self._case.arrival
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
            links=case.links,
        )


def _ms(start: datetime, end: datetime) -> int:
    return max(0, int((end - start).total_seconds() * 1000))
