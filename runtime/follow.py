"""A small topic that every process reads from its beginning: control events, breaker states."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from types import TracebackType
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from runtime.ending import end
from runtime.ports import Record
from runtime.reader import KafkaReader
from runtime.settings import Settings
from schemas.topics import Topic

log = structlog.get_logger("novix.follow")

CATCH_UP_S = 60.0
AGAIN_S = 1.0
GROWTH_S = 5.0
"""Between two looks at how many partitions there are: Kafka tells nobody of new ones, nor of a topic that is gone."""


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """Run `work` for the length of the block, and `end` it then. What it raised by itself is raised there."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await end(task)
        with contextlib.suppress(asyncio.CancelledError):
            task.result()


class NotCaughtUp(Exception):
    """The topic could not be read to its present end: what it says is not known, so nothing may be decided."""


class Follower:
    """Gives every record of a topic to `fold`, partition by partition in order, from the beginning on and for ever; or
    from the records on that were written at `since`.

    `async with` returns once everything that is there now has been given; later records are given as they are written.
    A record may be given twice after an error of the connection: `fold` must not mind. Its exceptions are told by class
    and the record is passed over. A topic that does not exist yet is taken for an empty one and followed when it comes,
    also after it was deleted; new partitions are followed some seconds after they came, and a broker that is away is
    waited for.
    """

    def __init__(
        self, settings: Settings, topic: Topic, fold: Callable[[Record], None], *, since: datetime | None = None,
        within_s: float = CATCH_UP_S,
    ) -> None:  # fmt: skip
        self._since = since
        self._within_s = within_s
        self._settings = settings
        self._topic = topic
        self._fold = fold
        self._next: dict[int, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._reader: KafkaReader | None = None
        """Has read what was there, and is not yet used to read on."""

    async def __aenter__(self) -> "Follower":
        try:
            async with asyncio.timeout(self._within_s):
                await self._catch_up_at_last()
        except TimeoutError:
            raise NotCaughtUp(f"{self._topic.name} was not read to its end within {self._within_s:g} s") from None
        self._tasks = [asyncio.create_task(self._follow_for_ever())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            await end(task)
        if self._reader is not None:
            await self._reader.close()

    async def _catch_up_at_last(self) -> None:
        """What is there now, although the broker may go away meanwhile."""
        while True:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    reader = await stack.enter_async_context(KafkaReader(self._settings))
                    await self._catch_up(reader)
                    stack.pop_all()
                    self._reader = reader
                    return
            except KafkaError as error:
                log.warning("follow.broken", topic=self._topic.name, error=type(error).__name__)
            await asyncio.sleep(AGAIN_S)

    async def _catch_up(self, reader: KafkaReader) -> None:
        """Read what is there now, of partitions that are new as well, or of a topic that was made anew."""
        count = await reader.partitions(self._topic.name)
        self._next = {partition: place for partition, place in self._next.items() if partition < count}
        for partition in range(count):
            first, end = await reader.bounds(self._topic.name, partition)
            start = max(first, await self._begin(reader, partition))
            if start > end:
                start = first  # no log grows shorter: it is another one
            async for record in reader.read(self._topic.name, partition, start, end):
                self._give(record)
            self._next[partition] = end

    async def _begin(self, reader: KafkaReader, partition: int) -> int:
        known = self._next.get(partition)
        if known is not None or self._since is None:
            return known or 0
        return await reader.since(self._topic.name, partition, int(self._since.timestamp() * 1_000))

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                caught_up, self._reader = self._reader, None
                async with caught_up or KafkaReader(self._settings) as reader:
                    if caught_up is None:
                        await self._catch_up(reader)
                    if self._next:
                        await self._follow_until_it_changes(reader)
                        continue
            except Exception as error:
                log.warning("follow.broken", topic=self._topic.name, error=type(error).__name__)
            await asyncio.sleep(AGAIN_S)

    async def _follow_until_it_changes(self, reader: KafkaReader) -> None:
        reading = asyncio.create_task(self._read_on(reader))
        self._tasks[1:] = [reading]
        try:
            while not (await asyncio.wait([reading], timeout=GROWTH_S))[0]:
                if await reader.partitions(self._topic.name) != len(self._next):
                    return
            await reading
        finally:
            await end(reading)

    async def _read_on(self, reader: KafkaReader) -> None:
        async for record in reader.follow(self._topic.name, dict(self._next)):
            self._give(record)

    def _give(self, record: Record) -> None:
        self._next[record.partition] = record.offset + 1
        try:
            self._fold(record)
        except Exception as error:
            log.warning("follow.passed_over", topic=self._topic.name, offset=record.offset, error=type(error).__name__)
