"""Reading little of a large log: from a time to a time, or from the end backwards in growing steps. Counts what it
reads."""

from collections.abc import AsyncIterator, Callable, Iterable

from console.kafka import Log
from console.telling.evidence import SKEW_MS
from runtime.partitions import partition_of
from runtime.ports import Record

FIRST_STEP = 500
"""Records of a partition that a search from the end reads first; each further step reads four times as many."""
MOST_AT_ONCE = 32_000
LOOK_BACK = 100_000
"""Records of a partition that such a search reads at most."""


class Reach:
    """One search through `log`. `records` counts everything that it has read."""

    def __init__(self, log: Log, *, look_back: int = LOOK_BACK) -> None:
        self.records = 0
        self.cut = False
        """A search ended at `look_back`, and the topic goes on behind that."""
        self._log = log
        self._reader = log.reader()
        self._look_back = look_back
        self._counts: dict[str, int] = {}

    async def partitions(self, topic: str) -> int:
        """How many the topic has; 0 if it does not exist. Asked once."""
        if topic not in self._counts:
            self._counts[topic] = await self._reader.partitions(topic)
        return self._counts[topic]

    async def partition(self, topic: str, key: str) -> list[int]:
        """Where records of that key lie: one partition, or none where the topic does not exist."""
        count = await self.partitions(topic)
        return [partition_of(key.encode(errors="replace"), count)] if count else []

    async def window(
        self, topic: str, partitions: Iterable[int], since_ms: int, until_ms: int | None
    ) -> AsyncIterator[Record]:
        """The records that were written from an instant to another (None: to the present end), skew included."""
        for partition in partitions:
            start, end = await self._reader.bounds(topic, partition)
            if start >= end:
                continue
            start = max(start, await self._log.find_since(topic, partition, max(0, since_ms - SKEW_MS)))
            if until_ms is not None and start < end:
                end = min(end, await self._log.find_since(topic, partition, until_ms + SKEW_MS))
            async for record in self.read(topic, partition, start, end):
                yield record

    async def one(self, topic: str, partition: int, offset: int) -> Record | None:
        """The record at that place, if it is still there."""
        first, end = await self._reader.bounds(topic, partition)
        if not first <= offset < end:
            return None
        async for record in self.read(topic, partition, offset, offset + 1):
            return record
        return None

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        """The records of a range of offsets."""
        async for record in self._reader.read(topic, partition, start, end):
            self.records += 1
            yield record

    async def backwards(self, topic: str, partition: int, until_ms: int | None = None) -> "Backwards":
        """A search from the end (or from what was written at an instant) towards the beginning."""
        first, end = await self._reader.bounds(topic, partition)
        if until_ms is not None and first < end:
            end = min(end, await self._log.find_since(topic, partition, until_ms))
        return Backwards(self, topic, partition, max(first, end - self._look_back), end, reaches=first)

    async def newest(self, topic: str, partition: int, wanted: Callable[[Record], bool], most: int) -> list[Record]:
        """The wanted ones among the newest `most` records of a partition, the oldest first."""
        first, end = await self._reader.bounds(topic, partition)
        start = max(first, end - most)
        return [record async for record in self.read(topic, partition, start, end) if wanted(record)]


class Backwards:
    """A partition from its end to its beginning, in steps."""

    def __init__(self, reach: Reach, topic: str, partition: int, first: int, end: int, *, reaches: int) -> None:
        self._reach, self._topic, self._partition = reach, topic, partition
        self._first, self._end, self._size = first, end, FIRST_STEP
        self._cut = first > reaches

    @property
    def ended(self) -> bool:
        """Nothing older is to be read. Where the topic has more, the search says so (`Reach.cut`)."""
        return self._end <= self._first

    async def step(self, wanted: Callable[[Record], bool]) -> list[Record]:
        """The wanted records among the next older ones, in their order on the log."""
        start = max(self._first, self._end - self._size)
        found = [
            record
            async for record in self._reach.read(self._topic, self._partition, start, self._end)
            if wanted(record)
        ]
        self._end, self._size = start, min(self._size * 4, MOST_AT_ONCE)
        if self.ended and self._cut:
            self._reach.cut = True
        return found
