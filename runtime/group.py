"""Membership of a consumer group: assignment, heartbeats, committed positions. The lane engine's only consumer."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from runtime.belonging import Belonging
from runtime.connection import client_options
from runtime.evictions import EVICTIONS, Evictions
from runtime.growth import METADATA_AGE_MS, Growth
from runtime.membership import InstanceTaken, PositionLost
from runtime.ports import Position, Record
from runtime.reader import to_record
from runtime.settings import Settings

log = structlog.get_logger("novix.group")

REBALANCE_TIMEOUT_MS = 60_000
"""How long a revoked member may take to let go. aiokafka's default, the session timeout, is too short to drain."""
FETCH_BYTES = 262_144
"""Prefetched per partition, whatever is asked for: the bound of what waits unread in memory."""

OnChange = Callable[[list[int]], Awaitable[None]]


class OffsetUnknown(Exception):
    """The coordinator could not say what the group has committed: it is loading, or moved."""


class GroupMember:
    """One member of one group on one topic, with static membership; never commits by itself."""

    def __init__(self, settings: Settings, group: str, topic: str, instance: str) -> None:
        self._settings = settings
        self._group = settings.named(group)
        self._instance = instance
        self._session_s = settings.session_timeout_ms / 1_000
        self._confirmed_at = -math.inf
        self.evictions = Evictions(self._session_s)
        self._sought: set[int] = set()
        """Partitions that a lane has placed since they were assigned."""
        self._topic = topic
        self._name = settings.named(topic)
        self._consumer = AIOKafkaConsumer(
            **client_options(settings),
            group_id=self._group,
            group_instance_id=instance,
            client_id=f"{self._group}-{instance}",
            partition_assignment_strategy=[_sticky()],
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES,
            metadata_max_age_ms=METADATA_AGE_MS,
        )
        self._admin = AIOKafkaAdminClient(**client_options(settings))
        self.growth = Growth(self._consumer, self._admin, self._group, self._name)
        self.belonging = Belonging(self._consumer, self._admin, self._group, instance, self._session_s)

    async def start(self, assigned: OnChange, revoked: OnChange) -> None:
        """Join. `assigned` is called with partitions that are paused already: records arrive before it returns."""
        await self._admin.start()
        await self._consumer.start()
        coordinator = self._consumer._coordinator
        coordinator._do_heartbeat = self._heartbeats(coordinator._do_heartbeat)
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
        """Ask the coordinator now whether this member still is in its generation.

        Who is joining is in none, and asks nothing: the refusal would have aiokafka (0.14) forget its member id in the
        middle of the join, whose second half the coordinator then refuses as a stranger's (FENCED_INSTANCE_ID).
        """
        coordinator = self._consumer._coordinator
        if coordinator.generation < 0:
            return False
        try:
            return bool(await asyncio.wait_for(coordinator._do_heartbeat(), 5.0)) and not coordinator.need_rejoin(
                self._consumer._subscription.subscription
            )
        except (KafkaError, TimeoutError):
            return False

    def silent(self) -> bool:
        """Whether a session has passed since the last heartbeat that was answered was sent. The coordinator counts the
        session from when it gets one, which is later: whoever looks here knows of an end before it does."""
        return asyncio.get_running_loop().time() - self._confirmed_at > self._session_s

    async def poll(self, wait_ms: int, most: int, only: Collection[int] | None = None) -> list[Record]:
        """At most `most` records of partitions that are not paused, and of `only` if given; empty after `wait_ms`.

        Raises `PositionLost` for one partition, `InstanceTaken`, `LeftBehind`, or an aiokafka error: after one of these
        records may be missing that were counted as handed out, so this object must not be used any more.
        """
        self._refuse_a_twin()
        await self.growth.look()
        await self.belonging.look()
        sources = [TopicPartition(self._name, partition) for partition in only or ()]
        try:
            found = await self._consumer.getmany(*sources, timeout_ms=wait_ms, max_records=most)
        except NoOffsetForPartitionError:
            return []  # asked for by aiokafka itself between assignment and `hold_back`
        except OffsetOutOfRangeError as error:
            ((source, offset),) = error.args[0].items()
            raise PositionLost(source.partition, offset) from None
        return [to_record(message, self._topic) for batch in found.values() for message in batch]

    def position(self, partition: int) -> int | None:
        """The offset behind the last record handed out and the markers that follow it; None before the first seek."""
        if partition not in self._sought:
            return None
        assignment = self._consumer._subscription.subscription.assignment
        state = assignment.state_value(TopicPartition(self._name, partition)) if assignment is not None else None
        return int(state.position) if state is not None and state.has_valid_position else None

    def _heartbeats(self, ask: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
        """aiokafka's heartbeat, with two things more: when it was answered, and that a coordinator which is loading its
        groups, after a restart, is asked again. aiokafka (0.14) takes that answer for a fault of ours and ends."""

        async def asked() -> bool:
            at = asyncio.get_running_loop().time()
            try:
                answered = await ask()
            except GroupAuthorizationFailedError:
                raise
            except KafkaError as error:
                log.warning("group.heartbeat_refused", group=self._group, error=str(error)[:200])
                return False
            if answered:
                self._heard(at)
            return answered

        return asked

    def _heard(self, asked_at: float) -> None:
        self._confirmed_at = max(self._confirmed_at, asked_at)
        now = asyncio.get_running_loop().time()
        self.evictions.heard(now)
        self.belonging.heard(now)

    def _refuse_a_twin(self) -> None:
        within_s = self.evictions.twin_within_s
        if within_s is not None:
            raise InstanceTaken(
                f"member {self._instance} was put out of {self._group} {EVICTIONS} times within {within_s:.0f} s: "
                "does another process run with the same NOVIX_INSTANCE_ID?"
            )

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
        self._sought.add(partition)
        self._consumer.seek(TopicPartition(self._name, partition), offset)

    def hold_back(self, partition: int) -> None:
        """Pause a partition that was assigned just now, and give it a place that nobody reads from.

        Without a place of its own aiokafka (0.14) asks for the committed offset again and again, fetches nothing from
        that partition's broker meanwhile, and every poll ends at once: a lane that cannot open would stop all others.
        """
        self._sought.discard(partition)
        self._consumer.seek(TopicPartition(self._name, partition), 0)
        self.pause(partition)

    async def committed(self, partition: int) -> Position | None:
        """What the group has committed; None for nothing. To be asked after InitProducerId: before it the answer may
        be stale. Raises `OffsetUnknown`, or an aiokafka error."""
        source = TopicPartition(self._name, partition)
        found: dict[Any, Any] = await self._admin.list_consumer_group_offsets(self._group, partitions=[source])
        position = found.get(source)
        if position is None:  # aiokafka takes no notice of the error that stands above an answer without partitions
            raise OffsetUnknown(f"no answer for partition {partition}")
        if position.offset < 0:
            return None
        return Position(position.offset, position.metadata or "")


def _sticky() -> type[StickyPartitionAssignor]:
    """An assignor of a member's own: aiokafka's remembers on its class what was assigned last, and so tells one group
    of a process what another one holds."""
    return type(StickyPartitionAssignor.__name__, (StickyPartitionAssignor,), {})


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, member: GroupMember, assigned: OnChange, revoked: OnChange) -> None:
        self._member, self._assigned, self._revoked = member, assigned, revoked
        self._joined = False

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        for source in assigned:
            self._member.hold_back(source.partition)
        self._joined = True
        self._member._heard(asyncio.get_running_loop().time())
        self._member.growth.assigned()
        await self._assigned(sorted(source.partition for source in assigned))

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        if self._joined and self._member.generation < 0:
            self._member.evictions.put_out(asyncio.get_running_loop().time())
        await self._revoked(sorted(source.partition for source in revoked))
