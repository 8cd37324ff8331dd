"""What the lane engine needs from the world: a log, a clock, dice. Topics go by logical names, without prefix."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from schemas.headers import Headers
from schemas.values import frozen


@frozen
class Record:
    """One record as it was read. `topic` is the logical name, without prefix."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


@frozen
class Outgoing:
    """One record to write. Without `partition` the key decides (murmur2, as Java does)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LaneId:
    """One assigned input partition of one group. `str()` is the transactional id and the audit chain's name."""

    group: str
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.group}.{self.topic}.{self.partition}"


@frozen
class Position:
    """What a group has committed for one partition: the next offset to read, and the lane's own metadata."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a lane begins to read, and what its predecessor left behind."""

    offset: int
    """The committed offset: the next to read."""
    finished: frozenset[int] = frozenset()
    """Offsets above it that are finished already."""
    custody: str = ""
    """The journals (`progress.journals`) of the calls that predecessors began above `offset`, that of the last one
    first: empty if nothing had been begun, or nobody kept one."""


class Clock(Protocol):
    """Time as an argument. `now` may step; `monotonic` (seconds) never goes back."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


Dice = Callable[[], float]
"""A number in [0, 1)."""


class LogReader(Protocol):
    """Reads a partition outside any group, read_committed."""

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset there is, and the end: the offset after the last record that a read_committed reader may see."""
        ...

    def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        """The records from `start` up to, not including, `end`; returns when they are read."""
        ...

    async def log_end(self, topic: str, partition: int) -> int:
        """The offset after the last record, also of transactions that have not ended."""
        ...

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 if it does not exist."""
        ...


class NotReadable(Exception):
    """The cluster's ACLs do not let this user read the topic that the message names."""


class Transaction(Protocol):
    """A lane's producer. One transaction at a time; after any error it is thrown away, never aborted or re-used."""

    async def commit(self, records: list[Outgoing], lane: LaneId, position: Position) -> None:
        """Write records and input offset atomically, or raise. Raises `RecordTooLarge` naming the record's index."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class RecordTooLarge(Exception):
    """The broker or the client refuses this record for its size: it must not be sent again as it is."""

    index: int
    """Which record of the transaction; -1 if the broker did not tell."""
    size_bytes: int


@dataclass(slots=True, eq=False, weakref_slot=True)
class Lease:
    """What engine and handler tell each other about a delivery while it is worked on."""

    held: bool = True
    """The engine's: the partition is still this process's. A handler looks right before a paid call."""
    sure: Callable[[], bool] = lambda: True
    """The engine's: False while `held` may be wrong, as the process was frozen and the group has not answered since.
    Who is about to pay waits until it is True, or `held` is not."""
    leaving: bool = False
    """The engine's: the partition is being taken away, or is gone. A call that is out may end, and none is begun: a
    handler whose wait for a slot is over answers `RetryAt` if it has something to remember, else raises `Abandoned`."""
    waiting: bool = False
    """The handler's: it waits for a slot, a breaker or its next attempt, and nothing is lost if it is cancelled. A
    process that drains cancels who waits and lets the others end."""
    uncalled: bool = False
    """The handler's: under this lease it has noted no call in its journal, so whoever has the record next need not
    look there. It says so before it makes any, and takes it back before it notes one."""
    draining: bool = False
    """The engine's, before it cancels who waits: a handler with something to remember catches the cancellation and
    answers `RetryAt`, which `postpone` then writes down."""
    interrupted: bool = False
    """Somebody wants the handler to look again at once: a rest ends early, a handler that runs is cancelled and may
    catch that (`asyncio.Task.uncancel`) and answer."""
    poke: Callable[[], None] | None = None
    """The engine's: ends the rest, or cancels the handler's task."""
    end: Callable[[Any], None] = lambda _: None
    """The engine's, of a record that is held (`outcome.Hold`): settles it with the outcome, or the exception, that it
    is given; from any task of the same loop, also before `Hold` is answered. Harmless after the first time, and once
    the record is not the lane's any more."""

    def interrupt(self) -> None:
        """Make the handler look again now: its job was cancelled. Harmless for a delivery that is done."""
        if not self.interrupted:
            self.interrupted = True
            if self.poke is not None:
                self.poke()


@frozen
class Delivery:
    """One arrival of a record at a handler. `attempt` counts from 1 over in-memory retries of this arrival."""

    record: Record
    arrived_at: datetime
    attempt: int = 1
    memo: object = None
    """Whatever the handler's last `RetryAt` said to remember."""
    lease: Lease = field(default_factory=Lease)
    """Not held: another process owns the record by now; raise `Abandoned` rather than call."""
