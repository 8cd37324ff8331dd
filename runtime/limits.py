"""How many calls may run at once: per key (a model of a provider, or a host) and over all keys together.

Waiting here is no attempt: nothing has been sent and no read timeout runs. Waiters are served by class
(`runtime/waiting.py`), within a class in the order in which they came, except that a waiter whose key is full, or told
to hold, is passed over: one busy model never stands in the way of the others.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Literal, TypeVar

from runtime.learning import Learned, Told
from runtime.waiting import REFUSED_PER_S, Priority, Queues, Ration, has_place

K = TypeVar("K", bound=Hashable)
Because = Literal["deadline", "hold", "crowded"]


class NoSlotError(Exception):
    """No slot came free in time. Nothing was sent; this is no attempt."""

    def __init__(self, key: object, because: Because, retry_at: float | None) -> None:
        self.key = key
        self.because: Because = because
        """`deadline`: key or process were full until then. `hold`: the key is told to hold beyond it. `crowded`: the
        key or its class has its share of the waiting places, and nobody waited."""
        self.retry_at = retry_at
        """When the hold ends (seconds, monotonic), else None."""
        super().__init__(f"no slot for {key}: {because}")


@dataclass(frozen=True, slots=True)
class LimitView:
    """One key as others may see it."""

    limit: int
    """Calls that may run at once now: what was learnt, within `cap`."""
    cap: int
    """The newest limit that a caller gave, within the key's share of the process."""
    in_flight: int
    waiting: int
    held_until: float | None
    """When its hold ends (seconds, monotonic)."""
    limited: int = 0
    """Calls that were refused for load (429, overload) since the process began."""


@dataclass(slots=True, eq=False)
class _Waiter:
    granted: "asyncio.Future[float]"
    """Becomes the instant at which it was served."""
    deadline: float | None
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Lane:
    """One key: its limit, what runs, and until when it holds."""

    limit: int = 1
    cap: int = 1
    in_flight: int = 0
    held_until: float = float("-inf")
    hold_timer: asyncio.TimerHandle | None = None

    def may_start(self, now: float) -> bool:
        return self.in_flight < self.limit and now >= self.held_until


class Limits(Generic[K]):
    """In-flight limits of one process. One event loop owns an instance.

    Invariants: in flight never exceeds `max_in_flight` over all keys, nor at the moment of a grant a key's limit, which
    is at most its share of the process (`share` of `max_in_flight`, rounded up): a limit that shrinks takes no slot
    away; a waiter that could start never waits; a cancelled waiter leaves nothing behind. At most `waiting` callers
    wait (default: as many as `max_in_flight`), shared out by key and class (`waiting.has_place`); beside them only the
    patient ones, and those that `waiting.REFUSED_PER_S` spares from being turned away. A grant costs as
    much as there are keys with waiters, however many wait. Instants are seconds of `clock`, which is monotonic.
    With `learn`, what `Slot.tell` reports moves each key's limit below its cap (`runtime/learning.py`).
    """

    def __init__(
        self,
        max_in_flight: int,
        *,
        share: float = 1.0,
        waiting: int | None = None,
        learn: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight is {max_in_flight}; it must be at least 1")
        if not 0 < share <= 1:
            raise ValueError(f"share is {share}; it must be over 0 and at most 1")
        self._max = max_in_flight
        self._of_key = max(1, math.ceil(share * max_in_flight))
        self._places = max_in_flight if waiting is None else waiting
        self._learn = learn
        self._clock = clock
        self._total = 0
        self._lanes: dict[K, _Lane] = {}
        self._queues: Queues[K, _Waiter] = Queues()
        self._crowded = Ration(REFUSED_PER_S)
        self._learned: Learned[K] = Learned()
        self._limited: Counter[K] = Counter()
        self._tellers: list[Callable[[K, float], None]] = []

    def slot(
        self,
        key: K,
        limit: int,
        *,
        deadline: float | None = None,
        priority: Priority = "normal",
        patient: bool = False,
    ) -> "Slot[K]":
        """`async with limits.slot(key, limit):` holds one slot of `key` for as long as the block runs.

        The newest `limit` given for a key holds for all who wait for it. Raises `NoSlotError` at `deadline`, at once
        when the key is told to hold beyond it, and at once when key or class have their share of the waiting places,
        unless the caller is `patient`; a free slot is given even to a late caller.
        """
        if limit < 1:
            raise ValueError(f"limit of {key} is {limit}; it must be at least 1")
        return Slot(self, key, limit, deadline, priority, patient)

    def hold(self, key: K, until: float, *, tell: bool = True) -> None:
        """Start no call of `key` before `until` (a provider's Retry-After). Holds only grow.

        Who waits with an earlier deadline is refused now, so that the job can go elsewhere in time. Without `tell`
        the listeners of `on_hold` do not hear of it.
        """
        if until <= max(self.held_until(key) or 0.0, self._clock()):
            return
        lane = self._lanes.setdefault(key, _Lane())
        lane.held_until = until
        for waiter in self._queues.waiters(key):
            if waiter.deadline is not None and waiter.deadline < until:
                self._refuse(key, waiter, "hold")
        self._arm_hold(key, lane)
        for teller in self._tellers if tell else ():
            teller(key, until)

    def on_hold(self, listener: Callable[[K, float], None]) -> Callable[[], None]:
        """Tell `listener(key, until)` of each hold that grows here; returns what takes the listener away."""
        self._tellers.append(listener)
        return lambda: self._tellers.remove(listener)

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
        return {key: self._queues.waiting(key) for key in self._queues.keys()}  # noqa: SIM118 - no mapping

    def view(self) -> Mapping[K, LimitView]:
        """Every key that is used, holds, or has learnt something, as it stands now."""
        keys = [*self._lanes, *(key for key in self._learned.limits if key not in self._lanes)]
        return {key: view for key in keys if (view := self.view_of(key)) is not None}

    def view_of(self, key: K) -> LimitView | None:
        """One key as `view` shows it; None for one that it does not show."""
        lane, known, limited = self._lanes.get(key), self._learned.limits.get(key), self._limited[key]
        if lane is not None:
            waiting, held = self._queues.waiting(key), self.held_until(key)
            return LimitView(lane.limit, lane.cap, lane.in_flight, waiting, held, limited)
        return LimitView(known.limit, known.cap, 0, 0, None, limited) if known is not None else None

    def told(self, key: K, outcome: Told, took_s: float, lag_s: float) -> None:
        """Learn from a call that still holds its slot. `Slot.tell` calls it; nobody else needs to."""
        lane, known = self._lanes[key], self._learned.limits.get(key)
        if outcome == "limited":
            self._limited[key] += 1
        if known is None:
            return
        full, before = lane.in_flight >= lane.limit, lane.limit
        known.told(outcome, took_s=took_s, now=self._clock(), full=full, lag_s=lag_s)
        lane.limit = min(lane.cap, known.limit)
        if lane.limit > before:
            self._grant()

    async def take(self, slot: "Slot[K]") -> float:
        """Wait for a slot; how late (seconds) the loop ran us after it was ours. `Slot` alone calls it."""
        key, deadline = slot.key, slot.deadline
        if self.take_now(slot):
            return 0.0
        lane, now = self._lanes[key], self._clock()
        because: Because | None = None
        if deadline is not None and (deadline <= now or deadline < lane.held_until):
            because = "hold" if now < lane.held_until else "deadline"
        elif not slot.patient and not self._place(slot) and self._crowded.take(now):
            because = "crowded"
        if because is not None:
            retry_at = self.held_until(key)
            self._forget_if_idle(key, lane)
            raise NoSlotError(key, because, retry_at)
        return await self._wait(slot, lane)

    def take_now(self, slot: "Slot[K]") -> bool:
        """Take a slot if one is free. `Slot` alone calls it."""
        lane = self._lanes.setdefault(slot.key, _Lane())
        self._bound(slot.key, lane, min(slot.limit, self._of_key))
        if self._total >= self._max or not lane.may_start(self._clock()):
            return False
        self._start(lane)  # nobody is passed over: of those who wait none could start
        return True

    def _place(self, slot: "Slot[K]") -> bool:
        of_key = self._queues.waiting(slot.key)
        return has_place(slot.priority, self._queues.by_class, of_key=of_key, places=self._places)

    def _bound(self, key: K, lane: _Lane, cap: int) -> None:
        before = lane.limit
        lane.cap, lane.limit = cap, self._learned.within(key, cap) if self._learn else cap
        if lane.limit > before:
            self._grant()

    async def _wait(self, slot: "Slot[K]", lane: _Lane) -> float:
        key = slot.key
        waiter = _Waiter(asyncio.get_running_loop().create_future(), slot.deadline)
        place = self._queues.add(key, slot.priority, waiter)
        if slot.deadline is not None:
            self._arm_deadline(key, waiter, slot.deadline)
        try:
            return self._clock() - await waiter.granted
        except asyncio.CancelledError:
            # Cancelled in the very turn in which it was served: the slot is ours and must go back.
            if waiter.granted.done() and not waiter.granted.cancelled() and not waiter.granted.exception():
                self.give_back(key)
            raise
        finally:
            if waiter.timer is not None:
                waiter.timer.cancel()
            self._queues.remove(key, place)
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
        """Serve whose turn it is among the keys that may start, until none may."""
        now = self._clock()
        while self._total < self._max:
            served = self._queues.next(lambda key: self._lanes[key].may_start(now))
            if served is None:
                return
            key, waiter = served
            if not waiter.granted.done():
                self._start(self._lanes[key])
                waiter.granted.set_result(now)

    def _refuse(self, key: K, waiter: _Waiter, because: Because) -> None:
        if not waiter.granted.done():
            waiter.granted.set_exception(NoSlotError(key, because, self.held_until(key)))

    def _arm_deadline(self, key: K, waiter: _Waiter, deadline: float) -> None:
        def due() -> None:
            # The loop's timer may run a little ahead of our clock: ask the clock, not the timer.
            if self._clock() < deadline:
                self._arm_deadline(key, waiter, deadline)
            else:
                self._refuse(key, waiter, "deadline")

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
        # Keys come and go with the catalogue; what nobody uses takes no memory.
        idle = not lane.in_flight and not self._queues.waiting(key) and self._clock() >= lane.held_until
        if idle and lane.hold_timer is None and self._lanes.get(key) is lane:
            del self._lanes[key]


class Slot(Generic[K]):
    """One slot: taken on entry, given back on exit or by `release`, once."""

    __slots__ = ("_held", "_lag_s", "_limits", "_told", "deadline", "key", "limit", "patient", "priority")

    def __init__(
        self, limits: Limits[K], key: K, limit: int, deadline: float | None, priority: Priority, patient: bool
    ) -> None:
        self._limits, self.key, self.limit = limits, key, limit
        self.deadline, self.priority, self.patient = deadline, priority, patient
        self._held = self._told = False
        self._lag_s = 0.0

    async def acquire(self) -> None:
        """Wait for the slot; for a caller whose work outlives a block. Raises `NoSlotError`."""
        self._lag_s = await self._limits.take(self)
        self._held, self._told = True, False

    def acquire_now(self) -> bool:
        """Take the slot if one is free. False: `acquire` is to be waited for, at once."""
        if self._limits.take_now(self):
            self._lag_s, self._held, self._told = 0.0, True, False
        return self._held

    def tell(self, outcome: Told, seconds: float) -> None:
        """How the call ended and how long it took, before the slot is released; the first word counts.

        `ok`: answered. `limited`: refused for load (429, overload). `failed`: anything else.
        """
        if self._held and not self._told:
            self._told = True
            self._limits.told(self.key, outcome, seconds, self._lag_s)

    def release(self) -> None:
        """Give the slot back; a second call does nothing."""
        if self._held:
            self._held = False
            self._limits.give_back(self.key)

    async def __aenter__(self) -> "Slot[K]":
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
