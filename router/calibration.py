"""How far what is paid lies from what was expected, told from one's own history: intervals that cover. Pure.

Split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; Lei, G'Sell,
Rinaldo, Tibshirani and Wasserman, "Distribution-Free Predictive Inference for Regression", 2018) on the ratio of paid
to expected: where the next of n earlier ratios comes from where they came from, the interval from the
`floor((n + 1) * miss / 2)`-th to the `ceil((n + 1) * (1 - miss / 2))`-th smallest holds it with a probability of at
least `1 - miss`, whatever their distribution. An end that n is too small for is open: 0, or the ceiling.
"""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator

from schemas.values import frozen

MISS = 0.1
"""An interval of 90 %."""
LEAST = 20
"""Observations that a group needs before it speaks for itself: from 19 on both ends of an interval are closed."""
JUDGED = 40
"""Observations from which on a group's forecasts are judged: of fewer, chance alone makes some miss often."""
WINDOW = 1_000
"""Observations of a group that count: older ones are forgotten."""
LOOK = 50
TOO_MANY = 16
"""Misses among the last `LOOK` forecasts that mean that the world has changed: by chance alone a binomial of 50 and 0.1
reaches 16 once in 50,000 times."""
MOST_GROUPS = 20_000
"""Of tenants and models; further ones count for the groups above them alone."""

Group = tuple[str, ...]
ALL: Group = ()
NAMES = ("all", "task", "task and model", "task, model and tenant")
"""What groups of 0, 1, 2 and 3 parts are called."""


@frozen
class Observed:
    """One job that was expected to cost something, called, and paid."""

    task: str
    model: str
    """Of the first candidate: whoever served, that is what a quote knows."""
    tenant: str
    expected_nanousd: int
    paid_nanousd: int
    called_ms: int = 0


@frozen
class Band:
    """The ratios of paid to expected that a group leads to expect."""

    low: float
    """0 where the history is too short."""
    high: float
    """Infinite where the history is too short."""
    mean: float
    variance: float
    number: int
    """Observations behind it."""
    group: Group
    called_ms: tuple[int, int] = (0, 0)
    """Time in calls of half of them at most, and of nine in ten."""

    @property
    def basis(self) -> str:
        """Which history it is, in words."""
        return NAMES[len(self.group)]


class Window:
    """The last ratios of one group, sorted and in their order of arrival. Cut to its newest when forecasts miss."""

    def __init__(self, *, adaptive: bool = True) -> None:
        self._adaptive = adaptive
        self._arrived: deque[tuple[float, int]] = deque()
        self._sorted: list[float] = []
        self._missed: deque[bool] = deque(maxlen=LOOK)
        self.cuts = 0
        """How often the world has changed so much that what was before counts no more."""

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, ratio: float, called_ms: int) -> None:
        """Take one ratio in, after looking whether it was foreseen."""
        if len(self) >= JUDGED:
            low, high = interval(self._sorted, MISS)
            self._missed.append(not low <= ratio <= high)
        self._arrived.append((ratio, called_ms))
        insort(self._sorted, ratio)
        keep = WINDOW
        if self._adaptive and sum(self._missed) >= TOO_MANY:
            keep = LEAST
            self.cuts += 1
            self._missed.clear()
        while len(self._arrived) > keep:
            oldest, _ = self._arrived.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]

    def band(self, group: Group) -> Band:
        """What it leads to expect."""
        number = len(self._sorted)
        low, high = interval(self._sorted, MISS)
        mean = math.fsum(self._sorted) / number
        spread = math.fsum((ratio - mean) ** 2 for ratio in self._sorted)
        called = sorted(called for _, called in self._arrived)
        times = called[(number - 1) // 2], called[min(number - 1, number * 9 // 10)]
        return Band(low, high, mean, spread / max(1, number - 1), number, group, times)


class Calibration:
    """A fold of what was expected and paid, by (task, model, tenant), (task, model), task, and all together.

    Invariant: what it says depends on the observations and their order alone. One owner, no clock, no I/O. Without
    `adaptive`, for comparison, forecasts that miss put nothing away.
    """

    def __init__(self, *, adaptive: bool = True) -> None:
        self._adaptive = adaptive
        self._groups: dict[Group, Window] = {}
        self._bands: dict[Group, Band] = {}

    def fold(self, one: Observed) -> None:
        """Take one observation in; one of which nothing was expected tells nothing and is passed over."""
        if one.expected_nanousd <= 0:
            return
        ratio = one.paid_nanousd / one.expected_nanousd
        for group in _groups(one.task, one.model, one.tenant):
            window = self._groups.get(group)
            if window is None:
                if len(self._groups) >= MOST_GROUPS and len(group) > 1:
                    continue
                window = self._groups[group] = Window(adaptive=self._adaptive)
            window.add(ratio, one.called_ms)
            self._bands.pop(group, None)

    def band(self, task: str, model: str, tenant: str) -> Band | None:
        """The narrowest group that has enough history; where none has, the one with most of it, that of all jobs only
        where there is no other. None: there is no history."""
        groups = [group for group in _groups(task, model, tenant) if group in self._groups]
        if not groups:
            return None
        found = next((group for group in groups if len(self._groups[group]) >= LEAST), None)
        if found is None:
            found = max(groups[:-1] or groups, key=lambda group: len(self._groups[group]))
        if found not in self._bands:
            self._bands[found] = self._groups[found].band(found)
        return self._bands[found]

    def __len__(self) -> int:
        """Observations that count, of all groups together."""
        return len(self._groups[ALL]) if ALL in self._groups else 0

    @property
    def cuts(self) -> int:
        """How often a group's earlier history was put away because its forecasts missed."""
        return sum(window.cuts for window in self._groups.values())


def interval(ordered: list[float], miss: float) -> tuple[float, float]:
    """The conformal interval of sorted values; 0 and infinity for ends that so few cannot give."""
    number = len(ordered)
    low, high = math.floor((number + 1) * miss / 2), math.ceil((number + 1) * (1 - miss / 2))
    return ordered[low - 1] if low >= 1 else 0.0, ordered[high - 1] if high <= number else math.inf


def _groups(task: str, model: str, tenant: str) -> Iterator[Group]:
    yield (task, model, tenant)
    yield (task, model)
    yield (task,)
    yield ALL
