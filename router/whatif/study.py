"""Decisions made again under other rules, with the money and the tokens that their jobs really used. Pure.

Each job is decided from what was known when it was decided, but for what the alternative changes. Budgets stand as they
stood then, moved by what the alternative would have spent more or less in the same window before. What cannot be known
is stated: another model's answer is taken to have as many tokens as the one that was given, a job that did not succeed
costs what it cost, and one that was refused then costs what is expected of it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from router.catalogue import Catalogue
from router.decide import Ruling, decide
from router.estimate import rates
from router.history import History, NotReplayable
from router.policies import Policy
from router.purse import Purse
from router.replay import seen_again, taken_over, told_of
from router.view import View
from router.whatif.past import Observed, Past, Used, repriced
from schemas.assignment import Candidate, Price
from schemas.job import InferenceJob, ReadableJob
from schemas.values import frozen

SLOWER = 1.1
"""A call that typically takes so much longer than the one that was made is told as slower."""
Fate = Literal["same", "moved", "refused", "waits", "taken", "never"]


@frozen
class Alternative:
    """Other rules for the same jobs. What is None or empty stays as it was."""

    name: str
    policy_of: Callable[[str, float], Policy | None] = lambda _, __: None
    """By tenant, and by the `cheap_below` of the installation that decided (`router.policies.made`)."""
    prices: Mapping[tuple[str, str], Price] = field(default_factory=dict)
    """By provider and model."""
    job: Callable[[InferenceJob], InferenceJob] = lambda job: job
    """The job as it might have been published."""


@frozen
class Judged:
    """One job under an alternative."""

    tenant: str
    task: str
    fate: Fate
    """`same` candidate, `moved` to another one, `refused` or `waits` where it was assigned, `taken` where it was
    refused, `never` assigned either way."""
    paid_nanousd: int
    would_nanousd: int
    before: tuple[str, str] | None
    """Model and provider that served it, or were first in line."""
    after: tuple[str, str] | None
    reason: str = ""
    """Why it would be refused."""
    was_ms: int | None = None
    would_ms: int | None = None
    """How long such a call typically takes; None: not seen often enough."""
    is_open: bool = False
    """Assigned then, and its result is not known."""


@dataclass(slots=True)
class Tally:
    """Judged jobs, added up."""

    jobs: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[tuple[str, str] | None, tuple[str, str] | None]] = field(default_factory=Counter)
    paid_nanousd: int = 0
    would_nanousd: int = 0
    open: int = 0
    """Assigned then, and without a result in the span: they count with no money."""
    slower: int = 0
    faster: int = 0
    unknown_ms: int = 0
    """Moved jobs of whose new model too few calls were seen."""
    was_ms: int = 0
    would_ms: int = 0
    """Sums over the jobs of which both are known."""

    @property
    def saved_nanousd(self) -> int:
        """Negative: it would have cost more."""
        return self.paid_nanousd - self.would_nanousd

    def note(self, one: Judged) -> None:
        """Add one job."""
        self.jobs += 1
        self.fates[one.fate] += 1
        self.paid_nanousd += one.paid_nanousd
        self.would_nanousd += one.would_nanousd
        self.open += one.is_open
        if one.reason:
            self.reasons[one.reason] += 1
        if one.fate != "moved":
            return
        self.moves[one.before, one.after] += 1
        if one.was_ms is None or one.would_ms is None:
            self.unknown_ms += 1
            return
        self.was_ms += one.was_ms
        self.would_ms += one.would_ms
        self.slower += one.would_ms > one.was_ms * SLOWER
        self.faster += one.was_ms > one.would_ms * SLOWER


@dataclass(slots=True)
class Report:
    """What came of one alternative."""

    whole: Tally = field(default_factory=Tally)
    parts: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    """By tenant and task."""

    def note(self, one: Judged) -> None:
        """Add one job."""
        self.whole.note(one)
        self.parts[one.tenant, one.task].note(one)


class Study:
    """Several alternatives at once, job by job in the order of the log. One owner."""

    def __init__(self, history: History, alternatives: Sequence[Alternative], observed: Observed) -> None:
        self._history = history
        self._worlds = [_World(one, observed) for one in alternatives]
        self.skipped: Counter[str] = Counter()
        """Decisions that could not be looked at, by reason."""

    @property
    def reports(self) -> dict[str, Report]:
        """By the alternatives' names."""
        return {world.alternative.name: world.report for world in self._worlds}

    def note(self, past: Past) -> Sequence[Judged]:
        """Judge one job under every alternative, in their order. One that was cancelled, never read whole, or whose
        decision no rule led to or cannot be made again, is counted in `skipped`, and nothing is answered."""
        reading, reason = past.arrival.reading, taken_over(past.stored, past.arrival)
        if past.stored.get("verdict") == "cancelled" or not isinstance(reading, ReadableJob):
            reason = "cancelled, or not a whole job"
        if reason is not None or not isinstance(reading, ReadableJob):
            self.skipped[str(reason)] += 1
            return ()
        try:
            case, view = seen_again(past.stored, past.arrival, self._history)
        except NotReplayable as why:
            self.skipped[told_of(why)] += 1
            return ()
        used = past.used
        return [
            world.note(past, reading.job, view, used, published=case.arrival.published, now=case.decided_at)
            for world in self._worlds
        ]


class _World:
    """One alternative, its budgets and its sums."""

    def __init__(self, alternative: Alternative, observed: Observed) -> None:
        self.alternative = alternative
        self.report = Report()
        self._observed = observed
        self._more: Counter[tuple[str, str, str]] = Counter()
        """By tenant, budget and window: what would have been spent more (or less) until now."""
        self._priced: tuple[Catalogue, Catalogue] | None = None

    def note(
        self, past: Past, job: InferenceJob, view: View, used: Used | None, *, published: datetime, now: datetime
    ) -> Judged:
        view = self._view(view, job.tenant)
        ruling = decide(self.alternative.job(job), view, published=published, now=now)
        judged = self._judged(past, ruling, used)
        self._move(view.purse, job.tenant, judged)
        self.report.note(judged)
        return judged

    def _view(self, view: View, tenant: str) -> View:
        policy = self.alternative.policy_of(tenant, view.limits.cheap_below)
        lines = tuple(
            replace(line, spent_nanousd=max(0, line.spent_nanousd + self._more[tenant, line.id, line.window]))
            for line in view.purse.lines
        )
        catalogue = self._catalogue(view.catalogue) if self.alternative.prices else view.catalogue
        return replace(view, policy=policy or view.policy, catalogue=catalogue, purse=Purse(lines))

    def _catalogue(self, catalogue: Catalogue) -> Catalogue:
        if self._priced is None or self._priced[0] is not catalogue:
            offers = tuple(
                replace(offer, price=price, rates=rates(price))
                if (price := self.alternative.prices.get((offer.provider, offer.model)))
                else offer
                for offer in catalogue.offers
            )
            self._priced = catalogue, replace(catalogue, offers=offers)
        return self._priced[1]

    def _judged(self, past: Past, ruling: Ruling, used: Used | None) -> Judged:
        stored, task = past.stored, str(past.stored.get("task"))
        assigned = stored.get("verdict") == "assigned"
        paid = 0 if past.ended is None else past.ended.cost_nanousd
        is_open = assigned and past.ended is None
        first = next(iter(ruling.candidates), None)
        after = None if first is None else (first.model, first.provider)
        before = _before(past, used)
        if first is None or ruling.verdict != "assigned":
            fate: Fate = "waits" if ruling.verdict == "waiting" else "refused"
            reason = str(ruling.kind or "")
            if not assigned:
                fate, reason = "never", ""
            return Judged(str(stored.get("tenant")), task, fate, paid, 0, before, None, reason, is_open=is_open)
        would = self._would(first, ruling, used, before, paid=paid, assigned=assigned)
        fate = "taken" if not assigned else "same" if after == before else "moved"
        ms: tuple[int | None, int | None] = (None, None)
        if fate == "moved" and before is not None and after is not None:
            ms = (self._observed.typical_ms(task, *before), self._observed.typical_ms(task, *after))
        return Judged(str(stored.get("tenant")), task, fate, paid, would, before, after, "", *ms, is_open)

    def _would(
        self, first: Candidate, ruling: Ruling, used: Used | None, before: tuple[str, str] | None, *, paid: int,
        assigned: bool,
    ) -> int:  # fmt: skip
        """What the job would have cost. Attempts that failed cost what they cost: they may fail elsewhere as well."""
        if not assigned:
            return first.estimate_nanousd
        if used is None:
            return paid
        moved = before != (first.model, first.provider) or (first.provider, first.model) in self.alternative.prices
        most = ruling.parameters.get("max_tokens")
        cut = most is not None and used.usage.get("output_tokens", 0) > most
        if not moved and not cut:
            return used.whole_nanousd
        return used.lost_nanousd + repriced(first.price, used.usage, most_output=most)

    def _move(self, purse: Purse, tenant: str, judged: Judged) -> None:
        for line in purse.lines:
            more = 0
            if judged.after is not None and line.holds_for(*judged.after):
                more += judged.would_nanousd
            if judged.before is not None and line.holds_for(*judged.before):
                more -= judged.paid_nanousd
            if more:
                self._more[tenant, line.id, line.window] += more


def _before(past: Past, used: Used | None) -> tuple[str, str] | None:
    """Who did the job; where nobody did, who was asked first."""
    if used is not None:
        return used.model, used.provider
    first = next(iter(past.stored.get("candidates") or ()), None)
    return None if first is None else (first["model"], first["provider"])
