"""Membership of a consumer group: assignment, heartbeats, committed positions. The lane engine's only consumer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError

from runtime.connection import client_options
from runtime.ports import Position, Record
from runtime.reader import to_record
from runtime.settings import Settings

REBALANCE_TIMEOUT_MS = 60_000
"""How long a revoked member may take to let go. aiokafka's default is the session timeout, which is too short to drain."""
FETCH_BYTES = 262_144
"""Prefetched per partition, whatever is asked for: the bound of what waits unread in memory."""

OnChange = Callable[[list[int]], Awaitable[None]]


class GroupMember:
    """One member of one group on one topic, with static membership; never commits by itself."""

    def __init__(self, settings: Settings, group: str, topic: str, instance: str) -> None:
        self._settings = settings
        self._group = settings.named(group)
        self._topic = topic
        self._name = settings.named(topic)
        self._consumer = AIOKafkaConsumer(
            **client_options(settings),
            group_id=self._group,
            group_instance_id=instance,
            client_id=f"{self._group}-{instance}",
            partition_assignment_strategy=[StickyPartitionAssignor],
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        self._admin = AIOKafkaAdminClient(**client_options(settings))

    async def start(self, assigned: OnChange, revoked: OnChange) -> None:
        """Join. `assigned` is called with partitions that are paused already: records arrive before it returns."""
        await self._admin.start()
        await self._consumer.start()
        self._consumer.subscribe([self._name], listener=_Listener(self, assigned, revoked))

    async def stop(self) -> None:
        """Disconnect. A static member keeps its partitions until the session ends or it is back."""
        await self._consumer.stop()
        await self._admin.close()

    def held(self) -> set[int]:
        """Partitions that are assigned now."""
        return {source.partition for source in self._consumer.assignment()}

    @property
    def generation(self) -> int:
        """The group's generation as this member knows it; -1 outside the group."""
        return int(self._consumer._coordinator.generation)

    async def heartbeat(self) -> bool:
        """Ask the coordinator now whether this member still is in its generation."""
        coordinator = self._consumer._coordinator
        try:
            return bool(await asyncio.wait_for(coordinator._do_heartbeat(), 5.0)) and not coordinator.need_rejoin(
                self._consumer._subscription.subscription
            )
        except (KafkaError, TimeoutError):
            return False

    async def poll(self, wait_ms: int, most: int) -> list[Record]:
        """At most `most` records of partitions that are not paused; empty after `wait_ms`."""
        try:
            found = await self._consumer.getmany(timeout_ms=wait_ms, max_records=most)
        except NoOffsetForPartitionError:
            return []  # asked for by aiokafka itself at assignment; the lane seeks when it opens
        return [to_record(message, self._topic) for batch in found.values() for message in batch]

    def pause(self, partition: int) -> None:
        """Hand out no record of the partition until `resume`; its prefetched records are dropped and fetched again."""
        source = TopicPartition(self._name, partition)
        if source in self._consumer.assignment():
            self._consumer.pause(source)

    def resume(self, partition: int) -> None:
        """Hand out records again."""
        source = TopicPartition(self._name, partition)
        if source in self._consumer.assignment():
            self._consumer.resume(source)

    def seek(self, partition: int, offset: int) -> None:
        """Read on at `offset`."""
        self._consumer.seek(TopicPartition(self._name, partition), offset)

    async def committed(self, partition: int) -> Position | None:
        """What the group has committed. To be asked after InitProducerId: before it the answer may be stale."""
        source = TopicPartition(self._name, partition)
        found: dict[Any, Any] = await self._admin.list_consumer_group_offsets(self._group, partitions=[source])
        position = found.get(source)
        if position is None or position.offset < 0:
            return None
        return Position(position.offset, position.metadata or "")


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, member: GroupMember, assigned: OnChange, revoked: OnChange) -> None:
        self._member, self._assigned, self._revoked = member, assigned, revoked

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        for source in assigned:
            self._member.pause(source.partition)
        await self._assigned(sorted(source.partition for source in assigned))

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        await self._revoked(sorted(source.partition for source in revoked))
