"""Who waits for a slot, who may, and whose turn it is. No clock, no I/O."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, Literal, TypeVar

K = TypeVar("K", bound=Hashable)
W = TypeVar("W")
Priority = Literal["interactive", "normal", "batch"]
PRIORITIES: tuple[Priority, ...] = ("interactive", "normal", "batch")
"""Served first to last."""
FLOOR = 10
"""Of so many grants that a lower class could have had, one is its own."""
REFUSED_PER_S = 100.0
"""Jobs that a process sends to wait elsewhere because of a crowd, and as many because of a breaker. Each of them is
written to a topic and read again: behind a long backlog of one model that would cost more than the calls, so whoever
comes beyond it waits here after all."""


def places_of(places: int) -> tuple[int, int, int]:
    """Of so many waiting places, the most that one key, the batch class, and batch with normal may take."""
    return math.ceil(places / 2), math.ceil(places / 2), math.ceil(places * 3 / 4)


def has_place(priority: Priority, waiting: Sequence[int], *, of_key: int, places: int) -> bool:
    """Whether one more of `priority` may wait, when so many of each class do (as in `PRIORITIES`), `of_key` of its key.

    One key takes at most half of the places, batch half, batch and normal together three quarters, all together all
    of them. A tenth each is kept for batch and for normal: whoever comes with a floor must be able to queue for it.
    """
    key_most, batch_most, normal_most = places_of(places)
    if of_key >= key_most:
        return False
    kept = places // FLOOR
    after = [count + (name == priority) for name, count in zip(PRIORITIES, waiting, strict=True)]
    batch, normal = max(after[2], kept), max(after[1], kept)
    return batch <= batch_most and batch + normal <= normal_most and batch + normal + after[0] <= places


class Turns:
    """Whose class is served next.

    The highest class that could start goes first, with a floor for the lower ones: a batch waiter that stays at the
    head of its class and could start is served by the 10th grant from then on at the latest, a normal one by the 11th.
    """

    def __init__(self) -> None:
        self._passed = [0] * len(PRIORITIES)

    def next(self, could_start: Sequence[bool]) -> int:
        """The class (as in `PRIORITIES`) that the next slot goes to; at least one must be able to start."""
        ready = [rank for rank, could in enumerate(could_start) if could]
        overdue = [rank for rank in ready[1:] if self._passed[rank] >= FLOOR - 1]
        chosen = overdue[-1] if overdue else ready[0]
        for rank in ready:
            self._passed[rank] += 1
        self._passed[chosen] = 0
        return chosen


class Queues(Generic[K, W]):
    """Who waits, by key and class, each in the order of arrival.

    The next to be served is found in as many steps as there are keys with waiters, however many wait.
    """

    def __init__(self) -> None:
        self._arrivals = 0
        self._turns = Turns()
        self._of_key: dict[K, tuple[OrderedDict[int, W], ...]] = {}
        self.by_class = [0] * len(PRIORITIES)

    def add(self, key: K, priority: Priority, waiter: W) -> tuple[int, int]:
        """Stand at the end of the queue; its place, for `remove`."""
        self._arrivals += 1
        rank = PRIORITIES.index(priority)
        queues = self._of_key.setdefault(key, tuple(OrderedDict() for _ in PRIORITIES))
        queues[rank][self._arrivals] = waiter
        self.by_class[rank] += 1
        return rank, self._arrivals

    def remove(self, key: K, place: tuple[int, int]) -> None:
        """Leave the queue; harmless for who has left."""
        rank, arrival = place
        queues = self._of_key.get(key)
        if queues is not None and queues[rank].pop(arrival, None) is not None:
            self.by_class[rank] -= 1
            if not any(queues):
                del self._of_key[key]

    def next(self, could_start: Callable[[K], bool]) -> tuple[K, W] | None:
        """Take out whose turn it is among the keys that could start; None if nobody waits for one."""
        first: list[tuple[int, K] | None] = [None] * len(PRIORITIES)
        for key, queues in self._of_key.items():
            if could_start(key):
                for rank, queue in enumerate(queues):
                    best = first[rank]
                    if queue and (best is None or next(iter(queue)) < best[0]):
                        first[rank] = (next(iter(queue)), key)
        rank = self._turns.next([one is not None for one in first]) if any(first) else 0
        found = first[rank]
        if found is None:
            return None
        arrival, key = found
        waiter = self._of_key[key][rank][arrival]
        self.remove(key, (rank, arrival))
        return key, waiter

    def waiting(self, key: K) -> int:
        """How many wait for a key."""
        return sum(map(len, self._of_key.get(key, ())))

    def waiters(self, key: K) -> Iterator[W]:
        """Who waits for a key; the queue may change meanwhile."""
        yield from [waiter for queue in self._of_key.get(key, ()) for waiter in queue.values()]

    def keys(self) -> list[K]:
        """The keys that somebody waits for."""
        return list(self._of_key)


class Ration:
    """At most `per_s` a second, and as many at once after a second of none (a token bucket)."""

    def __init__(self, per_s: float) -> None:
        self._per_s = self._left = per_s
        self._at = -math.inf

    def take(self, now: float) -> bool:
        """Whether one more may be had at `now` (monotonic seconds)."""
        self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
