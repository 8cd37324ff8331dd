"""A workload through Kafka, so many jobs at a time, each timed from before its publication to its result."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from console import answers
from console.kafka import Log, ends
from console.mix.measured import Ended
from console.mix.workload import Job
from runtime.follow import beside
from runtime.ports import Outgoing
from schemas import codec
from schemas.topics import JOBS, RESULTS


class Runner:
    """Publishes jobs and waits for their results. One owner."""

    def __init__(self, log: Log, tenant: str, at_once: int, advance: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._tenant = tenant
        self._at_once = asyncio.Semaphore(at_once)
        self._advance = advance
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def run(self, jobs: Sequence[Job]) -> tuple[list[Ended], float]:
        """The jobs' ends, in their order, and how many seconds all of them took."""
        async with beside(self._listen(await ends(self._log, RESULTS.name))):
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(job)) for job in jobs]
            return [task.result() for task in tasks], time.monotonic() - began

    async def _one(self, job: Job) -> Ended:
        async with self._at_once:
            future = self._waiting[job.document["id"]] = asyncio.get_running_loop().create_future()
            began = time.monotonic()
            await self._log.publish([Outgoing(JOBS.name, self._tenant.encode(), codec.encode(job.document))])
            result = await future
            seconds = time.monotonic() - began
        self._advance()
        cost = int(result.get("cost_nanousd") or 0)
        return Ended(job.modality, result.get("status") == "succeeded", seconds, cost)

    async def _listen(self, starts: dict[int, int]) -> None:
        wanted = answers.of_tenant(self._tenant)
        async for record in self._log.follow(RESULTS.name, starts):
            if wanted(record):
                result = answers.document(record)
                future = self._waiting.pop(str(result.get("job_id")), None)
                if future is not None and not future.done():
                    future.set_result(result)
