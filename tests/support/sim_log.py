"""A small simulated Kafka for the lane engine: one input topic, transactions with fencing, one group, faults by dice.

What it keeps of the real one, as measured on Apache Kafka: markers take offsets; a transaction is whole or nothing; a
lost answer leaves its end unknown until a successor of the same id fences it; a committed position that is read before
that may be stale; a member that was thrown out learns it late; commit metadata has 4,096 characters.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass

from runtime.membership import PositionLost
from runtime.ports import LaneId, Outgoing, Position, Record, RecordTooLarge
from runtime.progress import METADATA_LIMIT, MetadataTooLarge
from schemas.topics import AUDIT

TOPIC = "inference.jobs.v1"
LATER = "later"
"""What is written here with a partition comes back to it after a while, as from a retry topic."""
RECORD_LIMIT = 1_000
REBALANCE_TIMEOUT_S = 60.0

OnChange = Callable[[list[int]], Awaitable[None]]


class SimError(Exception):
    """What a client raises when the broker is not as it should be."""


@dataclass
class Faults:
    """How often what goes wrong, in [0, 1)."""

    refused: float = 0.0
    """A commit fails and nothing is written."""
    unanswered: float = 0.0
    """A commit fails although everything is written."""
    undecided: float = 0.0
    """A commit's end comes late: written or not, whenever its successor fences it or before."""
    unopened: float = 0.0
    """InitProducerId fails."""
    slow: float = 0.0
    """A request takes up to three seconds."""


class SimLog:
    """The broker's state. `wrong` collects what must never happen."""

    def __init__(self, dice: random.Random, partitions: int, faults: Faults | None = None) -> None:
        self.dice = dice
        self.faults = faults or Faults()
        self.input: list[list[Record | None]] = [[] for _ in range(partitions)]
        self.first = [0] * partitions
        self.positions: dict[int, Position] = {}
        self.written: dict[str, list[Record]] = defaultdict(list)
        self.results: Counter[bytes] = Counter()
        self.commits = 0
        self.epochs: Counter[str] = Counter()
        self.down = False
        self.metadata_limit = METADATA_LIMIT
        """Characters; Kafka's default."""
        self.wrong: list[str] = []
        self.news: set[asyncio.Event] = set()
        self._before: dict[int, tuple[float, Position | None]] = {}
        self._undecided: dict[str, Callable[[], None]] = {}

    # input

    def append(self, partition: int, value: bytes, *, marker: bool = False) -> None:
        """One record, with a transaction's marker behind it if asked for."""
        entries = self.input[partition]
        entries.append(Record(TOPIC, partition, len(entries), value, value, (), 0))
        if marker:
            self.mark(partition)
        self.tell()

    def mark(self, partition: int) -> None:
        """A transaction's marker: an offset without a record."""
        self.input[partition].append(None)

    def end(self, partition: int) -> int:
        return len(self.input[partition])

    def tell(self) -> None:
        """Whoever polls looks again."""
        for event in self.news:
            event.set()

    # transactions

    async def wait(self) -> None:
        """A round trip."""
        slow = self.dice.random() < self.faults.slow
        await asyncio.sleep(self.dice.uniform(0, 3) if slow else self.dice.uniform(0.0005, 0.02))
        while self.down:
            await asyncio.sleep(0.5)

    async def open_transaction(self, lane: LaneId) -> "SimTransaction":
        """InitProducerId: fences every predecessor, and its open transaction ends here, one way or the other."""
        await asyncio.wait_for(self.wait(), 8)
        if self.dice.random() < self.faults.unopened:
            raise SimError("no coordinator")
        self.epochs[str(lane)] += 1
        decide = self._undecided.pop(str(lane), None)
        if decide is not None and self.dice.random() < 0.5:
            decide()
        self._before.pop(lane.partition, None)
        return SimTransaction(self, str(lane), self.epochs[str(lane)])

    def undecided(self, lane: str, decide: Callable[[], None]) -> None:
        """A transaction whose end is not known yet; it may still come by itself."""
        self._undecided[lane] = decide

        def late() -> None:
            if self._undecided.get(lane) is decide:
                del self._undecided[lane]
                decide()

        asyncio.get_running_loop().call_later(self.dice.uniform(0, 6), late)

    def apply(self, records: list[Outgoing], lane: LaneId, position: Position) -> None:
        """The transaction is committed."""
        before = self.positions.get(lane.partition)
        if before is not None and position.offset < before.offset:
            self.wrong.append(f"{lane}: offset went back from {before.offset} to {position.offset}")
        self._before[lane.partition] = asyncio.get_running_loop().time() + 0.02, before
        self.positions[lane.partition] = position
        self.commits += 1
        for record in records:
            log = self.written[record.topic]
            log.append(Record(record.topic, 0, len(log), record.key, record.value, record.headers, 0))
            if record.topic == "out":
                self.results[record.value or b""] += 1
            if record.topic == LATER:
                asyncio.get_running_loop().call_later(
                    self.dice.uniform(0, 2), self.append, record.partition, record.value
                )

    def committed(self, partition: int) -> Position | None:
        """What OffsetFetch answers: for a moment after a commit, what was there before it."""
        until, before = self._before.get(partition, (0.0, None))
        return before if asyncio.get_running_loop().time() < until else self.positions.get(partition)

    # a `LogReader`

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        await self.wait()
        return (self.first[partition], self.end(partition)) if topic == TOPIC else (0, len(self.written[topic]))

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        await self.wait()
        for record in self.written[topic][start:end]:
            yield record

    async def log_end(self, topic: str, partition: int) -> int:
        return (await self.bounds(topic, partition))[1]  # what is not decided is not there yet

    async def partitions(self, topic: str) -> int:
        await self.wait()
        return 1 if topic == AUDIT.name else len(self.input)


class SimTransaction:
    """A lane's producer."""

    def __init__(self, log: SimLog, lane: str, epoch: int) -> None:
        self._log, self._lane, self._epoch = log, lane, epoch
        self._failed = False

    async def commit(self, records: list[Outgoing], lane: LaneId, position: Position) -> None:
        log, faults = self._log, self._log.faults
        if self._failed:
            log.wrong.append(f"{self._lane}: a producer was used again after an error")
        self._failed = True
        await asyncio.wait_for(log.wait(), 4)
        if log.epochs[self._lane] != self._epoch:
            raise SimError("fenced")
        for index, record in enumerate(records):
            if record.value == b"unsendable":
                raise TypeError("a header that is no bytes")
            if len(record.value or b"") > RECORD_LIMIT and record.topic == "out":
                raise RecordTooLarge(index, len(record.value or b""))
        if len(position.metadata) > log.metadata_limit:
            if log.metadata_limit == METADATA_LIMIT:
                log.wrong.append(f"{self._lane}: metadata of {len(position.metadata)} characters")
            raise MetadataTooLarge
        fate = log.dice.random()
        if fate < faults.refused:
            raise SimError("refused")
        if fate < faults.refused + faults.undecided:
            log.undecided(self._lane, lambda: log.apply(records, lane, position))
            await asyncio.sleep(4)
            raise SimError("no answer in time")
        log.apply(records, lane, position)
        if fate < faults.refused + faults.undecided + faults.unanswered:
            raise SimError("the answer was lost")
        self._failed = False

    async def close(self) -> None:
        await asyncio.sleep(0.001)


class SimGroup:
    """One consumer group. `rebalance` is the coordinator's work, and the test says who shall hold what."""

    def __init__(self, log: SimLog) -> None:
        self.log = log
        self.generation = 0
        self.members: dict[str, SimMember] = {}
        self.steady = asyncio.Lock()

    def member(self, name: str) -> "SimMember":
        """A member of that (static) name; a former one of the same name is out."""
        self.members[name] = SimMember(self, name)
        return self.members[name]

    async def rebalance(self, plan: dict[str, list[int]], frozen: Collection[str] = ()) -> None:
        """Everybody lets go of everything, then has what the plan says. Who is frozen is not asked and has nothing."""
        async with self.steady:
            awake = [member for name, member in self.members.items() if name not in frozen and member.joined]
            for member in awake:
                member.changing = True
            await asyncio.gather(*(member.let_go() for member in awake))
            self.generation += 1
            for member in awake:
                await member.take(sorted(plan.get(member.name, [])))


class SimMember:
    """A `Membership`."""

    def __init__(self, group: SimGroup, name: str) -> None:
        self.name = name
        self.generation = -1
        self.joined = False
        self.changing = False
        self.fault: Exception | None = None
        self._group, self._log = group, group.log
        self._positions: dict[int, int | None] = {}
        self._paused: set[int] = set()
        self._news = asyncio.Event()

    async def start(self, assigned: OnChange, revoked: OnChange) -> None:
        self._assigned, self._revoked = assigned, revoked
        self.joined = True
        self._log.news.add(self._news)

    async def stop(self) -> None:
        self.joined = False
        self._log.news.discard(self._news)

    async def let_go(self) -> None:
        try:
            await asyncio.wait_for(self._revoked(sorted(self._positions)), REBALANCE_TIMEOUT_S)
        except TimeoutError:
            self._log.wrong.append(f"{self.name}: letting go took over {REBALANCE_TIMEOUT_S} s")
        self._positions = {}

    async def take(self, partitions: list[int]) -> None:
        self.generation = self._group.generation
        self._positions = dict.fromkeys(partitions)
        self._paused = set(partitions)
        self.changing = False
        await self._assigned(partitions)
        self._news.set()

    def held(self) -> set[int]:
        return set(self._positions)

    async def heartbeat(self) -> bool:
        await self._log.wait()
        return self.generation == self._group.generation and not self.changing

    def silent(self) -> bool:
        return False  # it is put out by `rebalance` alone

    def position(self, partition: int) -> int | None:
        return self._positions.get(partition)

    async def poll(self, wait_ms: int, most: int, only: Collection[int] | None = None) -> list[Record]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_ms / 1_000
        while True:
            if self.fault is not None:
                raise self.fault
            self._news.clear()
            if found := self._take(most, only):  # also while the group changes, until the partitions are gone
                return found
            if loop.time() >= until:
                return []
            try:
                await asyncio.wait_for(self._news.wait(), until - loop.time())
            except TimeoutError:
                continue

    def _take(self, most: int, only: Collection[int] | None) -> list[Record]:
        if self._log.down:
            return []
        found: list[Record] = []
        ready = [p for p in self._positions if p not in self._paused and (only is None or p in only)]
        self._log.dice.shuffle(ready)
        for partition in ready:
            at = self._positions[partition]
            while at is not None and at < self._log.end(partition) and len(found) < most:
                if at < self._log.first[partition]:
                    raise PositionLost(partition, at)
                entry = self._log.input[partition][at]
                at += 1
                if entry is not None:
                    found.append(entry)
                self._positions[partition] = at
        return found

    def pause(self, partition: int) -> None:
        self._paused.add(partition)

    def resume(self, partition: int) -> None:
        self._paused.discard(partition)
        self._news.set()

    def seek(self, partition: int, offset: int) -> None:
        if partition not in self._positions:
            raise SimError("not assigned")
        self._positions[partition] = offset
        self._news.set()

    async def committed(self, partition: int) -> Position | None:
        await self._log.wait()
        return self._log.committed(partition)
