"""A digest of all that an index holds, independent of row and word numbers and of the order of arrival."""

import hashlib
import sqlite3

import numpy as np

from hub.index.columns import RECORD, Columns
from hub.index.embed import VectorFile

AT_ONCE = 2_000
_WORDS = frozenset({"task", "modality", "library", "license", "author"})


def state_hash(connection: sqlite3.Connection, columns: Columns, vectors: VectorFile) -> str:
    """sha256 over the sum of the entries' digests, their number, and the full-text table's words with their counts.

    A sum does not depend on the order of what is added up. Two places that are damaged in ways that make up for each
    other would need a collision of sha256.
    """
    total = count = 0
    offers = columns.offers[np.argsort(columns.offers["row"], kind="stable")]
    cursor = connection.execute("SELECT row, key, digest FROM entry JOIN name USING (row) ORDER BY row")
    while some := cursor.fetchmany(AT_ONCE):
        rows = np.array([row for row, _, _ in some], dtype=np.int64)
        numbers = _numbers(columns, rows)
        names = _names(connection, columns, rows)
        embedded = vectors.read(rows)
        for at, (row, key, digest) in enumerate(some):
            one = hashlib.sha256()
            mine = offers[slice(*np.searchsorted(offers["row"], (row, row + 1)))]
            told = sorted((names[int(o["provider"])], names.get(int(o["region"]), ""), o.tobytes()[12:]) for o in mine)
            bag = sorted(names[word] for word in columns.bag(row).tolist())
            single = [names.get(int(columns[name][row]), "") for name in sorted(_WORDS)]
            for part in (key.encode(), digest, numbers[at], repr((single, bag, told)).encode(), embedded[at].tobytes()):
                one.update(len(part).to_bytes(8, "big") + part)
            total = (total + int.from_bytes(one.digest(), "big")) % 2**256
            count += 1
    all_of_it = hashlib.sha256(total.to_bytes(32, "big") + count.to_bytes(8, "big"))
    for term, documents, found in connection.execute("SELECT term, doc, cnt FROM vocabulary ORDER BY term"):
        all_of_it.update(f"{term}\0{documents}\0{found}\n".encode())
    return all_of_it.hexdigest()


def _numbers(columns: Columns, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[bytes]:
    """Each row's own numbers, without those of words."""
    names = [name for name in RECORD.names or () if name not in _WORDS]
    parts = [np.ascontiguousarray(columns[name][rows]) for name in names]
    return [b"".join(part[at].tobytes() for part in parts) for at in range(len(rows))]


def _names(
    connection: sqlite3.Connection, columns: Columns, rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> dict[int, str]:
    """`field=text` of every word of some rows."""
    wanted = set(columns.words_of(rows).tolist())
    for name in _WORDS:
        wanted |= set(columns[name][rows].tolist())
    offers = columns.offers[np.isin(columns.offers["row"], rows)]
    wanted |= set(offers["provider"].tolist()) | set(offers["region"].tolist())
    found: dict[int, str] = {}
    ordered = sorted(wanted - {0})
    for at in range(0, len(ordered), 500):
        some = ordered[at : at + 500]
        asked = f"SELECT id, field, text FROM word WHERE id IN ({', '.join('?' * len(some))})"  # noqa: S608
        found |= {number: f"{field}={text}" for number, field, text in connection.execute(asked, some)}
    return found
