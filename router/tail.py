"""The ledger as the home lanes of one process hear it: one reader for all of them, whatever lanes come and go."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import structlog

from runtime.ending import end
from runtime.ports import LogReader, Record
from schemas.topics import LEDGER

AGAIN_S = 1.0
"""After an error of the connection."""
GATHER_S = 0.02
"""Lanes open together: the reader is set up once for all of them."""

log = structlog.get_logger("novix.router")


class Following(LogReader, Protocol):
    """A reader that goes on."""

    def follow(self, topic: str, starts: dict[int, int]) -> AsyncGenerator[Record, None]:
        """Records of several partitions from the given offsets on, without end."""
        ...


@dataclass(slots=True, eq=False)
class Hearing:
    """One lane's part: the next offset that it is given, and who hears."""

    partition: int
    next: int
    give: Callable[[Record], None]


class Tail:
    """Gives each lane the records of ledger[p] as they are committed, in order and each once.

    While the broker is away nothing is given: what a lane then knows of money is older, never more.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, Hearing] = {}
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def hear(self, reader: Following, partition: int, start: int, give: Callable[[Record], None]) -> Hearing:
        """From now on `give` gets the records of this partition, from offset `start` on; it must not raise."""
        hearing = self._lanes[partition] = Hearing(partition, start, give)
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(reader))
        return hearing

    def leave(self, hearing: Hearing) -> None:
        """Nothing more is given to it. A lane that was opened for the same partition meanwhile goes on hearing."""
        if self._lanes.get(hearing.partition) is hearing:
            del self._lanes[hearing.partition]
            self._changed.set()

    async def _run(self, reader: Following) -> None:
        while self._lanes:
            await asyncio.sleep(GATHER_S)
            self._changed.clear()
            reading = asyncio.create_task(self._read(reader))
            changed = asyncio.create_task(self._news())
            try:
                await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
                broken = reading.done()
            finally:
                await end(reading)
                await end(changed)
            if broken and self._lanes:
                error = None if reading.cancelled() else reading.exception()
                log.warning("ledger.deaf", error=type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    async def _news(self) -> None:
        await self._changed.wait()

    async def _read(self, reader: Following) -> None:
        hearings = dict(self._lanes)
        if not hearings:
            return
        starts = {partition: hearing.next for partition, hearing in hearings.items()}
        async with aclosing(reader.follow(LEDGER.name, starts)) as records:
            async for record in records:
                hearing = hearings[record.partition]  # a lane that was opened since may begin further back
                if self._lanes.get(record.partition) is hearing and record.offset >= hearing.next:
                    hearing.next = record.offset + 1
                    hearing.give(record)
                await asyncio.sleep(0)  # one fetch brings hundreds, with thousands of ended jobs
