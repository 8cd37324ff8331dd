"""The index of the catalogue: entries, full text, columns and embeddings, in one folder; thrown away without harm.

All of it follows from the entries alone: the same entries in any order, with any updates and deletions on the way, give
the same `state_hash`. One process writes. Within it any thread may read: columns are changed under the lock that
searches hold, SQLite's own readers see what was committed.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.index import file
from hub.index.cells import FIELD_BITS, FIELDS, GONE, Word, cells, tier_of, told
from hub.index.columns import BLOCK, KINDS, Columns
from hub.index.embed import DIMENSIONS, Embedder, VectorFile, quantised, shared
from hub.index.file import (
    A_QUERY,
    DAMAGE,
    ROW_BITS,
    Damaged,
    NoIndex,
    batched,
    digest_of,
    marks,
    packed,
    pressed,
    unpacked,
)
from hub.index.words import document, embedded
from schemas.catalog import CatalogEntry

if TYPE_CHECKING:
    from hub.discovery.known import Known
    from hub.discovery.related import Searches
    from schemas.discovery import Criteria, Discovery

BATCH = 1_000
"""Entries of one transaction."""
_FTS = "INSERT INTO fts (rowid, name, author, task, tags, description) VALUES (?, ?, ?, ?, ?, ?)"
_UNFTS = "INSERT INTO fts (fts, rowid, name, author, task, tags, description) VALUES ('delete', ?, ?, ?, ?, ?, ?)"
_NAME = "INSERT OR IGNORE INTO name (row, key) VALUES (?, ?)"
_ENTRY = """
INSERT INTO entry (row, digest, words, body) VALUES (?, ?, ?, ?)
ON CONFLICT (row) DO UPDATE SET digest = excluded.digest, words = excluded.words, body = excluded.body
"""
_SIZES = "SELECT coalesce(sum(length(record)), 0), coalesce(sum(length(bag)), 0) FROM block"
Change = tuple[str, CatalogEntry | None]
PREPARING: tuple[dict[str, Any], ...] = (
    {}, {"text": "question answering in Italian under 1B with licence MIT", "served": True}, {"text": "zz"},
    {"order": "likes", "tasks": ["summarization"], "max_parameters": 10**9},
)  # fmt: skip
"""What the page shows first, and searches that go each way that there is."""


class Index:
    """The folder of an index. `close` it. Raises sqlite3.DatabaseError or `Damaged` where its files are damaged after
    they were opened, and notes it in `damaged`: whoever fills it then calls `rebuild` and begins again."""

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        """Open or make it; one that is damaged or of an older form is thrown away and made anew, empty.

        With `writes` False it is only read: raises `NoIndex` where there is none that can be.
        """
        self.folder, self.writes = folder, writes
        self.lock = threading.RLock()
        self._writing = threading.Lock()
        self.damaged = False
        self._measured: tuple[int, frozenset[str], dict[str, int]] = (-1, frozenset(), {})
        self.searches: Searches | None = None
        """Past searches, for related ones; whoever opens the index for people sets it."""
        if writes:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._open()
        except DAMAGE as error:
            if not writes:
                raise NoIndex(f"the index at {folder} cannot be read ({error}); who fills it makes it anew") from None
            file.remove(folder)
            self._open()

    def _open(self) -> None:
        path = self.folder / file.NAME
        connection = file.connect(path, writes=self.writes)
        reader = connection
        try:
            if self.writes:
                reader = file.connect(path, writes=False)
                reader.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            columns = _columns(connection)
            connection.execute("COMMIT")
            vectors = VectorFile(self.folder / file.VECTORS, columns.size, writes=self.writes)
        except BaseException:
            reader.close()
            connection.close()
            raise
        self._connection, self.reader, self.columns, self.vectors = connection, reader, columns, vectors

    def close(self) -> None:
        """Close its files."""
        with self._writing, self.lock:
            self.reader.close()
            self._connection.close()
            self.vectors.close()

    def rebuild(self) -> None:
        """Throw everything away: it begins empty, at no position."""
        with self._writing, self.lock:
            self.reader.close()
            self._connection.close()
            self.vectors.close()
            file.remove(self.folder)
            self._open()
            self.damaged, self._measured = False, (-1, frozenset(), {})

    # Reading.

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Under the lock; damage is remembered."""
        with self.lock:
            try:
                yield
            except sqlite3.OperationalError:
                raise  # busy, or the disk is full: nothing is wrong with what is there
            except (sqlite3.DatabaseError, Damaged):
                self.damaged = True
                raise

    @property
    def embedder(self) -> Embedder:
        """Texts to vectors; loaded when first used."""
        return shared()

    def embed(self, text: str) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """The vector of one text."""
        return np.asarray(self.embedder.embed([text])[0])

    def get(self, key: str) -> CatalogEntry | None:
        """The entry of a key (`model/google/bert`); None where there is none."""
        with self._noticing():
            row = self.reader.execute(
                "SELECT body, digest FROM name JOIN entry USING (row) WHERE key = ?", (key,)
            ).fetchone()
            return None if row is None else unpacked(*row)

    def entries(self, rows: Sequence[int]) -> dict[int, CatalogEntry]:
        """The entries of rows; without those that have gone meanwhile."""
        found: dict[int, CatalogEntry] = {}
        with self._noticing():
            for some in batched(rows, A_QUERY):
                asked = f"SELECT row, body, digest FROM entry WHERE row IN ({marks(some)})"  # noqa: S608
                found |= {row: unpacked(body, digest) for row, body, digest in self.reader.execute(asked, some)}
        return found

    def keys(self, rows: Sequence[int]) -> dict[int, str]:
        """The keys of rows."""
        found: dict[int, str] = {}
        with self.lock:
            for some in batched(rows, A_QUERY):
                asked = f"SELECT row, key FROM name WHERE row IN ({marks(some)})"  # noqa: S608
                found.update(self.reader.execute(asked, some))
        return found

    def rows(self, keys: Iterable[str]) -> dict[str, int]:
        """The row of each key that there is."""
        found: dict[str, int] = {}
        with self.lock:
            for some in batched(keys, A_QUERY):
                asked = f"SELECT key, row FROM name WHERE key IN ({marks(some)})"  # noqa: S608
                found.update(self.reader.execute(asked, some))
        return found

    def measured(self, known: "Known") -> dict[str, int]:
        """The rows of the models that Novix knows more of than the catalogue; found anew when either has changed."""
        models = frozenset(known.measured())
        with self.lock:
            if self._measured[:2] != (self.columns.changes, models):
                there = self.rows(f"model/{model}" for model in sorted(models))
                rows = {key.partition("/")[2]: row for key, row in there.items()}
                self._measured = (self.columns.changes, models, rows)
            return self._measured[2]

    def every_key(self) -> list[str]:
        """All keys that it has."""
        with self.lock:
            return [key for (key,) in self.reader.execute("SELECT key FROM name ORDER BY row")]

    def search(self, criteria: "Criteria", *, known: "Known", now: datetime | None = None) -> "Discovery":
        """What fits, best first, and why. Raises `hub.discovery.criteria.BadCriteria`."""
        from hub.discovery.search import search

        with self._noticing():
            return search(self, criteria, known=known, now=now)

    def prepare(self) -> None:
        """Read the files beforehand and search for this and that: what only the first search of a process has to do is
        done when this returns. Blocks for a second or two."""
        from hub.discovery.known import Unknown
        from schemas.discovery import Criteria

        file.foretell(self.folder)
        for asked in PREPARING:
            self.search(Criteria.model_validate(asked), known=Unknown())

    def position(self) -> dict[int, int]:
        """The next offset to read of each partition; empty: from the beginning."""
        told_ = self.note("position")
        return {int(partition): int(offset) for partition, offset in json.loads(told_ or "{}").items()}

    def note(self, name: str) -> str | None:
        """A note that `apply` was given."""
        with self.lock:
            row = self.reader.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def counts(self) -> dict[str, int]:
        """Entries by kind."""
        with self.lock:
            kinds = self.columns["kind"]
            return {name: int(np.count_nonzero(kinds == number)) for name, number in KINDS.items()}

    def state_hash(self) -> str:
        """A digest of all that the index holds: entries, numbers, words, embeddings and the full-text table, however
        they came there. Reads everything."""
        from hub.index.hashing import state_hash

        with self._writing, self.lock:
            return state_hash(self._connection, self.columns, self.vectors)

    # Writing.

    def apply(
        self,
        changes: Iterable[Change],
        *,
        position: Mapping[int, int] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> int:
        """Fold changes in, the newest of a key last; None: it is gone. Returns how many entries became others.

        `position` and `notes` are kept with the last of them: a process that dies on the way reads some again.
        """
        if not self.writes:
            raise NoIndex(f"the index at {self.folder} is open for reading only")
        said = dict(notes or {})
        if position is not None:
            said["position"] = json.dumps({str(number): offset for number, offset in sorted(position.items())})
        changed = 0
        with self._writing:
            for batch in batched(changes, BATCH):
                changed += self._batch(dict(batch))
            if said:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(said.items()))
        return changed

    def tidy(self) -> None:
        """Merge the full-text table into one piece: after many changes searches are quicker then."""
        with self._writing:
            self._connection.execute("INSERT INTO fts (fts) VALUES ('optimize')")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _batch(self, changes: dict[str, CatalogEntry | None]) -> int:
        had = self._had(list(changes))
        new: list[tuple[str, CatalogEntry, bytes]] = []
        for key, entry in changes.items():
            if entry is None:
                continue
            if key != entry.key:
                raise ValueError(f"an entry of key {entry.key[:80]!r} came as {key[:80]!r}")
            body = packed(entry)
            if key not in had or had[key][1] != digest_of(body):
                new.append((key, entry, body))
        gone = [had[key] for key, entry in changes.items() if entry is None and key in had]
        if not new and not gone:
            return 0
        plan = _Plan(self, had, new, gone)
        self.vectors.put(plan.embedded_rows, plan.vectors)
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                plan.write(self._connection)
                numbers = self._numbers([told(entry) for _, entry, _ in new])
                rows = [*plan.rows, *(one[0] for one in gone)]
                told_cells = [cells(entry, numbers) for _, entry, _ in new] + [GONE] * len(gone)
                with self.lock:
                    self.columns.put(rows, told_cells)
                    blocks = [(n, *self.columns.block(n)) for n in sorted({row // BLOCK for row in rows})]
                self._connection.executemany("INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?)", blocks)
        except BaseException:
            with self.lock:
                self.columns = _columns(self._connection)
            raise
        return len(new) + len(gone)

    def _had(self, keys: list[str]) -> dict[str, tuple[int, bytes, bytes]]:
        """Row, digest and digest of the words of each key that there is."""
        found: dict[str, tuple[int, bytes, bytes]] = {}
        for some in batched(keys, A_QUERY):
            asked = f"SELECT key, row, digest, words FROM name JOIN entry USING (row) WHERE key IN ({marks(some)})"  # noqa: S608
            found |= {key: (row, digest, words) for key, row, digest, words in self._connection.execute(asked, some)}
        return found

    def _numbers(self, entries: list[dict[Word, str]]) -> dict[Word, int]:
        """The number of every word; new ones get one, with their field in its upper bits."""
        shown: dict[Word, str] = {}
        for one in entries:
            for word, text in one.items():
                shown.setdefault(word, text)
        found: dict[Word, int] = {}
        for some in batched(sorted(shown), A_QUERY):
            values = ", ".join(["(?, ?)"] * len(some))
            asked = f"SELECT field, text, id FROM word WHERE (field, text) IN (VALUES {values})"  # noqa: S608
            flat = [text for word in some for text in word]
            found |= {(field, text): number for field, text, number in self._connection.execute(asked, flat)}
        new = sorted(shown.keys() - found.keys())
        last = {field: self._last(field) for field in {word[0] for word in new}}
        for word in new:
            last[word[0]] += 1
            found[word] = last[word[0]]
        rows = [(found[word], *word, shown[word]) for word in new]
        self._connection.executemany("INSERT INTO word (id, field, text, shown) VALUES (?, ?, ?, ?)", rows)
        return found

    def _last(self, field: str) -> int:
        """The greatest number of a field's words."""
        first = FIELDS[field] << FIELD_BITS
        asked = "SELECT max(id) FROM word WHERE id BETWEEN ? AND ?"
        return int(self._connection.execute(asked, (first, first | (1 << FIELD_BITS) - 1)).fetchone()[0] or first)


def _columns(connection: sqlite3.Connection) -> Columns:
    sizes = connection.execute(_SIZES).fetchone()
    return Columns.read(connection.execute("SELECT * FROM block ORDER BY number"), sizes)


class _Plan:
    """What a batch writes, worked out before the transaction begins."""

    def __init__(
        self,
        index: Index,
        had: Mapping[str, tuple[int, bytes, bytes]],
        new: list[tuple[str, CatalogEntry, bytes]],
        gone: list[tuple[int, bytes, bytes]],
    ) -> None:
        free = iter(index.columns.free(sum(key not in had for key, _, _ in new)))
        self.rows = [had[key][0] if key in had else next(free) for key, _, _ in new]
        if max(self.rows, default=0) >= file.MAX_ROWS:
            raise ValueError(f"the index holds at most {file.MAX_ROWS} entries")
        old: list[int] = [one[0] for one in gone]
        self._gone = list(old)
        self._names, self._entries, self._inserts = [], [], []
        self.embedded_rows: list[int] = []
        texts: list[str] = []
        for row, (key, entry, body) in zip(self.rows, new, strict=True):
            said, text, tier = document(entry).columns(), embedded(entry), tier_of(entry)
            words = digest_of(str(tier).encode(), *(one.encode() for one in (*said, text)))
            self._names.append((row, key))
            self._entries.append((row, digest_of(body), words, pressed(body)))
            if key in had and had[key][2] == words:
                continue
            if key in had:
                old.append(row)
            self._inserts.append((tier << ROW_BITS | row, *said))
            self.embedded_rows.append(row)
            texts.append(text)
        # The full-text table keeps no texts: to forget a row it must be told what it was given.
        before = _entries(index, old)
        self._deletes = [
            (tier_of(entry) << ROW_BITS | row, *document(entry).columns()) for row, entry in before.items()
        ]
        self.vectors = quantised(index.embedder.embed(texts)) if texts else np.zeros((0, DIMENSIONS), dtype=np.int8)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write entries and full text."""
        connection.executemany(_UNFTS, self._deletes)
        for table in ("entry", "name"):
            connection.executemany(f"DELETE FROM {table} WHERE row = ?", [(row,) for row in self._gone])  # noqa: S608
        connection.executemany(_NAME, self._names)
        connection.executemany(_ENTRY, self._entries)
        connection.executemany(_FTS, self._inserts)


def _entries(index: Index, rows: list[int]) -> dict[int, CatalogEntry]:
    """As the writer sees them: a reader may be behind."""
    found: dict[int, CatalogEntry] = {}
    for some in batched(rows, A_QUERY):
        asked = f"SELECT row, body, digest FROM entry WHERE row IN ({marks(some)})"  # noqa: S608
        found |= {row: unpacked(body, digest) for row, body, digest in index._connection.execute(asked, some)}
    return found
