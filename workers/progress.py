"""What a job has been through in this process: carried from one attempt to the next. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from schemas.result import Attempt
from workers.cost import Charge
from workers.retry import Tried

WaitName = Literal["slot", "breaker", "retry"]


@dataclass(frozen=True, slots=True)
class Wait:
    """A time in which nothing was called: for a free slot, a breaker, or the next attempt."""

    name: WaitName
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """Attempts, waits and money so far; what `RetryAt` gives a handler to remember."""

    since: datetime
    """The arrival, or the end of the last attempt: what comes before the next one is waiting."""
    tried: Tried = field(default_factory=Tried)
    attempts: tuple[Attempt, ...] = ()
    charges: tuple[Charge, ...] = ()
    """One an attempt."""
    waits: tuple[Wait, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)
    resting: Wait | None = None
    """The wait that `RetryAt` began; its end is not known before the job comes back."""
    upstream_status: int | None = None
    """The provider's last status."""
    first_token: timedelta | None = None
    """From the start of the last call to its first output, if it came in pieces."""

    def waited(self, name: WaitName, start: datetime, end: datetime) -> "Progress":
        """With one more wait, if it lasted any time."""
        return replace(self, waits=(*self.waits, Wait(name, start, end))) if end > start else self

    def rest(self, name: WaitName, now: datetime) -> "Progress":
        """As the job goes to rest at `now`."""
        return replace(self, resting=Wait(name, now, now))

    def back(self, now: datetime) -> "Progress":
        """As the job comes back from its rest at `now`."""
        if self.resting is None:
            return self
        return replace(self.waited(self.resting.name, self.resting.start, now), resting=None)
