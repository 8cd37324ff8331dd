"""Engines on the simulated log: an application whose work takes time, and members that come, go, freeze and die."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from typing import Any

from sim_log import LATER, TOPIC, SimGroup, SimLog, SimMember
from virtual_time import LoopClock

from runtime.cadence import Cadence
from runtime.engine import Engine
from runtime.outcome import Abandoned, Done, GiveUp, LaneHandler, Outcome, Publish, RetryAt
from runtime.ports import Delivery, LaneId, LogReader, Outgoing, Record, Resumed
from schemas.failure import FailureKind

Handle = Callable[["SimHandler", Delivery], Awaitable[Outcome]]


def publish(record: Record, value: bytes | None = None, **more: Any) -> Publish:
    """The record's value on the results."""
    return Publish((Outgoing("out", record.key, record.value if value is None else value),), **more)


async def at_once(handler: "SimHandler", delivery: Delivery) -> Outcome:
    return publish(delivery.record, facts=(delivery.record.value,))


class SimHandler:
    """A lane's handler. `seen` is the fold of what was committed and what waits for its transaction."""

    def __init__(self, app: "SimApp", lane: LaneId) -> None:
        self.app, self.lane = app, lane
        self.closed = False

    async def handle(self, delivery: Delivery) -> Outcome:
        if not delivery.lease.held:
            raise Abandoned
        self.app.calls[delivery.record.value] += 1
        self.app.running += 1
        self.app.most_running = max(self.app.most_running, self.app.running)
        try:
            return await self.app.do(self, delivery)
        finally:
            self.app.running -= 1

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        return GiveUp(FailureKind.INTERNAL, "broke", (Outgoing("out", None, delivery.record.value),))

    def postpone(self, delivery: Delivery, retry: RetryAt) -> Publish | None:
        record = delivery.record
        if not self.app.postpones or self.app.order_of(record) is not None:
            return None
        self.app.postponed.append((record.value, delivery.attempt, retry.memo))
        return Publish((Outgoing(LATER, record.key, record.value, partition=record.partition),))

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        return [Outgoing("facts", None, b",".join(facts))] if facts else []

    def committed(self, facts: list[Any]) -> None:
        self.app.folded += facts

    def owed(self, base: int) -> str:
        return self.app.owed(base)

    def overtaken(self, offset: int) -> bool:
        return self.app.overtaken(offset)

    async def close(self) -> None:
        self.closed = True
        await self.app.on_close()


class SimApp:
    """Somebody's work."""

    group = "sim"
    topic = TOPIC

    def __init__(
        self, do: Handle = at_once, *, inline: bool = False, order: Callable[[Record], Hashable | None] | None = None,
        postpones: bool = False, custody: str = "",
    ) -> None:  # fmt: skip
        self.do = do
        self.inline = inline
        self.postpones = postpones
        self.custody = custody
        self._order = order
        self.postponed: list[tuple[bytes | None, int, object]] = []
        self.resumed: list[Resumed] = []
        self.calls: Counter[bytes | None] = Counter()
        self.folded: list[bytes] = []
        self.running = self.most_running = 0
        self.owed: Callable[[int], str] = lambda base: ""
        self.overtaken: Callable[[int], bool] = lambda offset: False
        self.on_open: Callable[[LaneId], Awaitable[None]] = self._nothing
        self.on_close: Callable[[], Awaitable[None]] = self._nothing

    async def _nothing(self, *_: object) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return {}

    def order_of(self, record: Record) -> Hashable | None:
        return self._order(record) if self._order is not None else None

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> LaneHandler:
        self.resumed.append(resumed)
        await self.on_open(lane)
        return SimHandler(self, lane)


class Process:
    """One engine and its member."""

    def __init__(
        self, log: SimLog, group: SimGroup, app: SimApp, name: str, *, window: int = 16, drain_s: float = 20,
        cadence: Cadence | None = None, **more: Any,
    ) -> None:  # fmt: skip
        self.app, self.group, self.name = app, group, name
        self.member: SimMember = group.member(name)
        self.stopping = asyncio.Event()
        self.engine = Engine(
            app, self.member, log.open_transaction, log, LoopClock(), window=window, drain=timedelta(seconds=drain_s),
            cadence=cadence or Cadence(), **more,
        )  # fmt: skip
        self.task = asyncio.create_task(self.engine.run(self.stopping))

    async def stop(self) -> None:
        """SIGTERM."""
        self.stopping.set()
        await self.task

    async def kill(self) -> None:
        """kill -9, nearly."""
        self.member.joined = False
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class World:
    """A log, a group, and one process that holds every partition, for tests of one claim."""

    def __init__(self, log: SimLog, app: SimApp, **options: Any) -> None:
        self.log, self.app = log, app
        self.group = SimGroup(log)
        self.process = Process(log, self.group, app, "one", **options)
        self.all = list(range(len(log.input)))

    @property
    def engine(self) -> Engine:
        return self.process.engine

    async def join(self) -> None:
        """The process joins, and has everything."""
        await asyncio.sleep(0)
        await self.group.rebalance({"one": self.all})

    async def until(self, true: Callable[[], bool], within_s: float = 120) -> None:
        async with asyncio.timeout(within_s):
            while not true():
                await asyncio.sleep(0.005)

    async def all_committed(self, within_s: float = 120) -> None:
        """Until the group's offsets are at the ends of the log."""
        await self.until(lambda: all(offset_of(self.log, p) == self.log.end(p) for p in self.all), within_s)


def offset_of(log: SimLog, partition: int) -> int:
    position = log.positions.get(partition)
    return position.offset if position is not None else 0
