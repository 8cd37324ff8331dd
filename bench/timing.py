"""Single jobs, timed from publication to the result as a read_committed reader sees it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.world import PARTITIONS
from runtime.bus import Bus
from runtime.ports import Outgoing
from schemas.topics import RESULTS

WITHIN_S = 60


class Timer:
    """Publishes jobs and notes when their results are seen."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._seen: dict[str, asyncio.Future[float]] = {}

    async def publish(self, job: Outgoing) -> "asyncio.Future[float]":
        """Publish one job. The future gives the seconds from before its publication to its result."""
        began = time.monotonic()
        job_id = json.loads(job.value or b"")["id"]
        seen = self._seen[job_id] = asyncio.get_running_loop().create_future()
        await self._bus.publish([job])
        return asyncio.ensure_future(_since(seen, began))

    async def seconds(self, job: Outgoing) -> float:
        """Publish one job and wait for its result."""
        return await (await self.publish(job))

    async def follow(self) -> None:
        """Read results without end."""
        async for record in self._bus.follow(RESULTS.name, dict.fromkeys(range(PARTITIONS), 0)):
            waiting = self._seen.pop(json.loads(record.value or b"")["job_id"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(time.monotonic())


async def _since(seen: "asyncio.Future[float]", began: float) -> float:
    async with asyncio.timeout(WITHIN_S):
        return await seen - began


@asynccontextmanager
async def timer(bus: Bus) -> AsyncIterator[Timer]:
    """A timer whose reader runs for as long as the block."""
    here = Timer(bus)
    reading = asyncio.create_task(here.follow())
    try:
        yield here
    finally:
        reading.cancel()
