"""What notes of calls say after a crash: which calls were made, which were interrupted, who is suspect. Pure.

Before each paid call a worker notes an `Intent`, after it a `CallEnd` (`runtime/intents.py` keeps them). Whoever takes
the record up after the process has died finds both here as attempts of the job.
"""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field, ValidationError

from runtime.intents import Left
from schemas.assignment import Candidate
from schemas.base import Contract, Nanousd, UtcInstant
from schemas.failure import FailureKind
from schemas.result import Attempt, CostSource
from workers.assigned import Assigned
from workers.cost import Charge
from workers.errors import ProviderError
from workers.progress import Progress
from workers.retry import counted

SUSPECT_AFTER = 2
"""Processes that died while a record was out: from so many on it is called alone among its like."""
CRASHED_AFTER = 3
"""So many, the last of them while it was called alone: it is not tried again."""


class Intent(Contract):
    """A call that is about to be made."""

    tenant: str
    job_id: str
    submission: int
    candidate: int = Field(ge=0)
    model: str
    provider: str
    ceiling_nanousd: Nanousd
    began_at: UtcInstant
    alone: bool = False
    """No other suspect of its process was being called: if the process dies, it was this one or an innocent."""

    @property
    def identity(self) -> tuple[str, str, int]:
        """Tenant, id, submission."""
        return self.tenant, self.job_id, self.submission


class CallEnd(Contract):
    """How a call ended."""

    attempt: Attempt
    source: CostSource
    emitted: bool = False
    """Output had begun."""


def recalled(progress: Progress, job: Assigned, left: Sequence[Left]) -> tuple[Progress, bool]:
    """`progress` with the calls of other processes, in their order; and whether the last one of them all killed its
    process while it was made alone.

    A call that failed counts as it did then. One that was interrupted counts with its ceiling against the money, not
    against the retries; its process has died of it unless that lives, and only lost the lane, or broke it off itself
    at the end of a drain; one that was answered, its answer lost, counts with what it cost. Where pieces of its answer
    may have been published, nobody else is asked after either. Notes of another job (the topic was made anew) or of a
    form that is not known are passed over.
    """
    alone = False
    for note in sorted(left, key=lambda one: one.order):
        if note.ref in progress.recalled:
            continue
        try:
            intent = Intent.model_validate_json(note.begun)
            end = CallEnd.model_validate_json(note.ended) if note.ended else None
        except ValidationError:
            continue
        if intent.identity != job.identity or intent.candidate >= len(job.candidates):
            continue
        progress = replace(
            progress,
            arrived_at=min(progress.arrived_at, intent.began_at),
            recalled=progress.recalled | {note.ref},
            tried=replace(progress.tried, candidate=intent.candidate),
        )
        died = end is None and not note.alive
        alone = died and intent.alone
        if end is None or end.attempt.kind is FailureKind.INTERRUPTED:
            progress = _interrupted(progress, intent)
            progress = replace(progress, deaths=progress.deaths + died)
        elif end.attempt.kind is None:
            progress = _lost(progress, end)
        else:
            progress = _failed(progress, end.attempt, end)
        if job.job.stream and (end is None or end.attempt.kind in (None, FailureKind.INTERRUPTED)):
            # Pieces may have been published: nobody else may say how they go on.
            progress = replace(progress, tried=replace(progress.tried, pinned=True))
    return progress, alone


def guessed(progress: Progress, candidates: Sequence[Candidate], ref: str, *, most_nanousd: int) -> Progress:
    """`progress` with one call that a process may have made whose notes nobody here can read.

    It may have been to any of the candidates, if those before it had failed: it counts as one to the dearest. No
    process begins a call that does not fit under what the job may spend (`most_nanousd`), so it counts with what is
    left of that at most.
    """
    left = max(0, most_nanousd - progress.tried.spent_nanousd)
    dearest = max(candidates, key=lambda one: one.ceiling_nanousd)
    intent = Intent(
        tenant="", job_id="", submission=0, candidate=0, model=dearest.model, provider=dearest.provider,
        ceiling_nanousd=min(dearest.ceiling_nanousd, left), began_at=progress.arrived_at,
    )  # fmt: skip
    return _interrupted(replace(progress, recalled=progress.recalled | {ref}), intent)


def is_suspect(progress: Progress) -> bool:
    """Whether the job may be what kills the processes: it is called alone among its like, so that one is blamed."""
    return progress.deaths >= SUSPECT_AFTER


def has_crashed(progress: Progress, alone: bool) -> bool:
    """Whether the job is not tried again. `alone`: its last call was interrupted while no other suspect was out."""
    return alone and progress.deaths >= CRASHED_AFTER


def _interrupted(progress: Progress, intent: Intent) -> Progress:
    return _with(
        progress,
        Attempt(
            attempt=0, model=intent.model, provider=intent.provider, started_at=intent.began_at, waited_ms=0,
            duration_ms=0, kind=FailureKind.INTERRUPTED, cost_nanousd=intent.ceiling_nanousd, ambiguous=True,
        ),
        Charge(intent.ceiling_nanousd, "estimated"),
    )  # fmt: skip


def _lost(progress: Progress, end: CallEnd) -> Progress:
    attempt = end.attempt.model_copy(update={"kind": FailureKind.INTERRUPTED})
    return _with(progress, attempt, Charge(attempt.cost_nanousd, end.source))


def _failed(progress: Progress, attempt: Attempt, end: CallEnd) -> Progress:
    told = _with(progress, attempt, Charge(attempt.cost_nanousd, end.source))
    error = ProviderError(attempt.kind or FailureKind.INTERNAL, "", emitted=end.emitted)
    tried = counted(progress.tried, error, attempt.cost_nanousd)
    return replace(told, tried=tried, upstream_status=attempt.upstream_status)


def _with(progress: Progress, attempt: Attempt, charge: Charge) -> Progress:
    numbered = attempt.model_copy(update={"attempt": len(progress.attempts) + 1})
    spent = progress.tried.spent_nanousd + charge.nanousd
    return replace(
        progress,
        tried=replace(progress.tried, spent_nanousd=spent),
        attempts=(*progress.attempts, numbered),
        charges=(*progress.charges, charge),
    )
