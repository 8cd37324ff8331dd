"""The identities that a router lane has decided: an SQLite cache of decisions[p], the open transaction laid over it.

The log is the truth. The file only saves reading it again: it holds a fold of committed decisions up to a cursor, rows
and cursor written together. It is thrown away and folded anew from the beginning when it is damaged, or when the last
record that it folded is not in the log any more (another cluster, a topic made again).
"""

import asyncio
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from router import fold
from router.fold import Entry
from runtime.ports import LogReader
from schemas.topics import DECISIONS

NEWEST = 64
"""Submissions of one identity that are looked at: an id that is rejected again and again must stay cheap."""

PRUNE_EVERY = 1_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
    seq INTEGER PRIMARY KEY, identity TEXT NOT NULL, submission INTEGER NOT NULL,
    digest TEXT NOT NULL, rejected INTEGER NOT NULL, decision_id TEXT NOT NULL, UNIQUE (identity, submission));
CREATE TABLE IF NOT EXISTS folded (
    one INTEGER PRIMARY KEY CHECK (one = 1), cursor INTEGER NOT NULL, offset INTEGER NOT NULL,
    decision_id TEXT NOT NULL, boot TEXT NOT NULL);
"""
_INSERT = (
    "INSERT OR REPLACE INTO seen (identity, submission, digest, rejected, decision_id) "
    "VALUES (:identity, :submission, :digest, :rejected, :decision_id)"
)


@dataclass(frozen=True, slots=True)
class AlreadyDecided:
    """This very record was decided before: it was delivered again."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The identity was decided before, for the same content."""

    submission: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """The identity was decided before, for other content."""

    submission: int


@dataclass(frozen=True, slots=True)
class Fresh:
    """A new submission: the first, or the one after a rejected one."""

    submission: int


Standing = AlreadyDecided | Duplicate | Conflict | Fresh


def standing(newest_first: list[Entry], digest: str, decision_id: str) -> Standing:
    """Where a job stands among the entries of its identity. Pure."""
    if not newest_first:
        return Fresh(1)
    if any(entry.decision_id == decision_id for entry in newest_first):
        return AlreadyDecided()
    last = newest_first[0]
    if last.rejected:
        return Fresh(last.submission + 1)
    return Duplicate(last.submission) if last.digest == digest else Conflict(last.submission)


class NotFolded(Exception):
    """The cache does not hold the whole log: nothing may be decided from it before it is rebuilt."""


class Seen:
    """The decided identities of one lane. One owner: the lane's handler.

    `lookup` sees what is committed and what `note` added since; `committed` moves notes into the file. Whoever drops
    this object drops the notes of the open transaction with it, as the lane must when a transaction fails.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._db: sqlite3.Connection | None = None
        self._noted: dict[str, list[Entry]] = {}
        self._since_checkpoint = 0
        self._pending: fold.Cursor | None = None
        self._whole = False
        self._rebuilding = asyncio.Lock()

    @classmethod
    async def open(cls, folder: Path, name: str, partition: int, log: LogReader, most: int) -> "Seen":
        """Bring the cache in `folder` up to the end of decisions[partition]; make it anew where it cannot be trusted.

        Raises `fold.UnreadableDecisions` when the log itself holds something that no router wrote.
        """
        seen = cls(folder / f"{name}.{partition}.sqlite", most)
        try:
            await seen._catch_up(partition, log)
        except sqlite3.DatabaseError:
            seen.discard()
            await seen._catch_up(partition, log)
        return seen

    def lookup(self, identity: str, digest: str, decision_id: str) -> Standing:
        """Where a job stands. Raises `sqlite3.DatabaseError` or `NotFolded` where the file is damaged: `rebuild` it."""
        if not self._whole:
            raise NotFolded
        rows = self._connection().execute(
            "SELECT identity, submission, digest, rejected, decision_id FROM seen WHERE identity = ? "
            "ORDER BY submission DESC LIMIT ?",
            (identity, NEWEST),
        )
        stored = [Entry(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows]
        return standing([*reversed(self._noted.get(identity, ())), *stored], digest, decision_id)

    def note(self, entry: Entry) -> None:
        """Decided, not yet committed. A later note for the same submission replaces the earlier one."""
        others = [one for one in self._noted.get(entry.identity, ()) if one.submission != entry.submission]
        self._noted[entry.identity] = [*others, entry]

    def committed(self, entries: list[Entry]) -> None:
        """The transaction with these entries is committed: they move into the file."""
        with self._connection() as db:
            self._insert(db, entries)
            if self._pending is not None:
                self._move_cursor(db, self._pending)
                self._pending = None
        self._since_checkpoint += len(entries)
        for entry in entries:
            left = [one for one in self._noted.get(entry.identity, ()) if one.submission > entry.submission]
            if left:
                self._noted[entry.identity] = left
            else:
                self._noted.pop(entry.identity, None)

    async def checkpoint(self, partition: int, log: LogReader, every: int) -> None:
        """Now and then, note how far the log is folded by now, so that the next opening need not read it again.

        This lane alone writes to the partition, and one transaction after the other. So once the next `committed` has
        been told, every record before the end that is read here has been told as well: only then does the cursor move.
        """
        if self._since_checkpoint < every or self._pending is not None:
            return
        self._since_checkpoint = 0
        self._pending = await fold.cursor_at_end(log, partition)

    def close(self) -> None:
        """Release the file. What was noted and not committed is dropped."""
        if self._db is not None:
            self._db.close()
            self._db = None
        self._noted.clear()
        self._pending = None

    def discard(self) -> None:
        """Delete the file: it is damaged, or speaks of another log. Notes stay."""
        if self._db is not None:
            self._db.close()
            self._db = None
        self._pending = None
        self._whole = False
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    async def rebuild(self, partition: int, log: LogReader) -> None:
        """After damage: delete the file and fold the log again. Notes of the open transaction stay."""
        self._whole = False
        async with self._rebuilding:
            if not self._whole:
                self.discard()
                await self._catch_up(partition, log)

    async def _catch_up(self, partition: int, log: LogReader) -> None:
        first, end = await log.bounds(DECISIONS.name, partition)
        cursor = self._cursor()
        if cursor is None or not await fold.still_there(log, partition, cursor, first, end):
            self.discard()  # without a cursor too: rows may stand there whose log nobody can name
            cursor = None
        start = first if cursor is None else cursor.next
        async for entries, reached in fold.read(log, partition, start, end):
            with self._connection() as db:
                self._insert(db, entries)
                self._move_cursor(db, reached)
        self._whole = True

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(self._path, timeout=5.0)
            # WAL without fsync: after a kill the file is whole; after a power cut it may not be, and is checked.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.executescript(_SCHEMA)
        return self._db

    def _cursor(self) -> fold.Cursor | None:
        row = self._connection().execute("SELECT cursor, offset, decision_id, boot FROM folded").fetchone()
        if row is None:
            return None
        if row[3] != fold.boot_id() and self._connection().execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the cache of seen identities is damaged")
        return fold.Cursor(row[0], row[1], row[2])

    def _insert(self, db: sqlite3.Connection, entries: list[Entry]) -> None:
        db.executemany(_INSERT, [entry.row() for entry in entries])
        newest = db.execute("SELECT max(seq), min(seq) FROM seen").fetchone()
        if newest[0] is not None and newest[0] - newest[1] >= self._most + min(PRUNE_EVERY, self._most // 10):
            db.execute("DELETE FROM seen WHERE seq <= ?", (newest[0] - self._most,))

    def _move_cursor(self, db: sqlite3.Connection, cursor: fold.Cursor) -> None:
        db.execute(
            "INSERT OR REPLACE INTO folded VALUES (1, ?, ?, ?, ?)",
            (cursor.next, cursor.offset, cursor.decision_id, fold.boot_id()),
        )
