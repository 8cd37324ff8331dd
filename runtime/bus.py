"""Kafka outside the lanes: topics, publishing, lag. What the command line and the console use."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from runtime.census import Group, groups_of, topics_of
from runtime.connection import client_options
from runtime.ports import LaneId, Outgoing, Record
from runtime.progress import UnknownProgress, decode
from runtime.reader import KafkaReader
from runtime.settings import Settings
from schemas.topics import BROKER, STAMPED_BY, Topic

METADATA_WAIT_S = 15.0
OF_THE_TOPIC = 1
"""Where a setting comes from that was said for this topic (DescribeConfigs, `config_source`)."""


@dataclass(frozen=True, slots=True)
class TopicOutcome:
    """What `create_topics` found or did."""

    topic: str
    """With prefix."""
    done: Literal["created", "kept", "grown", "stamped", "mismatch"]
    """`stamped`: from now on its records have the broker's time; those that were there keep their writers'."""
    partitions: int
    """How many it has now."""
    wanted: int


class Bus:
    """An admin client, a publisher and a reader, each connected when first used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None
        self._producer: AIOKafkaProducer | None = None
        self._reader = KafkaReader(settings)

    async def __aenter__(self) -> "Bus":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect everything."""
        await self._reader.close()
        if self._producer is not None:
            await self._producer.stop()
        if self._admin is not None:
            await self._admin.close()

    def reader(self) -> KafkaReader:
        """Reads topics outside any group, read_committed."""
        return self._reader

    async def create_topics(
        self, topics: Iterable[Topic], *, partitions: int, replication: int = 1, min_insync: int = 1
    ) -> list[TopicOutcome]:
        """Make sure that the topics exist; again and again without harm.

        A topic with fewer partitions grows, unless its count is fixed (`Topic.home`): that is a `mismatch` and stays.
        A `Topic.single` one has one, whatever `partitions` says; with more it is a `mismatch`. One of `Topic.stamped`
        that has its writers' times is made to have the broker's; its other settings stay as somebody may have set them.
        """
        admin = await self._administration()
        wanted, asked = list(topics), partitions
        present = set(await admin.list_topics())
        outcomes: list[TopicOutcome] = []
        for topic in wanted:
            partitions = 1 if topic.single else asked
            name = self._settings.named(topic.name)
            if name not in present and await self._create(admin, topic, partitions, replication, min_insync):
                outcomes.append(TopicOutcome(name, "created", partitions, partitions))
                continue
            have = await self._reader.partitions(topic.name)
            if have == partitions or (have > partitions and not (topic.home or topic.single)):
                outcomes.append(TopicOutcome(name, "kept", have, partitions))
            elif topic.home or topic.single:
                outcomes.append(TopicOutcome(name, "mismatch", have, partitions))
            else:
                await admin.create_partitions({name: NewPartitions(total_count=partitions)})
                outcomes.append(TopicOutcome(name, "grown", partitions, partitions))
        stamped = {self._settings.named(topic.name) for topic in wanted if topic.stamped}
        changed = await self._stamp(
            admin, [one.topic for one in outcomes if one.done == "kept" and one.topic in stamped]
        )
        outcomes = [replace(one, done="stamped") if one.topic in changed else one for one in outcomes]
        async with asyncio.timeout(METADATA_WAIT_S):
            for topic in wanted:  # created is not yet known everywhere: wait until it can be written to
                while await self._reader.partitions(topic.name) == 0:  # noqa: ASYNC110 - Kafka tells nobody
                    await asyncio.sleep(0.05)
        return outcomes

    async def _create(
        self, admin: AIOKafkaAdminClient, topic: Topic, partitions: int, replication: int, min_insync: int
    ) -> bool:
        config = {**topic.config, "min.insync.replicas": str(min_insync)}
        name = self._settings.named(topic.name)
        answer = await admin.create_topics([NewTopic(name, partitions, replication, topic_configs=config)])
        for _, code, *rest in answer.topic_errors:
            error = for_code(code)
            if error is TopicAlreadyExistsError:
                return False
            if code:
                raise error(f"{name}: {rest[0] if rest else ''}")
        return True

    async def _stamp(self, admin: AIOKafkaAdminClient, names: Sequence[str]) -> set[str]:
        """Let the broker's time count in these topics; returns those in which it did not. AlterConfigs replaces all
        that is set of a topic: what was set is said again with it."""
        if not names:
            return set()
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        wanted: dict[str, dict[str, str]] = {}
        for code, why, _, name, entries in [
            one for told in await admin.describe_configs(asked) for one in told.resources
        ]:
            if code:
                raise for_code(code)(f"{name}: {why or ''}")
            values = {entry[0]: entry[1] for entry in entries}
            if values.get(STAMPED_BY) != BROKER:
                own = {entry[0]: entry[1] for entry in entries if entry[3] == OF_THE_TOPIC}
                wanted[name] = {**own, STAMPED_BY: BROKER}
        if wanted:
            changes = [ConfigResource(ConfigResourceType.TOPIC, name, values) for name, values in wanted.items()]
            for code, why, _, name in [one for told in await admin.alter_configs(changes) for one in told.resources]:
                if code:
                    raise for_code(code)(f"{name}: {why or ''}")
        return set(wanted)

    async def publish(self, records: list[Outgoing]) -> list[tuple[int, int]]:
        """Write records, idempotent, acknowledged by all in-sync replicas; partition and offset of each, in order."""
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                **client_options(self._settings), enable_idempotence=True, max_batch_size=262_144, linger_ms=2
            )
            await self._producer.start()
        futures = [
            await self._producer.send(
                self._settings.named(record.topic),
                record.value,
                record.key,
                partition=record.partition,
                timestamp_ms=record.timestamp_ms,
                headers=list(record.headers),
            )
            for record in records
        ]
        written = await asyncio.gather(*futures)
        return [(metadata.partition, metadata.offset) for metadata in written]

    async def lag(self, group: str, topic: str) -> dict[int, int]:
        """Records of each partition that the group has not committed."""
        admin = await self._administration()
        name = self._settings.named(topic)
        count = await self._reader.partitions(topic)
        sources = [TopicPartition(name, partition) for partition in range(count)]
        committed = await admin.list_consumer_group_offsets(self._settings.named(group), partitions=sources)
        lag: dict[int, int] = {}
        for source in sources:
            first, end = await self._reader.bounds(topic, source.partition)
            position = committed.get(source)
            offset = position.offset if position is not None and position.offset >= 0 else first
            lag[source.partition] = max(0, end - offset)
        return lag

    async def heads(self) -> dict[str, tuple[int, str]]:
        """Sequence and hash of each lane's audit chain, as they stand beside its committed offset."""
        admin, found = await self._administration(), dict[str, tuple[int, str]]()
        for group in await self.groups():
            committed = await admin.list_consumer_group_offsets(self._settings.named(group.name))
            for source, position in committed.items():
                lane = LaneId(group.name, source.topic.removeprefix(self._settings.topic_prefix), source.partition)
                try:
                    progress = decode(position.offset, position.metadata or "")
                except UnknownProgress:
                    continue  # somebody else's metadata: no lane's
                if progress.sequence:
                    found[str(lane)] = progress.sequence, progress.head
        return found

    async def topics(self) -> dict[str, int]:
        """Partitions of each topic that the installation has, by logical name."""
        return await topics_of(await self._administration(), self._settings)

    async def groups(self) -> list[Group]:
        """The installation's consumer groups with their members, by logical name."""
        return await groups_of(await self._administration(), self._settings)

    async def brokers(self) -> int:
        """How many brokers the cluster has."""
        admin = await self._administration()
        return len((await admin.describe_cluster())["brokers"])

    def follow(self, topic: str, starts: dict[int, int]) -> AsyncIterator[Record]:
        """Records from the given offsets on, without end, read_committed."""
        return self._reader.follow(topic, starts)

    async def find_since(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset written at or after an instant."""
        return await self._reader.since(topic, partition, timestamp_ms)

    async def _administration(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(**client_options(self._settings))
            await admin.start()
            self._admin = admin
        return self._admin
