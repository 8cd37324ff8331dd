"""A small topic that every process reads from its beginning: control events, breaker states."""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType

import structlog

from runtime.ports import Record
from runtime.reader import KafkaReader
from runtime.settings import Settings
from schemas.topics import Topic

log = structlog.get_logger("novix.follow")

CATCH_UP_S = 60.0
AGAIN_S = 1.0


class NotCaughtUp(Exception):
    """The topic could not be read to its present end: what it says is not known, so nothing may be decided."""


class Follower:
    """Gives every record of a topic to `fold`, partition by partition in order, from the beginning on and for ever.

    `async with` returns once everything that is there now has been given; later records are given as they are written.
    A record may be given twice after an error of the connection: `fold` must not mind. Its exceptions are told by class
    and the record is passed over. A topic that does not exist yet is taken for an empty one and followed when it comes.
    """

    def __init__(self, settings: Settings, topic: Topic, fold: Callable[[Record], None]) -> None:
        self._settings = settings
        self._topic = topic
        self._fold = fold
        self._next: dict[int, int] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Follower":
        try:
            async with asyncio.timeout(CATCH_UP_S), KafkaReader(self._settings) as reader:
                await self._catch_up(reader)
        except TimeoutError:
            raise NotCaughtUp(f"{self._topic.name} was not read to its end within {CATCH_UP_S:g} s") from None
        self._task = asyncio.create_task(self._follow_for_ever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _catch_up(self, reader: KafkaReader) -> None:
        """Read what is there now, of partitions that are new as well."""
        for partition in range(await reader.partitions(self._topic.name)):
            first, end = await reader.bounds(self._topic.name, partition)
            start = max(first, self._next.get(partition, 0))
            async for record in reader.read(self._topic.name, partition, start, end):
                self._give(record)
            self._next[partition] = end

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                async with KafkaReader(self._settings) as reader:
                    await self._catch_up(reader)
                    if self._next:
                        async for record in reader.follow(self._topic.name, dict(self._next)):
                            self._give(record)
            except Exception as error:
                log.warning("follow.broken", topic=self._topic.name, error=type(error).__name__)
            await asyncio.sleep(AGAIN_S)

    def _give(self, record: Record) -> None:
        self._next[record.partition] = record.offset + 1
        try:
            self._fold(record)
        except Exception as error:
            log.warning("follow.passed_over", topic=self._topic.name, offset=record.offset, error=type(error).__name__)
