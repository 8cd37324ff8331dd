"""One call's place in a job's progress: what it took, what it cost, what it says about the provider. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from runtime.breaker import Permit
from schemas.assignment import Candidate, Price
from schemas.failure import FAILURES, FailureKind
from schemas.result import Attempt
from schemas.units import COMPUTE_MS
from workers.call import Called
from workers.cost import Charge, charge, priced
from workers.ending import milliseconds
from workers.errors import ProviderError
from workers.exchange import Answer
from workers.progress import Progress
from workers.retry import counted

K = FailureKind
BLAMES_THE_REQUEST = frozenset({K.REQUEST_REFUSED, K.NOT_FOUND, K.GONE, K.CONTEXT_EXCEEDED, K.RESPONSE_TOO_LARGE})
"""The provider did its part: a success, as far as its health goes."""


def tell_health(permit: Permit, kind: FailureKind, took_s: float) -> None:
    """What a failed call tells the breaker. A 429 feeds the limiter; money and tokens are the account's affair."""
    if FAILURES[kind].counts_for_breaker:
        permit.failed(kind, took_s)
    elif kind in BLAMES_THE_REQUEST:
        permit.succeeded(took_s)
    else:
        permit.neither()


def is_ambiguous(error: ProviderError) -> bool:
    """Whether the provider may have charged for a call that gave no answer."""
    return error.emitted or error.accepted or (FAILURES[error.kind].maybe_charged and not error.nothing_sent)


def failed_attempt(
    progress: Progress, candidate: Candidate, error: ProviderError, started_at: datetime, took: timedelta
) -> Progress:
    """`progress` with a call that failed. An ambiguous one costs its full ceiling, any other nothing."""
    ambiguous = is_ambiguous(error)
    cost = Charge(candidate.ceiling_nanousd, "estimated") if ambiguous else Charge()
    made = _attempt(
        progress, candidate, started_at, took, cost,
        kind=error.kind, upstream_status=error.upstream_status, request_id=error.request_id, ambiguous=ambiguous,
    )  # fmt: skip
    return replace(
        progress,
        tried=counted(progress.tried, error, cost.nanousd),
        attempts=(*progress.attempts, made),
        charges=(*progress.charges, cost),
        upstream_status=error.upstream_status,
    )


def aborted_attempt(progress: Progress, candidate: Candidate, started_at: datetime, took: timedelta) -> Progress:
    """`progress` with a call that we broke off because the job was cancelled: nobody knows whether it is charged."""
    cost = Charge(candidate.ceiling_nanousd, "estimated")
    made = _attempt(
        progress, candidate, started_at, took, cost,
        kind=K.CANCELLED, upstream_status=None, request_id=None, ambiguous=True,
    )  # fmt: skip
    return replace(progress, attempts=(*progress.attempts, made), charges=(*progress.charges, cost))


def answered_attempt(
    progress: Progress, candidate: Candidate, called: Called, started_at: datetime, took: timedelta
) -> Progress:
    """`progress` with the call that gave the answer, and what it cost."""
    answer = called.answer
    estimate = {**answer.estimate, COMPUTE_MS: clocked_ms(answer, candidate, took)}
    cost = charge(
        answer.usage, candidate.price, told_nanousd=answer.told_nanousd, estimate=estimate,
        expected_nanousd=candidate.estimate_nanousd,
    )  # fmt: skip
    made = _attempt(
        progress, candidate, started_at, took, cost, upstream_status=called.status, request_id=called.request_id
    )
    first = None if called.first_token_s is None else timedelta(seconds=called.first_token_s)
    return replace(
        progress,
        attempts=(*progress.attempts, made),
        charges=(*progress.charges, cost),
        usage=_told(answer, candidate.price, estimate) or dict(answer.estimate),
        upstream_status=called.status,
        first_token=first,
    )


def clocked_ms(answer: Answer, candidate: Candidate, took: timedelta) -> int:
    """The compute time of a call by our own clock, for where nobody tells it: no more than the ceiling still pays for.

    The clock counts the way there and back and the wait in a queue too, which are no compute: a guess of ours spends
    nothing that was not reserved.
    """
    clock, each = milliseconds(took), candidate.price.nanousd_per_compute_ms
    if not each or COMPUTE_MS in answer.usage:
        return clock
    others = candidate.price.model_copy(update={"nanousd_per_compute_ms": 0})
    left = candidate.ceiling_nanousd - charge(answer.usage, others, estimate=answer.estimate).nanousd
    return min(clock, max(0, left) // each)


def _told(answer: Answer, price: Price, estimate: Mapping[str, int]) -> dict[str, int]:
    """What the provider reported, and of what the price counts beside that: what we measured."""
    return {**{name: estimate[name] for name, _ in priced(price) if name in estimate}, **answer.usage}


def _attempt(
    progress: Progress, candidate: Candidate, started_at: datetime, took: timedelta, cost: Charge,
    *, upstream_status: int | None, request_id: str | None, kind: FailureKind | None = None, ambiguous: bool = False,
) -> Attempt:  # fmt: skip
    return Attempt.made(
        attempt=len(progress.attempts) + 1,
        model=candidate.model,
        provider=candidate.provider,
        started_at=started_at,
        waited_ms=milliseconds(started_at - progress.since),
        duration_ms=milliseconds(took),
        kind=kind,
        upstream_status=upstream_status,
        request_id=request_id,
        cost_nanousd=cost.nanousd,
        ambiguous=ambiguous,
    )
