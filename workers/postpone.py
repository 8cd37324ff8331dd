"""A job that goes to wait in a retry topic: the record with what it has been through, and the audit entry. Pure."""

from datetime import datetime, timedelta

from runtime import later
from runtime.outcome import Done, Publish, RetryAt
from runtime.ports import Record
from schemas import codec, headers
from workers.assigned import Assigned
from workers.carried import carried
from workers.ending import Ending, Fact, ended, entry_of, failures_of, told_of
from workers.progress import Progress

STAY_WAIT = timedelta(seconds=1)
"""For a job whose breaker is open and that may not leave yet."""


def stays(progress: Progress, retry: RetryAt, now: datetime) -> bool:
    """Whether the job may not leave yet: its breaker's wait was cut to a moment, so that it asks again."""
    waits_for = progress.resting.name if progress.resting is not None else ""
    return waits_for == "breaker" and retry.when - now <= STAY_WAIT


def is_ordered(record: Record) -> bool:
    """Whether the record's job keeps its place among others: it waits where it is."""
    return headers.first(record.headers, headers.ORDERED) is not None


def postponed(job: Assigned, progress: Progress, retry: RetryAt, now: datetime) -> Publish:
    """The job as it leaves until `retry.when`; `progress` is at rest.

    Its fields that only a newer writer knows go along. A record that has grown too large for its topic ends the job.
    """
    told = carried(progress)
    document = codec.decode(job.record.value or b"")
    value = codec.encode({**document, "carried": told.model_dump(mode="json")})
    record = later.postponed(
        job.record, value, not_before=retry.when, now=now, attempt=told.calls, cause=str(retry.kind),
        back_to=job.record.topic,
    )  # fmt: skip

    def shrunk(size_bytes: int) -> Done:
        message = f"with what it has been through the job has {size_bytes} bytes and no retry topic takes it"
        return ended(job, progress, Ending(retry.kind, message), now=now)

    detail = {
        "cause": retry.kind,
        "wait": told.wait,
        "not_before": retry.when.isoformat(),
        "calls": told.calls,
        "bounces": told.bounces,
        "tier": record.topic,
    }
    audit = (*told_of(job, progress, now), entry_of(job, "job.postponed", now, detail))
    return Publish((record,), audit, facts=(Fact(job.record.offset, failures_of(job, progress)),), shrunk=shrunk)
