"""How a job's reservation ends: the ledger entry beside its result. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import ValidationError

from runtime.grouping import by_size
from runtime.ports import Outgoing, Record
from schemas import codec
from schemas.assignment import Reserved
from schemas.base import contents
from schemas.job import DEFAULT_TENANT, MAX_READ_BYTES
from schemas.ledger import CallMade, Charge, LedgerEntry
from schemas.prices import SERVICE_TIER
from schemas.result import JobResult, Money
from schemas.topics import LEDGER
from schemas.values import frozen
from workers.assigned import Assigned
from workers.progress import Progress

MS = timedelta(milliseconds=1)


@frozen
class Settled:
    """An entry on its way into the lane's transaction."""

    home: int
    encoded: bytes
    released_nanousd: int = 0
    """What of the reservation comes back."""


def money_of(job: Assigned, progress: Progress, paid_nanousd: int) -> Money | None:
    """What the result says of money; None for a job for which nothing was reserved."""
    reserved = job.assignment.reserved
    if reserved is None:
        return None
    return Money.made(
        quoted_nanousd=reserved.quoted_nanousd,
        reserved_nanousd=reserved.nanousd,
        paid_nanousd=paid_nanousd,
        ambiguous_nanousd=sum(attempt.cost_nanousd for attempt in progress.attempts if attempt.ambiguous),
        priced_by=f"{reserved.policy} prices@{reserved.price_version}",
    )


def settled(job: Assigned, progress: Progress, result: JobResult) -> Settled | None:
    """The end of the job's reservation; None if nothing was reserved.

    Every attempt that cost something, or may have, is a charge; their sum is what the result says that the job cost.
    """
    reserved = job.assignment.reserved
    if reserved is None:
        return None
    charges = [
        Charge.made(
            model=attempt.model,
            provider=attempt.provider,
            service_tier=_service_tier(job, attempt.model, attempt.provider),
            nanousd=attempt.cost_nanousd,
            source=charge.source,
            ambiguous=attempt.ambiguous,
            attempt=attempt.attempt,
            request_id=attempt.request_id,
            usage=dict(progress.usage) if attempt.kind is None else {},
        )
        for attempt, charge in zip(progress.attempts, progress.charges, strict=True)
        if attempt.cost_nanousd or attempt.ambiguous
    ]
    first = progress.attempts[0].started_at if progress.attempts else result.completed_at
    waited = max(timedelta(0), first - job.envelope.routed_at)
    entry = LedgerEntry.made(
        kind="settle" if charges else "release",
        tenant=result.tenant,
        job_id=result.job_id,
        submission=result.submission,
        decision_id=job.assignment.decision_id,
        reserved_nanousd=reserved.nanousd,
        cost_nanousd=result.cost_nanousd,
        cost_source=result.cost_source,
        charges=charges,
        calls=[
            CallMade.made(
                provider=attempt.provider, model=attempt.model, duration_ms=attempt.duration_ms, kind=attempt.kind
            )
            for attempt in progress.attempts
        ],
        task=result.task,
        status=result.status,
        waited_ms=waited // MS,
        called_ms=sum(attempt.duration_ms for attempt in progress.attempts),
        at=result.completed_at,
        by="",
    )
    back = max(0, reserved.nanousd - result.cost_nanousd)
    return Settled(reserved.home, codec.encode(entry.__dict__, contents), back)


def given_back(record: Record, now: datetime) -> Settled | None:
    """The end of the reservation of an assigned record that cannot be read as a job, and so is never called for.

    None where it names no reservation, or was worked on before (`carried`): what that cost is in what cannot be read.
    """
    value = record.value or b""
    if len(value) > MAX_READ_BYTES:
        return None
    try:
        document = codec.decode(value)
        if document.get("carried") is not None:
            return None
        assignment, job = document["assignment"], document["job"]
        reserved = Reserved.model_validate(assignment["reserved"])
        entry = LedgerEntry(
            kind="release", tenant=job.get("tenant", DEFAULT_TENANT), job_id=job["id"],
            submission=document["submission"], decision_id=assignment["decision_id"],
            reserved_nanousd=reserved.nanousd, status="failed", at=now,
        )  # fmt: skip
    except (codec.Undecodable, ValidationError, AttributeError, KeyError, TypeError):
        return None
    return Settled(reserved.home, entry.encode(), reserved.nanousd)


def sealed(lane: str, entries: Sequence[Settled], limit_bytes: int) -> list[Outgoing]:
    """The entries of one transaction as batches (`LedgerBatch`), each at its home's partition."""
    head = b'{"lane":"%s","entries":[' % lane.encode()
    homes: dict[int, list[bytes]] = {}
    for entry in entries:
        homes.setdefault(entry.home, []).append(entry.encoded)
    return [
        Outgoing(LEDGER.name, str(home).encode(), b"".join((head, b",".join(batch), b"]}")), partition=home)
        for home, listed in homes.items()
        for batch in by_size(listed, [len(one) + 1 for one in listed], limit_bytes - len(head) - 2)
    ]


def _service_tier(job: Assigned, model: str, provider: str) -> str:
    for one in job.candidates:
        if (one.model, one.provider) == (model, provider):
            return one.price.service_tier
    return SERVICE_TIER
