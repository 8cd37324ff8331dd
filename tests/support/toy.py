"""A toy application on the lane engine: somebody else's handler on somebody else's topic, in a test or a process."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from typing import Any

from runtime.cadence import Cadence
from runtime.clock import SystemClock
from runtime.engine import Engine
from runtime.group import GroupMember
from runtime.instance import claim
from runtime.outcome import Done, GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Delivery, LaneId, LogReader, Outgoing, Record, Resumed
from runtime.reader import KafkaReader
from runtime.settings import Settings, load
from runtime.transaction import LaneTransaction
from schemas.audit import AuditEntry
from schemas.failure import FailureKind
from schemas.topics import JOBS, RESULTS

Handle = Callable[[Delivery], Awaitable[Outcome]]
GROUP = "novix-toy"


def echo(delivery: Delivery) -> Publish:
    """The record's value on the results topic, and a deed."""
    record = delivery.record
    entry = AuditEntry(at=delivery.arrived_at, action="job.succeeded", job_id=(record.value or b"").decode()[:40])
    return Publish((Outgoing(RESULTS.name, record.key, record.value),), audit=(entry,))


async def slow_echo(delivery: Delivery) -> Outcome:
    """As `echo`, after 5 to 60 ms that depend on the record, so that records of a partition overtake each other."""
    await asyncio.sleep(0.005 + (delivery.record.offset * 7 % 12) * 0.005)
    return echo(delivery)


class ToyHandler:
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def handle(self, delivery: Delivery) -> Outcome:
        return await self._handle(delivery)

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        return GiveUp(FailureKind.INTERNAL, "the toy broke", error_type=type(error).__name__)

    def postpone(self, delivery: Delivery, retry: RetryAt) -> Publish | None:
        return None

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        return []

    def committed(self, facts: list[Any]) -> None:
        pass

    async def close(self) -> None:
        pass


class ToyApplication:
    group = GROUP
    custody = ""
    topic = JOBS.name

    def __init__(self, handle: Handle = slow_echo, *, inline: bool = False) -> None:
        self._handle = handle
        self.inline = inline

    def describe(self) -> dict[str, Any]:
        return {}

    def order_of(self, record: Record) -> Hashable | None:
        return None

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> ToyHandler:
        return ToyHandler(self._handle)


def engine(settings: Settings, app: ToyApplication, instance: str, window: int = 64) -> tuple[Engine, KafkaReader]:
    reader = KafkaReader(settings)
    return (
        Engine(
            app, GroupMember(settings, app.group, app.topic, instance),
            lambda lane: LaneTransaction.open(settings, lane), reader, SystemClock(),
            window=window, drain=timedelta(seconds=10), cadence=Cadence(),
        ),
        reader,
    )  # fmt: skip


class Running:
    """An engine at work; `async with` stops and drains it at the end."""

    def __init__(self, settings: Settings, app: ToyApplication, instance: str = "toy-0", window: int = 64) -> None:
        self.engine, self._reader = engine(settings, app, instance, window)
        self._stop = asyncio.Event()

    async def __aenter__(self) -> "Running":
        self._task = asyncio.create_task(self.engine.run(self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task
        await self._reader.close()


async def main() -> None:
    settings = load().settings
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    instance = claim(GROUP, settings.instance_id, settings.home)
    running, reader = engine(settings, ToyApplication(), instance.id)
    await running.run(stop)
    await reader.close()


if __name__ == "__main__":
    sys.stderr.write(f"toy {os.getpid()}\n")
    asyncio.run(main())
