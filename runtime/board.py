"""The board: breaker changes and Retry-After holds of this process for all the others, and theirs for this one.

Advisory. Without the topic or the broker every process finds out by itself, as if there were no board.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType

import structlog
from pydantic import ValidationError

from runtime.breaker import BreakerKey, Breakers
from runtime.bus import Bus
from runtime.clock import SystemClock
from runtime.ending import end
from runtime.follow import Follower
from runtime.limits import Limits
from runtime.ports import Clock, Outgoing, Record
from runtime.settings import Settings
from schemas.breakers import BreakerState
from schemas.topics import BREAKERS

log = structlog.get_logger("novix.board")

KNOWN_WITHIN_S = 5.0
"""How long opening waits for what others have told: calls begin after it, with or without."""
MOST_PENDING = 1_000
PAUSE_S = 0.05
AGAIN_S = 2.0
PUBLISH_S = 15.0
HOLD_STEP_S = 0.25
"""A hold that grows by less is not told again: each answer of a burst of 429s moves it a little."""


class Board:
    """`async with Board(settings, breakers, limits, by):` shares their state while the block runs.

    `by` names this process, `{group}/{instance}`. `limits` and `breakers` run on `clock.monotonic`. Never delays a
    call: what is to be told waits in a table of its own, the newest state of a key alone, at most `MOST_PENDING` keys,
    and is told again until the broker takes it.
    """

    def __init__(
        self,
        settings: Settings,
        breakers: Breakers,
        limits: Limits[BreakerKey],
        by: str,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._breakers = breakers
        self._limits = limits
        self._by = by
        self._clock = clock or SystemClock()
        self._pending: OrderedDict[BreakerKey, None] = OrderedDict()
        self._to_tell = asyncio.Event()
        self._known = asyncio.Event()
        self._told_holds: dict[BreakerKey, float] = {}
        self._forget: list[Callable[[], None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Board":
        self._forget = [self._breakers.on_change(self._tell), self._limits.on_hold(self._tell_hold)]
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._publish())]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KNOWN_WITHIN_S):
                await self._known.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for forget in self._forget:
            forget()
        for task in self._tasks:
            await end(task)

    def hear(self, record: Record) -> None:
        """Apply one record of the topic. What cannot be read is passed over; a record twice does no harm."""
        try:
            news = BreakerState.model_validate_json(record.value or b"")
        except ValidationError:
            return
        if self._breakers.adopt(news):
            log.info("breaker.adopted", provider=news.provider, model=news.model, state=news.state, by=news.by)
        held_s = (news.held_until - self._clock.now()).total_seconds() if news.held_until is not None else 0.0
        if held_s > 0:
            until = self._clock.monotonic() + min(held_s, self._settings.backoff_max_s)
            self._limits.hold(BreakerKey(news.provider, news.model), until, tell=False)

    def _tell(self, key: BreakerKey) -> None:
        self._pending[key] = None
        self._pending.move_to_end(key)
        if len(self._pending) > MOST_PENDING:
            self._pending.popitem(last=False)
        self._to_tell.set()

    def _tell_hold(self, key: BreakerKey, until: float) -> None:
        if until - self._told_holds.get(key, 0.0) < HOLD_STEP_S:
            return
        now = self._clock.monotonic()
        self._told_holds = {key: end for key, end in self._told_holds.items() if end > now} | {key: until}
        self._tell(key)

    async def _listen(self) -> None:
        while True:
            try:
                async with Follower(self._settings, BREAKERS, self.hear):
                    self._known.set()
                    await asyncio.Event().wait()
            except Exception as error:
                log.warning("board.deaf", error=type(error).__name__)
            self._known.set()  # nothing is known, and nobody waits for it
            await asyncio.sleep(AGAIN_S)

    async def _publish(self) -> None:
        while True:
            try:
                async with Bus(self._settings) as bus:
                    await self._publish_on(bus)
            except Exception as error:
                log.warning("board.mute", pending=len(self._pending), error=type(error).__name__)
            await asyncio.sleep(AGAIN_S)

    async def _publish_on(self, bus: Bus) -> None:
        """Tell what is pending, as it stands then, until an error; what was not told is pending again."""
        while True:
            await self._to_tell.wait()
            if not await bus.reader().partitions(BREAKERS.name):
                raise LookupError(BREAKERS.name)
            self._to_tell.clear()
            keys = list(self._pending)
            self._pending.clear()
            try:
                async with asyncio.timeout(PUBLISH_S):
                    await bus.publish([self._record(key) for key in keys])
            except BaseException:
                for key in keys:
                    self._tell(key)
                raise
            await asyncio.sleep(PAUSE_S)  # what comes in a burst goes out as one

    def _record(self, key: BreakerKey) -> Outgoing:
        news = self._breakers.news(key, self._by)
        held = self._limits.held_until(key)
        if held is not None:
            news = news.model_copy(update={"held_until": _instant(held, self._clock)})
        return Outgoing(BREAKERS.name, str(key).encode(), news.encode())


def _instant(monotonic: float, clock: Clock) -> datetime:
    return clock.now() + timedelta(seconds=monotonic - clock.monotonic())
