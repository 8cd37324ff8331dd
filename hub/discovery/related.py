"""Searches that are near another one: past ones of a near meaning, and the same one narrowed by a facet.

Past searches stand in a small file beside the index, at most `KEPT`, oldest out first. What was looked for is all that
is kept, not who asked.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Sequence
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
        self._texts = [text for text, _ in rows]
        self._vectors = np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.int8).reshape(-1, DIMENSIONS)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def note(self, text: str, vector: Vectors) -> None:
        """Remember a search that found something."""
        said = " ".join(text.lower().split())
        if not said or len(said) > MOST_CHARS or not np.any(vector):
            return
        stored = quantised(vector[None, :])
        with self._lock, contextlib.suppress(sqlite3.OperationalError):  # somebody else writes: it is not worth a wait
            last = self._connection.execute("SELECT coalesce(max(asked), 0) FROM search").fetchone()[0]
            self._connection.execute(
                "INSERT OR REPLACE INTO search VALUES (?, ?, ?)", (said, stored.tobytes(), last + 1)
            )
            gone = "DELETE FROM search WHERE text NOT IN (SELECT text FROM search ORDER BY asked DESC LIMIT ?)"
            self._connection.execute(gone, (KEPT,))
            if said not in self._texts:
                self._texts = [*self._texts, said][-KEPT:]
                self._vectors = np.concatenate([self._vectors, stored])[-KEPT:]

    def near(self, text: str, vector: Vectors) -> list[str]:
        """Past searches of a near meaning, nearest first, without this one."""
        said = " ".join(text.lower().split())
        with self._lock:
            texts, vectors = self._texts, self._vectors
        if not texts or not np.any(vector):
            return []
        found = cosines(vector, vectors)
        order = sorted(range(len(texts)), key=lambda at: (-float(found[at]), texts[at]))
        return [texts[at] for at in order if found[at] >= NEAR and texts[at] != said][:SHOWN]


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1)
    try:
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
