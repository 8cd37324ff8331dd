"""Searches that are near another one: past ones of a near meaning, and the same one narrowed by a facet.

Past searches stand in a small file beside the index, at most `KEPT`, oldest out first. What was looked for is all that
is kept, not who asked. The list is asked with every key that somebody types: of searches that begin one another only
the longest is kept, or else half-typed words would be told as what others have looked for.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from hub.index.embed import DIMENSIONS, Vectors, cosines, quantised
from schemas.discovery import Criteria, Facet

NAME = "searches.sqlite"
KEPT = 2_000
SHOWN = 6
NEAR = 0.40
"""Cosine from which on two searches are told to be related."""
MOST_CHARS = 100
"""A longer search is not kept: it is a document."""
_SCHEMA = "CREATE TABLE IF NOT EXISTS search (text TEXT PRIMARY KEY, vector BLOB NOT NULL, asked INTEGER NOT NULL)"


class Searches:
    """The past searches of one installation. `close` it. Never raises for a file that is damaged: it begins anew."""

    def __init__(self, folder: Path) -> None:
        """Open or make the file."""
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / NAME
        try:
            self._connection = _opened(path)
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(NAME + suffix).unlink(missing_ok=True)
            self._connection = _opened(path)
        rows = self._connection.execute("SELECT text, vector FROM search ORDER BY asked").fetchall()
        rows = [(text, vector) for text, vector in rows if len(vector) == DIMENSIONS]
        whole = longest([text for text, _ in rows])
        rows = [(text, vector) for text, vector in rows if text in whole]
        self._texts = [text for text, _ in rows]
        self._vectors = np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.int8).reshape(-1, DIMENSIONS)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def note(self, text: str, vector: Vectors) -> None:
        """Remember a search that found something, in the place of those that it goes on from."""
        said = " ".join(text.lower().split())
        if not said or len(said) > MOST_CHARS or not np.any(vector):
            return
        stored = quantised(vector[None, :])
        with self._lock, contextlib.suppress(sqlite3.OperationalError):  # somebody else writes: it is not worth a wait
            if any(one.startswith(said) and one != said for one in self._texts):
                return
            self._connection.execute(
                "DELETE FROM search WHERE text != ? AND substr(?, 1, length(text)) = text", (said, said)
            )
            last = self._connection.execute("SELECT coalesce(max(asked), 0) FROM search").fetchone()[0]
            self._connection.execute(
                "INSERT OR REPLACE INTO search VALUES (?, ?, ?)", (said, stored.tobytes(), last + 1)
            )
            gone = "DELETE FROM search WHERE text NOT IN (SELECT text FROM search ORDER BY asked DESC LIMIT ?)"
            self._connection.execute(gone, (KEPT,))
            if said not in self._texts:
                others = [at for at, one in enumerate(self._texts) if not said.startswith(one)]
                self._texts = [*(self._texts[at] for at in others), said][-KEPT:]
                self._vectors = np.concatenate([self._vectors[others], stored])[-KEPT:]

    def near(self, text: str, vector: Vectors) -> list[str]:
        """Past searches of a near meaning, nearest first, without this one and what it goes on from."""
        said = " ".join(text.lower().split())
        with self._lock:
            texts, vectors = self._texts, self._vectors
        if not texts or not np.any(vector):
            return []
        found = cosines(vector, vectors)
        order = sorted(range(len(texts)), key=lambda at: (-float(found[at]), texts[at]))
        return [texts[at] for at in order if found[at] >= NEAR and not said.startswith(texts[at])][:SHOWN]


def longest(texts: Sequence[str]) -> set[str]:
    """Those that begin none of the others. Pure."""
    ordered = [*sorted(set(texts)), ""]
    # What begins with a text stands directly behind it.
    return {one for one, after in pairwise(ordered) if not after.startswith(one)}


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1)
    try:
        # A search waits until it is noted: no note may wait for the disk. What is lost with the power is no loss.
        with contextlib.suppress(sqlite3.OperationalError):  # somebody else reads it now: it stays as it is
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
        path.chmod(0o600)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def narrowed(criteria: Criteria, facets: Sequence[Facet], hits: int) -> list[str]:
    """The same search with the most frequent task, language and library of its hits, where that narrows it."""
    text = criteria.text.strip()
    if not text or len(text) > MOST_CHARS:
        return []
    found = []
    for name in ("tasks", "languages", "libraries"):
        values = next((facet.values for facet in facets if facet.name == name), ())
        if getattr(criteria, name) or not values or not 0 < values[0].count < hits:
            continue
        word = values[0].value
        if word.lower() not in text.lower() and word != "unknown":
            found.append(f"{text} {word}")
    return found


def related(past: Sequence[str], narrower: Sequence[str]) -> tuple[str, ...]:
    """Both, past searches first, each once."""
    return tuple(dict.fromkeys([*past, *narrower]))[:SHOWN]
