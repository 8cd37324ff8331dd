"""The sync's own memory on disk: marks of all entries, what the small sources say, and side topics' newest records.

Lost, it is read back from `novix.catalog.v1`. One writer; every method blocks.
"""

import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from hub.catalog.merging import OF_THE_HUB, parts, without
from hub.sync.marks import Marks, marks_of, packed, unpacked
from schemas import codec
from schemas.catalog import CatalogEntry, Kind, Source

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, hub_id TEXT, marks BLOB NOT NULL, walk INTEGER NOT NULL, formerly TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_hub_id ON entries (hub_id) WHERE hub_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS words (key TEXT, source TEXT, entry TEXT NOT NULL, PRIMARY KEY (key, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS looks (key TEXT PRIMARY KEY, revision TEXT, at REAL NOT NULL,
    told TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sides (topic TEXT, key TEXT, value BLOB, place INTEGER, PRIMARY KEY (topic,
    key)) WITHOUT ROWID;
"""
HUB = "hub"
"""The source under which the Hub's own words (list, card and mapping together) are kept, of entries that others speak
of as well: a change of theirs must not lose them."""


class Known(NamedTuple):
    """One entry as it was last written."""

    marks: Marks
    hub_id: str | None
    formerly: tuple[str, ...]


class Claim(NamedTuple):
    """An entry that has an `_id` of the Hub's."""

    key: str
    walk: int
    """The last full reading that has met it."""
    formerly: tuple[str, ...]


class Store:
    """`hub/sync.sqlite3` in the installation's home."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "sync.sqlite3"
        self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        self._lock = threading.RLock()
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA cache_size=-8192")
        self._db.executescript(_SCHEMA)
        if self.told("version") != str(VERSION):
            self.forget()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def forget(self) -> None:
        """Begin anew: nothing is known, and side topics are read from their beginning by a group of another name."""
        with self._transaction():
            for table in ("meta", "entries", "words", "looks", "sides"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            self.tell("version", str(VERSION))
            self.tell("id", secrets.token_hex(6))

    def told(self, name: str) -> str | None:
        """A word that is kept."""
        found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def tell(self, name: str, value: str) -> None:
        """Keep a word."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    @property
    def id(self) -> str:
        """Of this file: a new one knows nothing of what an earlier one had read."""
        return self.told("id") or ""

    # Entries

    def known(self, keys: Sequence[str]) -> dict[str, Known]:
        """What was last written of these."""
        found = {}
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            marks = ",".join("?" * len(some))
            for key, hub_id, blob, formerly in self._db.execute(
                f"SELECT key, hub_id, marks, formerly FROM entries WHERE key IN ({marks})",  # noqa: S608 - marks
                some,
            ):
                found[key] = Known(unpacked(blob), hub_id, tuple(formerly.split()) if formerly else ())
        return found

    def heirs(self, keys: Set[str]) -> set[str]:
        """Which repositories had one of these keys before they were renamed."""
        with self._lock:
            rows = self._db.execute("SELECT key, formerly FROM entries WHERE formerly != ''").fetchall()
        return {key for key, names in rows if any(f"{key.partition('/')[0]}/{one}" in keys for one in names.split())}

    def claims(self, hub_ids: Sequence[str]) -> dict[str, list[Claim]]:
        """Under which keys repositories are known, by the Hub's `_id`; in the order of the keys."""
        found: dict[str, list[Claim]] = {}
        for start in range(0, len(hub_ids), 500):
            some = hub_ids[start : start + 500]
            marks = ",".join("?" * len(some))
            asked = f"SELECT hub_id, key, walk, formerly FROM entries WHERE hub_id IN ({marks}) ORDER BY key"  # noqa: S608
            for hub_id, key, walk, formerly in self._db.execute(asked, some):
                found.setdefault(hub_id, []).append(Claim(key, walk, tuple((formerly or "").split())))
        return found

    def seen(self, keys: Iterable[str], walk: int) -> None:
        """The full reading of this number has met them; 0: another has, which proves nothing."""
        with self._transaction():
            self._db.executemany("UPDATE entries SET walk = max(walk, ?) WHERE key = ?", ((walk, key) for key in keys))

    def note(self, entries: Iterable[tuple[str, CatalogEntry | None]], walk: int = 0) -> None:
        """These were written. None: it is gone. `walk` 0: no full reading has met it."""
        rows, gone = [], []
        for key, entry in entries:
            if entry is None:
                gone.append((key,))
            else:
                rows.append((key, entry.hub_id, packed(marks_of(entry)), walk, " ".join(entry.formerly) or None))
        with self._transaction():
            self._db.executemany("DELETE FROM entries WHERE key = ?", gone)
            self._db.executemany(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET hub_id = excluded.hub_id, "
                "marks = excluded.marks, walk = max(walk, excluded.walk), formerly = excluded.formerly",
                rows,
            )

    def unseen(self, kind: Kind, walk: int) -> Iterator[tuple[str, Known]]:
        """Entries of a kind that the Hub has told of, and that its full reading of this number has not met."""
        for key, hub_id, blob, formerly in self._db.execute(
            "SELECT key, hub_id, marks, formerly FROM entries WHERE key >= ? AND key < ? AND walk < ?",
            (f"{kind}/", f"{kind}0", walk),
        ):
            marks = unpacked(blob)
            if HUB in marks:
                yield key, Known(marks, hub_id, tuple(formerly.split()) if formerly else ())

    def count(self, kind: Kind) -> int:
        """How many entries of a kind there are."""
        found = self._db.execute("SELECT count(*) FROM entries WHERE key >= ? AND key < ?", (f"{kind}/", f"{kind}0"))
        return int(found.fetchone()[0])

    # What the small sources say, and the Hub of the same models

    def words(self) -> dict[str, dict[str, CatalogEntry]]:
        """By key and source."""
        found: dict[str, dict[str, CatalogEntry]] = {}
        for key, source, told in self._db.execute("SELECT key, source, entry FROM words"):
            found.setdefault(key, {})[source] = CatalogEntry.model_validate_json(told)
        return found

    def say(self, told: Iterable[tuple[str, str, CatalogEntry | None]]) -> None:
        """Keep what a source says of an entry; None: nothing any more."""
        with self._transaction():
            for key, source, entry in told:
                if entry is None:
                    self._db.execute("DELETE FROM words WHERE key = ? AND source = ?", (key, source))
                else:
                    written = entry.model_dump_json(exclude_defaults=True)
                    self._db.execute("INSERT OR REPLACE INTO words VALUES (?, ?, ?)", (key, source, written))

    # Closer looks at single repositories

    def looks(self) -> dict[str, tuple[str | None, float, str]]:
        """By key: at which commit, when (seconds since 1970), and what was found, as JSON."""
        rows = self._db.execute("SELECT key, revision, at, told FROM looks")
        return {key: (revision, at, told) for key, revision, at, told in rows}

    def look(self, key: str, revision: str | None, at: float, told: str) -> None:
        """Keep what a closer look has found."""
        self._db.execute("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?)", (key, revision, at, told))

    # Side topics

    def take(self, records: Iterable[tuple[str, str, bytes | None, int]]) -> None:
        """The newest record of each key: topic, key, value, offset. An older one than is known is passed over."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO sides VALUES (?, ?, ?, ?) ON CONFLICT (topic, key) DO UPDATE SET value = excluded.value, "
                "place = excluded.place WHERE excluded.place >= place",
                records,
            )

    def side(self, topic: str) -> list[tuple[str, bytes, int]]:
        """What a side topic says now: key, value and offset, in its order."""
        rows = self._db.execute(
            "SELECT key, value, place FROM sides WHERE topic = ? AND value IS NOT NULL ORDER BY place", (topic,)
        )
        return list(rows)

    # Reading back

    def read_back(self, entries: Iterable[tuple[str, CatalogEntry | None]]) -> None:
        """Take in records of `novix.catalog.v1` in their order, after `forget`."""
        known = list(entries)
        self.note(known)
        told: list[tuple[str, str, CatalogEntry | None]] = []
        for key, entry in known:
            told += words_of(key, entry)
            if entry is not None and entry.security is not None and entry.security.at is not None:
                self.look(key, entry.revision, entry.security.at.timestamp(), look_of(entry))
        self.say(told)

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db, self._lock)


def look_of(entry: CatalogEntry) -> str:
    """What a closer look had found, as an entry has it."""
    told: dict[str, Any] = {"description": entry.description}
    if not entry.dtypes:  # else the list tells it
        told["size_bytes"] = entry.size_bytes
    if entry.security is not None:
        told["security"] = entry.security.model_dump(mode="json")
    return codec.encode({name: value for name, value in told.items() if value}).decode()


def words_of(key: str, entry: CatalogEntry | None) -> list[tuple[str, str, CatalogEntry | None]]:
    """What is kept of an entry beside its marks: its sources' words, if others than the Hub speak of it."""
    if entry is None:
        return [(key, source, None) for source in (HUB, "router", "novix", "local", "endpoints")]
    others = parts(entry)
    by_source: dict[str, CatalogEntry | None] = dict.fromkeys((HUB, "router", "novix", "local", "endpoints"))
    if any(source not in OF_THE_HUB for source in others):
        by_source |= {source: part for source, part in others.items() if source not in OF_THE_HUB}
        hub_said = [said for said in entry.said if said.source in OF_THE_HUB]
        if hub_said:
            by_source[HUB] = only(entry, OF_THE_HUB)
    return [(key, source, part) for source, part in by_source.items()]


def only(entry: CatalogEntry, sources: Iterable[Source]) -> CatalogEntry | None:
    """What these sources gave to an entry; None: nothing."""
    gone = [said.source for said in entry.said if said.source not in set(sources)]
    return without(entry, gone) if len(gone) < len(entry.said) else None


class _Transaction:
    """All or nothing, one at a time: the event loop takes in side topics while a thread works on a page. Not to be
    nested. SQLite's own context manager begins none in autocommit."""

    def __init__(self, db: sqlite3.Connection, lock: threading.RLock) -> None:
        self._db = db
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.acquire()
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        finally:
            self._lock.release()
