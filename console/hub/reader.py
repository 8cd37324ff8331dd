"""Brings the catalogue's topic into an index on this machine, and keeps it there.

One process fills an index: the console while it runs, else a command for as long as it needs. Records are read outside
any group; how far they were read stands in the index itself, in the transaction that wrote them.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError

from console.hub.port import NotThere
from hub.index.file import Damaged
from runtime import logs
from runtime.ending import end
from runtime.ports import LogReader, Record
from runtime.reader import KafkaReader
from runtime.settings import Settings
from schemas.catalog import CatalogEntry
from schemas.topics import CATALOG

if TYPE_CHECKING:
    from hub.index.store import Index

log = structlog.get_logger("novix.hub")

AT_ONCE = 1_000
"""Records that are written together."""
WAIT_S = 0.2
"""How long the first of them waits for others: a change is visible after this and what writing takes."""
AGAIN_S = 2.0
GROWTH_S = 5.0
"""Between two looks at how many partitions there are."""
TOMBSTONES_LAST = timedelta(hours=12)
"""Kafka keeps a deletion 24 h at least (`delete.retention.ms`). Who was away longer may have missed some: everything is
read again, and what is not there any more leaves the index."""
READ_ANEW = 20_000
"""Records that are read again at every opening, for the same end: it takes a second, and finds that the topic is
another one of the same name."""
TIDY_AFTER = 20_000
"""Changes after which the full-text table is merged, once the end is reached."""


def folder_of(settings: Settings) -> Path:
    """The index's folder: one for each cluster address and prefix, so that two worlds never mix."""
    world = hashlib.sha256(f"{settings.kafka_bootstrap}\0{settings.topic_prefix}".encode()).hexdigest()[:16]
    return settings.home / "hub" / world


@contextmanager
def the_only_writer(folder: Path) -> Iterator[bool]:
    """Whether nobody else fills this index; for the length of the block nobody else does."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "catalog.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def change_of(record: Record) -> tuple[str, CatalogEntry | None] | None:
    """What a record changes; None for one that is no entry under its own key."""
    try:
        key = (record.key or b"").decode()
        if not key:
            return None
        if record.value is None:
            return key, None
        entry = CatalogEntry.model_validate_json(record.value)
    except (ValidationError, ValueError):
        return None
    return (key, entry) if entry.key == key else None


class Intake:
    """Reads the topic into an index, batch after batch. One task."""

    def __init__(self, index: "Index", now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.index = index
        self.position: dict[int, int] = {}
        self.records = self.changed = self.not_read = 0
        self._now = now
        self._untidy = 0
        self._seen: set[int] | None = None
        """Keys, by hash, that a reading from the beginning has met; None where it goes on from a position."""

    async def catch_up(self, reader: LogReader, say: Callable[[int, int], None] = lambda _done, _of: None) -> None:
        """Everything that is there now. `say` hears how many of how many offsets are read. Raises Kafka's errors."""
        ends = {
            partition: await reader.bounds(CATALOG.name, partition)
            for partition in range(await reader.partitions(CATALOG.name))
        }
        self._begin(ends)
        total = sum(max(0, last - self.position[partition]) for partition, (_, last) in ends.items())
        done = 0
        for partition, (_, last) in ends.items():
            batch: list[Record] = []
            async for record in reader.read(CATALOG.name, partition, self.position[partition], last):
                batch.append(record)
                if len(batch) == AT_ONCE:
                    await asyncio.to_thread(self.take, batch)
                    done += len(batch)
                    say(done, total)
                    batch = []
            await asyncio.to_thread(self.take, batch, {partition: last})
        await asyncio.to_thread(self._caught_up)

    async def follow(self, reader: KafkaReader) -> None:
        """Later records, as they come, until the topic has other partitions or a fault is raised."""
        waiting: asyncio.Queue[Record] = asyncio.Queue(2 * AT_ONCE)

        async def fetch() -> None:
            async for record in reader.follow(CATALOG.name, dict(self.position)):
                await waiting.put(record)

        fetching = asyncio.create_task(fetch())
        looked = asyncio.get_running_loop().time()
        try:
            while not fetching.done():
                batch = await _batch(waiting)
                if batch:
                    await asyncio.to_thread(self.take, batch)
                if asyncio.get_running_loop().time() - looked > GROWTH_S:
                    looked = asyncio.get_running_loop().time()
                    await asyncio.to_thread(self.take, [])
                    if await reader.partitions(CATALOG.name) != len(self.position):
                        return
            await fetching
        finally:
            await end(fetching)

    def take(self, batch: Sequence[Record], ends: dict[int, int] | None = None) -> None:
        """Write what records change, and how far they go. What is no entry is counted and passed over."""
        if self.index.damaged:
            raise Damaged("a search has found the index damaged")
        changes = []
        for record in batch:
            change = change_of(record)
            if change is None:
                self.not_read += 1
                log.warning("catalog.not_read", partition=record.partition, offset=record.offset)
                continue
            changes.append(change)
            if self._seen is not None:
                (self._seen.add if change[1] is not None else self._seen.discard)(hash(change[0]))
        position = self.position | {record.partition: record.offset + 1 for record in batch} | (ends or {})
        if not changes and position == self.position and not self._stale():
            return
        changed = self.index.apply(changes, position=position, notes={"as_of": self._now().isoformat()})
        self.position = position
        self.records += len(batch)
        self.changed += changed
        self._untidy += changed

    def _stale(self) -> bool:
        """The note of when the index was last at the end is old enough to be written anew."""
        as_of = self.index.note("as_of")
        return as_of is None or self._now() - datetime.fromisoformat(as_of) > timedelta(minutes=1)

    def _begin(self, ends: dict[int, tuple[int, int]]) -> None:
        """Where to read on; from the beginning where the position cannot be trusted."""
        had, as_of = self.index.position(), self.index.note("as_of")
        lost = as_of is None or self._now() - datetime.fromisoformat(as_of) > TOMBSTONES_LAST
        shorter = any(offset > ends.get(partition, (0, 0))[1] for partition, offset in had.items())
        small = sum(last - first for first, last in ends.values()) <= READ_ANEW
        if lost or shorter or small or not had:
            self._seen = set()
            had = {}
        self.position = {partition: max(first, had.get(partition, 0)) for partition, (first, _) in ends.items()}

    def _caught_up(self) -> None:
        """What a reading from the beginning has not met is gone."""
        if self._seen is not None:
            seen, self._seen = self._seen, None
            gone = [(key, None) for key in self.index.every_key() if hash(key) not in seen]
            self.changed += self.index.apply(gone, position=self.position)
        if self._untidy >= TIDY_AFTER:
            self.index.tidy()
        self._untidy = 0


async def _batch(waiting: "asyncio.Queue[Record]") -> list[Record]:
    """What comes within `WAIT_S` of the first; empty when none comes in a second."""
    batch: list[Record] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            batch.append(await waiting.get())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S):
            while batch and len(batch) < AT_ONCE:
                batch.append(await waiting.get())
    return batch


class CatalogReader:
    """`async with CatalogReader(settings)`: the index as long as the process runs, filled in the background.

    It never keeps a process from running: without a catalogue's topic, or with an index that another process fills, it
    says so in `state` and goes on trying.
    """

    def __init__(self, settings: Settings, folder: Path | None = None) -> None:
        self._settings = settings
        self.folder = folder or folder_of(settings)
        self._stack = contextlib.ExitStack()
        self._index: Index | None = None
        self._intake: Intake | None = None
        self._task: asyncio.Task[None] | None = None
        self.fault: str | None = "the index of the catalogue is being opened"
        self.caught_up = False

    async def __aenter__(self) -> "CatalogReader":
        self._task = asyncio.create_task(self._run(), name="hub-index")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            await end(self._task)
        index, self._index = self._index, None
        if index is not None:
            if index.searches is not None:
                index.searches.close()
            await asyncio.to_thread(index.close)
        self._stack.close()

    def index(self) -> "Index":
        """The index, as full as it is. Raises `NotThere` while it is not open."""
        if self._index is None:
            raise NotThere(self.fault or "the index of the catalogue is closed")
        return self._index

    def state(self) -> dict[str, Any]:
        """For `/healthz`."""
        intake = self._intake
        return {
            "records": intake.records if intake else 0,
            "not_read": intake.not_read if intake else 0,
            "caught_up": self.caught_up,
            "fault": self.fault,
        }

    async def _run(self) -> None:
        while True:
            try:
                if self._index is None:
                    self._index = await asyncio.to_thread(self._opened)
                self._intake = intake = Intake(self._index)
                async with KafkaReader(self._settings) as reader:
                    await intake.catch_up(reader)
                    self.fault, self.caught_up = None, True
                    if intake.position:
                        await intake.follow(reader)
            except (sqlite3.DatabaseError, Damaged) as error:
                await self._damaged(error)
            except BlockingIOError:
                self.fault = f"another process fills the index at {self.folder}; it is tried again"
            except Exception as error:
                self.fault = f"the catalogue's topic cannot be read: {type(error).__name__}"
                log.warning("catalog.broken", error=type(error).__name__)
            await asyncio.sleep(AGAIN_S)

    def _opened(self) -> "Index":
        from hub.discovery.related import Searches
        from hub.index.store import Index

        if not self._stack.enter_context(the_only_writer(self.folder)):
            self._stack.close()
            raise BlockingIOError(f"another process fills {self.folder}")
        index = Index(self.folder)
        # Now, not while somebody waits for the first search. Damage is in `damaged`: the intake makes it anew.
        with contextlib.suppress(sqlite3.DatabaseError, Damaged):
            index.prepare()
        index.searches = Searches(self.folder)
        return index

    async def _damaged(self, error: Exception) -> None:
        """Begin again with an empty index, unless SQLite is only busy or the disk full."""
        self.fault = f"the index of the catalogue is damaged and is made anew: {type(error).__name__}"
        log.error("catalog.damaged", error=type(error).__name__)
        if self._index is not None and not isinstance(error, sqlite3.OperationalError):
            self.caught_up = False
            await asyncio.to_thread(self._index.rebuild)


@contextmanager
def _on_stderr(settings: Settings) -> Iterator[None]:
    """Warnings go to standard error for the length of the block: standard output is the command's answer."""
    before = structlog.get_config()
    logs.configure("warning", settings.log_format)
    try:
        yield
    finally:
        structlog.configure(**before)


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, reader: LogReader, say: Callable[[int, int], None] = lambda _done, _of: None
) -> AsyncIterator["Index"]:
    """The index for a command: read up to the topic's end, unless another process keeps it there.

    Raises `hub.index.file.NoIndex`, Kafka's errors.
    """
    from hub.index.store import Index

    folder = folder_of(settings)
    with _on_stderr(settings), the_only_writer(folder) as mine:
        index = await asyncio.to_thread(lambda: Index(folder, writes=mine))
        try:
            if mine:
                await Intake(index).catch_up(reader, say)
            yield index
        finally:
            await asyncio.to_thread(index.close)
