"""A toy application on the lane engine: somebody else's handler on somebody else's topic, in a test or a process."""

import asyncio
import os
import signal
import sys
from typing import Any

from runtime.engine import Engine
from runtime.function import FunctionApplication, Handle
from runtime.group import GroupMember
from runtime.instance import claim
from runtime.outcome import Application, Outcome, Publish
from runtime.ports import Delivery, Outgoing
from runtime.reader import KafkaReader
from runtime.service import engine_on
from runtime.settings import Settings, load
from schemas.audit import AuditEntry
from schemas.topics import JOBS, RESULTS

__all__ = ["GROUP", "GroupMember", "Running", "ToyApplication", "echo", "engine", "slow_echo"]

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


def ToyApplication(handle: Handle = slow_echo, **more: Any) -> FunctionApplication:
    """The toy: `echo` by default, on the jobs topic."""
    return FunctionApplication(GROUP, JOBS.name, handle, **more)


def engine(settings: Settings, app: Application, instance: str, window: int = 64) -> tuple[Engine, KafkaReader]:
    """The toy's engine, and the reader that is to be closed after it."""
    reader = KafkaReader(settings)
    return engine_on(settings, app, reader, window=window, instance=instance), reader


class Running:
    """An engine at work; `async with` stops and drains it at the end."""

    def __init__(self, settings: Settings, app: Application, instance: str = "toy-0", window: int = 64) -> None:
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
