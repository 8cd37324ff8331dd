"""A worker process with three jobs, one of which kills it."""

import asyncio
import json
import os
from pathlib import Path

import httpx
from worker_world import answer, assigned, result_of, world

from runtime.intents import IntentFile
from runtime.outcome import GiveUp, Publish
from runtime.ports import Delivery, LaneId, Resumed
from schemas.topics import TEXT, worker_group

JOBS = {7: "poison", 8: "innocent", 9: "bystander"}
LANE = LaneId(worker_group("text"), TEXT.name, 2)
EXIT = 137


def run(folder: Path, out: int) -> None:
    """Work on the three jobs; the poison kills the process once `out` calls are out. Else tell in `told.json`."""
    asyncio.run(main(folder, out))


async def main(folder: Path, out: int) -> None:
    arrived: list[str] = []
    all_out = asyncio.Event()

    async def provider(request: httpx.Request) -> httpx.Response:
        arrived.append(request.headers["x-amzn-trace-id"].rpartition("/")[2])
        if len(arrived) >= out:
            all_out.set()
        if arrived[-1] == "poison":
            await all_out.wait()
            os._exit(EXIT)
        if out > 1:
            await asyncio.Event().wait()
        return answer()

    it = world(provider)
    async with IntentFile(folder / "intents.sqlite") as intents:
        lane = await it.process(intents)._app.open_lane(LANE, None, Resumed(7, frozenset(), intents.custody))  # type: ignore[arg-type]
        outcomes = await asyncio.gather(
            *(
                lane.handle(Delivery(assigned(offset=offset, job={"id": job_id}), it.clock.now()))
                for offset, job_id in JOBS.items()
            )
        )
        told = {}
        for job_id, outcome in zip(JOBS.values(), outcomes, strict=True):
            assert isinstance(outcome, Publish | GiveUp)
            result = result_of(outcome)
            kinds = [attempt.kind for attempt in result.attempts]
            told[job_id] = [type(outcome).__name__, result.status, result.error and result.error.kind, kinds]
        (folder / "told.json").write_text(json.dumps(told))
