"""A lane's waiting room and limit before workers of so many slots, in virtual time."""

import heapq
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from router.ahead import LEAST, START, Ahead
from router.room import Waiter, WaitingRoom
from router.rounds import QUANTUM_NANOUSD
from runtime.ports import Delivery, Record
from runtime.waiting import Priority

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RECORD = Record("inference.jobs.v1", 0, 0, None, None, (), 0)
NEVER = NOON + timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Workers:
    """What a queue leads to."""

    slots: int
    call_s: float
    hop_s: float = 0.2
    """From the assignment to the worker, and from the end of a call to the lane: a transaction each."""
    spread: float = 0.0
    """Calls take so much of `call_s` more or less, evenly."""

    @property
    def rate(self) -> float:
        """Calls a second when all slots are busy."""
        return self.slots / self.call_s

    @property
    def longest_s(self) -> float:
        """A call's."""
        return self.call_s * (1 + self.spread)


@dataclass(slots=True)
class Story:
    """What became of one job, in seconds from the beginning."""

    waiter: Waiter
    came: float
    assigned: float = -1.0
    called: float = -1.0

    @property
    def waited(self) -> float:
        """From its arrival in the lane to its call."""
        return self.called - self.came


def jobs(
    tenant: str, number: int, *, cost: int = QUANTUM_NANOUSD, weight: int = 1, priority: Priority = "normal"
) -> list[Waiter]:
    """So many of one tenant, with no deadline to speak of."""
    return [
        Waiter(Delivery(RECORD, NOON), tenant, priority, f"{tenant}/{n}", "", NEVER, cost, weight)
        for n in range(number)
    ]


def played(
    arrivals: Iterable[tuple[float, list[Waiter]]], workers: Workers, ahead: Ahead, seed: int = 1
) -> dict[str, Story]:
    """Everything from its arrival to its call, by identity, in the order of calls. The lane decides in no time; the
    workers' queue is served in the order of assignment."""
    room, stories, numbers, dice = WaitingRoom(), dict[str, Story](), count(), random.Random(seed)
    called: dict[str, Story] = {}
    events: list[tuple[float, int, str, Waiter | None]] = []
    queue: deque[Waiter] = deque()
    free = workers.slots

    def later(at: float, what: str, waiter: Waiter) -> None:
        heapq.heappush(events, (at, next(numbers), what, waiter))

    for at, waiters in arrivals:
        for waiter in waiters:
            stories[waiter.identity] = Story(waiter, at)
            later(at, "comes", waiter)
    while events:
        now, _, what, waiter = heapq.heappop(events)
        if waiter is None:
            continue
        story, instant = stories[waiter.identity], NOON + timedelta(seconds=now)
        if what == "comes":
            room.enter(waiter)
        elif what == "arrives":
            queue.append(waiter)
        elif what == "ends":
            free += 1
            later(now + workers.hop_s, "is told", waiter)
        else:
            ahead.ended(waiter.identity, round((story.called - story.assigned) * 1_000), instant)
        while free and queue:
            begun = queue.popleft()
            free -= 1
            stories[begun.identity].called = now
            called[begun.identity] = stories[begun.identity]
            later(now + workers.call_s * (1 + workers.spread * dice.uniform(-1, 1)), "ends", begun)
        if events and events[0][0] == now and events[0][2] == what:
            continue  # all of this instant before anybody is chosen
        while ahead.may(instant) and (chosen := room.next(instant)) is not None:
            ahead.assigned(chosen.identity, instant)
            stories[chosen.identity].assigned = now
            later(now + workers.hop_s, "arrives", chosen)
    return called


def bound_s(
    workers: Workers, *, fair_wait_s: float, own: int, weight: int = 1, others: int = 1, cost: int = QUANTUM_NANOUSD
) -> float:
    """The longest that a tenant of `weight` waits for the call of the last of its `own` jobs, however much tenants of
    `others` weights together have waiting in its class, every job at `cost`: docs/fairness.md derives it."""
    under_way = max(START, LEAST, workers.rate * (fair_wait_s + 2 * workers.longest_s + 4 * workers.hop_s))
    visits = others * (QUANTUM_NANOUSD / cost + 1)
    turns = visits + own * (1 + others / weight)
    return (under_way + turns) / workers.rate + workers.longest_s + 2 * workers.hop_s
