"""Circuit breakers per (provider, model): aiobreaker holds state and listeners, our gate stands before it.

The gate is needed because aiobreaker 1.2 lets every caller through at half-open, counts an excluded exception as
a success, leaves a cancelled trial half-open for ever, and reads the wall clock. So calls never run inside it: a
caller asks the gate for a permit, and the permit reports the outcome, which alone is passed on to aiobreaker.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from aiobreaker import CircuitBreaker, CircuitBreakerError
from aiobreaker.state import CircuitBreakerState


class BreakerKey(NamedTuple):
    """What a breaker watches."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class CountedFailureError(Exception):
    """What listeners of aiobreaker are shown for a failure: its kind, and nothing that a provider wrote."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The breaker lets nobody through. Nothing was called; this is no attempt."""

    key: BreakerKey
    because: Literal["open", "trial"]
    """`open`: the reset timeout runs. `trial`: it is over, and another caller's trial call is in flight."""
    retry_at: float
    """The earliest instant (seconds, monotonic) at which a call may be tried. For `trial` that instant is now:
    it is decided when the trial ends, which `wait` awaits."""


@dataclass(frozen=True, slots=True)
class BreakerView:
    """One breaker as others may see it."""

    state: Literal["closed", "open", "half-open"]
    failures: int
    """Consecutive counted failures."""
    retry_at: float | None
    """When an open breaker may be tried (seconds, monotonic)."""


class _Watch:
    """One key: aiobreaker's state, our monotonic opening time, and the one trial.

    `changed_at` is the serial number of the last change of state. The outcome of a call that was admitted before
    it says nothing about the state since, and is passed over.
    """

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.opened_at = 0.0
        self.changed_at = 0
        self.trial: Permit | None = None
        self.moved = asyncio.Event()
        """Set, and replaced by a fresh one, whenever a waiter should ask the gate again."""

    @property
    def state(self) -> CircuitBreakerState:
        return self.breaker.current_state

    def wake(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()


class Breakers:
    """The breakers of one process, made on first use; one event loop owns them. Keys come from the catalogue.

    A breaker opens after `fail_max` consecutive counted failures, refuses everybody for `reset_timeout`, then lets
    one trial call through: its success closes, its failure opens again. Each attempt counts once, a retry too.
    `clock` is monotonic, in seconds. `listeners` are aiobreaker's (`state_change`, `failure`, `success`).
    With `enabled=False` everybody is let through and nothing is counted.
    """

    def __init__(
        self,
        *,
        fail_max: int = 3,
        reset_timeout: timedelta = timedelta(seconds=300),
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
        listeners: Iterable[Any] = (),
    ) -> None:
        if fail_max < 1:
            raise ValueError(f"fail_max is {fail_max}; it must be at least 1")
        self._fail_max = fail_max
        self._reset_s = reset_timeout.total_seconds()
        self._enabled = enabled
        self._clock = clock
        self._listeners = tuple(listeners)
        self._watches: dict[BreakerKey, _Watch] = {}
        self._serial = 0

    def admit(self, key: BreakerKey) -> "Permit | Refusal":
        """Let one attempt through, or say when to ask again. Never waits.

        A permit is used as `with permit:` around the attempt, and told the outcome inside.
        """
        self._serial += 1
        if not self._enabled:
            return Permit(self, key, self._serial)
        watch = self._watch(key)
        if watch.state is CircuitBreakerState.CLOSED:
            return Permit(self, key, self._serial)
        if watch.state is CircuitBreakerState.OPEN:
            retry_at = watch.opened_at + self._reset_s
            if self._clock() < retry_at:
                return Refusal(key, "open", retry_at)
            self._change(watch, watch.breaker.half_open)
            self._serial += 1
        if watch.trial is not None:
            return Refusal(key, "trial", self._clock())
        watch.trial = Permit(self, key, self._serial)
        return watch.trial

    async def wait(self, key: BreakerKey, *, deadline: float) -> "Permit | Refusal":
        """Wait for a permit until `deadline` (seconds, monotonic), then give the last refusal.

        Refuses at once if the breaker cannot be half-open before the deadline. Of many who wait, one makes the
        trial call; the others follow when it succeeds.
        """
        while True:
            answer = self.admit(key)
            if isinstance(answer, Permit) or answer.retry_at >= deadline:
                return answer
            until = deadline if answer.because == "trial" else answer.retry_at
            try:
                async with asyncio.timeout(max(0.0, until - self._clock())):
                    await self._watch(key).moved.wait()
            except TimeoutError:
                continue

    def views(self) -> Mapping[BreakerKey, BreakerView]:
        """Every breaker that has been asked for, as it stands now."""
        return {key: self._view(watch) for key, watch in self._watches.items()}

    def settle(self, permit: "Permit", outcome: Literal["success", "failure", "neither"], kind: str) -> None:
        """Count one outcome. `Permit` calls it, once; nobody else needs to."""
        watch = self._watches.get(permit.key)
        if watch is None or permit.serial < watch.changed_at:
            return
        if watch.trial is permit:
            watch.trial = None
        if outcome == "neither":
            watch.wake()  # a freed trial: the next in line may make it
            return
        self._change(watch, lambda: self._tell(watch.breaker, outcome, kind))

    def _change(self, watch: _Watch, step: Callable[[], object]) -> None:
        before = watch.state
        step()
        if watch.state is before:
            return
        self._serial += 1
        watch.changed_at = self._serial
        watch.trial = None
        if watch.state is CircuitBreakerState.OPEN:
            watch.opened_at = self._clock()
        watch.wake()

    @staticmethod
    def _tell(breaker: CircuitBreaker, outcome: str, kind: str) -> None:
        """Pass an outcome through aiobreaker's own counting, as a call that has already happened.

        Never done while it is open: there, and only there, it would read the wall clock to decide.
        """

        def happened() -> None:
            if outcome == "failure":
                raise CountedFailureError(kind)

        try:
            breaker.call(happened)
        except (CountedFailureError, CircuitBreakerError):
            return  # the second is how aiobreaker says that this failure has opened it

    def _watch(self, key: BreakerKey) -> _Watch:
        watch = self._watches.get(key)
        if watch is None:
            breaker = CircuitBreaker(
                fail_max=self._fail_max,
                timeout_duration=timedelta(seconds=self._reset_s),
                listeners=self._listeners,
                name=str(key),
            )
            watch = self._watches[key] = _Watch(breaker)
        return watch

    def _view(self, watch: _Watch) -> BreakerView:
        failures: int = watch.breaker.fail_counter
        if watch.state is CircuitBreakerState.CLOSED:
            return BreakerView("closed", failures, None)
        retry_at = watch.opened_at + self._reset_s
        half_open = watch.state is CircuitBreakerState.HALF_OPEN or self._clock() >= retry_at
        return BreakerView("half-open" if half_open else "open", failures, retry_at)


class Permit:
    """Leave for one attempt. The first outcome told counts; leaving the block without one counts as nothing.

    So a cancelled attempt counts as nothing, and if it was the trial, the next caller may make it.
    """

    __slots__ = ("_breakers", "_told", "key", "serial")

    def __init__(self, breakers: Breakers, key: BreakerKey, serial: int) -> None:
        self._breakers = breakers
        self._told = False
        self.key = key
        self.serial = serial
        """Orders this permit among the changes of its breaker's state."""

    def succeeded(self) -> None:
        """The provider did its work. An answer that blames our request (400, 422) is one too."""
        self._tell("success")

    def failed(self, kind: str) -> None:
        """The provider is at fault: 5xx, timeout, no connection, garbage. `kind` is for listeners; no content."""
        self._tell("failure", kind)

    def neither(self) -> None:
        """The attempt says nothing about health: 429 (which feeds the limits), or cancelled by us."""
        self._tell("neither")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.neither()

    def _tell(self, outcome: Literal["success", "failure", "neither"], kind: str = "") -> None:
        if not self._told:
            self._told = True
            self._breakers.settle(self, outcome, kind)
