"""A job's progress as it travels through a retry topic, and back. Pure; each is the other's inverse."""

from schemas.assignment import Carried, CarriedWait
from workers.cost import Charge
from workers.progress import Progress, Wait
from workers.retry import Tried


class NotResting(ValueError):
    """Progress that no `RetryAt` has sent to rest does not travel."""


def carried(progress: Progress) -> Carried:
    """What a job takes along; `progress` is at rest. Raises `NotResting`.

    What was recalled stays behind: its notes belong to the record that is done with this, and its attempts go along.
    """
    if progress.resting is None:
        raise NotResting("the job does not rest")
    tried = progress.tried
    return Carried(
        arrived_at=progress.arrived_at,
        since=progress.resting.start,
        wait=progress.resting.name,
        bounces=progress.bounces,
        deaths=progress.deaths,
        calls=tried.calls,
        candidate=tried.candidate,
        unfit=sorted(tried.unfit),
        pinned=tried.pinned,
        attempts=list(progress.attempts),
        cost_sources=[charge.source for charge in progress.charges],
        waits=[CarriedWait(name=wait.name, start=wait.start, end=wait.end) for wait in progress.waits],
        upstream_status=progress.upstream_status,
    )


def taken_up(told: Carried) -> Progress:
    """The progress that `carried` told, at rest still: its wait ends when the job is `back`."""
    charges = tuple(
        Charge(attempt.cost_nanousd, source) for attempt, source in zip(told.attempts, told.cost_sources, strict=True)
    )
    return Progress(
        told.arrived_at,
        Tried(
            calls=told.calls,
            candidate=told.candidate,
            unfit=frozenset(told.unfit),
            pinned=told.pinned,
            spent_nanousd=sum(charge.nanousd for charge in charges),
        ),
        attempts=tuple(told.attempts),
        charges=charges,
        waits=tuple(Wait(wait.name, wait.start, wait.end) for wait in told.waits),
        resting=Wait(told.wait, told.since, told.since),
        bounces=told.bounces,
        deaths=told.deaths,
        upstream_status=told.upstream_status,
    )
