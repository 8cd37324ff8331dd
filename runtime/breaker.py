"""Circuit breakers per (provider, model): aiobreaker holds state and listeners, our gate stands before it.

The gate is needed because aiobreaker 1.2 lets every caller through at half-open, counts an excluded exception as
a success, leaves a cancelled trial half-open for ever, and reads the wall clock. So calls never run inside it: a
caller asks the gate for a permit, and the permit reports the outcome, which alone is passed on to aiobreaker.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from aiobreaker import CircuitBreaker, CircuitBreakerError
from aiobreaker.state import CircuitBreakerState

from runtime.adoption import adoption
from runtime.rules import Window, WindowRule
from schemas.breakers import BreakerState

MOST_KEYS = 10_000
"""Breakers of others that are taken up; the catalogue has fewer."""
STATES: dict[CircuitBreakerState, Literal["closed", "open", "half-open"]] = {
    CircuitBreakerState.CLOSED: "closed",
    CircuitBreakerState.OPEN: "open",
    CircuitBreakerState.HALF_OPEN: "half-open",
}


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
    because: str = ""
    """Which rule brought it into this state, and the last failure's kind."""
    since: datetime | None = None
    """When that was, in the process that found it; None: it never changed."""


class _Watch:
    """One key: aiobreaker's state, its times on our clocks, and the one trial.

    `changed_at` is the serial number of the last change of state. The outcome of a call that was admitted before
    it says nothing about the state since, and is passed over.
    """

    def __init__(self, breaker: CircuitBreaker, window: Window) -> None:
        self.breaker = breaker
        self.window = window
        self.retry_at = 0.0
        self.changed_at = 0
        self.trial: Permit | None = None
        self.because = ""
        self.since: datetime | None = None
        self.opens_at: datetime | None = None
        """`retry_at` as the process that opened it told it."""
        self.told_by = ""
        """Whose word it is open on; empty: our own."""
        self.doubted: set[str] = set()
        """Whose word our own trial has shown to be wrong for us: their way to the provider is ill, not the provider."""
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
    It also opens when of the last `window` calls (at least 20, within the last minute) a `failure_share` failed, or a
    `slow_share` took over `slow_s` seconds (`runtime/rules.py`); 0 switches a rule off.
    `clock` is monotonic, in seconds; `now` is the wall clock, for what others are told and tell (`adopt`).
    `listeners` are aiobreaker's (`state_change`, `failure`, `success`).
    With `enabled=False` everybody is let through and nothing is counted.
    """

    def __init__(
        self,
        *,
        fail_max: int = 3,
        reset_timeout: timedelta = timedelta(seconds=300),
        window: int = 0,
        failure_share: float = 0.5,
        slow_s: float = 0.0,
        slow_share: float = 0.9,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        listeners: Iterable[Any] = (),
    ) -> None:
        if fail_max < 1:
            raise ValueError(f"fail_max is {fail_max}; it must be at least 1")
        self._fail_max = fail_max
        self._reset = reset_timeout
        self._rule = WindowRule(window, failure_share, slow_s, slow_share)
        self._enabled = enabled
        self._clock = clock
        self._now = now
        self._listeners = tuple(listeners)
        self._tellers: list[Callable[[BreakerKey], None]] = []
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
            if self._clock() < watch.retry_at:
                return Refusal(key, "open", watch.retry_at)
            self._change(key, watch, watch.breaker.half_open, watch.because)
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

    def on_change(self, listener: Callable[[BreakerKey], None]) -> Callable[[], None]:
        """Tell `listener(key)` of each change of state that was found here; returns what takes the listener away."""
        self._tellers.append(listener)
        return lambda: self._tellers.remove(listener)

    def news(self, key: BreakerKey, by: str) -> BreakerState:
        """The breaker as other processes should hear of it, told by `by`."""
        watch = self._watch(key)
        return BreakerState(
            provider=key.provider,
            model=key.model,
            state=STATES[watch.state],
            failures=watch.breaker.fail_counter,
            because=watch.because,
            retry_at=None if watch.state is CircuitBreakerState.CLOSED else watch.opens_at,
            since=watch.since,
            at=self._now(),
            by=by,
        )

    def adopt(self, news: BreakerState) -> bool:
        """Follow what another process found, unless what we know is as new; whether anything was taken up.

        It opens with `runtime.adoption.LATER_S` more than the finder waits, and at most `reset_timeout` and that: so
        one process makes the trial, and all the others follow its success at once. Its failure prolongs nobody's wait
        who was opened by the same process: they try themselves. Who finds the provider well then does not follow that
        process again before it tells of a close, or the breaker opens here: one ill process stops no other for ever.
        """
        key = BreakerKey(news.provider, news.model)
        known = self._watches.get(key)
        if known is not None and news.by in known.doubted:
            if news.state != "closed":
                return False
            if news.since is not None and known.since is not None and news.since > known.since:
                known.doubted.discard(news.by)  # it found that itself; otherwise it passes on what we told
        if not self._enabled or (known is None and len(self._watches) >= MOST_KEYS):
            return False
        state, since = (STATES[known.state], known.since) if known is not None else ("closed", None)
        found = adoption(news, state=state, since=since, now=self._now(), longest_s=self._reset.total_seconds())
        if found is None:
            return False
        watch = self._watch(key)
        again = STATES[watch.state] == "open" and watch.told_by == news.by
        steps = {"open": watch.breaker.open, "closed": watch.breaker.close}
        self._move(watch, steps.get(found.state, lambda: None))
        watch.because, watch.since = news.because, found.since
        if found.state != "closed":
            retry_at = self._clock() + found.retry_in_s
            if found.state == "half-open":
                watch.retry_at = max(watch.retry_at, retry_at)
            elif not again:
                watch.retry_at, watch.told_by = retry_at, news.by
            watch.opens_at = news.retry_at or watch.opens_at
        watch.wake()
        return True

    def settle(
        self, permit: "Permit", outcome: Literal["success", "failure", "neither"], kind: str, took_s: float | None
    ) -> None:
        """Count one outcome. `Permit` calls it, once; nobody else needs to."""
        key, watch = permit.key, self._watches.get(permit.key)
        if watch is None or permit.serial < watch.changed_at:
            return
        trial, failed = watch.trial is permit, outcome == "failure"
        if trial:
            watch.trial = None
            if outcome == "success" and watch.told_by:
                watch.doubted.add(watch.told_by)
        if outcome == "neither":
            watch.wake()  # a freed trial: the next in line may make it
            return
        why = None if trial else watch.window.ended(self._clock(), failed=failed, took_s=took_s)
        if why is None and not (trial or failed or watch.breaker.fail_counter or self._listeners):
            return  # one more success among successes: aiobreaker would count from nought to nought
        last = f", the last: {kind}" if failed else ""
        told = f"{watch.breaker.fail_counter + 1} failures in a row{last}"
        if trial:
            told = f"the trial call failed: {kind}" if failed else "the trial call succeeded"
        self._change(key, watch, lambda: self._tell(watch.breaker, outcome, kind), told)
        if why is not None and watch.state is CircuitBreakerState.CLOSED:
            self._change(key, watch, watch.breaker.open, why + last)

    def _change(self, key: BreakerKey, watch: _Watch, step: Callable[[], object], because: str) -> None:
        """Take a step of our own; if it changes the state, note why and tell who listens."""
        if not self._move(watch, step):
            return
        watch.because, watch.since = because, self._now()
        if watch.state is CircuitBreakerState.OPEN:
            watch.told_by, watch.doubted = "", set()
            watch.retry_at = self._clock() + self._reset.total_seconds()
            watch.opens_at = watch.since + self._reset
        for teller in self._tellers:
            teller(key)

    def _move(self, watch: _Watch, step: Callable[[], object]) -> bool:
        before = watch.state
        step()
        if watch.state is before:
            return False
        self._serial += 1
        watch.changed_at = self._serial
        watch.trial = None
        watch.window.forget()
        watch.wake()
        return True

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
                timeout_duration=self._reset,
                listeners=self._listeners,
                name=str(key),
            )
            watch = self._watches[key] = _Watch(breaker, Window(self._rule))
        return watch

    def _view(self, watch: _Watch) -> BreakerView:
        failures: int = watch.breaker.fail_counter
        if watch.state is CircuitBreakerState.CLOSED:
            return BreakerView("closed", failures, None, watch.because, watch.since)
        half_open = watch.state is CircuitBreakerState.HALF_OPEN or self._clock() >= watch.retry_at
        return BreakerView("half-open" if half_open else "open", failures, watch.retry_at, watch.because, watch.since)


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

    def succeeded(self, took_s: float | None = None) -> None:
        """The provider did its work, in `took_s` seconds. An answer that blames our request (400, 422) is one too."""
        self._tell("success", took_s=took_s)

    def failed(self, kind: str, took_s: float | None = None) -> None:
        """The provider is at fault: 5xx, timeout, no connection, garbage. `kind` is for listeners; no content."""
        self._tell("failure", kind, took_s)

    def neither(self) -> None:
        """The attempt says nothing about health: 429 (which feeds the limits), or cancelled by us."""
        self._tell("neither")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.neither()

    def _tell(
        self, outcome: Literal["success", "failure", "neither"], kind: str = "", took_s: float | None = None
    ) -> None:
        if not self._told:
            self._told = True
            self._breakers.settle(self, outcome, kind, took_s)
