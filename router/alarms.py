"""When somebody who waits is to be looked at. Pure."""

import heapq
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Generic, TypeVar

from router.waiter import Waiter

SPARE = 1_000
"""Instants that hold no more and are carried along, beside as many as hold."""
At = TypeVar("At", datetime, int)


class Alarms(Generic[At]):
    """Instants (or offsets) at which somebody is to be looked at, one each; who has left meanwhile is passed over."""

    def __init__(self, here: Mapping[int, Waiter]) -> None:
        self._here = here
        self._set: dict[int, At] = {}
        self._heap: list[tuple[At, int]] = []

    def add(self, at: At, number: int) -> None:
        """Look at who has that number; then, and no more when it was told before."""
        if self._set.get(number) == at:
            return
        self._set[number] = at
        heapq.heappush(self._heap, (at, number))
        if len(self._heap) > 2 * len(self._here) + SPARE:
            self._set = {number: at for number, at in self._set.items() if number in self._here}
            self._heap = [(at, number) for number, at in self._set.items()]
            heapq.heapify(self._heap)

    def due(self, now: At) -> Iterator[tuple[int, Waiter]]:
        """Those whose instant has come, each with its number; the earliest first, and each instant once."""
        while (at := self.earliest()) is not None and at <= now:
            _, number = heapq.heappop(self._heap)
            del self._set[number]
            yield number, self._here[number]

    def earliest(self) -> At | None:
        """The next instant; None: there is none."""
        while self._heap:
            at, number = self._heap[0]
            if self._set.get(number) == at:
                if number in self._here:
                    return at
                del self._set[number]
            heapq.heappop(self._heap)
        return None
