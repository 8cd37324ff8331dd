"""What comes after a call that failed, and before one that is made: pure, total, answers with a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from schemas.assignment import Candidate
from schemas.failure import FAILURES, FailureKind
from schemas.values import frozen
from workers.errors import ProviderError

K = FailureKind
UNFIT = frozenset(
    {
        K.NOT_FOUND, K.GONE, K.BREAKER_OPEN, K.UNAUTHORIZED, K.PAYMENT_REQUIRED, K.FORBIDDEN, K.EGRESS_REFUSED,
        K.CONTEXT_EXCEEDED, K.UNKNOWN_PROVIDER,
    }
)  # fmt: skip
"""Kinds that say "not here" rather than "not now" or "not this": the next candidate may do it."""
NOT_IN_TIME = frozenset({K.BREAKER_OPEN, K.RATE_LIMITED, K.DEADLINE_PASSED})
"""Refusals before a call that more time would mend."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long."""

    attempts: int
    """Calls in all, over all candidates: 1 + max_retries."""
    factor_s: float
    max_s: float
    """Longest single wait, and longest Retry-After that is waited for."""


@frozen
class Terms:
    """What the job allows."""

    candidates: Sequence[Candidate]
    max_cost_nanousd: int
    deadline: datetime
    provider_named: bool
    """The producer named the provider: no other takes its place."""


@frozen
class Tried:
    """What has been tried so far."""

    calls: int = 0
    candidate: int = 0
    """The one that is asked next, or was asked last."""
    unfit: frozenset[int] = frozenset()
    """Candidates that will not do it."""
    pinned: bool = False
    """Output had begun at `candidate`: no other takes its place."""
    spent_nanousd: int = 0
    """Costs known and ceilings of ambiguous calls, together."""


@frozen
class Again:
    """Ask `candidate`, not before `when`."""

    candidate: int
    when: datetime


@frozen
class Stop:
    """No further call."""

    kind: FailureKind
    message: str


@frozen
class Refused:
    """A candidate that cannot be called now, and no attempt was made: its breaker is open, or it must be left alone."""

    kind: FailureKind
    until: datetime
    message: str
    trial: bool = False
    """Another job's trial call decides, at a time that nobody knows: it can be waited for, but not until an instant."""


def backoff(attempt: int, jitter: float, policy: RetryPolicy) -> timedelta:
    """Wait after the failed call `attempt` (1 is the first), `jitter` in [0, 1).

    `min(longest, factor * 2 ** (attempt - 1)) * jitter`: full jitter, "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015.
    """
    doublings = min(attempt - 1, 64)  # beyond that a float is far over any longest wait
    return timedelta(seconds=min(policy.max_s, policy.factor_s * 2.0**doublings) * jitter)


def possible(tried: Tried, terms: Terms) -> list[int]:
    """Candidates that may still be called, the present one first, then in the assignment's order.

    Without those that are unfit, those that would take a named provider's place, and those whose ceiling no longer fits
    under the job's. Once output has begun only the present one is left.
    """
    order = [tried.candidate, *(at for at in range(len(terms.candidates)) if at != tried.candidate)]
    named = terms.candidates[0].provider if terms.provider_named else None
    return [
        at
        for at in (order[:1] if tried.pinned else order)
        if at not in tried.unfit
        and (named is None or terms.candidates[at].provider == named)
        and tried.spent_nanousd + terms.candidates[at].ceiling_nanousd <= terms.max_cost_nanousd
    ]


def before_call(tried: Tried, terms: Terms, refused: Mapping[int, Refused], *, now: datetime) -> Again | Stop:
    """Whom to call now (`when` is now), or when to come back, or that no call may be made.

    `refused` are candidates that turned us away in this round, without an attempt. While others are left they are
    called; then the earliest to open is waited for, if that is before the deadline.
    """
    if now >= terms.deadline:
        return Stop(
            K.DEADLINE_PASSED, f"the deadline was {_ms(now - terms.deadline)} ms ago; no further call was begun"
        )
    indices = possible(tried, terms)
    if not indices:
        return (
            _unaffordable(tried, terms)
            if len(tried.unfit) < len(terms.candidates)
            else Stop(K.NO_CANDIDATE, "no candidate")
        )
    free = [at for at in indices if at not in refused]
    if free:
        return Again(free[0], now)
    first = min(indices, key=lambda at: refused[at].until)
    if refused[first].until >= terms.deadline:
        kind, message = refused[first].kind, refused[first].message
        left = f"; {_ms(terms.deadline - now)} ms are left to the deadline" if kind in NOT_IN_TIME else ""
        return Stop(kind, message + left)
    return Again(first, max(now, refused[first].until))


def counted(tried: Tried, error: ProviderError, cost_nanousd: int) -> Tried:
    """`tried` with one more call in it, which failed and cost `cost_nanousd`."""
    unfit = tried.unfit | {tried.candidate} if error.kind in UNFIT else tried.unfit
    return replace(
        tried,
        calls=tried.calls + 1,
        unfit=unfit,
        pinned=tried.pinned or error.emitted,
        spent_nanousd=tried.spent_nanousd + cost_nanousd,
    )


def after_failure(
    error: ProviderError, tried: Tried, terms: Terms, *, now: datetime, jitter: float, policy: RetryPolicy
) -> Again | Stop:
    """What a failed call leads to; `tried` has it `counted`.

    A kind that says "not here" goes to the next candidate at once; one that says "not now" waits and asks the same
    again, until the candidate has had its share of the attempts, and then goes on to the next; any other ends the job.
    Nothing is retried past the deadline: a late answer is worth as little as none.
    """
    which_call = f"call {tried.calls} of {policy.attempts}"
    if tried.calls >= policy.attempts or now >= terms.deadline:
        return Stop(error.kind, f"{error.message} ({which_call})")
    if error.kind not in UNFIT and not FAILURES[error.kind].retryable:
        return Stop(error.kind, error.message)
    indices = possible(tried, terms)
    if error.kind in UNFIT:
        return Again(indices[0], now) if indices else Stop(error.kind, error.message)
    if not indices:
        return _unaffordable(tried, terms, after=error.kind)
    below = [at for at in indices if at > tried.candidate]
    had_its_share = bool(below) and tried.calls >= share_of(tried.candidate, len(terms.candidates), policy)
    wait = wait_after(error, tried.calls, jitter, policy)
    stays = indices[0] == tried.candidate and not had_its_share
    if stays and wait is not None and now + wait < terms.deadline:
        return Again(tried.candidate, now + wait)
    others = below if had_its_share else [at for at in indices if at != tried.candidate]
    left = f"{_ms(terms.deadline - now)} ms are left to the deadline"
    return Again(others[0], now) if others else Stop(error.kind, f"{error.message} ({which_call}; {left})")


def share_of(candidate: int, candidates: int, policy: RetryPolicy) -> int:
    """Calls in all after which the next candidate is asked: of six attempts with two candidates each has three."""
    return -(-policy.attempts * (candidate + 1) // candidates)


def wait_after(error: ProviderError, calls: int, jitter: float, policy: RetryPolicy) -> timedelta | None:
    """How long to leave the provider alone; None: longer than we wait.

    A provider's own Retry-After wins over our backoff. The time to load a model is an estimate, so of it we wait at
    most `policy.max_s` and ask again.
    """
    if error.retry_after is None:
        return backoff(calls, jitter, policy)
    longest = timedelta(seconds=policy.max_s)
    if error.kind is K.MODEL_LOADING:
        return min(error.retry_after, longest)
    return error.retry_after if error.retry_after <= longest else None


def _unaffordable(tried: Tried, terms: Terms, after: FailureKind | None = None) -> Stop:
    left = [one.ceiling_nanousd for at, one in enumerate(terms.candidates) if at not in tried.unfit]
    message = (
        f"spent {tried.spent_nanousd} nano-dollars, the next call may cost {min(left, default=0)}; "
        f"max_cost_nanousd is {terms.max_cost_nanousd}"
    )
    return Stop(K.PRICE_CEILING, f"{message}; the last call ended with {after}" if after else message)


def _ms(span: timedelta) -> int:
    return max(0, span // timedelta(milliseconds=1))
