"""Which jobs wait for which endpoint: those that were assigned to it first and have not ended.

The lag of an endpoint, by topics alone: a fold of `inference.decisions.v1` less `inference.results.v1`. The two are
read side by side, so a result may be seen before its decision: it is remembered until that comes.
"""

from collections import OrderedDict
from datetime import datetime, timedelta

from pydantic import ValidationError

from runtime.ports import Record
from schemas.decision import Decision, DecisionBatch
from schemas.endpoints import Measured
from schemas.result import JobResult
from schemas.values import frozen

PREFIX = "endpoint."
"""Of the provider's name under which the router offers an endpoint: `endpoint.{name}`."""
MOST = 1_000_000
"""Jobs that are remembered. Beyond it the oldest are forgotten: they do not count as waiting any more."""
LATE = timedelta(minutes=10)
"""After its deadline a job without a result is not waited for any more."""

Identity = tuple[str, str, int]


@frozen
class Job:
    """One that waits."""

    provider: str
    since: datetime
    deadline: datetime | None


@frozen
class Lag:
    """What waits for one endpoint."""

    jobs: int = 0
    oldest: datetime | None = None
    """When the first of them was assigned."""
    deadline: datetime | None = None
    """The first that there is still time for."""
    last_end: datetime | None = None
    """When a job that was assigned to it last ended."""
    lost: int = 0
    """Jobs among them whose deadline a start now would miss."""


class Waiting:
    """The fold. Total: what cannot be read is passed over."""

    def __init__(self) -> None:
        self._open: dict[Identity, Job] = {}
        self._of: dict[str, dict[Identity, Job]] = {}
        self._ended: OrderedDict[Identity, None] = OrderedDict()
        self._last_end: dict[str, datetime] = {}
        self._measured: dict[str, Measured] = {}
        self._begun: dict[str, datetime] = {}
        """Up to when calls were counted by whoever counted before."""

    def decided(self, record: Record) -> None:
        """Take in one record of decisions."""
        try:
            batch = DecisionBatch.model_validate_json(record.value or b"")
        except ValidationError:
            return
        for decision in batch.decisions:
            provider = first_provider(decision)
            if provider is None:
                continue
            identity = (decision.tenant, decision.job_id, decision.submission)
            if self._ended.pop(identity, 0) is None:
                continue  # its result was here before
            self._close(identity)
            job = Job(provider, decision.decided_at, decision.deadline)
            self._open[identity] = job
            self._of.setdefault(provider, {})[identity] = job
            while len(self._open) > MOST:
                self._close(next(iter(self._open)))

    def ended(self, record: Record) -> None:
        """Take in one record of results."""
        try:
            result = JobResult.model_validate_json(record.value or b"")
        except ValidationError:
            return
        identity = (result.tenant, result.job_id, result.submission)
        job = self._close(identity)
        if job is None:
            self._ended[identity] = None
            while len(self._ended) > MOST:
                self._ended.popitem(last=False)
        else:
            before = self._last_end.get(job.provider, result.completed_at)
            self._last_end[job.provider] = max(before, result.completed_at)
        for attempt in result.attempts:
            if attempt.provider.startswith(PREFIX):
                self._measure(attempt.provider, attempt.kind is None, attempt.duration_ms, attempt.started_at)

    def lag(self, name: str, now: datetime, cold_start: timedelta = timedelta()) -> Lag:
        """What waits for the endpoint of this name at `now`."""
        provider = PREFIX + name
        jobs = self._of.get(provider, {})
        gone = [one for one, job in jobs.items() if job.deadline is not None and job.deadline + LATE < now]
        for identity in gone:
            self._close(identity)
        in_time = [job.deadline for job in jobs.values() if job.deadline is None or job.deadline > now + cold_start]
        return Lag(
            jobs=len(jobs),
            oldest=min((job.since for job in jobs.values()), default=None),
            deadline=min((one for one in in_time if one is not None), default=None),
            last_end=self._last_end.get(provider),
            lost=len(jobs) - len(in_time),
        )

    def measured(self, name: str) -> Measured:
        """What calls to the endpoint of this name were like."""
        return self._measured.get(PREFIX + name, Measured())

    def begin(self, name: str, told: Measured) -> None:
        """Count on from what was told before: what was seen up to then is in it."""
        if told.attempts > self.measured(name).attempts:
            self._measured[PREFIX + name] = told
            if told.until is not None:
                self._begun[PREFIX + name] = told.until

    def _measure(self, provider: str, succeeded: bool, duration_ms: int, at: datetime) -> None:
        old = self._measured.get(provider, Measured())
        if provider in self._begun and at <= self._begun[provider]:
            return  # it was counted before this process began
        self._measured[provider] = Measured(
            attempts=old.attempts + 1,
            succeeded=old.succeeded + succeeded,
            call_ms=old.call_ms + (max(0, duration_ms) if succeeded else 0),
            since=min(old.since or at, at),
            until=max(old.until or at, at),
        )

    def _close(self, identity: Identity) -> Job | None:
        job = self._open.pop(identity, None)
        if job is not None:
            self._of[job.provider].pop(identity, None)
        return job


def first_provider(decision: Decision) -> str | None:
    """The provider's name of the endpoint that a job was assigned to first; None: to none."""
    if decision.verdict != "assigned" or not decision.candidates:
        return None
    provider = decision.candidates[0].get("provider")
    return provider if isinstance(provider, str) and provider.startswith(PREFIX) else None
