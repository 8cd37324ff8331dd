"""Reading a log outside any group, read_committed: changelogs, results, and what the console shows."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from runtime.connection import client_options
from runtime.garbage import discarded
from runtime.ports import NotReadable, Record
from runtime.settings import Settings

log = structlog.get_logger("novix.reader")

STOP_AGAIN_S = 1.0
STOP_TRIES = 5
MOST_IDLE = 2
"""Consumers that are kept for the next `read`: to start one takes longer than to read a few records."""
AT_ONCE = 500
"""Records that one `read` holds at a time; many lanes may read at once."""


class KafkaReader:
    """A `LogReader` on Kafka. Each `read` has a consumer to itself; the object holds one for questions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asking: AIOKafkaConsumer | None = None
        self._askers: Counter[AIOKafkaConsumer] = Counter()
        self._idle: list[AIOKafkaConsumer] = []
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> "KafkaReader":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        if self._asking is not None:
            consumer, self._asking = self._asking, None
            await _stopped(consumer)
        while self._idle:
            await _stopped(self._idle.pop())

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 if it does not exist."""
        async with self._questions() as consumer:
            # The consumer's own view holds only what it reads; this one is asked of the broker, for all topics.
            cluster = await consumer._client.fetch_all_metadata()
        known = cluster.partitions_for_topic(self._settings.named(topic))
        return len(known) if known else 0

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset, and the last stable offset: the end of what a read_committed reader may see."""
        source = TopicPartition(self._settings.named(topic), partition)
        async with self._questions() as consumer:
            first = await consumer.beginning_offsets([source])
            last = await consumer.end_offsets([source])
        return int(first[source]), int(last[source])

    async def log_end(self, topic: str, partition: int) -> int:
        """The offset after the last record, also of transactions that have not ended."""
        source = TopicPartition(self._settings.named(topic), partition)
        consumer = self._consumer("read_uncommitted")
        try:
            await consumer.start()
            return int((await consumer.end_offsets([source]))[source])
        finally:
            await _stopped(consumer)

    async def since(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset written at or after an instant; the end where there is none."""
        source = TopicPartition(self._settings.named(topic), partition)
        async with self._questions() as consumer:
            found = (await consumer.offsets_for_times({source: timestamp_ms}))[source]
        return int(found.offset) if found is not None else (await self.bounds(topic, partition))[1]

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        """The records from `start` up to, not including, `end`. Raises `NotReadable`."""
        if start >= end:
            return
        source = TopicPartition(self._settings.named(topic), partition)
        consumer = self._idle.pop() if self._idle else await self._started()
        read = False
        try:
            consumer.assign([source])
            consumer.seek(source, start)
            while not read and await consumer.position(source) < end:
                for batch in (await consumer.getmany(timeout_ms=500, max_records=AT_ONCE)).values():
                    for message in batch:
                        if message.offset >= end:
                            read = True
                            break
                        yield to_record(message, topic)
            read = True
        except TopicAuthorizationFailedError:
            raise NotReadable(topic) from None
        finally:
            if read and len(self._idle) < MOST_IDLE:
                consumer.unsubscribe()
                self._idle.append(consumer)
            else:
                await _stopped(consumer)

    async def follow(self, topic: str, starts: dict[int, int]) -> AsyncGenerator[Record, None]:
        """Records of several partitions from the given offsets on, without end."""
        name = self._settings.named(topic)
        consumer = self._idle.pop() if self._idle else await self._started()
        try:
            consumer.assign([TopicPartition(name, partition) for partition in starts])
            for partition, offset in starts.items():
                consumer.seek(TopicPartition(name, partition), offset)
            while True:
                for batch in (await consumer.getmany(timeout_ms=500, max_records=AT_ONCE)).values():
                    for message in batch:
                        yield to_record(message, topic)
        finally:
            await _stopped(consumer)

    @asynccontextmanager
    async def _questions(self) -> AsyncIterator[AIOKafkaConsumer]:
        """The consumer for questions. One that did not answer, in the time that it or the asker had, is replaced.

        aiokafka (0.14) ends such a question before it finds that the node is silent, and so keeps the connection and
        the leaders that it knows: a node that hangs, or went without a word, would be asked for ever.
        """
        async with self._lock:
            if self._asking is None:
                self._asking = await self._started()
            consumer = self._asking
        self._askers[consumer] += 1
        try:
            yield consumer
        except BaseException:
            if self._asking is consumer:
                self._asking = None
            raise
        finally:
            self._askers[consumer] -= 1
            if not self._askers[consumer]:
                del self._askers[consumer]
                if self._asking is not consumer:
                    with contextlib.suppress(Exception):
                        await _stopped(consumer)

    async def _started(self) -> AIOKafkaConsumer:
        consumer = self._consumer()
        try:
            await consumer.start()
        except BaseException:
            await _stopped(consumer)  # it may be connected by half
            raise
        return consumer

    def _consumer(self, isolation: str = "read_committed") -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **client_options(self._settings),
            client_id=self._settings.named(f"novix-reader-{asyncio.get_running_loop().time()}"),
            isolation_level=isolation,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=1_048_576,
        )


def to_record(message: Any, topic: str) -> Record:
    """aiokafka's message as ours, under the topic's logical name."""
    return Record(
        topic, message.partition, message.offset, message.key, message.value, tuple(message.headers), message.timestamp
    )


async def _stopped(consumer: AIOKafkaConsumer) -> None:
    """Stop it to the end, whoever is cancelled meanwhile: aiokafka (0.14) leaves the connections and tasks of one whose
    stop was cut short for good."""
    await asyncio.shield(asyncio.ensure_future(_stop(consumer)))


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """aiokafka (0.14) asks its fetching task once to end, and waits for that without a bound; the task may lose that
    one (`runtime/ending.py`), and whoever reads, the poll loop of a router among them, would wait for ever."""
    stopping = asyncio.ensure_future(consumer.stop())
    fetcher = getattr(consumer, "_fetcher", None)
    for _ in range(STOP_TRIES):
        await asyncio.wait({stopping}, timeout=STOP_AGAIN_S)
        if stopping.done():
            break
        fetching = getattr(fetcher, "_fetch_task", None)
        if fetching is not None:
            fetching.cancel()
    # The connections are what aiokafka closes last: a stop that failed before, or was cancelled with the fetch that it
    # waits for (`Fetcher.close`), leaves them open, and with them the task that keeps the client up to date.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(consumer._client.close(), STOP_AGAIN_S)
    getattr(fetcher, "_records", {}).clear()  # who is stopped is a cycle: with it a megabyte would be left for a while
    discarded.client()
    if not stopping.done():
        log.warning("reader.not_stopped", after_s=STOP_TRIES * STOP_AGAIN_S)
    elif not stopping.cancelled():
        stopping.result()
