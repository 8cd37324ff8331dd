"""The index's writing side: one SQLite file, filled from the topics, thrown away without harm.

One connection writes, under a lock; `console.index.reading` reads beside it (WAL: they do not wait for each other).
"""

import sqlite3
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from console.index import pruning
from console.index.pruning import Keep
from console.index.record import TOPIC_NUMBERS
from console.index.rows import Facts, Key

SUBMISSION_BITS = 20
A_QUERY = 250
"""Identities that one query asks for."""
CACHE_KIB = 32_768
"""Of the writing connection's pages; its memory does not grow with the file."""
WAL_BYTES = 64 * 1024 * 1024
"""What the write-ahead log is cut to once it has been taken over."""

_IDENTITY = """
INSERT INTO identity (tenant, job_id, last_ms) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET last_ms = excluded.last_ms WHERE excluded.last_ms > last_ms
"""
_KNOWN = "INSERT OR IGNORE INTO job (id, tenant, job_id, submission) VALUES (?, ?, ?, ?)"
_UNQUEUED = "DELETE FROM job WHERE id = ?"
_ARRIVED = """
INSERT INTO job (id, tenant, job_id, submission, level, place_level, status,
                 changed_ms, published_ms, asked_model, task, partition, offset, trace_id)
SELECT ?1, ?2, ?3, 0, ?4, ?4, 'queued', ?5, ?6, ?7, ?8, ?9, ?10, ?11
WHERE NOT EXISTS (SELECT 1 FROM job WHERE id > ?1 AND id < ?1 + 1048576)
ON CONFLICT (id) DO UPDATE SET
    level = excluded.level, place_level = excluded.level, changed_ms = excluded.changed_ms,
    published_ms = excluded.published_ms, asked_model = excluded.asked_model, task = excluded.task,
    partition = excluded.partition, offset = excluded.offset, trace_id = excluded.trace_id
WHERE excluded.level > level
"""
_STANDS = """
UPDATE job SET level = ?2, status = ?3, changed_ms = ?4, asked_model = ?5, model = ?6, provider = ?7, cost_nanousd = ?8,
    total_ms = ?9, wait_ms = ?10, call_ms = ?11, attempts = ?12, error_kind = ?13, written_ms = ?14
WHERE id = ?1 AND level < ?2
"""
_PLACED = """
UPDATE job SET place_level = ?2, published_ms = ?3, partition = ?4, offset = ?5, trace_id = ?6, task = ?7
WHERE id = ?1 AND place_level < ?2
"""
_DECIDED = """
UPDATE job SET decision_stamp = ?2, decided_ms = ?3, team = ?4, tags = ?5, quoted_nanousd = ?6, reserved_nanousd = ?7
WHERE id = ?1 AND decision_stamp < ?2
"""
_DOCUMENT = """
INSERT INTO document VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET stamp = excluded.stamp, body = excluded.body WHERE excluded.stamp > stamp
"""
# The record itself says more of itself than a span that names it.
_RECORD = """
INSERT INTO record (job, topic, partition, offset, timestamp_ms, size_bytes, key, headers, asked_model, asked)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET timestamp_ms = excluded.timestamp_ms, size_bytes = excluded.size_bytes, key = excluded.key,
    headers = excluded.headers, asked_model = excluded.asked_model, asked = excluded.asked
WHERE timestamp_ms IS NULL AND excluded.timestamp_ms IS NOT NULL
"""
# The same spans from another record: as old as the newest that tells of them.
_CHUNK = """
INSERT INTO chunk (job, trace, digest, at_ms, spans, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms WHERE excluded.at_ms > at_ms
"""
_STATE = """
INSERT INTO state VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET stamp = excluded.stamp, body = excluded.body WHERE excluded.stamp > stamp
"""
_OF_JOBS = (
    ("stands", _STANDS),
    ("placed", _PLACED),
    ("decided", _DECIDED),
    ("records", _RECORD),
    ("ledger", "INSERT OR IGNORE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    ("audit", "INSERT OR IGNORE INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
    ("chunks", _CHUNK),
)
_OF_NONE = (
    ("batches", "INSERT OR IGNORE INTO batch VALUES (?, ?, ?, ?, ?, ?)"),
    ("letters", "INSERT OR IGNORE INTO letter VALUES (?, ?, ?, ?, ?, ?)"),
    ("alerts", "INSERT OR IGNORE INTO alert VALUES (?, ?, ?, ?)"),
    ("states", _STATE),
    ("broken_rows", "INSERT OR IGNORE INTO broken VALUES (?, ?, ?, ?, ?, ?)"),
)
NAMING = ("arrived", "stands", "documents", "records", "ledger", "audit", "chunks", "postings")
"""Rows of `Facts` that name a job; the others name no other."""


class Store:
    """The file and the connection that writes it. `close` it. Any thread may call."""

    def __init__(
        self, path: Path, *, keep: Keep | None = None, capture: bool = False, now_ms: Callable[[], int] | None = None
    ) -> None:
        """Open or make the file. One that is damaged, of other tables or of another `capture` is made anew."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.capture, self.keep = path, capture, keep or Keep()
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._lock = threading.Lock()
        self._connection = opened(path, capture)
        self.id = str(self._connection.execute("SELECT value FROM meta WHERE name = 'id'").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def add(self, facts: Iterable[Facts]) -> int:
        """Fold facts in, in one transaction: all or nothing, again and again without harm. Returns how many records.

        Then forgets a little of what is over the limits, if anything is.
        """
        batch = list(facts)
        with self._lock:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                _write(self._connection, batch)
            pruning.step(self._connection, self.keep, self._now_ms())
        return len(batch)

    def prune(self) -> None:
        """Forget everything that is over the limits, step by step; writes go on between two steps."""
        more = True
        while more:
            with self._lock:
                more = pruning.step(self._connection, self.keep, self._now_ms())


def _write(connection: sqlite3.Connection, batch: list[Facts]) -> None:
    numbers = _numbers(connection, batch)
    many = connection.executemany
    told = {key for fact in batch for row in fact.stands for key in (row.job,)}
    many(_KNOWN, [(numbers[key], *key) for key in told])
    many(_UNQUEUED, [(numbers[key] >> SUBMISSION_BITS << SUBMISSION_BITS,) for key in told])
    arrived = [row for fact in batch for row in fact.arrived]
    many(_ARRIVED, [(numbers[row.job], row.job[0], row.job[1], *row[1:]) for row in arrived])
    documents = [row for fact in batch for row in fact.documents]
    many(_DOCUMENT, [(numbers[row.job] << 1 | row.is_result, row.stamp, row.body) for row in documents])
    for name, statement in _OF_JOBS:
        many(statement, [(numbers[row.job], *row[1:]) for fact in batch for row in getattr(fact, name)])
    # Sorted: neighbours lie on the same page.
    postings = sorted((row.attribute, numbers[row.job]) for fact in batch for row in fact.postings)
    many("INSERT OR IGNORE INTO posting VALUES (?, ?)", postings)
    for name, statement in _OF_NONE:
        many(statement, [row for fact in batch for row in getattr(fact, name)])


def _numbers(connection: sqlite3.Connection, batch: list[Facts]) -> dict[Key, int]:
    """The number of every job that the batch names; those that are new get one."""
    newest: dict[tuple[str, str], int] = {}
    keys: set[Key] = set()
    for fact in batch:
        named = {row.job for name in NAMING for row in getattr(fact, name)}
        keys |= named
        for tenant, job_id, _ in named:
            newest[tenant, job_id] = max(fact.at_ms, newest.get((tenant, job_id), 0))
    # Sorted, so that numbers do not depend on how sets are ordered in this process.
    rows = [(*identity, at_ms) for identity, at_ms in sorted(newest.items())]
    connection.executemany(_IDENTITY, rows)
    ids: dict[tuple[str, str], int] = {}
    for start in range(0, len(rows), A_QUERY):
        some = rows[start : start + A_QUERY]
        marks = ", ".join(["(?, ?)"] * len(some))
        values = [text for tenant, job_id, _ in some for text in (job_id, tenant)]
        found = connection.execute(
            f"SELECT tenant, job_id, id FROM identity WHERE (job_id, tenant) IN (VALUES {marks})",  # noqa: S608
            values,
        )
        ids |= {(tenant, job_id): number for tenant, job_id, number in found}
    return {key: number_of(key, ids[key[:2]]) for key in keys}


def number_of(key: Key, identity: int) -> int:
    """The number that tables know a submission by."""
    number = identity << SUBMISSION_BITS | key[2]
    return number if key[0] else -number


def opened(path: Path, capture: bool) -> sqlite3.Connection:
    """The file with its tables; one that is damaged, or was made otherwise, is made anew."""
    schema = resources.files("console.index").joinpath("schema.sql").read_text()
    version = zlib.crc32(f"{schema}{TOPIC_NUMBERS}{capture}".encode()) & 0x7FFFFFFF
    for attempt in (1, 2):
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            made = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not made or found == version:
                _prepare(connection, schema, version)
                path.chmod(0o600)
                return connection
        except sqlite3.DatabaseError:
            if attempt == 2:
                raise
        connection.close()
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    raise sqlite3.DatabaseError(f"{path} cannot be made")


def _prepare(connection: sqlite3.Connection, schema: str, version: int) -> None:
    settings: dict[str, Any] = {
        "journal_mode": "WAL",
        # What Kafka was told to have been read must be in the file, also after the power has failed.
        "synchronous": "FULL",
        "cache_size": -CACHE_KIB,
        "journal_size_limit": WAL_BYTES,
        "temp_store": "MEMORY",
    }
    for name, value in settings.items():
        connection.execute(f"PRAGMA {name} = {value}")
    connection.executescript(schema)
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('id', ?)", (uuid.uuid4().hex[:12],))
    connection.execute(f"PRAGMA user_version = {version}")
