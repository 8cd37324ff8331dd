"""How many calls at once a provider bears, learnt from its answers. No clock, no I/O: instants are arguments.

Refusals (429, overload) follow additive increase, multiplicative decrease (Chiu and Jain, 1989; TCP's RFC 5681) with
two changes that keep refusals rare: the level that was refused is remembered and grown up to, not beyond (as CUBIC
does, RFC 9438), and beyond it one call is tried after a hundred answers. Latency follows the gradient of short to long
term of Netflix's concurrency-limits (Gradient2, tolerance 2), with a check that calling less did help.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import median
from typing import Generic, Literal, TypeVar

K = TypeVar("K", bound=Hashable)

Told = Literal["ok", "limited", "failed"]
"""How a call ended: answered; refused for load (429, overload); failed otherwise, which says nothing about load."""

LEAST_FACTOR, MOST_FACTOR = 0.7, 0.9
PATIENCE_CALLS = 100
PATIENCE_S = 60.0
"""After a refusal the refused level is tried again after so many answers, or so long: 1 % of calls, or one a minute."""
WINDOW_CALLS = 50
LONG_CALLS = 600
"""Answers of the short and of the long term; 600 as in Gradient2."""
TOLERANCE = 2.0
WELL = 1.25
"""Of the long-term latency: over the first is slow, under the second as good as ever."""
STEP_DOWN = 0.9
TRIED_ENOUGH = 0.75
FOLLOWED = 0.9
"""With a quarter less, a latency still over nine tenths of what it was does not come from us."""
BUSY_SHARE = 0.1
"""A sample of which our own process took more than this share tells nothing of the provider."""

MOST_KEYS = 10_000

Pace = Literal["slow", "not ours", "well"]


@dataclass(slots=True)
class _Latency:
    """Judges windows of answers, each all from after the limit's last decrease.

    The baseline is what calls take while the limit is not lowered for slowness; meanwhile it stands, or what is slow
    would become the rule.
    """

    baseline_s: float | None = None
    taken: list[float] = field(default_factory=list)
    full: bool = True
    judged: bool = False
    """Whether a window was whole since the limit's last decrease."""
    suspect: tuple[int, float] | None = None
    """Limit and median latency when it first was slow, or when calling less was last seen to help."""

    def forget(self) -> None:
        self.taken, self.full, self.judged = [], True, False

    def sample(self, took_s: float, *, full: bool, limit: int) -> Pace | None:
        self.taken.append(took_s)
        self.full = self.full and full
        if len(self.taken) < max(WINDOW_CALLS, limit):
            return None
        short, full, calls = median(self.taken), self.full, len(self.taken)
        self.taken, self.full, self.judged = [], True, True
        if self.baseline_s is None:
            self.baseline_s = short
            return None
        if full and short > TOLERANCE * self.baseline_s:
            return self._slow(short, limit)
        well = short <= WELL * self.baseline_s
        if well:
            self.suspect = None
        if self.suspect is None or not full:
            self.baseline_s += (short - self.baseline_s) * min(1.0, calls / LONG_CALLS)
        return "well" if well else None

    def _slow(self, short: float, limit: int) -> Pace:
        if self.suspect is None:
            self.suspect = (limit, short)
        began_at, was = self.suspect
        if limit > 1 and limit > began_at * TRIED_ENOUGH:
            return "slow"
        if limit > 1 and short <= was * FOLLOWED:
            self.suspect = (limit, short)  # it did help, perhaps by chance: does the next quarter help as well?
            return "slow"
        self.baseline_s = short
        return "not ours"


class LearnedLimit:
    """The limit of one key, between 1 and `cap`; it starts at `cap`.

    A refusal lowers it to 0.7 to 0.9 of what it was, at most once per latency: the refusal of a call that began before
    the last decrease belongs to the same burst. It rises by one a round of answers while it is what holds calls back,
    up to one below the level that was refused; beyond that by one after `PATIENCE_CALLS` answers or `PATIENCE_S`,
    and if that holds, by 2, 4, 8 a round. Where the short-term latency (median of 50 answers or more) is over twice
    the long-term one while the limit is in full use, it steps down by a tenth; where latency has not followed a quarter
    less, or one call at a time is slow as well, the answers are longer rather than the provider slower, and the last
    quarter is taken back.
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.limit = cap
        self._refused_level = math.inf
        self._held_level = 0  # a whole round of answers came at it
        self._step = 1
        self._calm = 0
        self._lowered_at = self._raised_at = self._refused_at = -math.inf
        self._round = 0
        self._latency = _Latency()
        self._before_slow: float | None = None

    def bound(self, cap: int) -> None:
        """The cap has changed: a limit that has learnt nothing follows it."""
        if cap != self.cap:
            self.limit = cap if self.limit >= self.cap else min(self.limit, cap)
            self.cap = cap

    def told(self, outcome: Told, *, took_s: float, now: float, full: bool, lag_s: float = 0.0) -> None:
        """One call has ended at `now` (monotonic seconds) after `took_s`.

        `full`: as many calls were out as the limit allows. `lag_s`: how late our own loop ran the call's task.
        """
        began = now - took_s
        if outcome == "limited":
            self._refused(began, now)
        elif outcome == "ok" and began >= self._lowered_at:
            self._calm += 1
            if lag_s <= took_s * BUSY_SHARE:
                self._judge(self._latency.sample(took_s, full=full, limit=self.limit), now)
            if full and began >= max(self._raised_at, self._lowered_at):
                self._round += 1
                if self._round >= self.limit:
                    self._round_done(now)

    def _refused(self, began: float, now: float) -> None:
        self._calm, self._refused_at = 0, now
        if began < self._lowered_at:
            return
        known = self._held_level if self._held_level < self.limit else 0
        if not known:
            self._held_level = 0
        self._refused_level, self._before_slow = self.limit, None
        self._latency.suspect = None
        self._lower(min(max(known, LEAST_FACTOR * self.limit), MOST_FACTOR * self.limit), now)

    def _lower(self, to: float, now: float) -> None:
        self.limit = max(1, int(to))
        self._lowered_at, self._round, self._step = now, 0, 1
        self._latency.forget()

    def _round_done(self, now: float) -> None:
        """As many answers as the limit has came at this level: it holds, and the next may be tried."""
        self._round, self._held_level = 0, self.limit
        if self.limit >= self.cap:
            if self._before_slow is None:
                self._refused_level = math.inf
            return
        if self.limit < self._refused_level - 1:
            self._raise(1, now)
        elif self.limit >= self._refused_level and self._before_slow is None:
            self._raise(self._step, now)
        elif self._calm >= PATIENCE_CALLS or (now - self._refused_at >= PATIENCE_S and self._may_hurry()):
            self._calm, self._refused_at, self._step = 0, now, 1
            if self._before_slow is not None:
                self._refused_level = self.limit + 2  # the slow level moves along, one call at a time
            self._raise(1, now)

    def _may_hurry(self) -> bool:
        """Whether time alone may raise the limit: not before it is known what lowering it for slowness did."""
        return self._before_slow is None or self._latency.judged

    def _raise(self, by: int, now: float) -> None:
        self.limit = min(self.cap, self.limit + by)
        self._raised_at = now
        if self.limit >= self._refused_level:
            self._step *= 2

    def _judge(self, pace: Pace | None, now: float) -> None:
        if pace == "slow" and self.limit > 1:
            if self._before_slow is None:
                self._before_slow = self._refused_level
            self._calm, self._refused_at = 0, now
            self._lower(min(self.limit - 1, STEP_DOWN * self.limit), now)
            self._refused_level = self.limit + 1
        elif pace == "not ours" and self._latency.suspect is not None:
            self.limit, self._latency.suspect = min(self.cap, self._latency.suspect[0]), None
            self._raised_at, self._round = now, 0
            self._well()
        elif pace == "well":
            self._well()

    def _well(self) -> None:
        if self._before_slow is not None:
            self._refused_level, self._before_slow = self._before_slow, None


class Learned(Generic[K]):
    """The learnt limits by key; of more than `MOST_KEYS` the one that was asked for longest ago is forgotten."""

    def __init__(self) -> None:
        self.limits: OrderedDict[K, LearnedLimit] = OrderedDict()

    def within(self, key: K, cap: int) -> int:
        """The limit of a key whose cap is now `cap`."""
        known = self.limits.get(key)
        if known is None:
            known = self.limits[key] = LearnedLimit(cap)
            if len(self.limits) > MOST_KEYS:
                self.limits.popitem(last=False)
        known.bound(cap)
        self.limits.move_to_end(key)
        return known.limit
