"""How many calls may run at once: per key (a model of a provider, or a host) and over all keys together.

Waiting here is no attempt: nothing has been sent and no read timeout runs. Waiters are served in the order in
which they came, except that a waiter whose key is full, or told to hold, is passed over: one busy model never
stands in the way of the others.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Literal, TypeVar

K = TypeVar("K", bound=Hashable)


class NoSlotError(Exception):
    """No slot came free in time. Nothing was sent; this is no attempt."""

    def __init__(self, key: object, because: Literal["deadline", "hold"], retry_at: float | None) -> None:
        self.key = key
        self.because: Literal["deadline", "hold"] = because
        """`deadline`: key or process were full until then. `hold`: the key is told to hold beyond it."""
        self.retry_at = retry_at
        """When the hold ends (seconds, monotonic), else None."""
        super().__init__(f"no slot for {key}: {because}")


@dataclass(slots=True, eq=False)
class _Waiter:
    arrival: int
    granted: "asyncio.Future[None]"
    deadline: float | None
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Lane:
    """One key: its newest limit, what runs, who waits, and until when it holds."""

    limit: int = 1
    in_flight: int = 0
    held_until: float = float("-inf")
    hold_timer: asyncio.TimerHandle | None = None
    waiting: deque[_Waiter] = field(default_factory=deque)

    def may_start(self, now: float) -> bool:
        return self.in_flight < self.limit and now >= self.held_until

    def idle(self, now: float) -> bool:
        return not self.in_flight and not self.waiting and now >= self.held_until


class Limits(Generic[K]):
    """In-flight limits, first come first served. One event loop owns an instance.

    Invariants: in flight never exceeds `max_in_flight` over all keys, nor a key's newest limit at the moment
    of a grant (a limit that shrinks takes no slot away); a waiter that could start never waits; a cancelled
    waiter leaves nothing behind. Instants are seconds of `clock`, which is monotonic.
    """

    def __init__(self, max_in_flight: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight is {max_in_flight}; it must be at least 1")
        self._max = max_in_flight
        self._clock = clock
        self._total = 0
        self._arrivals = 0
        self._lanes: dict[K, _Lane] = {}

    def slot(self, key: K, limit: int, *, deadline: float | None = None) -> "Slot[K]":
        """`async with limits.slot(key, limit):` holds one slot of `key` for as long as the block runs.

        The newest `limit` given for a key holds for all who wait for it. Raises `NoSlotError` at `deadline`,
        or at once when the key is told to hold beyond it; a free slot is given even to a late caller.
        """
        if limit < 1:
            raise ValueError(f"limit of {key} is {limit}; it must be at least 1")
        return Slot(self, key, limit, deadline)

    def hold(self, key: K, until: float) -> None:
        """Start no call of `key` before `until` (a provider's Retry-After). Holds only grow.

        Who waits with an earlier deadline is refused now, so that the job can go elsewhere in time.
        """
        if until <= max(self.held_until(key) or 0.0, self._clock()):
            return
        lane = self._lanes.setdefault(key, _Lane())
        lane.held_until = until
        for waiter in list(lane.waiting):
            if waiter.deadline is not None and waiter.deadline < until:
                self._refuse(key, lane, waiter, "hold")
        self._arm_hold(key, lane)

    def held_until(self, key: K) -> float | None:
        """When the hold of `key` ends, or None if it does not hold."""
        lane = self._lanes.get(key)
        return lane.held_until if lane is not None and lane.held_until > self._clock() else None

    @property
    def total_in_flight(self) -> int:
        """Slots taken now, over all keys."""
        return self._total

    @property
    def in_flight(self) -> Mapping[K, int]:
        """Slots taken now, per key; keys with none are left out."""
        return {key: lane.in_flight for key, lane in self._lanes.items() if lane.in_flight}

    @property
    def waiting(self) -> Mapping[K, int]:
        """Callers that wait now, per key; keys with none are left out."""
        return {key: len(lane.waiting) for key, lane in self._lanes.items() if lane.waiting}

    async def _take(self, key: K, limit: int, deadline: float | None) -> None:
        lane = self._lanes.setdefault(key, _Lane())
        if limit != lane.limit:
            lane.limit = limit
            self._grant()
        now = self._clock()
        if not lane.waiting and self._total < self._max and lane.may_start(now):
            self._start(lane)
            return
        if deadline is not None and (deadline <= now or deadline < lane.held_until):
            because: Literal["deadline", "hold"] = "hold" if now < lane.held_until else "deadline"
            retry_at = self.held_until(key)
            self._forget_if_idle(key, lane)
            raise NoSlotError(key, because, retry_at)
        await self._wait(key, lane, deadline)

    async def _wait(self, key: K, lane: _Lane, deadline: float | None) -> None:
        self._arrivals += 1
        waiter = _Waiter(self._arrivals, asyncio.get_running_loop().create_future(), deadline)
        lane.waiting.append(waiter)
        if deadline is not None:
            self._arm_deadline(key, lane, waiter, deadline)
        try:
            await waiter.granted
        except asyncio.CancelledError:
            # Cancelled in the very turn in which it was served: the slot is ours and must go back.
            if waiter.granted.done() and not waiter.granted.cancelled() and not waiter.granted.exception():
                self.give_back(key)
            raise
        finally:
            if waiter.timer is not None:
                waiter.timer.cancel()
            if waiter in lane.waiting:
                lane.waiting.remove(waiter)
            self._forget_if_idle(key, lane)

    def give_back(self, key: K) -> None:
        """Free one slot of `key` and serve who may start now. `Slot` calls it; nobody else needs to."""
        lane = self._lanes[key]
        lane.in_flight -= 1
        self._total -= 1
        self._grant()
        self._forget_if_idle(key, lane)

    def _start(self, lane: _Lane) -> None:
        lane.in_flight += 1
        self._total += 1

    def _grant(self) -> None:
        """Serve the longest waiting among the keys that may start, until none may."""
        now = self._clock()
        while self._total < self._max:
            ready = [lane for lane in self._lanes.values() if lane.waiting and lane.may_start(now)]
            if not ready:
                return
            lane = min(ready, key=lambda one: one.waiting[0].arrival)
            waiter = lane.waiting.popleft()
            if not waiter.granted.done():
                self._start(lane)
                waiter.granted.set_result(None)

    def _refuse(self, key: K, lane: _Lane, waiter: _Waiter, because: Literal["deadline", "hold"]) -> None:
        if waiter in lane.waiting:
            lane.waiting.remove(waiter)
        if not waiter.granted.done():
            waiter.granted.set_exception(NoSlotError(key, because, self.held_until(key)))

    def _arm_deadline(self, key: K, lane: _Lane, waiter: _Waiter, deadline: float) -> None:
        def due() -> None:
            # The loop's timer may run a little ahead of our clock: ask the clock, not the timer.
            if self._clock() < deadline:
                self._arm_deadline(key, lane, waiter, deadline)
            else:
                self._refuse(key, lane, waiter, "deadline")

        delay = max(0.0, deadline - self._clock())
        waiter.timer = asyncio.get_running_loop().call_later(delay, due)

    def _arm_hold(self, key: K, lane: _Lane) -> None:
        def due() -> None:
            if self._clock() < lane.held_until:
                self._arm_hold(key, lane)
                return
            lane.hold_timer = None
            self._grant()
            self._forget_if_idle(key, lane)

        if lane.hold_timer is not None:
            lane.hold_timer.cancel()
        delay = max(0.0, lane.held_until - self._clock())
        lane.hold_timer = asyncio.get_running_loop().call_later(delay, due)

    def _forget_if_idle(self, key: K, lane: _Lane) -> None:
        # Keys come and go with the catalogue; what nobody uses takes no memory and no time in `_grant`.
        if lane.hold_timer is None and lane.idle(self._clock()) and self._lanes.get(key) is lane:
            del self._lanes[key]


class Slot(Generic[K]):
    """One slot: taken on entry, given back on exit or by `release`, once."""

    __slots__ = ("_deadline", "_held", "_key", "_limit", "_limits")

    def __init__(self, limits: Limits[K], key: K, limit: int, deadline: float | None) -> None:
        self._limits, self._key, self._limit, self._deadline = limits, key, limit, deadline
        self._held = False

    async def acquire(self) -> None:
        """Wait for the slot; for a caller whose work outlives a block. Raises `NoSlotError`."""
        await self._limits._take(self._key, self._limit, self._deadline)
        self._held = True

    def release(self) -> None:
        """Give the slot back; a second call does nothing."""
        if self._held:
            self._held = False
            self._limits.give_back(self._key)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
