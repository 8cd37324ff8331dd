"""What a job has been through at workers: carried from one attempt to the next. Values only."""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from runtime.capture import Captured
from schemas.result import Attempt
from schemas.values import frozen
from workers.cost import Charge
from workers.retry import Tried

WaitName = Literal["slot", "throttle", "breaker", "retry", "budget", "suspect", "intent", "ready"]
MOST_WAITS = 100
"""Waits that are told one by one: a job that waits for hours, five seconds at a time, must not grow with every one."""


@frozen
class Wait:
    """A time in which nothing was called: for a free slot (`throttle`: while a 429 holds all back), a breaker, the next
    attempt, the retry budget, for other suspects, until a call can be noted, or until what it needs is had (payloads,
    the model's name)."""

    name: str
    """A `WaitName`, or one of a newer worker's."""
    start: datetime
    end: datetime


@frozen
class Progress:
    """Attempts, waits and money so far; what `RetryAt` gives a handler to remember."""

    arrived_at: datetime
    """At a worker, the first time."""
    tried: Tried = field(default_factory=Tried)
    attempts: tuple[Attempt, ...] = ()
    charges: tuple[Charge, ...] = ()
    """One an attempt."""
    waits: tuple[Wait, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)
    resting: Wait | None = None
    """The wait that `RetryAt` began; its end is not known before the job comes back."""
    bounces: int = 0
    """How often it left for a retry topic because there was no room to wait for a slot."""
    deaths: int = 0
    """Processes that died while a call of this job was out."""
    recalled: frozenset[str] = frozenset()
    """Calls of processes that have ended which are among `attempts` already."""
    upstream_status: int | None = None
    """The provider's last status."""
    unready: int = 0
    """How often in a row what a call needs was not had."""
    gathered: Mapping[str, Any] | None = None
    """The input with references where it named addresses, once those were fetched; stays with this process."""
    captured: Captured | None = None
    """Where what was asked and answered is kept, if it is; stays with this process."""
    first_token: timedelta | None = None
    """From the start of the last call to its first output, if it came in pieces."""

    @property
    def since(self) -> datetime:
        """The arrival, or the end of the last attempt: what comes before the next one is waiting."""
        if not self.attempts:
            return self.arrived_at
        last = self.attempts[-1]
        return last.started_at + timedelta(milliseconds=last.duration_ms)

    def waited(self, name: str, start: datetime, end: datetime) -> "Progress":
        """With one more wait, if it lasted any time. One that goes on from the last, with no attempt between, is told
        as one with it."""
        if end <= start:
            return self
        last = self.waits[-1] if self.waits else None
        goes_on = last is not None and last.name == name and last.start >= self.since
        if last is not None and (goes_on or len(self.waits) >= MOST_WAITS):
            return replace(self, waits=(*self.waits[:-1], replace(last, end=max(last.end, end))))
        return replace(self, waits=(*self.waits, Wait(name, start, end)))

    def rest(self, name: WaitName, now: datetime) -> "Progress":
        """As the job goes to rest at `now`."""
        return replace(self, resting=Wait(name, now, now))

    def back(self, now: datetime) -> "Progress":
        """As the job comes back from its rest at `now`."""
        if self.resting is None:
            return self
        return replace(self.waited(self.resting.name, self.resting.start, now), resting=None)
