"""What the pages ask the index. All methods may be called from any thread, several at once."""

import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from console.index import calls, costs, job_facts, lists, statistics
from console.index.answers import CostRow, Listed, Point, Statistics, Totals
from console.index.calls import Call, Use
from console.index.plan import SELECTIVE, Attribute, Plan, plan_of
from console.index.postings import number_of
from console.index.pruning import Keep
from console.index.query import Query

__all__ = ["CostRow", "Index", "Listed", "Point", "Statistics", "Totals"]

READERS = 4
"""Connections: so many questions are answered at once, the others wait."""
CACHE_KIB = 16_384
"""Of each connection's pages."""
MAX_TRACES = 1_000
"""Traces of no job of ours that one attribute is looked for in."""

Group = Literal["tenant", "team", "model", "provider", "tag", "day", "task", "status"]


class Index:
    """The file that a `Store` fills, to be read. `close` it."""

    def __init__(self, path: Path, *, keep: Keep | None = None) -> None:
        """Raises sqlite3.Error where there is no such file: a `Store` makes it."""
        self._path, self._keep = path, keep or Keep()
        self._free: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._all = [_connected(path) for _ in range(READERS)]
        for connection in self._all:
            self._free.put(connection)
        self._watch, self._watching = _connected(path), threading.Lock()
        # From the clock on, so that a page of the process before is never taken for one of this.
        self._version, self._changes = self._data_version(), time.time_ns() // 1_000_000

    def close(self) -> None:
        """Close the file, once nobody reads any more."""
        for _ in self._all:
            self._free.get()
        for connection in (*self._all, self._watch):
            connection.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        connection = self._free.get()
        try:
            connection.execute("BEGIN")  # one state of the file, however many questions
            yield connection
        finally:
            connection.rollback()
            self._free.put(connection)

    def _data_version(self) -> int:
        return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def changes(self) -> int:
        """A number that grows when anything was written."""
        with self._watching:
            version = self._data_version()
            if version != self._version:
                self._version, self._changes = version, self._changes + 1
            return self._changes

    # Jobs

    def jobs(self, query: Query, *, limit: int = 100, after: str | None = None) -> Listed:
        """The newest jobs first, without their decisions and results; the total is exact up to 10,000.

        `after` is the `next` of the page before; one that is none counts as the beginning.
        """
        with self._reading() as connection:
            return lists.jobs(connection, _planned(connection, query), limit, after)

    def statistics(self, query: Query) -> Statistics:
        """Durations and costs over the newest 50,000 jobs that the query finds."""
        with self._reading() as connection:
            return statistics.of(connection, _planned(connection, query))

    def totals(self) -> Totals:
        """Counts by status and what everything has cost."""
        with self._reading() as connection:
            return statistics.totals(connection)

    def job(self, tenant: str, job_id: str) -> list[dict[str, Any]]:
        """Every submission of a job, the newest first, with `decision` and `result` as documents or None."""
        with self._reading() as connection:
            return job_facts.submissions(connection, tenant, job_id)

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """A trace's spans by their start, at most 2,000, with attributes, events, links and resource."""
        with self._reading() as connection:
            return job_facts.spans(connection, trace_id)

    def by_trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The jobs of a trace, at most 1,000: tenant, id, submission."""
        with self._reading() as connection:
            return lists.by_trace(connection, trace_id)

    def linked_from(self, trace_id: str) -> list[dict[str, Any]]:
        """Who links to a trace from another one, at most 200: tenant, id, submission and trace id of a job, whose spans
        do; tenant and id are None for spans that are no job's."""
        with self._reading() as connection:
            return lists.linked_from(connection, trace_id)

    def by_record(self, topic: str, partition: int, offset: int) -> list[dict[str, Any]]:
        """The jobs that a record speaks of, at most 1,000: tenant and id. One, but for records that hold a batch."""
        with self._reading() as connection:
            return lists.by_record(connection, topic, partition, offset)

    def records(self, tenant: str, job_id: str) -> list[dict[str, Any]]:
        """The records that speak of a job, by their time: topic, partition, offset, timestamp_ms, key, headers,
        size_bytes, what, submission (None: the record cannot know), asked (of the job's own: those of provider,
        priority, key_id, team, timeout_s that it names). One that holds a batch is told with its whole size.

        `timestamp_ms`, `size_bytes` and `key` are None for one that is known from a span alone."""
        with self._reading() as connection:
            return job_facts.records(connection, tenant, job_id)

    def money(self, tenant: str, job_id: str) -> list[dict[str, Any]]:
        """What was reserved, paid and given back, in that order: kind (reserve, settle, ambiguous, release), nanousd,
        at_ms, model, provider, source, attempt, request_id, submission, topic, partition, offset, decision_id, counted
        (False: an entry that repeats an end, in no sum), by."""
        with self._reading() as connection:
            return job_facts.money(connection, tenant, job_id)

    def audit(self, tenant: str, job_id: str) -> list[dict[str, Any]]:
        """Audit entries by time: at_ms, action, lane, sequence, partition, offset, n (in its batch), hash (of the
        batch), detail, span_id, submission."""
        with self._reading() as connection:
            return job_facts.audit(connection, tenant, job_id)

    # Everything else

    def letters(self, *, limit: int = 100, after: str | None = None, reason: str = "", topic: str = "") -> Listed:
        """Dead letters, the newest first; of one failure kind, from one topic."""
        with self._reading() as connection:
            return lists.letters(connection, limit, after, reason, topic)

    def letter(self, partition: int, offset: int) -> dict[str, Any] | None:
        """One dead letter with its headers; never its bytes."""
        with self._reading() as connection:
            return lists.letter(connection, partition, offset)

    def alerts(self, *, limit: int = 100, after: str | None = None) -> Listed:
        """Crossings and their ends as they were told, the newest first."""
        with self._reading() as connection:
            return lists.alerts(connection, limit, after)

    def alerts_within(self, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
        """What was told from an instant to another, by its time, at most the newest 1,000."""
        with self._reading() as connection:
            return lists.alerts_within(connection, since_ms, until_ms)

    def costs(
        self, *, by: Group, since_ms: int | None = None, until_ms: int | None = None, tenant: str = ""
    ) -> list[CostRow]:
        """What the ledger's entries sum up to, by something, the dearest first (days in their order).

        An amount counts when its job was decided, as in a budget's window (UTC days). By model, provider: where the
        call was made; jobs that paid nothing there are not counted. By tag: `name=value`, each tag of a job for itself,
        so that rows may say the same money more than once.
        """
        with self._reading() as connection:
            return costs.by(connection, by, since_ms, until_ms, tenant)

    def served_models(self) -> list[str]:
        """Every model that served a job, by name, at most 10,000."""
        with self._reading() as connection:
            return calls.models(connection)

    def calls(self, model: str, since_ms: int = 0) -> list[Call]:
        """The newest 500 jobs that a model served, the newest first."""
        with self._reading() as connection:
            return calls.of_model(connection, model, since_ms)

    def compute(self, model: str, since_ms: int = 0) -> list[tuple[str, int]]:
        """Providers and compute times, in milliseconds, of the newest 100 jobs that a model served."""
        with self._reading() as connection:
            return calls.compute(connection, model, since_ms)

    def calls_mark(self, model: str) -> tuple[int, int]:
        """What changes when `calls` of that model does, at a fraction of its cost."""
        with self._reading() as connection:
            return calls.mark(connection, model)

    def use(self, model: str) -> Use:
        """How much a model has been used, over its newest 50,000 jobs."""
        with self._reading() as connection:
            return calls.use(connection, model)

    def newest_results(self, tenant: str, since_ms: int = 0) -> list[dict[str, Any]]:
        """The newest 300 results of a tenant's jobs that succeeded, without their outputs."""
        with self._reading() as connection:
            return calls.results(connection, tenant, since_ms)

    def breakers(self) -> list[dict[str, Any]]:
        """The newest state of each breaker, with its key."""
        with self._reading() as connection:
            return lists.newest(connection, "breaker")

    def prices(self) -> list[dict[str, Any]]:
        """The newest event of each price, with its key."""
        with self._reading() as connection:
            return lists.newest(connection, "price")

    def state(self) -> dict[str, Any]:
        """What the index holds, what it could not read, and how large it is."""
        with self._reading() as connection:
            held = statistics.held(connection)
        files = [self._path.with_name(self._path.name + suffix) for suffix in ("", "-wal")]
        return {
            **held,
            "bytes": sum(file.stat().st_size for file in files if file.exists()),
            "keep": asdict(self._keep),
        }


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("SELECT 1 FROM meta").fetchall()
    return connection


def _planned(connection: sqlite3.Connection, query: Query) -> Plan:
    attributes = [_counted(connection, number_of(name, value)) for name, value in query.attributes]
    long_ones = None
    if query.min_ms is not None or query.max_ms is not None:
        bounds = (query.min_ms or 0, 2**62 if query.max_ms is None else query.max_ms)
        inner = f"SELECT 1 FROM job WHERE total_ms >= ? AND total_ms <= ? LIMIT {SELECTIVE}"  # noqa: S608
        long_ones = int(connection.execute(f"SELECT count(*) FROM ({inner})", bounds).fetchone()[0])  # noqa: S608
    return plan_of(query, attributes, long_ones=long_ones)


def _counted(connection: sqlite3.Connection, number: int) -> Attribute:
    inner = f"SELECT 1 FROM posting WHERE attribute = ? AND job > 0 LIMIT {SELECTIVE + 1}"  # noqa: S608
    jobs = int(connection.execute(f"SELECT count(*) FROM ({inner})", (number,)).fetchone()[0])  # noqa: S608
    traces = connection.execute(
        "SELECT i.job_id FROM posting p CROSS JOIN identity i ON i.id = (-p.job) >> 20 "
        "WHERE p.attribute = ? AND p.job < 0 ORDER BY p.job LIMIT ?",
        (number, MAX_TRACES),
    )
    return Attribute(number, jobs, tuple(row[0] for row in traces))
