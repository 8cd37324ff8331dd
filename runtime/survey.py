"""A look at many topics and groups at once: where logs end, what groups have committed, who is in them.

One metadata request, one ListOffsets a broker, one OffsetFetch and one DescribeGroups a group: never one a partition.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from runtime.connection import client_options
from runtime.settings import Settings

Place = tuple[str, int]
"""Topic, without prefix, and partition."""
COUNT_S = 2.0


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a group."""

    client: str
    """As it calls itself, without prefix."""
    host: str
    partitions: tuple[Place, ...]
    """What it was given; empty while the group divides its work."""


@dataclass(frozen=True, slots=True)
class Group:
    """One consumer group, without prefix."""

    name: str
    state: str
    """As the broker says: `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`, `Dead`."""
    members: tuple[Member, ...]
    committed: Mapping[Place, int]
    """The next offset to read, where one was committed."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the brokers said."""

    ends: Mapping[Place, int]
    """The end of each partition as a read_committed reader sees it; topics that do not exist are left out."""
    groups: tuple[Group, ...]
    brokers: int
    lacking: tuple[Place, ...] = field(default=())
    """Partitions that nobody leads now: nothing is known of them."""


class Surveyor:
    """Looks when asked. One look at a time; after an error the connections are made anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._coordinators: dict[str, int] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> "Surveyor":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        admin, self._admin = self._admin, None
        self._coordinators.clear()
        # To the end, whoever is cancelled meanwhile, and however one of them fails.
        for client, end in ((consumer, "stop"), (admin, "close")):
            if client is not None:
                with contextlib.suppress(Exception):
                    await asyncio.shield(getattr(client, end)())

    async def look(self, topics: Iterable[str], groups: Iterable[str]) -> Survey:
        """Ask for these topics and groups. Raises Kafka's errors; bound it with a timeout."""
        async with self._lock, self._unless_broken():
            consumer, admin = await self._clients()
            known = await consumer._client.fetch_all_metadata()
            wanted, lacking = list[TopicPartition](), list[Place]()
            for topic in topics:
                for partition in known.partitions_for_topic(self._settings.named(topic)) or ():
                    source = TopicPartition(self._settings.named(topic), partition)
                    if known.leader_for_partition(source) in (None, -1):
                        lacking.append((topic, partition))
                    else:
                        wanted.append(source)
            await consumer._client.set_topics({source.topic for source in wanted})
            found = await consumer.end_offsets(wanted) if wanted else {}
            told = await asyncio.gather(*(self._group(admin, name) for name in groups))
            ends = {self._place(source): int(end) for source, end in found.items()}
            return Survey(ends, tuple(told), len(known.brokers()), tuple(lacking))

    async def count(self, spans: Mapping[Place, tuple[int, int]]) -> dict[Place, int]:
        """How many records lie between two offsets of each partition, for short spans: the offsets between them count
        marks of transactions as well. Left out is what was not read in `COUNT_S`."""
        async with self._lock, self._unless_broken():
            consumer, _ = await self._clients()
            sources = {
                TopicPartition(self._settings.named(topic), number): span for (topic, number), span in spans.items()
            }
            counts = dict.fromkeys(sources, 0)
            consumer.assign(list(sources))
            for source, (start, _) in sources.items():
                consumer.seek(source, start)
            left = set(sources)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COUNT_S):
                    while left:
                        for source, batch in (await consumer.getmany(*left, timeout_ms=200)).items():
                            counts[source] += sum(message.offset < sources[source][1] for message in batch)
                        left = {source for source in left if await consumer.position(source) < sources[source][1]}
            consumer.unsubscribe()
            return {self._place(source): number for source, number in counts.items() if source not in left}

    @contextlib.asynccontextmanager
    async def _unless_broken(self) -> Any:
        try:
            yield
        except BaseException:
            await self.close()
            raise

    async def _clients(self) -> tuple[AIOKafkaConsumer, AIOKafkaAdminClient]:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **client_options(self._settings),
                client_id=self._settings.named("novix-console-live"),
                isolation_level="read_committed",
                enable_auto_commit=False,
                max_partition_fetch_bytes=65_536,
            )
            self._consumer = consumer
            await consumer.start()
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(**client_options(self._settings))
            await self._admin.start()
        return self._consumer, self._admin

    async def _group(self, admin: AIOKafkaAdminClient, name: str) -> Group:
        group = self._settings.named(name)
        at = self._coordinators.get(name)
        if at is None:
            at = self._coordinators[name] = await admin.find_coordinator(group)
        committed = await admin.list_consumer_group_offsets(group, group_coordinator_id=at)
        # One group a request: aiokafka (0.14) reads an answer of version 3 that holds several as if it were version 2.
        [answer] = await admin.describe_consumer_groups([group], group_coordinator_id=at)
        [(_, _, state, _, _, members, *_)] = answer.groups
        return Group(
            name,
            state,
            tuple(
                Member(client.removeprefix(self._settings.topic_prefix), host.lstrip("/"), self._assigned(given))
                for _, client, host, _, given, *_ in members
            ),
            {self._place(source): told.offset for source, told in committed.items() if told.offset >= 0},
        )

    def _assigned(self, given: bytes) -> tuple[Place, ...]:
        if not given:
            return ()
        assignment = ConsumerProtocolMemberAssignment.decode(given)
        return tuple(sorted(self._place(source) for source in assignment.partitions()))

    def _place(self, source: TopicPartition) -> Place:
        return source.topic.removeprefix(self._settings.topic_prefix), source.partition
