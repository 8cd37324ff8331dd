"""What the index has seen of models that served: how long calls took, what jobs cost, which jobs a tenant sends.

All of it over the newest so many rows of one model or tenant, found by an index of their own: the same cost whatever
the file holds.
"""

import sqlite3
import zlib
from dataclasses import dataclass
from typing import Any

from schemas import codec
from schemas.units import COMPUTE_MS

NEWEST_CALLS = 500
"""Of a model, over which percentiles are made."""
NEWEST_JOBS = 300
"""Of a tenant, which make its mix."""
NEWEST_TIMED = 100
"""Of a model, over which its compute time is made: their results are read, not only their rows."""
MEASURING = "novix.run"
"""The label of jobs that `console.hub.runs` has published."""
MOST_MODELS = 10_000
MOST_COUNTED = 50_000
"""Jobs of one model that its use is counted over."""

_MODELS = """
WITH RECURSIVE served (model) AS (
    SELECT min(model) FROM job INDEXED BY job_by_model WHERE model IS NOT NULL
    UNION ALL
    SELECT (SELECT min(j.model) FROM job j INDEXED BY job_by_model WHERE j.model > served.model)
    FROM served WHERE served.model IS NOT NULL
)
SELECT model FROM served WHERE model IS NOT NULL LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One job that a model served."""

    ended_ms: int
    """When it was completed, in milliseconds since 1970."""
    provider: str
    attempts: int
    """Calls that the job needed."""
    call_ms: int | None
    """In all these calls."""
    total_ms: int | None
    cost_nanousd: int


@dataclass(frozen=True, slots=True)
class Use:
    """What a model has been used for, over its newest jobs."""

    jobs: int
    exact: bool
    """False: there are more."""
    cost_nanousd: int
    first_ms: int | None
    last_ms: int | None


def models(connection: sqlite3.Connection) -> list[str]:
    """Every model that served a job, by name: one seek each, whatever their number of jobs."""
    return [row[0] for row in connection.execute(_MODELS, (MOST_MODELS,))]


def of_model(connection: sqlite3.Connection, model: str, since_ms: int) -> list[Call]:
    """The newest jobs that a model served, the newest first, none that ended before `since_ms`."""
    rows = connection.execute(
        "SELECT changed_ms, coalesce(provider, ''), attempts, call_ms, total_ms, cost_nanousd "
        "FROM job INDEXED BY job_by_model WHERE model = ? AND changed_ms >= ? ORDER BY changed_ms DESC LIMIT ?",
        (model.encode(errors="replace").decode(), since_ms, NEWEST_CALLS),
    )
    return [Call(*row) for row in rows]


def compute(connection: sqlite3.Connection, model: str, since_ms: int) -> list[tuple[str, int]]:
    """Who served the newest jobs of a model, and the compute time that their results tell, in milliseconds: what is
    charged, which a call is mostly longer than. Those that tell none are left out."""
    rows = connection.execute(
        "SELECT j.provider, d.body FROM (SELECT id, coalesce(provider, '') AS provider, changed_ms FROM job "
        "INDEXED BY job_by_model WHERE model = ? AND changed_ms >= ? ORDER BY changed_ms DESC LIMIT ?) j "
        "JOIN document d ON d.id = (j.id << 1 | 1) ORDER BY j.changed_ms DESC",
        (model.encode(errors="replace").decode(), since_ms, NEWEST_TIMED),
    )
    found = []
    for provider, body in rows:
        told = codec.parse(zlib.decompress(body))
        usage = told.get("usage") if isinstance(told, dict) else None
        spent = usage.get(COMPUTE_MS) if isinstance(usage, dict) else None
        if isinstance(spent, int) and not isinstance(spent, bool) and spent >= 0:
            found.append((str(provider), spent))
    return found


def mark(connection: sqlite3.Connection, model: str) -> tuple[int, int]:
    """When the newest job that a model served ended, and how many there are, counted up to those that are looked at:
    while neither changes, `of_model` says the same, but for one that is told after a younger one."""
    newest, jobs = connection.execute(
        "SELECT max(changed_ms), count(*) FROM (SELECT changed_ms FROM job INDEXED BY job_by_model WHERE model = ? "
        "ORDER BY changed_ms DESC LIMIT ?)",
        (model.encode(errors="replace").decode(), NEWEST_CALLS),
    ).fetchone()
    return newest or 0, jobs


def use(connection: sqlite3.Connection, model: str) -> Use:
    """How much a model has been used."""
    jobs, cost, first, last = connection.execute(
        "SELECT count(*), coalesce(sum(cost_nanousd), 0), min(changed_ms), max(changed_ms) FROM ("
        "SELECT cost_nanousd, changed_ms FROM job INDEXED BY job_by_model WHERE model = ? "
        "ORDER BY changed_ms DESC LIMIT ?)",
        (model.encode(errors="replace").decode(), MOST_COUNTED),
    ).fetchone()
    return Use(jobs, jobs < MOST_COUNTED, cost, first, last)


def results(connection: sqlite3.Connection, tenant: str, since_ms: int) -> list[dict[str, Any]]:
    """The newest results of a tenant's jobs that succeeded, without their outputs, the newest first. Jobs that only
    measured a model are none of what the tenant does."""
    rows = connection.execute(
        "SELECT d.body FROM (SELECT id, at_ms FROM job INDEXED BY job_by_tenant WHERE tenant = ? AND level > 0 "
        "AND status = 'succeeded' AND at_ms >= ? AND (tags IS NULL OR tags NOT LIKE ?) ORDER BY at_ms DESC LIMIT ?) j "
        "JOIN document d ON d.id = (j.id << 1 | 1) ORDER BY j.at_ms DESC",
        (tenant.encode(errors="replace").decode(), since_ms, f'%"{MEASURING}":%', NEWEST_JOBS),
    )
    found = (codec.parse(zlib.decompress(row[0])) for row in rows)
    return [{**one, "output": None} for one in found if isinstance(one, dict)]
