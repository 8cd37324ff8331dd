"""Learning from what offers did: their time, their failures, what they really charged. Off unless `NOVIX_ADAPTIVE`.

A policy says what is alike to it; what was observed may change the order of those, and of nobody else. So nothing that
was excluded comes back, no tier is left, and a pinned order stays. A bounded share of jobs tries the offer that is
known least. Dice come from the decision's id: decided again, the same offer is tried.

What is observed is held in the decision as integers, so that it can be decided again byte for byte.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta

from router.table import Key
from schemas.values import frozen

HALF_LIFE = timedelta(minutes=10)
"""An observation counts half after it: providers change."""
PRIOR = 4
"""Calls that what was told before counts for: as the price book says, `PRIOR_FAILURE_PPM` of failures."""
PRIOR_FAILURE_PPM = 20_000
UNKNOWN_WAIT_MS = 2_000
"""Of an offer of which nobody has told or seen how long it takes."""
MOST_LEARNT = 8
"""Of the offers that are alike, those first ones whose order may change."""
EXPLORED = 0.03
"""Share of jobs that try the offer that is known least, ..."""
ENOUGH = 10.0
"""... while it is known from fewer calls than these, ..."""
DEAREST = 2
"""... and costs at most this many times what the first one costs."""
FAILING_PPM = 400_000
"""An offer that fails as often is not tried for its own sake."""
MOST_OFFERS = 2_000
"""That are remembered of one task."""
MOST_TOLD = 16
"""Offers that one decision knows something of: it holds all of it."""
FEWEST = 0.05
"""Calls, after their age, from which on an offer is known at all."""
REFRESHED = timedelta(seconds=1)


@frozen
class Observed:
    """What calls of one offer were like, newer ones counting more. Integers."""

    calls_milli: int
    """How many calls it is known from, in thousandths: each counts for less as it grows old."""
    wait_ms: int
    failures_ppm: int
    paid_ppm: int
    """What was paid for each million that was expected."""


@frozen
class Lessons:
    """What is known to one decision."""

    seen: Mapping[Key, Observed] = field(default_factory=dict)
    draw: float = 1.0
    """From 0 to 1, of the decision's id; 1: nothing is tried."""


NO_LESSONS = Lessons()


def draw_of(decision_id: str) -> float:
    """The dice of one decision: from 0, below 1, even over ids."""
    return int.from_bytes(hashlib.sha256(f"explore/{decision_id}".encode()).digest()[:6], "big") / (1 << 48)


@frozen
class _Sum:
    """Of the calls of one offer, each counting less as it grows old: `weight` of them, and what they add up to."""

    weight: float
    wait_ms: float
    failures: float
    paid: float
    at: datetime

    def aged(self, now: datetime) -> float:
        """What is left of it: `0.5 ** (age / half-life)`."""
        age = max(0.0, (now - self.at) / HALF_LIFE)
        return float(0.5**age)


class Observations:
    """Decaying means of each (task, provider, model). One owner; time is an argument."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[Key, _Sum]] = {}
        self._told: dict[str, tuple[datetime, Mapping[Key, Observed]]] = {}

    def note(
        self,
        task: str,
        key: Key,
        *,
        wait_ms: int,
        is_good: bool,
        paid_nanousd: int,
        expected_nanousd: int,
        at: datetime,
    ) -> None:
        """One call of an offer, (provider, model), that ended: how long it took, whether it gave an answer, what it
        cost and what it had been expected to cost."""
        sums = self._sums.setdefault(task, {})
        old = sums.pop(key, None) or _Sum(0.0, 0.0, 0.0, 0.0, at)
        if len(sums) >= MOST_OFFERS:
            del sums[next(iter(sums))]  # the one that was seen longest ago
        left = old.aged(at)
        paid = paid_nanousd / expected_nanousd if expected_nanousd > 0 and is_good else 1.0
        sums[key] = _Sum(
            old.weight * left + 1, old.wait_ms * left + wait_ms, old.failures * left + (not is_good),
            old.paid * left + min(paid, 1_000.0), max(at, old.at),
        )  # fmt: skip

    def lessons(self, task: str, decision_id: str, now: datetime) -> Lessons:
        """What one decision about a job of `task` may use: the offers that were called most, as they stood within the
        last `REFRESHED`."""
        told = self._told.get(task)
        if told is None or not timedelta(0) <= now - told[0] < REFRESHED:
            told = self._told[task] = now, self._seen(task, now)
        return Lessons(told[1], draw_of(decision_id))

    def _seen(self, task: str, now: datetime) -> Mapping[Key, Observed]:
        weights = [(told.weight * told.aged(now), key, told) for key, told in self._sums.get(task, {}).items()]
        known = sorted((one for one in weights if one[0] >= FEWEST), key=lambda one: (-one[0], one[1]))
        return {
            key: Observed(
                round(weight * 1_000),
                round(told.wait_ms / told.weight),
                round(1e6 * told.failures / told.weight),
                round(1e6 * told.paid / told.weight),
            )
            for weight, key, told in known[:MOST_TOLD]
        }


def reranked(
    ranked: Sequence[int],
    alike: int,
    keys: Sequence[Key],
    costs: Sequence[int],
    waits_ms: Sequence[int | None],
    lessons: Lessons,
    *,
    nanousd_per_ms: int,
) -> list[int]:
    """`ranked` with its first `alike` places in the order of what a good answer really costs, time counted as money.

    `costs` are in millionths of a nano-dollar. Nothing is added or dropped, and what stands behind `alike` stays.
    """
    group = list(ranked[: min(alike, MOST_LEARNT)])
    if len(group) < 2 or not any(keys[place] in lessons.seen for place in group):
        return list(ranked)

    def loss(place: int) -> float:
        """`(money + time) / share of good answers`, each a mean of what was told and what was seen."""
        wait = waits_ms[place]
        told = UNKNOWN_WAIT_MS if wait is None else wait
        seen = lessons.seen.get(keys[place])
        if seen is None:
            return (costs[place] + told * nanousd_per_ms * 1e6) / (1 - PRIOR_FAILURE_PPM / 1e6)
        weight = seen.calls_milli / 1_000
        paid = (PRIOR + weight * seen.paid_ppm / 1e6) / (PRIOR + weight)
        waited = (PRIOR * told + weight * seen.wait_ms) / (PRIOR + weight)
        failing = (PRIOR * PRIOR_FAILURE_PPM + weight * seen.failures_ppm) / (PRIOR + weight) / 1e6
        return (costs[place] * paid + waited * nanousd_per_ms * 1e6) / max(1 - failing, 0.01)

    order = sorted(group, key=loss)  # stable: the policy's own order where nothing speaks against it
    if lessons.draw < EXPLORED:
        tried = _least_known(order, keys, costs, lessons)
        if tried is not None:
            order.remove(tried)
            order.insert(0, tried)
    return [*order, *ranked[len(group) :]]


def _least_known(order: Sequence[int], keys: Sequence[Key], costs: Sequence[int], lessons: Lessons) -> int | None:
    """The place to try, within the guard rails; None: all are known, or none may be tried."""
    best, least = None, ENOUGH
    for place in order:
        seen = lessons.seen.get(keys[place])
        calls = 0.0 if seen is None else seen.calls_milli / 1_000
        fails = seen is not None and seen.failures_ppm > FAILING_PPM and calls >= 2
        if calls < least and not fails and costs[place] <= DEAREST * costs[order[0]]:
            best, least = place, calls
    return best
