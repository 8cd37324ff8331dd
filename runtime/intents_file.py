"""The file of intents itself: SQLite in one thread, statements that touch many rows at once.

A statement for a whole batch, its rows as one JSON text, because each step of SQLite lets go of Python's lock and must
win it back from a busy event loop.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from runtime.alive import Lives
from schemas import codec

log = structlog.get_logger("novix.intents")

Place = tuple[str, int, int]
"""Lane, offset, attempt."""
BUSY_S = 2.0
"""For another process's write."""
STUCK_S = 10.0
"""How long a file may be locked by others. A process that was frozen in the middle of a write holds it for ever."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (
    seq INTEGER PRIMARY KEY, lane TEXT NOT NULL, offset INTEGER NOT NULL, attempt INTEGER NOT NULL,
    owner TEXT NOT NULL, begun TEXT NOT NULL, ended TEXT, UNIQUE (lane, offset, attempt, owner));
"""
_BEGIN = """
INSERT INTO calls (lane, offset, attempt, owner, begun)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), ?2,
       json_extract(value, '$[3]') FROM json_each(?1) WHERE true
ON CONFLICT (lane, offset, attempt, owner) DO UPDATE SET begun = excluded.begun, ended = NULL
"""
_END = """
UPDATE calls SET ended = json_extract(value, '$[3]') FROM json_each(?1)
WHERE lane = json_extract(value, '$[0]') AND offset = json_extract(value, '$[1]')
  AND attempt = json_extract(value, '$[2]') AND owner = ?2
"""
"""A call whose partition went meanwhile may end after its record's next owner was done with it, and had its note
forgotten: nothing is left to write then, and nobody would ever forget it."""
_WITHDRAW = """
DELETE FROM calls WHERE owner = ?2 AND (lane, offset, attempt) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?1))
"""
_FORGET = """
DELETE FROM calls WHERE (lane, offset) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?1))
"""
_NOTED = "SELECT offset, attempt, owner, begun, ended, seq FROM calls WHERE lane = ? ORDER BY seq"


class IntentsFile:
    """One process's connection. All methods belong to one thread; they raise `sqlite3.Error` or OSError.

    A file that is damaged, whenever that is found, or locked for long, is left as it is, and `NAME.1.sqlite` (then 2,
    and so on) with a new id takes its place: SQLite finds a file's log by its name, so no name may come to mean another
    file while a process has the first one open.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self.id = ""
        """The file's own, 12 hex digits."""
        self._first = path
        self._owner = owner
        self._path = path
        """The one that is open, or was last."""
        self._db: sqlite3.Connection | None = None
        self._locked_since: float | None = None
        self._lives = Lives(path.with_suffix(""))

    def open(self) -> None:
        """Connect to the newest file; make one where there is none, or where it is damaged."""
        self._first.parent.mkdir(parents=True, exist_ok=True)
        self._lives.claim(self._owner)
        with self._lock():
            self._connect_whole(self._newest())

    def close(self) -> None:
        """Disconnect."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def end(self) -> None:
        """Disconnect for good: this process is no owner any more."""
        self.close()
        self._lives.end()

    def write(
        self,
        begun: Mapping[Place, str],
        ended: Mapping[Place, str],
        withdrawn: Collection[Place],
        forgotten: Collection[tuple[str, int]],
    ) -> None:
        """All of it or nothing."""
        self._mended(lambda: self._write(begun, ended, withdrawn, forgotten))

    def left(self, lane: str, base: int, finished: Collection[int], trusted: bool) -> list[tuple[Any, ...]]:
        """The notes of a lane that are at or above `base` and not finished, oldest first; the rest is removed.

        Offset, attempt, owner, begun, ended, order, whether the owner is alive, and whether it is this process.
        """
        rows: list[tuple[Any, ...]] = []
        self._mended(lambda: rows.extend(self._left(lane, base, finished, trusted)))
        alive = {owner: self._lives.lives(owner) for owner in {row[2] for row in rows}}
        return [(*row, alive[row[2]], row[2] == self._owner) for row in rows]

    def _write(self, begun: Any, ended: Any, withdrawn: Any, forgotten: Any) -> None:
        statements = [
            (_BEGIN, [[*place, note] for place, note in begun.items()]),
            (_END, [[*place, note] for place, note in ended.items() if place[:2] not in forgotten]),
            (_WITHDRAW, list(withdrawn)),
            (_FORGET, list(forgotten)),
        ]
        todo = [(statement, rows) for statement, rows in statements if rows]
        with self._transaction(len(todo) > 1) as db:
            for statement, rows in todo:
                text = codec.encode(rows).decode()
                db.execute(statement, (text,) if statement is _FORGET else (text, self._owner))

    def _left(self, lane: str, base: int, finished: Collection[int], trusted: bool) -> list[tuple[Any, ...]]:
        with self._transaction() as db:
            rows = db.execute(_NOTED, (lane,)).fetchall()
            kept = [row for row in rows if trusted and row[3] and row[0] >= base and row[0] not in finished]
            gone = {row[5] for row in rows} - {row[5] for row in kept}
            db.execute(
                "DELETE FROM calls WHERE seq IN (SELECT value FROM json_each(?))",
                (codec.encode(sorted(gone)).decode(),),
            )
        return kept

    @contextlib.contextmanager
    def _transaction(self, several: bool = True) -> Iterator[sqlite3.Connection]:
        """One statement is a transaction by itself."""
        if self._db is None:
            self.open()
        db = self._db
        if db is None:
            raise sqlite3.OperationalError("not open")
        if not several:
            yield db
            return
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise

    def _mended(self, work: Callable[[], None]) -> None:
        """Do it; on a file that is no good once more, on another one."""
        try:
            work()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error) and not self._is_stuck(error):
                raise
            self._replace()
            work()
        self._locked_since = None

    def _is_stuck(self, error: sqlite3.DatabaseError) -> bool:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            return False
        now = time.monotonic()
        self._locked_since = self._locked_since or now
        return now - self._locked_since >= STUCK_S

    def _replace(self) -> None:
        """Go on with another file: the newest, if another process has made one meanwhile."""
        self.close()
        with self._lock():
            newest = self._newest()
            self._connect_whole(newest if newest != self._path else self._after(newest))

    def _connect_whole(self, path: Path) -> None:
        """Connect to this file, or to the next that is not damaged."""
        try:
            self._connect(path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._connect(self._after(path))

    def _connect(self, path: Path) -> None:
        db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("quick_check")
            db.executescript(_SCHEMA)
            db.execute("INSERT OR IGNORE INTO journal VALUES (1, ?)", (secrets.token_hex(6),))
            found = db.execute("SELECT id FROM journal").fetchone()
        except BaseException:
            db.close()
            raise
        self.id, self._db, self._path = str(found[0]), db, path

    def _newest(self) -> Path:
        numbers = [0]
        for other in self._first.parent.glob(f"{self._first.stem}.*.sqlite"):
            number = other.name[len(self._first.stem) + 1 : -len(".sqlite")]
            if number.isascii() and number.isdigit():
                numbers.append(int(number))
        return self._numbered(max(numbers))

    def _after(self, path: Path) -> Path:
        number = path.stem[len(self._first.stem) + 1 :]
        log.error("intents.replaced", file=path.name)
        return self._numbered(int(number or 0) + 1)

    def _numbered(self, number: int) -> Path:
        return self._first.with_name(f"{self._first.stem}.{number}.sqlite") if number else self._first

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        handle = os.open(f"{self._first}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _flock(handle)
            yield
        finally:
            os.close(handle)


def _flock(handle: int) -> None:
    until = time.monotonic() + BUSY_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise sqlite3.OperationalError("another process is making the file") from None
            time.sleep(0.01)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is no good. One that is locked, full or not allowed is."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by us
        return not isinstance(error, sqlite3.OperationalError)
    emptied = code == sqlite3.SQLITE_ERROR and "no such table" in str(error)
    return emptied or code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
