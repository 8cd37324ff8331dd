"""What the claims of the suite are made of: topics, lanes, members, readers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from runtime.bus import Bus
from runtime.group import GroupMember
from runtime.ports import LaneId, Outgoing, Position, Record
from runtime.settings import Settings
from runtime.transaction import LaneTransaction
from schemas.topics import DAY_MS, Topic

IN = Topic("suite.in.v1", "any", None, "what members of groups read", DAY_MS)
OUT = Topic("suite.out.v1", "any", None, "what transactions write", DAY_MS)
SMALL = Topic("suite.small.v1", "any", None, "small batches alone", DAY_MS, limit_bytes=20_000)
GROUP = "suite-group"
LANE = LaneId(GROUP, IN.name, 0)
PARTITIONS = 2
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class World:
    """A Kafka, and a prefix on it that nobody else uses."""

    settings: Settings
    delete_records: Callable[[str, int, int], Awaitable[None]]
    """Of a topic's partition, up to an offset that stays."""

    def with_session(self, milliseconds: int) -> "World":
        """The same, for members whose session is shorter."""
        update = {"session_timeout_ms": milliseconds, "heartbeat_interval_ms": milliseconds // 6}
        return World(self.settings.model_copy(update=update), self.delete_records)


Claim = Callable[[World, Bus], Awaitable[None]]
CLAIMS: dict[str, Claim] = {}


def claim(holds: Claim) -> Claim:
    """Part of the suite."""
    CLAIMS[holds.__name__] = holds
    return holds


async def check(world: World, name: str) -> None:
    """Make the topics, and check one claim."""
    async with asyncio.timeout(WITHIN_S), Bus(world.settings) as bus:
        await bus.create_topics([IN, OUT], partitions=PARTITIONS)
        await CLAIMS[name](world, bus)


# what claims are made of


def outgoing(text: str, partition: int | None = 0, topic: Topic = OUT, key: bytes | None = b"key") -> Outgoing:
    return Outgoing(topic.name, key, text.encode(), partition=partition)


def texts(records: list[Record]) -> list[str]:
    return [(record.value or b"").decode() for record in records]


async def visible(bus: Bus, topic: Topic = OUT, partition: int = 0) -> list[str]:
    """What a reader of committed records sees now."""
    reader = bus.reader()
    first, end = await reader.bounds(topic.name, partition)
    return texts([record async for record in reader.read(topic.name, partition, first, end)])


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what Kafka tells nobody."""
    while not await holds():
        await asyncio.sleep(0.05)


async def seen(bus: Bus, *expected: str, topic: Topic = OUT, partition: int = 0) -> None:
    """Wait until exactly this can be read; a transaction's marker may come a moment after its end was answered."""

    async def is_there() -> bool:
        return len(await visible(bus, topic, partition)) >= len(expected)

    await until(is_there)
    assert await visible(bus, topic, partition) == list(expected)


@contextlib.asynccontextmanager
async def lane(world: World, of: LaneId = LANE) -> AsyncIterator[LaneTransaction]:
    transaction = await LaneTransaction.open(world.settings, of)
    try:
        yield transaction
    finally:
        await transaction.close()


async def write_without_end(world: World, transaction: LaneTransaction, text: str) -> None:
    """What a process has done that is killed in the middle of a transaction."""
    producer = transaction._producer
    await producer.begin_transaction()
    await producer.send_and_wait(world.settings.named(OUT.name), text.encode(), partition=0)


async def reading_position(world: World, partition: int = 0) -> Position | None:
    """What the group has committed, as a lane reads it."""
    member = GroupMember(world.settings, GROUP, IN.name, "looker")
    await member._admin.start()
    try:
        return await member.committed(partition)
    finally:
        await member.stop()


@dataclass
class Seat:
    """A member of the group, that reads on where the records begin."""

    member: GroupMember
    assignments: list[list[int]] = field(default_factory=list)
    revocations: list[list[int]] = field(default_factory=list)
    on_revoked: Callable[[], Awaitable[None]] | None = None
    is_paused: bool = False
    """Whether it leaves its partitions as they are assigned: paused, without a place to read on."""

    async def assigned(self, partitions: list[int]) -> None:
        for partition in partitions if not self.is_paused else ():
            self.member.seek(partition, 0)
            self.member.resume(partition)
        self.assignments.append(partitions)

    async def revoked(self, partitions: list[int]) -> None:
        self.revocations.append(partitions)
        if self.on_revoked is not None and partitions:
            await self.on_revoked()

    async def holds(self, *partitions: int) -> None:
        """Wait for exactly this assignment, and for the listener to have been told of it."""
        while self.member.held() != set(partitions) or self.assignments[-1:] != [list(partitions)]:
            await asyncio.sleep(0.05)

    async def read(self, count: int, most: int = 100) -> list[Record]:
        """So many records."""
        found: list[Record] = []
        while len(found) < count:
            found += await self.member.poll(200, most)
        return found


@contextlib.asynccontextmanager
async def seat(world: World, instance: str, *, paused: bool = False) -> AsyncIterator[Seat]:
    """A member that joins; nobody has waited for its assignment."""
    taken = Seat(GroupMember(world.settings, GROUP, IN.name, instance), is_paused=paused)
    await taken.member.start(taken.assigned, taken.revoked)
    try:
        yield taken
    finally:
        await taken.member.stop()
