"""Sums over jobs: percentiles, a picture's points, totals, and what the index holds."""

import heapq
import math
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

from console.index.answers import Point, Statistics, Totals
from console.index.plan import NEWEST_FIRST, Plan
from schemas import codec

LOOKED_AT = 50_000
"""The newest hits, over which percentiles are made."""
MAX_POINTS = 2_000
SLOWEST = 200
"""Points that are the slowest jobs; the others are evenly spaced in time."""


def of(connection: sqlite3.Connection, plan: Plan) -> Statistics:
    """Statistics over the newest hits."""
    inner = f"SELECT j.id, j.total_ms, j.cost_nanousd, j.status, j.at_ms {plan.sql} ORDER BY {NEWEST_FIRST} LIMIT ?"
    # As JSON, column by column: fifty thousand rows would be as many objects for the collector to look at.
    told = connection.execute(
        "SELECT json_group_array(id), json_group_array(total_ms), json_group_array(cost_nanousd), "  # noqa: S608
        f"json_group_array(status), json_group_array(at_ms) FROM ({inner})",
        (*plan.all_values, LOOKED_AT + 1),
    ).fetchone()
    numbers, took, costs, statuses, times = (codec.decode(column.encode()) for column in told)
    exact = len(numbers) <= LOOKED_AT
    if not exact:
        for column in (numbers, took, costs, statuses, times):
            column.pop()
    ended = [at for at, duration in enumerate(took) if duration is not None]
    durations = [took[at] for at in ended]
    shown = chosen(durations, [numbers[at] for at in ended])
    durations.sort()
    if not exact:  # the one that everybody looks for may be an older one
        shown = list({*shown, *_slowest(connection, plan)})
    return Statistics(
        n=len(numbers),
        exact=exact,
        p50_ms=percentile(durations, 50),
        p95_ms=percentile(durations, 95),
        p99_ms=percentile(durations, 99),
        cost_nanousd=sum(costs),
        by_status=dict(Counter(statuses).most_common()),
        points=_points(connection, shown),
        oldest_ms=times[-1] if times else None,
        newest_ms=times[0] if times else None,
    )


def percentile(ordered: Sequence[int], per_cent: int) -> int | None:
    """Nearest rank: the ceil(n * p / 100)th smallest value; None of nothing."""
    return ordered[math.ceil(len(ordered) * per_cent / 100) - 1] if ordered else None


def chosen(took: Sequence[int], numbers: Sequence[int]) -> list[int]:
    """Which of the numbers are shown, in their order: all, or the slowest and every so manieth of the others. `took`:
    their durations."""
    if len(took) <= MAX_POINTS:
        return list(numbers)
    slowest = set(heapq.nlargest(SLOWEST, range(len(took)), key=took.__getitem__))
    others = [at for at in range(len(took)) if at not in slowest]
    wanted = MAX_POINTS - SLOWEST
    spaced = {others[at * len(others) // wanted] for at in range(wanted)}
    return [numbers[at] for at in sorted(slowest | spaced)]


def _slowest(connection: sqlite3.Connection, plan: Plan) -> list[int]:
    """The slowest of all hits, found by their duration; for a plan that finds many, so that some are soon found."""
    if plan.source != "FROM job j":
        return []
    where = " AND ".join(plan.conditions)
    query = f"SELECT j.id FROM job j INDEXED BY job_by_duration WHERE {where} ORDER BY j.total_ms DESC LIMIT {SLOWEST}"  # noqa: S608
    return [row[0] for row in connection.execute(query, plan.all_values)]


def _points(connection: sqlite3.Connection, numbers: list[int]) -> list[Point]:
    marks = ", ".join("?" * len(numbers))
    found = connection.execute(
        "SELECT at_ms, total_ms, cost_nanousd, status, tenant, job_id, max(submission, 1) FROM job "  # noqa: S608
        f"WHERE id IN ({marks}) ORDER BY at_ms, tenant, job_id, submission",
        numbers,
    )
    return [Point(*row) for row in found]


def totals(connection: sqlite3.Connection) -> Totals:
    """See `Index.totals`."""
    rows = connection.execute(
        "SELECT status, count(*), sum(cost_nanousd) FROM job WHERE level > 0 GROUP BY status ORDER BY status"
    ).fetchall()
    return Totals({row[0]: row[1] for row in rows}, sum(row[2] for row in rows))


def held(connection: sqlite3.Connection) -> dict[str, Any]:
    """How much of what is there, and what could not be read."""
    counts = {row[0]: row[1] for row in connection.execute("SELECT name, n FROM total")}
    oldest, newest = connection.execute("SELECT min(at_ms), max(at_ms) FROM job").fetchone()
    broken = connection.execute("SELECT kind, sum(times) FROM broken GROUP BY kind ORDER BY kind")
    return {
        "jobs": connection.execute("SELECT count(*) FROM job").fetchone()[0],
        "records": counts["record"],
        "spans": counts["spans"],
        "letters": counts["letter"],
        "alerts": counts["alert"],
        "broken": {row[0]: row[1] for row in broken},
        "oldest_ms": oldest,
        "newest_ms": newest,
    }
