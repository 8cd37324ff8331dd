"""How long a provider that queues its work is waited for, and how often it is asked. Pure."""

from datetime import timedelta

from schemas.failure import FailureKind
from schemas.values import frozen
from workers.errors import ProviderError
from workers.exchange import Next

K = FailureKind
PASSING = frozenset(
    {K.RATE_LIMITED, K.OVERLOADED, K.PROVIDER_ERROR, K.MODEL_LOADING, K.TIMEOUT, K.CONNECT_FAILED, K.CONNECTION_LOST}
)
"""Faults of a look at the queue that say nothing about the work."""
SHARE_OF_WAIT = 20
"""Between two looks passes at least this part of the time that was waited: at most 5 % of it is lost at the end."""


@frozen
class Patience:
    """Spans in seconds."""

    poll_s: float = 0.5
    """Between two looks, at first."""
    longest_s: float = 5.0
    """Between two looks, at last."""
    faults: int = 6
    """Looks in a row that may fail."""
    fault_s: float = 1.0
    """After the first of them; twice as much after each further one."""


@frozen
class Wait:
    """Go on after so many seconds."""

    seconds: float


def before_the_next(step: Next, stage: str, waited_s: float, left_s: float, patience: Patience) -> Wait:
    """How long to wait before `step`, in the stage `stage` and after `waited_s` of waiting.

    A step to another stage is taken as soon as it says; one that comes again waits a while however eager it is, and
    longer the longer it goes on; a last look is made shortly before the deadline, which is `left_s` away. Raises
    `ProviderError` (deadline_passed, accepted) when there is no time for one more.
    """
    seconds = max(0.0, step.after_s)
    if step.stage == stage or seconds > 0:
        seconds = max(seconds, patience.poll_s, min(patience.longest_s, waited_s / SHARE_OF_WAIT))
    if seconds >= left_s > 2 * patience.poll_s:
        seconds = left_s - patience.poll_s
    if seconds >= left_s:
        message = f"the provider's work was not done before the deadline; it was waited for {round(waited_s)} s"
        raise ProviderError(K.DEADLINE_PASSED, message, accepted=True)
    return Wait(seconds)


def after_a_fault(error: ProviderError, faults: int, left_s: float, patience: Patience) -> Wait | None:
    """When to look again after a look that failed, the `faults`th in a row; None: it is given up.

    The work is under way and may be charged for: it is worth more looks than a call is worth attempts. A provider's
    own Retry-After wins over our doubling.
    """
    if error.kind not in PASSING or faults > patience.faults:
        return None
    doubled = min(patience.longest_s, patience.fault_s * 2.0 ** (faults - 1))
    seconds = max(error.retry_after or timedelta(seconds=doubled), timedelta()).total_seconds()
    return Wait(seconds) if seconds < left_s else None
