"""Return on investment: what work was worth to whoever had it done, against what it cost. Pure.

`roi = (value - cost) / cost`, over the jobs whose worth was told and no others: a job's own event, else those of its
tags. A tag's value belongs to all jobs of that tag together. A value without a job or a tag is one of the tenant's and
stands against all of the tenant's cost. Where nobody told a value there is no number, and none is made up.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.policies import ValueEvent
from schemas.values import frozen


@frozen
class Cost:
    """What one job cost."""

    tenant: str
    job_id: str
    nanousd: int
    metadata: Mapping[str, Any]


@frozen
class Return:
    """One line: what was worth what."""

    tenant: str
    of: str
    """`job ID`, `tag name=value` or `all`."""
    jobs: int
    value_nanousd: int
    cost_nanousd: int

    @property
    def roi(self) -> float | None:
        """None where nothing was paid."""
        return (self.value_nanousd - self.cost_nanousd) / self.cost_nanousd if self.cost_nanousd else None


def returns(values: Iterable[ValueEvent], costs: Iterable[Cost]) -> Sequence[Return]:
    """One line for each value event, in their order; none: no value data. A job that is not among `costs` costs 0 here:
    it lies outside of what was looked at, and its line tells 0 jobs."""
    by_job: dict[tuple[str, str], list[Cost]] = {}
    by_tag: dict[tuple[str, str, str], list[Cost]] = {}
    by_tenant: dict[str, list[Cost]] = {}
    for cost in costs:
        by_job.setdefault((cost.tenant, cost.job_id), []).append(cost)
        by_tenant.setdefault(cost.tenant, []).append(cost)
        for name, value in cost.metadata.items():
            by_tag.setdefault((cost.tenant, name, str(value)), []).append(cost)
    lines = []
    for event in values:
        if event.job_id is not None:
            of, found = f"job {event.job_id}", by_job.get((event.tenant, event.job_id), [])
        elif event.tag is not None:
            of, found = f"tag {event.tag[0]}={event.tag[1]}", by_tag.get((event.tenant, *event.tag), [])
        else:
            of, found = "all", by_tenant.get(event.tenant, [])
        jobs = len({one.job_id for one in found})
        lines.append(Return(event.tenant, of, jobs, event.value_nanousd, sum(one.nanousd for one in found)))
    return lines


def together(lines: Sequence[Return]) -> Return | None:
    """Those with jobs, added up; None where there is none. A job that several events speak of counts in each."""
    told = [one for one in lines if one.jobs]
    if not told:
        return None
    return Return(
        "*", "all", sum(one.jobs for one in told), sum(one.value_nanousd for one in told),
        sum(one.cost_nanousd for one in told),
    )  # fmt: skip
