"""One machine on which text workers die and start again, sharing one file of notes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from worker_world import World, assigned

from runtime.intents import IntentFile
from runtime.ports import Delivery, LaneId, Resumed
from schemas.topics import TEXT, worker_group
from workers.worker import WorkerLane

LANE_ID = LaneId(worker_group("text"), TEXT.name, 2)


class NoLog:
    """A log of which only the bounds are asked."""

    def __init__(self, end: int = 100) -> None:
        self.end = end

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, self.end

    async def partitions(self, topic: str) -> int:
        return 1

    def read(self, *_: Any) -> Any:
        raise AssertionError("nobody reads")


@asynccontextmanager
async def machine(path: Path) -> AsyncIterator[Callable[[], Any]]:
    """A machine on which one process after the other starts; `die` leaves its notes as a kill would."""
    files: list[IntentFile] = []

    async def start() -> IntentFile:
        files.append(await IntentFile(path / "intents.sqlite").__aenter__())
        return files[-1]

    try:
        yield start
    finally:
        for file in files:
            await file.__aexit__(None, None, None)


async def opened(it: World, intents: IntentFile, *, base: int = 0, custody: str | None = None, end: int = 100) -> Any:
    """The lane in a process that keeps its notes in `intents`, opened after the last one died."""
    lane = it.process(intents)
    known = Resumed(base, frozenset(), intents.custody if custody is None else custody)
    return await lane._app.open_lane(LANE_ID, NoLog(end), known)


async def killed_while_calling(it: World, lane: WorkerLane, offset: int = 7) -> None:
    """The process dies with the call out: its note is written, and nothing after it."""
    calls = len(it.script.requests)
    task = asyncio.create_task(lane.handle(Delivery(assigned(offset=offset, max_cost_nanousd=10**7), it.clock.now())))
    while len(it.script.requests) == calls:
        await asyncio.sleep(0.001)
    die(lane)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def die(lane: WorkerLane) -> None:
    """The lane's process is killed: it writes nothing any more, and the kernel lets go of its locks."""
    intents: Any = lane._app.intents
    intents.end = lambda *_: None
    intents._file._lives.end()


async def never(request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


def handled(it: World, lane: WorkerLane, offset: int = 7, **change: Any) -> Any:
    return lane.handle(Delivery(assigned(offset=offset, **change), it.clock.now()))
