"""How much of a lane's work stands in the workers' queues at a time: enough to keep them busy, and no more.

What is assigned cannot be overtaken any more, so whatever stands there delays who comes next, whosever it is. By
Little's law (J. D. C. Little, 1961) `n` jobs under way that take `wait + call` each end at a rate of
`n / (wait + call)`; the same rate with a wait of `fair_wait` needs `n * (fair_wait + call) / (wait + call)` of them.
That is the next limit.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from statistics import fmean, median

from schemas.values import frozen

START = 64
"""Until something is known: one worker's default window (`NOVIX_MAX_IN_FLIGHT`). With calls of 200 ms and the two
transactions around them that is 100 jobs a second, and twice as many after each time under way: 1,600 after four."""
LEAST = 8
"""Few enough for workers that do one job in ten seconds, and enough that one is at the workers while the news of
another's end travels."""
LEAST_ROUND = 16
"""Ended jobs that are looked at together, where the limit is smaller."""


def start_of(max_in_flight: int, lanes: int) -> int:
    """Where a lane's limits begin: `START`, or the lane's part of a worker's window (`NOVIX_MAX_IN_FLIGHT`) where that
    is more: all `lanes` together fill it at once, and no queue stands before it."""
    return max(START, max_in_flight // lanes)


DEAREST = 2.0
"""A wait counts for so many times what is wanted and what a call takes at most: jobs of one model that is ill, a tenth
of all, do not make the work of the others wait."""
MOST_SAMPLES = 1_024
"""Of a round that are looked at: with a larger limit every second one, or every third, and so on."""
A_QUARTER_LESS, NO_LESS = 0.75, 0.9
"""If so much less under way leaves the shortest wait so long, it is the way's, and no queue of ours."""
GROWTH = 2.0
"""Most that the limit grows by at a time, as in TCP's slow start (RFC 5681): 11 times reach from 64 to 100,000."""
FORGOTTEN_AFTER_S = 60.0
"""A job that has not ended by then waits elsewhere, in a retry topic or before an open breaker, and is in nobody's way;
later where jobs usually take longer."""
USUAL = 4.0
"""So many times the usual time is long."""
SMOOTHED = 8
"""The usual time is a mean that moves by an eighth, as a round trip's (RFC 6298)."""
LONGEST_S = 3_600.0
"""No single job counts as usual with more."""
MOST_FORGOTTEN = 10_000
"""Of those that do not count any more: how long they took is still learned when they end."""
A_STEP_S = 1.0
"""A clock that goes back by more was set back."""


@frozen
class _Assigned:
    at: datetime
    number: int
    """Counts from 1 over all that were ever assigned."""


@frozen
class _Sample:
    waited_s: float
    rest_s: float
    """Of its time under way, what was no waiting."""


class Ahead:
    """The limit of one queue of workers (a modality), and who counts against it.

    A round is as many ended jobs as the limit let begin at once, half of it at least, all assigned under it: one time
    under way. After each, `limit` grows if their mean wait was below `fair_wait` and it was what held others back, and
    shrinks to what their wait says if it was above. No clock, no I/O. `at` and `now` are wall-clock instants; a clock
    that is set back makes nobody count for longer.
    """

    def __init__(
        self, *, fair_wait: timedelta = timedelta(seconds=1), most: int = 100_000, start: int = START,
        least: int = LEAST,
    ) -> None:  # fmt: skip
        """`fair_wait`: how long assigned work may stand in the queue; `most`, `start`, `least`: of the limit."""
        self._fair_s = fair_wait.total_seconds()
        self._most = most
        self._least = min(least, most)
        self.limit = max(self._least, min(start, most))
        """How many may be assigned and not ended."""
        self._open: OrderedDict[str, _Assigned] = OrderedDict()
        self._forgotten: OrderedDict[str, _Assigned] = OrderedDict()
        self._numbers = 0
        self._since = 0
        """Jobs up to this number were assigned under another limit."""
        self._round = self.limit
        """Jobs that have to end. Who was under way when the round began does not count, so a round of the whole limit
        would take two times under way as soon as one of them was."""
        self._samples: list[_Sample] = []
        self._peak = 0
        """The most that were under way in this round."""
        self._bound = False
        """Somebody was refused in it."""
        self._way_s = 0.0
        """Of each wait, what less work does not shorten: transactions of a slow broker, work of other lanes."""
        self._before: tuple[int, float] | None = None
        """The limit that was last found too high for all, and the shortest wait under it."""
        self._usual_s = 0.0
        self._latest: datetime | None = None

    def may(self, now: datetime) -> bool:
        """Whether one more may be assigned."""
        return self.free(now) > 0

    def free(self, now: datetime) -> int:
        """How many more may be assigned."""
        self._forget(now)
        free = max(0, self.limit - len(self._open))
        self._bound |= not free
        return free

    def assigned(self, identity: str, at: datetime) -> None:
        """One more goes to its worker; the same one again only renews its time."""
        self._numbers += 1
        self._open.pop(identity, None)
        self._open[identity] = _Assigned(at, self._numbers)
        self._peak = max(self._peak, len(self._open))

    def ended(self, identity: str, waited_ms: int | None, at: datetime) -> None:
        """One ended whose first call came `waited_ms` after its assignment. None: it was never called, and tells of no
        queue. Harmless for one that is not known."""
        counted = self._open.pop(identity, None)
        began = counted or self._forgotten.pop(identity, None)
        if began is None or waited_ms is None:
            return
        waited_s = waited_ms / 1_000
        took_s = max(waited_s, (at - began.at).total_seconds())
        self._usual_s += (min(took_s, LONGEST_S) - self._usual_s) / SMOOTHED
        every = self.limit // MOST_SAMPLES + 1
        if counted is not None and began.number > self._since and began.number % every == 0:
            self._samples.append(_Sample(waited_s, took_s - waited_s))
            if len(self._samples) >= max(LEAST_ROUND, self._round // every):
                self._adapt()

    def _adapt(self) -> None:
        shortest = min(one.waited_s for one in self._samples)
        self._look_at_the_way(shortest)
        rest = self._way_s + median(one.rest_s for one in self._samples)
        dearest = DEAREST * (self._fair_s + rest)
        waited = fmean(min(max(0.0, one.waited_s - self._way_s), dearest) for one in self._samples)
        used = min(self._peak, self.limit)
        share = min(GROWTH, (self._fair_s + rest) / max(waited + rest, 1e-9))
        if waited > self._fair_s:
            if self._before is None and shortest - self._way_s > self._fair_s:
                self._before = self.limit, shortest
            self.limit = max(self._least, int(used * share))
        elif self._bound:  # where there is no queue to speak of, what the workers could do is not known
            share = GROWTH if waited <= self._fair_s / 2 else share
            self.limit = min(self._most, max(self.limit, int(used * share)))
            self._before = None
        self._samples.clear()
        self._since, self._peak, self._bound = self._numbers, len(self._open), False
        self._round = max(self.limit - len(self._open), self.limit // 2)

    def _look_at_the_way(self, shortest: float) -> None:
        """A wait that did not become shorter with the limit was nobody's place in our queue: the limit goes back."""
        self._way_s = min(self._way_s, shortest)
        if self._before is None or self.limit > A_QUARTER_LESS * self._before[0]:
            return
        limit, waited = self._before
        self._before = None
        if shortest > NO_LESS * waited:
            self._way_s, self.limit = shortest, limit

    def _forget(self, now: datetime) -> None:
        if self._latest is not None and (self._latest - now).total_seconds() > A_STEP_S:
            for identity, one in self._open.items():
                self._open[identity] = _Assigned(min(one.at, now), one.number)
        self._latest = now
        longest = self.forgotten_after
        while self._open:
            first = next(iter(self._open))
            if now - self._open[first].at <= longest:
                return
            self._forgotten[first] = self._open.pop(first)
            if len(self._forgotten) > MOST_FORGOTTEN:
                self._forgotten.popitem(last=False)

    @property
    def forgotten_after(self) -> timedelta:
        """Who was assigned so long ago and has not ended does not count."""
        return timedelta(seconds=max(FORGOTTEN_AFTER_S, USUAL * self._usual_s))

    def __len__(self) -> int:
        return len(self._open)

    def describe(self) -> dict[str, int]:
        """For /healthz."""
        return {"limit": self.limit, "under_way": len(self._open), "forgotten_after_s": self.forgotten_after.seconds}
