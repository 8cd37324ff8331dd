"""One delivery of one assigned job while it is worked on."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runtime.breaker import BreakerKey
from runtime.outcome import Abandoned, Done
from runtime.ports import Delivery
from schemas.assignment import Candidate
from schemas.failure import FailureKind
from workers.assigned import Assigned
from workers.ending import Ending, ended
from workers.progress import Progress, WaitName
from workers.retry import Stop

Key = BreakerKey


@dataclass(slots=True)
class Turn:
    """A delivery, its job, and what is to be remembered if the turn ended now."""

    delivery: Delivery
    job: Assigned
    progress: Progress
    cut_waiting: bool = False
    """It was cancelled while it waited to begin a call."""

    @property
    def candidate(self) -> Candidate:
        """The one that is asked next, or was asked last."""
        return self.job.candidates[self.progress.tried.candidate]

    @property
    def key(self) -> Key:
        """What limits, breakers and budget know the candidate by."""
        return Key(self.candidate.provider, self.candidate.model)

    @property
    def was_called(self) -> bool:
        """Whether the candidate has had a call of this job: another is a retry. The first call to one that takes its
        place burdens nobody who is in trouble."""
        if not self.progress.tried.calls:
            return False
        key = self.candidate.provider, self.candidate.model
        return any((attempt.provider, attempt.model) == key for attempt in self.progress.attempts)

    @property
    def input(self) -> Mapping[str, Any]:
        """The job's, with references where it named addresses that have been fetched."""
        return self.progress.gathered if self.progress.gathered is not None else self.job.job.input

    @property
    def deadline(self) -> datetime:
        """The job's."""
        return self.job.assignment.deadline

    def choose(self, candidate: int) -> None:
        """Ask this one next."""
        if self.progress.tried.candidate != candidate:
            self.progress = replace(self.progress, tried=replace(self.progress.tried, candidate=candidate))

    def rest(self, name: WaitName, now: datetime) -> Progress:
        """What is remembered while it rests from `now` on."""
        return self.progress.rest(name, now)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """A block that waits to begin a call: whoever drains may cancel it, and nothing is lost."""
        lease = self.delivery.lease
        if not lease.held:
            raise Abandoned
        lease.waiting = True
        try:
            yield
        except asyncio.CancelledError:
            self.cut_waiting = True
            raise
        finally:
            lease.waiting = False

    def ended(self, ending: Ending, now: datetime) -> Done:
        """The outcome of the job, however it ended."""
        return ended(self.job, self.progress, ending, now=now)

    def stopped(self, stop: Stop, now: datetime, error_type: str = "") -> Done:
        """The outcome of a job for which no further call is made."""
        return self.ended(Ending(stop.kind, stop.message, error_type=error_type), now)

    def cancelled(self, by: str, now: datetime) -> Done:
        """The outcome of a job that `by` has cancelled."""
        calls = len(self.progress.attempts)
        message = f"cancelled after {calls} call{'' if calls == 1 else 's'}"
        return self.ended(Ending(FailureKind.CANCELLED, message, by=by), now)
