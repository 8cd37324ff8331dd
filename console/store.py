"""The pages' memory: one SQLite file, filled from the topics, thrown away without harm.

Writes and reads have a connection each (WAL: they do not wait for each other); both may be used from any thread.
"""

import sqlite3
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from console.facts import QUEUED, Facts, JobRow
from schemas import codec

VERSION = 1
"""Of the tables. A file of another version is deleted and filled anew."""
MAX_JOBS = 50_000
MAX_SPANS = 500_000
MAX_RECORDS = 300_000
PRUNE_EVERY = 1_000
"""Rows between two looks at the limits."""

JOB_COLUMNS = (
    "tenant, job_id, submission, rank, status, task, asked_model, model, provider, cost_nanousd, total_ms, attempts, "
    "published_ms, changed_ms, trace_id, error_kind, partition, offset, written_ms, decision, result"
)
_SAID_LAST = (
    "model",
    "provider",
    "total_ms",
    "error_kind",
    "written_ms",
    "decision",
    "result",
    "trace_id",
    "task",
    "asked_model",
)
# A record of the jobs topic may be a duplicate; decisions and results name the record that counts.
_RECEIVED = ("published_ms", "partition", "offset")
_UPSERT = f"""
INSERT INTO job ({JOB_COLUMNS}) VALUES (?{", ?" * 20})
ON CONFLICT DO UPDATE SET
    status = CASE WHEN excluded.rank > rank THEN excluded.status ELSE status END,
    {
    "".join(
        f"{name} = CASE WHEN excluded.rank >= rank THEN coalesce(excluded.{name}, {name}) "
        f"ELSE coalesce({name}, excluded.{name}) END, "
        for name in (*_SAID_LAST, *_RECEIVED)
    )
}
    cost_nanousd = max(cost_nanousd, excluded.cost_nanousd),
    attempts = max(attempts, excluded.attempts),
    changed_ms = CASE WHEN excluded.rank > rank THEN excluded.changed_ms ELSE changed_ms END,
    rank = max(rank, excluded.rank)
"""  # noqa: S608 - column names of ours
_LATE = """
UPDATE job SET asked_model = coalesce(asked_model, ?), task = coalesce(task, ?)
WHERE tenant = ? AND job_id = ? AND partition = ? AND offset = ?
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs a list shows. Empty: all."""

    status: str = ""
    tenant: str = ""
    text: str = ""
    """Part of a job's id, model or task."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over every job that the store has."""

    by_status: dict[str, int]
    cost_nanousd: int

    @property
    def jobs(self) -> int:
        """All of them."""
        return sum(self.by_status.values())


class Store:
    """The file and its two connections. `close` it."""

    def __init__(self, path: Path, *, max_jobs: int = MAX_JOBS, max_spans: int = MAX_SPANS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._limits = {"job": max_jobs, "span": max_spans, "record": MAX_RECORDS}
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._writer = _opened(path)
        self._reader = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._reader.row_factory = sqlite3.Row
        self._reader.execute("PRAGMA query_only = ON")
        self.id = self._made_once("id", uuid.uuid4().hex[:12])
        self._seen = self._count_on("seen")
        self._since_prune = 0

    def close(self) -> None:
        """Close the file."""
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    # Filling

    def add(self, facts: Iterable[Facts]) -> int:
        """Fold facts in, in one transaction: all or nothing, again and again without harm. Returns how many rows."""
        rows = 0
        with self._writing, self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            for fact in facts:
                self._seen += 1
                rows += len(fact.jobs) + len(fact.spans)
                for job in fact.jobs:
                    self._put(job)
                self._writer.executemany(
                    "INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?)",
                    [(r.topic, r.partition, r.offset, r.tenant, r.job_id, self._seen) for r in fact.records],
                )
                self._writer.executemany(
                    "INSERT OR IGNORE INTO span VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (s.trace_id, s.span_id, s.parent_id, s.service, s.name, s.start_ns, s.end_ns, s.error,
                         codec.encode(s.attributes).decode(), self._seen)
                        for s in fact.spans
                    ],
                )  # fmt: skip
            self._since_prune += rows
            if self._since_prune >= PRUNE_EVERY:
                self._prune()
        return rows

    def _put(self, job: JobRow) -> None:
        if job.rank == QUEUED and self._knows(job):
            # A duplicate, a later submission, or late: which of them it is only the router knows.
            self._writer.execute(_LATE, (job.asked_model, job.task, job.tenant, job.job_id, job.partition, job.offset))
            return
        self._writer.execute(
            _UPSERT,
            (
                job.tenant, job.job_id, job.submission or 1, job.rank, job.status, job.task, job.asked_model, job.model,
                job.provider, job.cost_nanousd or 0, job.total_ms, job.attempts or 0, job.published_ms, job.changed_ms,
                job.trace_id, job.error_kind, job.partition, job.offset, job.written_ms, job.decision, job.result,
            ),
        )  # fmt: skip

    def _knows(self, job: JobRow) -> bool:
        query = "SELECT 1 FROM job WHERE tenant = ? AND job_id = ?"
        return self._writer.execute(query, (job.tenant, job.job_id)).fetchone() is not None

    def _prune(self) -> None:
        """Forget the oldest rows beyond the limits."""
        self._since_prune = 0
        for table in ("span", "record"):
            self._writer.execute(
                f"DELETE FROM {table} WHERE seen <= (SELECT seen FROM {table} ORDER BY seen DESC LIMIT 1 OFFSET ?)",  # noqa: S608
                (self._limits[table],),
            )
        self._writer.execute(
            "DELETE FROM job WHERE (tenant, job_id, submission) IN (SELECT tenant, job_id, submission FROM job "
            "ORDER BY published_ms DESC, tenant, job_id LIMIT -1 OFFSET ?)",
            (self._limits["job"],),
        )
        self._writer.execute("INSERT OR REPLACE INTO meta VALUES ('seen', ?)", (str(self._seen),))

    def _made_once(self, name: str, value: str) -> str:
        with self._writing, self._writer:
            self._writer.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
            return str(self._writer.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])

    def _count_on(self, name: str) -> int:
        query = (
            f"SELECT max((SELECT coalesce(max({name}), 0) FROM span), (SELECT coalesce(max({name}), 0) FROM record))"  # noqa: S608
        )
        with self._writing:
            return int(self._writer.execute(query).fetchone()[0])

    # Asking

    def jobs(self, wanted: Filter, *, limit: int = 100, offset: int = 0) -> list[dict[str, Any]]:
        """The newest jobs first, without their decisions and results."""
        conditions, values = ["1 = 1"], list[Any]()
        if wanted.status:
            conditions.append("status = ?")
            values.append(wanted.status)
        if wanted.tenant:
            conditions.append("tenant = ?")
            values.append(wanted.tenant)
        if wanted.text:
            escaped = wanted.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            conditions.append("(job_id LIKE ? ESCAPE '\\' OR model LIKE ? ESCAPE '\\' OR task LIKE ? ESCAPE '\\')")
            values += [f"%{escaped}%"] * 3
        columns = JOB_COLUMNS.removesuffix(", decision, result")
        return self._ask(
            f"SELECT {columns} FROM job WHERE {' AND '.join(conditions)} "  # noqa: S608 - columns and conditions of ours
            "ORDER BY published_ms DESC, tenant, job_id LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )

    def totals(self) -> Totals:
        """Counts by status and what everything has cost."""
        rows = self._ask("SELECT status, count(*) AS jobs, sum(cost_nanousd) AS cost FROM job GROUP BY status", ())
        return Totals({row["status"]: row["jobs"] for row in rows}, sum(row["cost"] for row in rows))

    def job(self, tenant: str, job_id: str) -> list[dict[str, Any]]:
        """Every submission of a job, the newest first, with `decision` and `result` as documents or None."""
        rows = self._ask("SELECT * FROM job WHERE tenant = ? AND job_id = ? ORDER BY submission DESC", (tenant, job_id))
        for row in rows:
            for name in ("decision", "result"):
                row[name] = codec.decode(row[name].encode()) if row[name] else None
        return rows

    def by_trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The jobs of a trace: tenant, id, submission."""
        query = "SELECT tenant, job_id, submission FROM job WHERE trace_id = ? ORDER BY published_ms, job_id LIMIT 1000"
        return self._ask(query, (trace_id,))

    def by_record(self, topic: str, partition: int, offset: int) -> list[dict[str, Any]]:
        """The job that a record belongs to: tenant and id; none or one."""
        query = "SELECT tenant, job_id FROM record WHERE topic = ? AND partition = ? AND offset = ?"
        return self._ask(query, (topic, partition, offset))

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """A trace's spans by their start, at most 2,000; `attributes` is a document."""
        rows = self._ask("SELECT * FROM span WHERE trace_id = ? ORDER BY start_ns, end_ns DESC LIMIT 2000", (trace_id,))
        for row in rows:
            row["attributes"] = codec.decode(row["attributes"].encode())
        return rows

    def _ask(self, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        with self._reading:
            return [dict(row) for row in self._reader.execute(query, values)]


def _opened(path: Path) -> sqlite3.Connection:
    """The file with its tables; one that is damaged or of another version is made anew."""
    for attempt in (1, 2):
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version in (0, VERSION):
                connection.executescript(resources.files("console").joinpath("store.sql").read_text())
                connection.execute(f"PRAGMA user_version = {VERSION}")
                return connection
        except sqlite3.DatabaseError:
            if attempt == 2:
                raise
        connection.close()
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    raise sqlite3.DatabaseError(f"{path} cannot be made")
