"""The identities that a router lane has decided: an SQLite cache of decisions[p], the open transaction laid over it.

The log is the truth. The file only saves reading it again: it holds a fold of committed decisions up to a cursor, rows
and cursor written together. It is thrown away and folded anew from the beginning when it is damaged, of another form,
or when the last record that it folded is not in the log any more (another cluster, a topic made again). How many
identities are remembered, and for how long, is `Memory`'s to say. They are deleted by the time of what was decided
last, not by this machine's clock: a router that starts with a wrong clock forgets nobody for good. That a dead letter
was driven again is remembered as long as dead letters are kept, or, in a file made anew, as long as decisions are.
"""

import asyncio
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from router import fold
from router.fold import Entry, milliseconds
from router.memory import Memory
from router.standing import AlreadyDecided, Standing, standing
from runtime.ports import LogReader
from schemas.topics import DECISIONS, DLQ

NEWEST = 64
"""Submissions of one identity that are looked at: an id that is rejected or driven again thousands of times must stay
cheap. A dead letter that was driven again is known for longer, by itself (`driven`)."""

PRUNE_STEP = 4_000
"""Entries that are deleted at once, at most: a piece of some milliseconds, however long the lane was idle. More than
are taken in at once."""

_FORM = 3
"""Of the file; one of another form is folded anew. Form 1 did not know when an identity was decided, form 2 forgot a
redrive with its identity."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
    seq INTEGER PRIMARY KEY, identity TEXT NOT NULL, submission INTEGER NOT NULL, digest TEXT NOT NULL,
    rejected INTEGER NOT NULL, decision_id TEXT NOT NULL, decided_ms INTEGER NOT NULL, UNIQUE (identity, submission));
CREATE TABLE IF NOT EXISTS driven (
    decision_id TEXT PRIMARY KEY, submission INTEGER NOT NULL, decided_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS folded (
    one INTEGER PRIMARY KEY CHECK (one = 1), cursor INTEGER NOT NULL, offset INTEGER NOT NULL,
    decision_id TEXT NOT NULL, boot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tally (
    one INTEGER PRIMARY KEY CHECK (one = 1), held INTEGER NOT NULL, forgotten_ms INTEGER NOT NULL);
INSERT OR IGNORE INTO tally VALUES (1, 0, 0);
"""
_LOOKUP = (
    "SELECT identity, submission, digest, rejected, decision_id, decided_ms FROM seen "
    "WHERE identity = ? AND decided_ms >= ? ORDER BY submission DESC LIMIT ?"
)
"""The index gives this order; an order that has to be sorted costs half as much again."""
_REPLACED = "DELETE FROM seen WHERE identity = :identity AND submission = :submission AND decision_id <> :decision_id"
_INSERT = (
    "INSERT OR IGNORE INTO seen (identity, submission, digest, rejected, decision_id, decided_ms) "
    "VALUES (:identity, :submission, :digest, :rejected, :decision_id, :decided_ms)"
)
"""What is folded a second time keeps its place in the order."""
_DRIVEN = "INSERT OR REPLACE INTO driven VALUES (:decision_id, :submission, :decided_ms)"
_DRIVEN_BEFORE = "SELECT submission FROM driven WHERE decision_id = ?"


class NotFolded(Exception):
    """The cache does not hold the whole log: nothing may be decided from it before it is rebuilt."""


class Seen:
    """The decided identities of one lane. One owner: the lane's handler.

    `lookup` sees what is committed and what `note` added since; `committed` moves notes into the file. Whoever drops
    this object drops the notes of the open transaction with it, as the lane must when a transaction fails.
    """

    def __init__(self, path: Path, memory: Memory) -> None:
        self._path = path
        self._memory = memory
        self._db: sqlite3.Connection | None = None
        self._noted: dict[str, list[Entry]] = {}
        self._since_checkpoint = 0
        self._pending: fold.Cursor | None = None
        self._whole = False
        self._rebuilding = asyncio.Lock()

    @classmethod
    async def open(cls, folder: Path, name: str, partition: int, log: LogReader, memory: Memory) -> "Seen":
        """Bring the cache in `folder` up to the end of decisions[partition]; make it anew where it cannot be trusted.

        Raises `fold.UnreadableDecisions` when the log itself holds something that no router wrote.
        """
        seen = cls(folder / f"{name}.{partition}.sqlite", memory)
        try:
            await seen._catch_up(partition, log)
        except sqlite3.DatabaseError:
            seen.discard()
            await seen._catch_up(partition, log)
        return seen

    def lookup(
        self, identity: str, digest: str, decision_id: str, now: datetime, redriven: int | None = None
    ) -> Standing:
        """Where a job stands (`redriven`: see `standing`).

        Raises `sqlite3.DatabaseError` or `NotFolded` where the file is damaged: `rebuild` it.
        """
        if not self._whole:
            raise NotFolded
        since_ms = self._memory.since_ms(milliseconds(now))
        if redriven is not None:
            before = self._connection().execute(_DRIVEN_BEFORE, (decision_id,)).fetchone()
            if before is not None:
                return AlreadyDecided(before[0])
        rows = self._connection().execute(_LOOKUP, (identity, since_ms, NEWEST))
        stored = [Entry(row[0], row[1], row[2], bool(row[3]), row[4], row[5]) for row in rows]
        known = [*reversed(self._noted.get(identity, ())), *stored]
        return standing(known, digest, decision_id, since_ms=since_ms, redriven=redriven)

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
        for identity, newest in {entry.identity: entry.submission for entry in entries}.items():
            left = [one for one in self._noted.get(identity, ()) if one.submission > newest]
            if left:
                self._noted[identity] = left
            else:
                self._noted.pop(identity, None)

    def describe(self, now: datetime) -> dict[str, Any]:
        """What is remembered: how many identities stand in the file, since when all are, and which bound holds.

        Raises `sqlite3.DatabaseError` where the file is damaged.
        """
        held, forgotten_ms = self._tally(self._connection())
        oldest = self._connection().execute("SELECT decided_ms FROM seen ORDER BY seq LIMIT 1").fetchone()
        return {"identities": held, **self._memory.reach(oldest[0] if oldest else None, forgotten_ms, now)}

    def wants_checkpoint(self, every: int) -> bool:
        """Whether `checkpoint` would do something: so many were decided since the last."""
        return self._since_checkpoint >= every and self._pending is None

    async def checkpoint(self, partition: int, log: LogReader, every: int) -> None:
        """Now and then, note how far the log is folded by now, so that the next opening need not read it again.

        This lane alone writes to the partition, and one transaction after the other. So once the next `committed` has
        been told, every record before the end that is read here has been told as well: only then does the cursor move.
        """
        if not self.wants_checkpoint(every):
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
            db = sqlite3.connect(self._path, timeout=5.0)
            self._db = db
            # WAL without fsync: after a kill the file is whole; after a power cut it may not be, and is checked.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            form = db.execute("PRAGMA user_version").fetchone()[0]
            if form != _FORM and db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                raise sqlite3.DatabaseError(f"the cache of seen identities is of form {form}; {_FORM} is read")
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version = {_FORM}")
        return self._db

    def _cursor(self) -> fold.Cursor | None:
        row = self._connection().execute("SELECT cursor, offset, decision_id, boot FROM folded").fetchone()
        if row is None:
            return None
        if row[3] != fold.boot_id() and self._connection().execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the cache of seen identities is damaged")
        return fold.Cursor(row[0], row[1], row[2])

    def _insert(self, db: sqlite3.Connection, entries: list[Entry]) -> None:
        """Take in what is to be remembered when the last of them is decided, and delete the oldest of what is not."""
        now_ms = max((entry.decided_ms for entry in entries), default=0)
        held, forgotten_ms = self._tally(db)
        since_ms = self._memory.since_ms(now_ms)
        rows = [entry.row() for entry in entries if entry.decided_ms >= since_ms]
        forgotten = [forgotten_ms, *(entry.decided_ms for entry in entries if entry.decided_ms < since_ms)]
        driven = [entry.row() for entry in entries if entry.redriven]
        if driven:
            db.execute("DELETE FROM driven WHERE decided_ms < ?", (now_ms - DLQ.retention_ms,))
            db.executemany(_DRIVEN, driven)
        if rows:
            held -= db.executemany(_REPLACED, rows).rowcount
            held += db.executemany(_INSERT, rows).rowcount
        old = db.execute("SELECT seq, decided_ms FROM seen ORDER BY seq LIMIT 1").fetchone()
        if old is not None and self._memory.is_over(held, old[1], now_ms):
            oldest = db.execute("SELECT seq, decided_ms FROM seen ORDER BY seq LIMIT ?", (PRUNE_STEP,)).fetchall()
            gone = oldest[: self._memory.excess([row[1] for row in oldest], held, now_ms)]
            held -= db.execute("DELETE FROM seen WHERE seq <= ?", (gone[-1][0],)).rowcount
            forgotten += [row[1] for row in gone]
        db.execute("UPDATE tally SET held = ?, forgotten_ms = ?", (held, max(forgotten)))

    def _tally(self, db: sqlite3.Connection) -> tuple[int, int]:
        """How many entries stand in the file, and when the newest of those that were forgotten was decided."""
        held, forgotten_ms = db.execute("SELECT held, forgotten_ms FROM tally").fetchone()
        return held, forgotten_ms

    def _move_cursor(self, db: sqlite3.Connection, cursor: fold.Cursor) -> None:
        db.execute(
            "INSERT OR REPLACE INTO folded VALUES (1, ?, ?, ?, ?)",
            (cursor.next, cursor.offset, cursor.decision_id, fold.boot_id()),
        )
