"""Calls at once: over all hosts together and per host, first come first served."""

import asyncio
from collections import Counter, deque


class Slots:
    """A counting semaphore with two bounds. One event loop owns it.

    Invariants: never more than `most` in all nor `most_per_host` of one host; who could start never waits; a waiter
    whose host is full is passed over; one that is cancelled or late leaves nothing behind.
    """

    def __init__(self, most: int, most_per_host: int) -> None:
        self.taken = 0
        self._most = most
        self._most_per_host = most_per_host
        self._of: Counter[str] = Counter()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    async def take(self, host: str, wait_s: float) -> None:
        """Take a slot of `host`, after at most `wait_s` seconds of waiting. Raises TimeoutError."""
        if self._may_start(host):  # who waits could not start: a slot that is given back is handed on at once
            self._start(host)
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = host, granted
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                await granted
        except BaseException:
            if granted.done() and not granted.cancelled():
                self.give(host)  # served in the very turn in which it was cancelled or late
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def give(self, host: str) -> None:
        """Give a slot back, and serve who may start now."""
        self.taken -= 1
        self._of[host] -= 1
        if not self._of[host]:
            del self._of[host]
        while self._waiting and self.taken < self._most:
            waiter = next((one for one in self._waiting if self._may_start(one[0])), None)
            if waiter is None:
                return
            self._waiting.remove(waiter)
            if not waiter[1].done():
                self._start(waiter[0])
                waiter[1].set_result(None)

    def _may_start(self, host: str) -> bool:
        return self.taken < self._most and self._of[host] < self._most_per_host

    def _start(self, host: str) -> None:
        self.taken += 1
        self._of[host] += 1
