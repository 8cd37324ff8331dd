"""Lists out of the index, page by page. Each function asks one connection."""

import base64
import binascii
import sqlite3
from typing import Any

from console.index.answers import Listed
from console.index.plan import NEWEST_FIRST, Plan
from console.index.postings import LINK, number_of
from console.index.record import TOPIC_NUMBERS
from console.index.rows import STAMP_BITS
from schemas import codec
from schemas.topics import JOBS

COUNTED = 10_000
"""Up to so many, a total is exact."""
MAX_PAGE = 1_000
MAX_LINKS = 200
JOB_COLUMNS = f"""
j.tenant, j.job_id, max(j.submission, 1) AS submission, (j.level >> {STAMP_BITS}) - 1 AS rank, j.status, j.task,
coalesce(j.asked_model, (SELECT r.asked_model FROM record r WHERE r.topic = {TOPIC_NUMBERS[JOBS.name]}
    AND r.partition = j.partition AND r.offset = j.offset AND r.asked_model IS NOT NULL)) AS asked_model,
j.model, j.provider, j.cost_nanousd, j.total_ms, j.attempts, j.published_ms, j.changed_ms, j.trace_id, j.error_kind,
j.partition, j.offset, j.written_ms, j.team, j.tags, j.quoted_nanousd, j.reserved_nanousd, j.decided_ms, j.wait_ms,
j.call_ms, j.at_ms
"""  # noqa: S608


def jobs(connection: sqlite3.Connection, plan: Plan, limit: int, after: str | None) -> Listed:
    """One page of jobs."""
    limit = min(max(1, limit), MAX_PAGE)
    total = _count(connection, plan.sql, plan.all_values)
    place = _place(after, (int, str, str, int))
    if place is not None:
        plan.also("j.at_ms <= ?", place[0])
        plan.also("(j.at_ms < ? OR (j.tenant, j.job_id, j.submission) > (?, ?, ?))", *place)
    found = connection.execute(
        f"SELECT {JOB_COLUMNS}, j.submission AS place {plan.sql} ORDER BY {NEWEST_FIRST} LIMIT ?",
        (*plan.all_values, limit + 1),
    )
    rows = [job_row(row) for row in found]
    places = [row.pop("place") for row in rows]
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = _cursor(last["at_ms"], last["tenant"], last["job_id"], places[limit - 1])
    return Listed(rows[:limit], following, *total)


def job_row(row: sqlite3.Row) -> dict[str, Any]:
    """A job as pages take it; its tags are a dict."""
    told = dict(row)
    told["tags"] = codec.decode(told["tags"].encode()) if told["tags"] else {}
    return told


def by_trace(connection: sqlite3.Connection, trace_id: str) -> list[dict[str, Any]]:
    """See `Index.by_trace`."""
    query = (
        "SELECT j.tenant, j.job_id, max(j.submission, 1) AS submission FROM job j WHERE j.trace_id = ? "  # noqa: S608
        f"ORDER BY {NEWEST_FIRST} LIMIT 1000"
    )
    return [dict(row) for row in connection.execute(query, (_storable(trace_id),))]


def linked_from(connection: sqlite3.Connection, trace_id: str) -> list[dict[str, Any]]:
    """See `Index.linked_from`."""
    number = number_of(LINK, trace_id)
    jobs = (
        "SELECT j.tenant, j.job_id, max(j.submission, 1) AS submission, j.trace_id FROM posting p "  # noqa: S608
        "CROSS JOIN job j ON j.id = p.job WHERE p.attribute = ? AND p.job > 0 AND j.level > 0 "
        f"ORDER BY {NEWEST_FIRST} LIMIT {MAX_LINKS}"
    )
    traces = (
        "SELECT NULL AS tenant, NULL AS job_id, NULL AS submission, i.job_id AS trace_id FROM posting p "  # noqa: S608
        "CROSS JOIN identity i ON i.id = (-p.job) >> 20 WHERE p.attribute = ? AND p.job < 0 "
        f"ORDER BY i.job_id LIMIT {MAX_LINKS}"
    )
    rows = [dict(row) for query in (jobs, traces) for row in connection.execute(query, (number,))]
    return rows[:MAX_LINKS]


def by_record(connection: sqlite3.Connection, topic: str, partition: int, offset: int) -> list[dict[str, Any]]:
    """See `Index.by_record`. What the record itself says comes before what a span says of it."""
    if topic not in TOPIC_NUMBERS or not (0 <= partition < 2**31 and 0 <= offset < 2**63):
        return []
    query = (
        "SELECT i.tenant, i.job_id FROM record r JOIN identity i ON i.id = r.job >> 20 "
        "WHERE r.topic = ? AND r.partition = ? AND r.offset = ? "
        "GROUP BY i.id ORDER BY min(r.timestamp_ms IS NULL), i.tenant, i.job_id LIMIT 1000"
    )
    return [dict(row) for row in connection.execute(query, (TOPIC_NUMBERS[topic], partition, offset))]


def letters(connection: sqlite3.Connection, limit: int, after: str | None, kind: str, topic: str) -> Listed:
    """See `Index.letters`."""
    conditions, values = ["1 = 1"], list[Any]()
    for column, value in (("kind", kind), ("topic", topic)):
        if value:
            conditions.append(f"{column} = ?")
            values.append(_storable(value))
    return _paged(connection, "letter", conditions, values, limit, after)


def letter(connection: sqlite3.Connection, partition: int, offset: int) -> dict[str, Any] | None:
    """See `Index.letter`."""
    if not (0 <= partition < 2**31 and 0 <= offset < 2**63):
        return None
    query = "SELECT partition, offset, at_ms, body FROM letter WHERE partition = ? AND offset = ?"
    row = connection.execute(query, (partition, offset)).fetchone()
    return _told(row) if row is not None else None


def alerts(connection: sqlite3.Connection, limit: int, after: str | None) -> Listed:
    """See `Index.alerts`."""
    return _paged(connection, "alert", ["1 = 1"], [], limit, after)


def alerts_within(connection: sqlite3.Connection, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """See `Index.alerts_within`."""
    query = (
        "SELECT partition, offset, at_ms, body FROM alert WHERE at_ms >= ? AND at_ms <= ? "  # noqa: S608
        f"ORDER BY at_ms DESC, partition, offset LIMIT {MAX_PAGE}"
    )
    within = (min(max(at_ms, -(2**63)), 2**63 - 1) for at_ms in (since_ms, until_ms))
    return [_told(row) for row in connection.execute(query, tuple(within))][::-1]


def newest(connection: sqlite3.Connection, kind: str) -> list[dict[str, Any]]:
    """The values of a compacted topic by key, at most 10,000."""
    query = "SELECT key, body FROM state WHERE kind = ? AND body IS NOT NULL ORDER BY key LIMIT 10000"
    return [{"key": row["key"], **codec.decode(row["body"].encode())} for row in connection.execute(query, (kind,))]


def _paged(
    connection: sqlite3.Connection, table: str, conditions: list[str], values: list[Any], limit: int, after: str | None
) -> Listed:
    limit = min(max(1, limit), MAX_PAGE)
    total = _count(connection, f"FROM {table} WHERE {' AND '.join(conditions)}", values)
    place = _place(after, (int, int, int))
    if place is not None:
        conditions = [*conditions, "at_ms <= ? AND (at_ms < ? OR (partition, offset) > (?, ?))"]
        values = [*values, place[0], *place]
    found = connection.execute(
        f"SELECT partition, offset, at_ms, body FROM {table} WHERE {' AND '.join(conditions)} "  # noqa: S608
        "ORDER BY at_ms DESC, partition, offset LIMIT ?",
        (*values, limit + 1),
    )
    rows = [_told(row) for row in found]
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = _cursor(last["at_ms"], last["partition"], last["offset"])
    return Listed(rows[:limit], following, *total)


def _told(row: sqlite3.Row) -> dict[str, Any]:
    return {**codec.decode(row["body"].encode()), **{name: row[name] for name in ("partition", "offset", "at_ms")}}


def _count(connection: sqlite3.Connection, sql: str, values: list[Any]) -> tuple[int, bool]:
    query = f"SELECT count(*) FROM (SELECT 1 {sql} LIMIT {COUNTED + 1})"  # noqa: S608
    found = int(connection.execute(query, values).fetchone()[0])
    return min(found, COUNTED), found <= COUNTED


def _cursor(*place: Any) -> str:
    return base64.urlsafe_b64encode(codec.encode(place)).decode().rstrip("=")


def _place(cursor: str | None, kinds: tuple[type, ...]) -> list[Any] | None:
    """Where the page before ended; None for what is no cursor of ours."""
    if not cursor or len(cursor) > 4_096 or not cursor.isascii():
        return None
    try:
        place = codec.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(place, list) or len(place) != len(kinds):
        return None
    sound = all(type(one) is kind for one, kind in zip(place, kinds, strict=True))
    return place if sound and all(abs(one) < 2**63 for one in place if isinstance(one, int)) else None


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode()
