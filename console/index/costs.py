"""What everything has cost, as the ledger's entries sum up."""

import sqlite3
from typing import Any

from console.index.answers import CostRow

MAX_ROWS = 1_000

# Each decision's money ends once: with its first settle. Entries that tell it again count for nothing, as in
# `console.money.joined`; a release costs nothing.
_COUNTED = """
    FROM ledger l WHERE l.kind <> 'release' AND NOT EXISTS (
        SELECT 1 FROM ledger e WHERE e.job = l.job AND e.decision = l.decision AND e.kind <> 'release'
        AND (e.partition, e.offset, e.n) < (l.partition, l.offset, l.n))
"""
_PAID = f"""
paid AS MATERIALIZED (
    SELECT l.job, min(l.at_ms) AS at_ms, sum(l.cost_nanousd) AS nanousd, sum(l.ambiguous_nanousd) AS ambiguous
    {_COUNTED} GROUP BY l.job
)
"""
_CHARGED = f"counted AS MATERIALIZED (SELECT l.job, l.cost_nanousd, l.charges {_COUNTED})"
_AT = "coalesce(j.decided_ms, p.at_ms, j.at_ms)"
_NAMES = {
    "tenant": "j.tenant",
    "team": "coalesce(j.team, '')",
    "task": "coalesce(j.task, '')",
    "status": "j.status",
    "day": f"coalesce(strftime('%Y-%m-%d', {_AT} / 1000, 'unixepoch'), '')",  # none beyond the year 9999
}


def by(
    connection: sqlite3.Connection, group: str, since_ms: int | None, until_ms: int | None, tenant: str
) -> list[CostRow]:
    """See `Index.costs`."""
    conditions, values = ["j.level > 0"], list[Any]()
    for condition, value in ((f"{_AT} >= ?", since_ms), (f"{_AT} < ?", until_ms)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if tenant:
        conditions.append("j.tenant = ?")
        values.append(tenant.encode(errors="replace").decode())
    where = " AND ".join(conditions)
    if group in ("model", "provider"):
        query = _by_charge(group, where)
    elif group == "tag":
        query = _by_job(
            "t.key || '=' || t.value", where + " AND j.tags IS NOT NULL", more="CROSS JOIN json_each(j.tags) t"
        )
    else:
        query = _by_job(_NAMES[group], where)
    order = "name" if group == "day" else "nanousd DESC, name"
    rows = connection.execute(f"{query} GROUP BY name ORDER BY {order} LIMIT {MAX_ROWS}", values)
    return [CostRow(*row) for row in rows]


def _by_job(name: str, where: str, more: str = "") -> str:
    return (
        f"WITH {_PAID} SELECT {name} AS name, count(*) AS jobs, "  # noqa: S608
        "coalesce(sum(p.nanousd), 0) AS nanousd, coalesce(sum(j.quoted_nanousd), 0), coalesce(sum(p.ambiguous), 0) "
        f"FROM job j {more} LEFT JOIN paid p ON p.job = j.id WHERE {where}"
    )


def _by_charge(name: str, where: str) -> str:
    """Charges by who was called; what an entry tells without a charge has no name."""
    return (
        f"WITH {_CHARGED}, {_PAID}, charge AS (SELECT c.job, coalesce(o.value ->> '{name}', '') AS name, "  # noqa: S608
        "sum(coalesce(o.value ->> 'nanousd', c.cost_nanousd)) AS nanousd, "
        "sum(iif(o.value ->> 'ambiguous', o.value ->> 'nanousd', 0)) AS unsure "
        "FROM counted c LEFT JOIN json_each(c.charges) o GROUP BY c.job, 2) "
        "SELECT k.name AS name, count(*), sum(k.nanousd) AS nanousd, coalesce(sum(j.quoted_nanousd), 0), sum(k.unsure) "
        f"FROM charge k JOIN job j ON j.id = k.job JOIN paid p ON p.job = k.job WHERE {where}"
    )
