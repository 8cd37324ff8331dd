"""The console's way to Kafka: what it asks of the bus, and how a broker that does not answer is told to a person."""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from console.exits import CommandError, Exit
from runtime.census import Group
from runtime.ports import LogReader, Outgoing, Record
from runtime.settings import Loaded, Settings, variable
from schemas.topics import Topic


class Created(Protocol):
    """What became of one topic that was asked for."""

    @property
    def topic(self) -> str: ...
    @property
    def done(self) -> str: ...
    @property
    def partitions(self) -> int: ...
    @property
    def wanted(self) -> int: ...


class Log(Protocol):
    """`runtime.bus.Bus` as the console uses it; tests have one in memory."""

    def reader(self) -> LogReader: ...

    async def create_topics(
        self, topics: Iterable[Topic], *, partitions: int, replication: int = 1, min_insync: int = 1
    ) -> Iterable[Created]: ...

    async def publish(self, records: list[Outgoing]) -> list[tuple[int, int]]: ...

    async def lag(self, group: str, topic: str) -> dict[int, int]: ...

    async def heads(self) -> Mapping[str, tuple[int, str]]: ...

    async def brokers(self) -> int: ...

    async def topics(self) -> dict[str, int]: ...

    async def groups(self) -> list[Group]: ...

    def follow(self, topic: str, starts: dict[int, int]) -> AsyncIterator[Record]: ...

    async def find_since(self, topic: str, partition: int, timestamp_ms: int) -> int: ...


_UNREACHABLE = ("KafkaConnectionError", "KafkaTimeoutError", "NodeNotReadyError", "NoBrokersAvailable")


@asynccontextmanager
async def connected(loaded: Loaded) -> AsyncIterator[Log]:
    """A bus for the length of the block; Kafka's errors leave it as `CommandError`."""
    # The client tells each failed connection, and the loop each client that it left; we say it once and in words.
    for name in ("aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        async with _bus(loaded.settings) as bus:
            yield bus
    except Exception as error:
        if not type(error).__module__.startswith("aiokafka"):
            raise
        raise _told(error, loaded) from error


@asynccontextmanager
async def _bus(settings: Settings) -> AsyncIterator[Log]:
    from runtime.bus import Bus

    async with Bus(settings) as bus:
        yield bus


def _told(error: Exception, loaded: Loaded) -> CommandError:
    source = loaded.sources["kafka_bootstrap"]
    where = f"{loaded.settings.kafka_bootstrap} ({variable('kafka_bootstrap')} from {source})"
    if type(error).__name__ in _UNREACHABLE:
        advice = {
            "novix up": "it is what `novix up` wrote, but it no longer answers: novix down, then novix up",
            "default": "start a world on this machine with: novix up",
        }.get(source, "look at the address, and at user and password if it wants them")
        return CommandError(f"Kafka does not answer at {where}: {advice}", Exit.UNREACHABLE)
    return CommandError(f"Kafka at {where} refuses: {type(error).__name__}: {str(error)[:300]}")


async def ends(log: Log, topic: str) -> dict[int, int]:
    """The end of each partition as a read_committed reader sees it now. Raises `CommandError` without the topic."""
    reader = log.reader()
    count = await reader.partitions(topic)
    if not count:
        raise CommandError(f"the topic {topic} does not exist; create the topics with: novix topics create")
    return {partition: (await reader.bounds(topic, partition))[1] for partition in range(count)}


async def all_records(log: Log, topic: str, until: dict[int, int]) -> AsyncIterator[Record]:
    """The records of a topic from its beginning up to `until`, partition by partition."""
    reader = log.reader()
    for partition, end in until.items():
        first, _ = await reader.bounds(topic, partition)
        async for record in reader.read(topic, partition, first, end):
            yield record
