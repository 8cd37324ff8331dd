"""What one job costs with a model: a tenant's own jobs, priced as if that model had done them. Pure.

Each job of the mix is priced by itself, `sum(units * price)`, so the mean is what a job costs on average and the 5th
and 95th percentiles are what nine of ten lie between: of the tenant's own jobs, not of a model of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from hub.index.offers import USUAL_INPUT_TOKENS, USUAL_OUTPUT_TOKENS
from schemas.assignment import Price
from schemas.comparison import CostShare
from schemas.discovery import Interval
from schemas.units import COMPUTE_MS, INPUT_TOKENS, OUTPUT_TOKENS, PARTS, UNITS

USUAL_TOKENS = {INPUT_TOKENS: USUAL_INPUT_TOKENS, OUTPUT_TOKENS: USUAL_OUTPUT_TOKENS}
"""Of a job of nobody in particular: the one that discovery tells costs of."""
GENERATING = frozenset({"chat-completion", "text-generation"})


@dataclass(frozen=True, slots=True)
class Used:
    """One job that was done: its task, and the units that its result tells."""

    task: str
    units: Mapping[str, int]
    model: str | None = None
    """Who did it, and what it cost; None: not told."""
    paid_nanousd: int | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """Jobs of one tenant, the newest of them; or one usual job where there are none."""

    tenant: str | None
    jobs: Sequence[Used]
    own: bool = True
    """False: a usual job, because the tenant has none."""
    window_s: int | None = None
    notes: tuple[str, ...] = ()

    def of(self, tasks: frozenset[str]) -> "Mix":
        """Those jobs alone that are of one of the tasks; all of them where `tasks` is empty."""
        if not tasks:
            return self
        return Mix(self.tenant, [job for job in self.jobs if job.task in tasks], self.own, self.window_s, self.notes)

    def told(self) -> dict[str, object]:
        """For programs: whose jobs, how many, of which tasks."""
        counts: dict[str, int] = {}
        for job in self.jobs:
            counts[job.task] = counts.get(job.task, 0) + 1
        return {"tenant": self.tenant, "own": self.own, "jobs": len(self.jobs), "tasks": dict(sorted(counts.items()))}


def usual(task: str | None = None) -> Mix:
    """One job of usual size. Of a task that is not charged by tokens nothing usual is known: no job."""
    if task is None or task in GENERATING:
        return Mix(None, [Used(task or "chat-completion", USUAL_TOKENS)], own=False)
    return Mix(None, [], own=False)


@dataclass(frozen=True, slots=True)
class Priced:
    """What the jobs of a mix cost at one price."""

    each: Interval
    shares: tuple[CostShare, ...] = field(default=())


class CannotPrice(ValueError):
    """The mix cannot be priced; the message says why."""


def priced(mix: Mix, price: Price, *, compute_ms: float | None = None) -> Priced:
    """What one job of the mix costs at `price`, in nano-dollars. Raises `CannotPrice`.

    `compute_ms`: what a job of this model takes of compute, as its own results tell it; another model's job says
    nothing of it. Needed where the price counts compute time.
    """
    if not price.is_known:
        raise CannotPrice("its price is unknown")
    if not mix.jobs:
        raise CannotPrice("no job of such a task is known to be priced")
    if price.nanousd_per_compute_ms and compute_ms is None:
        raise CannotPrice("it is charged by compute time, and no result of it tells how much it takes")
    costs = [cost(job.units, price, compute_ms=compute_ms) for job in mix.jobs]
    for job in mix.jobs:
        _charged(job, price)
    ordered = sorted(costs)
    each = Interval(
        value=float(sum(costs, Fraction()) / len(costs)),
        low=float(ordered[_rank(len(ordered), 5)]),
        high=float(ordered[_rank(len(ordered), 95)]),
        unit="nanousd",
        source="predicted" if mix.own else "stated",
        n=len(costs) if mix.own else 0,
        window_s=mix.window_s,
    )
    return Priced(each, _shares(mix.jobs, costs))


def off_by(mix: Mix, model: str, price: Price, *, compute_ms: float | None = None) -> tuple[float | None, int]:
    """How far such a prediction lies from what was paid, and over how many jobs: `(predicted - paid) / paid`, of those
    jobs of the mix that the model itself did. None where it did none, or where they cost nothing."""
    own = [job for job in mix.jobs if job.model == model and job.paid_nanousd is not None]
    paid = sum(job.paid_nanousd or 0 for job in own)
    if not paid or (price.nanousd_per_compute_ms and compute_ms is None):
        return None, 0
    predicted = sum((cost(job.units, price, compute_ms=compute_ms) for job in own), Fraction())
    return float((predicted - paid) / paid), len(own)


def cost(units: Mapping[str, int], price: Price, *, compute_ms: float | None = None) -> Fraction:
    """One job's nano-dollars, exact: each unit once, a part with a price of its own at that."""
    total = Fraction()
    for unit in UNITS:
        if unit.part_of:
            continue
        count = Fraction(compute_ms or 0) if unit.name == COMPUTE_MS else Fraction(units.get(unit.name, 0))
        for part in PARTS[unit.name]:
            own = getattr(price, part.price)
            if own:
                taken = min(Fraction(units.get(part.name, 0)), count)
                total += taken * own / part.per
                count -= taken
        total += count * getattr(price, unit.price) / unit.per
    return total


def _charged(job: Used, price: Price) -> None:
    """Raises `CannotPrice` for a job of which the price charges nothing: its units are others than it knows."""
    if price.is_free or price.nanousd_per_compute_ms or price.nanousd_per_call:
        return
    if not any(getattr(price, unit.price) for unit in UNITS if job.units.get(unit.name)):
        raise CannotPrice(f"its price names no unit that jobs of {job.task} are charged by")


def _rank(n: int, per_cent: int) -> int:
    """Nearest rank: place of the ceil(n * p / 100)th smallest."""
    return max(0, math.ceil(n * per_cent / 100) - 1)


def _shares(jobs: Sequence[Used], costs: Sequence[Fraction]) -> tuple[CostShare, ...]:
    by_task: dict[str, list[tuple[Used, Fraction]]] = {}
    for job, paid in zip(jobs, costs, strict=True):
        by_task.setdefault(job.task, []).append((job, paid))
    return tuple(
        CostShare(
            task=task,
            jobs=len(rows),
            units={
                name: sum(job.units.get(name, 0) for job, _ in rows) / len(rows)
                for name in sorted({name for job, _ in rows for name in job.units})
            },
            nanousd=float(sum((paid for _, paid in rows), Fraction()) / len(rows)),
        )
        for task, rows in sorted(by_task.items())
    )
