"""What a job would cost, before anything is spent: what `decide` says now, and what one's own history says of it. Pure.

A quote of one job is an interval that holds what it will have paid in nine of ten cases (`router/calibration.py`). A
total over many jobs is no sum of intervals, for their errors cancel: its mean is the sum of the means, its variance the
sum of the variances, and that of each group's own estimated mean on top (central limit theorem).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from router.calibration import Band, Calibration
from router.decide import decide
from router.ruling import Ruling
from router.view import View
from schemas.decision import Verdict
from schemas.failure import FailureKind
from schemas.job import InferenceJob
from schemas.values import frozen

Z_90 = 1.6449
"""Of the normal distribution, two-sided 90 %."""
ENOUGH_FOR_A_SUM = 30
"""Jobs whose sum is taken to be normal; fewer are told by the ends of their own intervals."""
NO_HISTORY = "no history"


@frozen
class Quote:
    """What one job would cost now. Money in nano-dollars."""

    tenant: str
    job_id: str
    task: str
    verdict: Verdict | str
    """`assigned`, or what would become of it instead: then all money is 0."""
    kind: FailureKind | None = None
    message: str | None = None
    model: str = ""
    """Of the first candidate."""
    provider: str = ""
    policy: str = ""
    expected: int = 0
    """The router's own estimate of one call."""
    predicted: int = 0
    """The same, corrected by the history: what such jobs paid on average."""
    low: int = 0
    high: int = 0
    """Nine of ten such jobs pay from `low` to `high`; without history from 0 to `ceiling`."""
    ceiling: int = 0
    """What would be reserved: the most that all its calls together can cost."""
    bound: int = 0
    """A ceiling that is as good: as many calls as a hard budget sets aside, at the dearest candidate's own ceiling."""
    band: Band | None = None
    """None: no history at all."""
    at_once: int = 1
    """Calls that one worker process may have in flight to its first candidate."""

    @property
    def basis(self) -> str:
        """The history that the interval comes from, in words."""
        return f"{self.band.basis} ({self.band.number} jobs)" if self.band is not None else NO_HISTORY

    @property
    def taken(self) -> bool:
        """Whether it would be assigned, now or when its turn comes."""
        return self.verdict in ("assigned", "waiting")


@frozen
class Total:
    """What many jobs would cost together. Money in nano-dollars."""

    jobs: int
    taken: int
    refused: Mapping[str, int]
    """Failure kind -> how many would be refused for it."""
    expected: int
    predicted: int
    low: int
    high: int
    """Nine of ten such sums lie between them."""
    ceiling: int
    without_history: int
    """Jobs whose task has too little of it."""
    time: timedelta | None
    """In calls alone, by one worker process with all its room; None: nothing was observed of any of them."""


def quote(job: InferenceJob, view: View, calibration: Calibration, *, now: datetime) -> Quote:
    """What `job` would cost if it were published now. Total; publishes and spends nothing."""
    first_said, ruling = foreseen(job, view, now=now)
    told = Quote(
        job.tenant, job.id, job.task, first_said.verdict, first_said.kind, first_said.message, policy=view.policy.name
    )  # fmt: skip
    if not ruling.candidates:
        return told
    first, ceiling = ruling.candidates[0], ruling.max_cost_nanousd
    dearest = max(one.ceiling_nanousd for one in ruling.candidates)
    band = calibration.band(job.task, first.model, job.tenant)
    expected = min(first.estimate_nanousd, ceiling)
    predicted, low, high = expected, 0, ceiling
    if band is not None:
        if band.group:  # what other tasks paid says how far estimates may be off, and nothing of where to
            predicted = min(round(expected * band.mean), ceiling)
        low = min(math.floor(expected * band.low), ceiling)
        high = min(math.ceil(expected * band.high), ceiling) if math.isfinite(band.high) else ceiling
    return replace(
        told, model=first.model, provider=first.provider, expected=expected, predicted=predicted, low=low, high=high,
        ceiling=ceiling, bound=min(ceiling, view.limits.reserve_attempts * dearest), band=band,
        at_once=first.max_in_flight,
    )  # fmt: skip


def foreseen(job: InferenceJob, view: View, *, now: datetime) -> tuple[Ruling, Ruling]:
    """What is decided about `job` now, and the last word: of one that waits for a turn or for money, what is decided
    when it has them, as far as it can be said now; else the same."""
    ruling = decide(job, view, published=now, now=now)
    if ruling.verdict != "waiting":
        return ruling, ruling
    return ruling, decide(job, view.at(shut=view.shut, lessons=view.lessons), published=now, now=now)


def total(quotes: Iterable[Quote], most_in_flight: int) -> Total:
    """The sum of quotes. `most_in_flight` is how many calls a worker process may have at once."""
    sums = Sums()
    for one in quotes:
        sums.add(one)
    return sums.total(most_in_flight)


class Sums:
    """Quotes as they come, so that a file of any length is held as a few numbers."""

    def __init__(self) -> None:
        self.jobs = self.taken = self.expected = self.predicted = self.low = self.high = self.ceiling = self.unknown = 0
        self.refused: Counter[str] = Counter()
        self._own = 0.0
        self._groups: dict[Band, int] = {}
        self._calls: dict[tuple[str, str], tuple[int, int]] = {}
        self._observed = False

    def add(self, one: Quote) -> None:
        """Count one."""
        self.jobs += 1
        if not one.taken:
            self.refused[str(one.kind or one.verdict)] += 1
            return
        self.taken += 1
        self.expected += one.expected
        self.predicted += one.predicted
        self.low += one.low
        self.high += one.high
        self.ceiling += one.ceiling
        if one.band is None or not one.band.group or math.isinf(one.band.high):
            self.unknown += 1
        if one.band is None:
            return
        self._own += one.band.variance * one.expected**2
        self._groups[one.band] = self._groups.get(one.band, 0) + one.expected
        busy, _ = self._calls.get((one.model, one.provider), (0, 1))
        self._calls[one.model, one.provider] = busy + one.band.called_ms[0], one.at_once
        self._observed = True

    def total(self, most_in_flight: int) -> Total:
        """What they add up to."""
        low, high = self.low, self.high
        if self.taken >= ENOUGH_FOR_A_SUM and not self.unknown:
            means = math.fsum(band.variance / band.number * share**2 for band, share in self._groups.items())
            half = Z_90 * math.sqrt(self._own + means)
            low, high = max(low, math.floor(self.predicted - half)), min(high, math.ceil(self.predicted + half))
        return Total(
            self.jobs, self.taken, dict(self.refused), self.expected, self.predicted, low, high, self.ceiling,
            self.unknown, self._time(most_in_flight),
        )  # fmt: skip

    def _time(self, most_in_flight: int) -> timedelta | None:
        """Work that is observed, over the calls that may be in flight: of the busiest model, and of all together."""
        if not self._observed:
            return None
        each = [busy / min(at_once, most_in_flight) for busy, at_once in self._calls.values()]
        together = sum(busy for busy, _ in self._calls.values()) / most_in_flight
        return timedelta(milliseconds=round(max([*each, together])))
