"""What was paid against the cheapest that was feasible at that moment. Pure.

Feasible is what the decision itself took for fit: each offer that passed every check, within budget, ceiling, context,
licence and residency. Cheapest is counted afterwards, with the units that the job really used at the price of that
moment, so that a guess of ours is no part of it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from router.decide import decide
from router.history import History, NotReplayable
from router.policies import Field, Parameters
from router.replay import seen_again, told_of
from router.whatif.past import Past, Used, repriced
from schemas.assignment import Candidate
from schemas.job import ReadableJob

NOT_LOOKED_AT = "did not succeed, or was not assigned"


class Hindsight(Parameters):
    """A policy that knows what each offer would have cost: the cheapest first, then by name. For looking back alone."""

    name: ClassVar[str] = "hindsight/1"
    cost: Callable[[str, str], int | None]
    """Of a model at a provider; None: not known, and last."""

    def rank(self, field: Field, complexity: float) -> list[int]:
        """The cheapest first."""
        told = [self.cost(model, provider) for model, provider in zip(field.models, field.providers, strict=True)]
        return sorted(range(len(told)), key=lambda place: (told[place] is None, told[place] or 0))

    def alike(self, field: Field, ranked: Sequence[int], complexity: float) -> int:
        """Nothing that was observed changes what things cost."""
        return 1


@dataclass(frozen=True, slots=True)
class Regretted:
    """One job, looked at afterwards."""

    tenant: str
    task: str
    model: str
    provider: str
    paid_nanousd: int
    """For the answer."""
    lost_nanousd: int
    """For attempts that gave none."""
    cheapest_nanousd: int
    """What the same units cost at the cheapest feasible candidate; never more than was paid."""
    cheapest: tuple[str, str]
    """Model and provider."""

    @property
    def regret_nanousd(self) -> int:
        """What was paid beyond it, for the answer."""
        return self.paid_nanousd - self.cheapest_nanousd


@dataclass(slots=True)
class RegretSum:
    """Several jobs."""

    jobs: int = 0
    paid_nanousd: int = 0
    lost_nanousd: int = 0
    cheapest_nanousd: int = 0
    dearer: int = 0
    """Jobs that were not done at the cheapest price."""
    instead: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The cheapest model and provider of these, with what each would have saved in nano-dollars."""

    @property
    def regret_nanousd(self) -> int:
        """What was paid beyond the cheapest."""
        return self.paid_nanousd - self.cheapest_nanousd

    def note(self, one: Regretted) -> None:
        """Add one job."""
        self.jobs += 1
        self.paid_nanousd += one.paid_nanousd
        self.lost_nanousd += one.lost_nanousd
        self.cheapest_nanousd += one.cheapest_nanousd
        if one.regret_nanousd:
            self.dearer += 1
            self.instead[one.cheapest] += one.regret_nanousd


class RegretStudy:
    """The regret of many jobs, by tenant and by model at provider. One owner; jobs in the order of the log."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.whole = RegretSum()
        self.by_tenant: dict[str, RegretSum] = defaultdict(RegretSum)
        self.by_model: dict[tuple[str, str], RegretSum] = defaultdict(RegretSum)
        self.skipped: Counter[str] = Counter()

    def note(self, past: Past) -> None:
        """Look at one job; what cannot be looked at is counted by its reason."""
        try:
            one = regret_of(past, self._history)
        except NotReplayable as reason:
            self.skipped[told_of(reason)] += 1
            return
        if one is None:
            self.skipped[NOT_LOOKED_AT] += 1
            return
        for part in (self.whole, self.by_tenant[one.tenant], self.by_model[one.model, one.provider]):
            part.note(one)


def regret_of(past: Past, history: History) -> Regretted | None:
    """One job's regret; None where nothing was paid for an answer. Raises `NotReplayable`."""
    used, reading = past.used, past.arrival.reading
    if used is None or past.stored.get("verdict") != "assigned" or not isinstance(reading, ReadableJob):
        return None
    best = cheapest(past, used, history)
    served = (used.model, used.provider)
    told = (
        (served, used.paid_nanousd) if best is None else ((best.model, best.provider), repriced(best.price, used.usage))
    )
    if told[0] == served or told[1] >= used.paid_nanousd:
        told = served, used.paid_nanousd
    return Regretted(
        reading.tenant, reading.job.task, *served, used.paid_nanousd, used.lost_nanousd, told[1], told[0]
    )  # fmt: skip


def cheapest(past: Past, used: Used, history: History) -> Candidate | None:
    """The feasible candidate at which the units that were used cost least; None where the decision finds none."""
    case, view = seen_again(past.stored, past.arrival, history)
    reading = case.arrival.reading
    if not isinstance(reading, ReadableJob):
        return None
    task, offers = reading.job.task, view.catalogue.by_model

    def cost(model: str, provider: str) -> int | None:
        rows = [one for one in offers.get(model, ()) if task in one.tasks and one.provider in (provider, "auto")]
        named = [one for one in rows if one.provider == provider] or rows
        return min((repriced(one.price, used.usage) for one in named if one.price is not None), default=None)

    ruling = decide(
        reading.job, replace(view, policy=Hindsight(cost=cost)), published=case.arrival.published, now=case.decided_at
    )
    return next(iter(ruling.candidates), None)
