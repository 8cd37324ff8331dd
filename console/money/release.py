"""An operator ends a reservation that nobody else will: which entry that is, and when it may be. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from console.money.joined import Reservation
from router.money.watchdog import IN_QUEUE
from schemas.ledger import Charge, LedgerEntry
from schemas.result import JobResult

LONGEST_BY = 400


def chosen(open_now: Sequence[Reservation], identity: str) -> Reservation | str:
    """The open reservation called `tenant/id/submission`, or `tenant/id` where there is one; else why there is none."""
    exact = [one for one in open_now if one.job == identity]
    found = exact or [one for one in open_now if one.held.identity == identity]
    if len(found) == 1:
        return found[0]
    if found:
        return f"{identity!r} has {len(found)} open reservations: {', '.join(one.job for one in found)}"
    return f"{identity!r} has no open reservation (see: novix ledger open)"


def too_early(one: Reservation, now: datetime) -> timedelta | None:
    """How long its worker may still end it; None: its time is over. Without a deadline its time is never over."""
    deadline = one.held.deadline
    if deadline is None:
        return timedelta.max
    left = deadline + IN_QUEUE - now
    return left if left > timedelta(0) else None


def entry_of(one: Reservation, results: Sequence[Mapping[str, Any]], *, by: str, now: datetime) -> LedgerEntry:
    """The end of the reservation: a settle of what its result says that it cost, else a release of all of it.

    A settle that its worker writes after a release counts all the same (`router.money.books`).
    """
    held = one.held
    result = _result(results, held.submission)
    charges = [] if result is None else _charges(result)
    return LedgerEntry(
        kind="settle" if charges else "release",
        tenant=held.tenant,
        job_id=held.job_id,
        submission=held.submission,
        decision_id=held.decision_id,
        reserved_nanousd=held.nanousd,
        cost_nanousd=sum(charge.nanousd for charge in charges),
        cost_source="none" if result is None else result.cost_source,
        charges=charges,
        task=one.task,
        status=result.status if result is not None else "failed" if too_early(one, now) else "expired",
        called_ms=0 if result is None else sum(attempt.duration_ms for attempt in result.attempts),
        at=now,
        by=by[:LONGEST_BY],
    )


def _result(results: Sequence[Mapping[str, Any]], submission: int) -> JobResult | None:
    for told in results:
        try:
            result = JobResult.model_validate(told)
        except ValidationError:
            continue
        if result.submission == submission:
            return result
    return None


def _charges(result: JobResult) -> list[Charge]:
    """As a worker writes them (`workers/settlement.py`), as far as a result tells."""
    return [
        Charge(
            model=attempt.model,
            provider=attempt.provider,
            nanousd=attempt.cost_nanousd,
            source=result.cost_source,
            ambiguous=attempt.ambiguous,
            attempt=attempt.attempt,
            request_id=attempt.request_id,
            usage=result.usage if attempt.kind is None else {},
        )
        for attempt in result.attempts
        if attempt.cost_nanousd or attempt.ambiguous
    ]
