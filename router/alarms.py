"""When somebody who waits is to be looked at. Pure."""

import heapq
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Generic, TypeVar

from router.waiter import Waiter

SPARE = 1_000
"""Instants of those who have left that are carried along, beside as many as wait."""
At = TypeVar("At", datetime, int)


class Alarms(Generic[At]):
    """Instants (or offsets) at which somebody is to be looked at; who has left meanwhile is passed over."""

    def __init__(self, here: Mapping[int, Waiter]) -> None:
        self._here = here
        self._heap: list[tuple[At, int]] = []

    def add(self, at: At, number: int) -> None:
        """Look at who has that number."""
        heapq.heappush(self._heap, (at, number))
        if len(self._heap) > 2 * len(self._here) + SPARE:
            self._heap = [one for one in self._heap if one[1] in self._here]
            heapq.heapify(self._heap)

    def due(self, now: At) -> Iterator[tuple[int, Waiter]]:
        """Those whose instant has come, each with its number; the earliest first, and each instant once."""
        while self._heap and self._heap[0][0] <= now:
            _, number = heapq.heappop(self._heap)
            if number in self._here:
                yield number, self._here[number]

    def earliest(self) -> At | None:
        """The next instant; None: there is none."""
        while self._heap and self._heap[0][1] not in self._here:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
