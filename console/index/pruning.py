"""What the index forgets: the oldest, a little at a time, so that no write waits for it."""

import sqlite3
from dataclasses import dataclass

from console.index.chunks import unpacked
from console.index.postings import TAG, number_of, of_spans
from schemas import codec

DAY_MS = 86_400_000
A_STEP = 200
"""Jobs, or groups of spans, that one transaction forgets."""
MAX_ROWS = 100_000
"""Of dead letters, of alerts, of what was broken; of audit batches as many as of jobs."""
_KEYS = {
    "letter": "partition, offset",
    "alert": "partition, offset",
    "batch": "partition, offset",
    "broken": "topic, partition, offset, kind",
}
_SUBMISSIONS = 1 << 20


@dataclass(frozen=True, slots=True)
class Keep:
    """How much is kept: what is younger than so many days, and no more than so many jobs and spans."""

    days: float = 36_500.0
    """By the clock of whoever writes. Without a setting, age alone is no reason to forget."""
    jobs: int = 250_000
    spans: int = 2_000_000


def step(connection: sqlite3.Connection, keep: Keep, now_ms: int) -> bool:
    """Forget a little of what is over the limits, in one short transaction. Returns whether there is more."""
    horizon_ms = now_ms - int(keep.days * DAY_MS)
    jobs, chunks = _old_jobs(connection, keep, horizon_ms), _old_chunks(connection, keep, horizon_ms)
    aged = {table: excess for table in _KEYS if (excess := _excess(connection, table, keep, horizon_ms))}
    if not (jobs or chunks or aged):
        return False
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            _forget_job(connection, job)
        for chunk in chunks:
            _forget_chunk(connection, *chunk)
        for table, excess in aged.items():
            key = _KEYS[table]
            oldest = f"SELECT {key} FROM {table} ORDER BY at_ms, {key} LIMIT ?"  # noqa: S608
            connection.execute(f"DELETE FROM {table} WHERE ({key}) IN ({oldest})", (excess,))  # noqa: S608
    return True


def _old_jobs(connection: sqlite3.Connection, keep: Keep, horizon_ms: int) -> list[int]:
    excess = _total(connection, "identity") - keep.jobs
    query = "SELECT id, last_ms FROM identity ORDER BY last_ms LIMIT ?"
    return [
        number
        for at, (number, last_ms) in enumerate(connection.execute(query, (A_STEP,)))
        if last_ms < horizon_ms or at < excess
    ]


def _old_chunks(connection: sqlite3.Connection, keep: Keep, horizon_ms: int) -> list[tuple[int, int, bytes]]:
    excess = _total(connection, "spans") - keep.spans
    old = []
    query = "SELECT id, job, body, at_ms, spans FROM chunk ORDER BY at_ms LIMIT ?"
    for number, job, body, at_ms, spans in connection.execute(query, (A_STEP,)):
        if at_ms >= horizon_ms and excess <= 0:
            break
        excess -= spans
        old.append((number, job, body))
    return old


def _forget_job(connection: sqlite3.Connection, identity: int) -> None:
    first, end = identity * _SUBMISSIONS, (identity + 1) * _SUBMISSIONS
    query = "SELECT id, tags FROM job WHERE id >= ? AND id < ? AND tags IS NOT NULL"
    for job, tags in connection.execute(query, (first, end)).fetchall():
        labels = codec.decode(tags.encode())
        _unpost(connection, job, {number_of(TAG + name, value) for name, value in labels.items()})
    connection.execute("DELETE FROM document WHERE id >= ? AND id < ?", (first << 1, end << 1))
    connection.execute("DELETE FROM job WHERE id >= ? AND id < ?", (first, end))
    for table in ("record", "ledger", "audit"):
        connection.execute(f"DELETE FROM {table} WHERE job >= ? AND job < ?", (first, end))  # noqa: S608
    connection.execute("DELETE FROM identity WHERE id = ?", (identity,))


def _forget_chunk(connection: sqlite3.Connection, number: int, job: int, body: bytes) -> None:
    # What another record's spans of the same job say too is not found by it any more: they are as old, and go next.
    _unpost(connection, job, of_spans(unpacked(body)))
    connection.execute("DELETE FROM chunk WHERE id = ?", (number,))


def _unpost(connection: sqlite3.Connection, job: int, attributes: set[int]) -> None:
    rows = [(attribute, job) for attribute in sorted(attributes)]
    connection.executemany("DELETE FROM posting WHERE attribute = ? AND job = ?", rows)


def _excess(connection: sqlite3.Connection, table: str, keep: Keep, horizon_ms: int) -> int:
    """Rows to forget in this step: those that are too old, or too many."""
    query = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE at_ms < ? LIMIT {A_STEP})"  # noqa: S608
    old = int(connection.execute(query, (horizon_ms,)).fetchone()[0])
    many = _total(connection, table) - (keep.jobs if table == "batch" else MAX_ROWS)
    return max(old, min(many, A_STEP), 0)


def _total(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute("SELECT n FROM total WHERE name = ?", (name,)).fetchone()[0])
