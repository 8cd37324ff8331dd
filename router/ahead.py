"""How much of a lane's work stands in the workers' queues at a time: enough to keep them busy, and no more.

What is assigned cannot be overtaken any more, so whatever stands there delays who comes next, whosever it is. By
Little's law (J. D. C. Little, 1961) `n` jobs under way that take `wait + call` each end at a rate of
`n / (wait + call)`; the same rate with a wait of `fair_wait` needs `n * (fair_wait + call) / (wait + call)` of them.
That is the next limit.
"""

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from statistics import median

from schemas.values import frozen

START = 256
"""Until something is known: 500 jobs a second where each is under way for half a second, which calls of 200 ms are with
the two transactions around them. Workers of 64 slots and calls of a second have then 3 s of queue at first."""
LEAST = 64
"""Below this the transactions starve: two of 200 ms stand between an assignment and the news of its end, and 64 jobs in
that time are 160 a second. It is one worker's default window (`NOVIX_MAX_IN_FLIGHT`) as well."""
SAMPLES = 32
"""Ended jobs that are looked at together: their median moves only if half of them waited, not if one model is ill."""
GROWTH = 2.0
"""Most that the limit grows by at a time, as in TCP's slow start (RFC 5681): 9 times reach from 256 to 100,000."""
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
    under_way: int
    """How many were, with this one."""


@frozen
class _Sample:
    waited_s: float
    rest_s: float
    """Of its time under way, what was no waiting."""
    under_way: int


class Queue:
    """The limit of one queue of workers, and who counts against it.

    `limit` grows while half of the jobs that end waited less than `fair_wait` and it was what held them back, and
    shrinks to what their wait says otherwise: once for all jobs that were assigned under the same limit.
    """

    def __init__(self, fair_wait: timedelta, *, most: int, start: int, least: int) -> None:
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
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES)
        self._usual_s = 0.0
        self._latest: datetime | None = None

    def free(self, now: datetime) -> int:
        """How many more may be assigned."""
        self._forget(now)
        return max(0, self.limit - len(self._open))

    def assigned(self, identity: str, at: datetime) -> None:
        """One more goes to its worker; the same one again only renews its time."""
        self._numbers += 1
        self._open.pop(identity, None)
        self._open[identity] = _Assigned(at, self._numbers, len(self._open) + 1)

    def ended(self, identity: str, waited_ms: int | None, at: datetime) -> bool:
        """One ended; whether it was known."""
        counted = self._open.pop(identity, None)
        began = counted or self._forgotten.pop(identity, None)
        if began is None:
            return False
        if waited_ms is not None:
            waited_s = waited_ms / 1_000
            took_s = max(waited_s, (at - began.at).total_seconds())
            self._usual_s += (min(took_s, LONGEST_S) - self._usual_s) / SMOOTHED
            if counted is not None and began.number > self._since:
                self._samples.append(_Sample(waited_s, took_s - waited_s, began.under_way))
                if len(self._samples) == SAMPLES:
                    self._adapt()
        return True

    def _adapt(self) -> None:
        waited = median(one.waited_s for one in self._samples)
        rest = median(one.rest_s for one in self._samples)
        under_way = median(one.under_way for one in self._samples)
        self._samples.clear()
        self._since = self._numbers
        enough = under_way * min(GROWTH, (self._fair_s + rest) / max(waited + rest, 1e-9))
        if waited > self._fair_s:
            self.limit = max(self._least, min(self.limit, int(enough)))
            return
        if waited <= self._fair_s / 2:
            enough = under_way * GROWTH  # no queue to speak of: what the workers could do is not known
        self.limit = min(self._most, max(self.limit, int(enough)))

    def _forget(self, now: datetime) -> None:
        if self._latest is not None and (self._latest - now).total_seconds() > A_STEP_S:
            for identity, one in self._open.items():
                self._open[identity] = _Assigned(min(one.at, now), one.number, one.under_way)
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


class Ahead:
    """The limits of one lane: each queue of workers (a modality) has its own, for what fills one delays no other.

    No clock, no I/O. `at` and `now` are wall-clock instants; if the clock is set back, jobs count from then on.
    """

    def __init__(
        self, *, fair_wait: timedelta = timedelta(seconds=1), most: int = 100_000, start: int = START,
        least: int = LEAST,
    ) -> None:  # fmt: skip
        """`fair_wait`: how long assigned work may stand in a queue; `most`, `start`, `least`: of each limit."""
        self._new = lambda: Queue(fair_wait, most=most, start=start, least=least)
        self._queues: dict[str, Queue] = {}

    def may(self, now: datetime, queue: str = "") -> bool:
        """Whether one more may be assigned to that queue."""
        return self.free(now, queue) > 0

    def free(self, now: datetime, queue: str = "") -> int:
        """How many more may be assigned to that queue."""
        return self.of(queue).free(now)

    def assigned(self, identity: str, at: datetime, queue: str = "") -> None:
        """One more goes to its worker; the same one again only renews its time."""
        self.of(queue).assigned(identity, at)

    def ended(self, identity: str, waited_ms: int | None, at: datetime) -> None:
        """One ended whose first call came `waited_ms` after its assignment. None: it was never called, and tells of no
        queue. Harmless for one that is not known."""
        for queue in self._queues.values():
            if queue.ended(identity, waited_ms, at):
                return

    def of(self, queue: str = "") -> Queue:
        """The limit of one queue."""
        known = self._queues.get(queue)
        if known is None:
            known = self._queues[queue] = self._new()
        return known

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def describe(self) -> dict[str, dict[str, int]]:
        """For /healthz, by queue."""
        return {name or "all": {"limit": queue.limit, "under_way": len(queue)} for name, queue in self._queues.items()}
