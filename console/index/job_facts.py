"""Everything that the index knows of one job: its submissions, records, money, audit entries, and its trace's spans."""

import sqlite3
import zlib
from collections.abc import Iterator
from typing import Any

from console.index.chunks import shown, unpacked
from console.index.lists import JOB_COLUMNS, job_row
from console.index.record import TOPIC_NUMBERS
from schemas import codec
from schemas.topics import (
    AUDIT,
    CONTROL,
    DECISIONS,
    DLQ,
    JOBS,
    LEDGER,
    MODALITY_TOPICS,
    RESULTS,
    RETRY_TIERS,
    SPANS,
)  # fmt: skip

MAX_SPANS = 2_000
MAX_ROWS = 2_000
_TOPICS = {number: name for name, number in TOPIC_NUMBERS.items()}
WHAT = {
    JOBS.name: "job",
    DECISIONS.name: "decision",
    RESULTS.name: "result",
    DLQ.name: "dead letter",
    LEDGER.name: "ledger",
    AUDIT.name: "audit",
    CONTROL.name: "control",
    SPANS.name: "spans",
    **{topic.name: "assigned" for topic in MODALITY_TOPICS.values()},
    **{tier.name: "retry" for _, tier in RETRY_TIERS},
}
"""What a record of each topic is to a job."""
_SUBMISSIONS = 1 << 20


def submissions(connection: sqlite3.Connection, tenant: str, job_id: str) -> list[dict[str, Any]]:
    """See `Index.job`."""
    query = (
        f"SELECT j.id, {JOB_COLUMNS} FROM job j WHERE j.job_id = ? AND j.tenant = ? AND j.level > 0 "  # noqa: S608
        "ORDER BY j.submission DESC LIMIT 200"
    )
    rows = [job_row(row) for row in connection.execute(query, (_storable(job_id), _storable(tenant)))]
    for row in rows:
        number = row.pop("id")
        row["decision"], row["result"] = (_document(connection, number << 1 | at) for at in (0, 1))
    return rows


def _document(connection: sqlite3.Connection, number: int) -> Any:
    row = connection.execute("SELECT body FROM document WHERE id = ?", (number,)).fetchone()
    return codec.parse(zlib.decompress(row[0])) if row is not None else None


def spans(connection: sqlite3.Connection, trace_id: str) -> list[dict[str, Any]]:
    """See `Index.spans`. A span that was told twice stands as it was told last."""
    try:
        trace = bytes.fromhex(trace_id)
    except ValueError:
        return []
    found: dict[str, tuple[Any, ...]] = {}
    query = "SELECT at_ms, digest, body FROM chunk WHERE trace = ? ORDER BY at_ms, digest"
    for at_ms, digest, body in connection.execute(query, (trace,)):
        for span in unpacked(body):
            found[span.span_id] = (span.start_ns, -span.end_ns, span.span_id, at_ms, digest, span)
        if len(found) > MAX_SPANS * 5:
            break  # somebody else's: nobody reads so many
    ordered = sorted(found.values(), key=lambda one: one[:3])
    return [shown(one[-1]) for one in ordered[:MAX_SPANS]]


def records(connection: sqlite3.Connection, tenant: str, job_id: str) -> list[dict[str, Any]]:
    """See `Index.records`."""
    query = (
        "SELECT topic, partition, offset, job, timestamp_ms, size_bytes, key, headers, asked FROM record "
        "WHERE job >= ? AND job < ? ORDER BY timestamp_ms IS NULL, timestamp_ms, topic, partition, offset LIMIT ?"
    )
    told: dict[tuple[int, int, int], dict[str, Any]] = {}
    for row in _of(connection, query, tenant, job_id):
        place, submission = (row["topic"], row["partition"], row["offset"]), row["job"] % _SUBMISSIONS or None
        if place in told:  # the record itself came first; a span that names it knows the submission
            told[place]["submission"] = told[place]["submission"] or submission
            continue
        topic = _TOPICS[row["topic"]]
        told[place] = {
            "topic": topic,
            "partition": row["partition"],
            "offset": row["offset"],
            "timestamp_ms": row["timestamp_ms"],
            "key": row["key"],
            "headers": codec.decode(row["headers"].encode()) if row["headers"] else [],
            "size_bytes": row["size_bytes"],
            "asked": codec.decode(row["asked"].encode()) if row["asked"] else {},
            "what": WHAT[topic],
            "submission": submission,
        }
    return list(told.values())


def money(connection: sqlite3.Connection, tenant: str, job_id: str) -> list[dict[str, Any]]:
    """See `Index.money`."""
    rows = [*_reserved(connection, tenant, job_id)]
    seen: dict[str, set[str]] = {}
    query = "SELECT * FROM ledger WHERE job >= ? AND job < ? ORDER BY partition, offset, n LIMIT ?"
    for entry in _of(connection, query, tenant, job_id):
        kind = "release" if entry["kind"] == "release" else "settle"
        before = seen.setdefault(entry["decision"], set())
        # As a home lane's books: each decision ends once, and once more if it was released and is settled later.
        counted = kind not in before and "settle" not in before
        before.add(kind)
        rows += _entry(entry, kind, counted)
    return rows


def _reserved(connection: sqlite3.Connection, tenant: str, job_id: str) -> Iterator[dict[str, Any]]:
    query = "SELECT id, reserved_nanousd, decided_ms FROM job WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
    for job in _of(connection, query, tenant, job_id):
        decision = _document(connection, job["id"] << 1) or {}
        reserve = decision.get("reserve")
        if job["reserved_nanousd"] is None or not isinstance(reserve, dict):
            continue
        place = connection.execute(
            "SELECT partition, offset FROM record WHERE job = ? AND topic = ? ORDER BY timestamp_ms DESC, offset DESC",
            (job["id"], TOPIC_NUMBERS[DECISIONS.name]),
        ).fetchone()
        budgets = [one for one in reserve.get("budgets") or () if isinstance(one, dict)]
        yield _money_row(
            "reserve",
            job["reserved_nanousd"],
            job["decided_ms"],
            DECISIONS.name,
            place or (None, None),
            job["id"],
            decision_id=decision.get("decision_id"),
            budgets=[{"id": one.get("id"), "window": one.get("window")} for one in budgets],
        )


def _entry(entry: sqlite3.Row, kind: str, counted: bool) -> Iterator[dict[str, Any]]:
    place = (entry["partition"], entry["offset"])
    told = {"decision_id": entry["decision"], "counted": counted, "by": entry["by_whom"]}
    charges = codec.decode(entry["charges"].encode()) if entry["charges"] else []
    for one in charges:
        what = "ambiguous" if one["ambiguous"] else "settle"
        who = {name: one[name] for name in ("model", "provider", "source", "attempt", "request_id")}
        yield _money_row(what, one["nanousd"], entry["at_ms"], LEDGER.name, place, entry["job"], **told, **who)
    left = entry["cost_nanousd"] - sum(one["nanousd"] for one in charges)
    if left or (kind == "settle" and not charges):
        yield _money_row("settle", left, entry["at_ms"], LEDGER.name, place, entry["job"], **told)
    back = entry["reserved_nanousd"] - entry["cost_nanousd"]
    if kind == "release" or back > 0:
        yield _money_row("release", max(back, 0), entry["at_ms"], LEDGER.name, place, entry["job"], **told)


def _money_row(
    kind: str, nanousd: int, at_ms: int | None, topic: str, place: Any, job: int, **more: Any
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": kind,
        "nanousd": nanousd,
        "at_ms": at_ms,
        "topic": topic,
        "partition": place[0],
        "offset": place[1],
        "submission": job % _SUBMISSIONS,
    }
    rest = ("decision_id", "model", "provider", "source", "attempt", "request_id", "by")
    return {**row, **dict.fromkeys(rest), "budgets": [], "counted": True, **more}


def audit(connection: sqlite3.Connection, tenant: str, job_id: str) -> list[dict[str, Any]]:
    """See `Index.audit`."""
    query = (
        "SELECT a.job, a.partition, a.offset, a.n, a.at_ms, a.action, a.detail, a.span_id, b.lane, b.sequence, b.hash "
        "FROM audit a LEFT JOIN batch b ON b.partition = a.partition AND b.offset = a.offset "
        "WHERE a.job >= ? AND a.job < ? ORDER BY a.at_ms, a.partition, a.offset, a.n LIMIT ?"
    )
    told = []
    for row in _of(connection, query, tenant, job_id):
        entry = dict(row)
        entry["submission"] = entry.pop("job") % _SUBMISSIONS or None
        more = codec.decode(entry["detail"].encode())
        # Fields of an entry beside its detail, by newer writers: who, on whose authority.
        detail = more.pop("detail", None)
        entry["detail"] = {**more, **(detail if isinstance(detail, dict) else {"detail": detail} if detail else {})}
        told.append(entry)
    return told


def _of(connection: sqlite3.Connection, query: str, tenant: str, job_id: str) -> list[sqlite3.Row]:
    """Rows of all submissions of a job."""
    known = connection.execute(
        "SELECT id FROM identity WHERE job_id = ? AND tenant = ?", (_storable(job_id), _storable(tenant))
    ).fetchone()
    if known is None or not tenant:
        return []
    first = known[0] * _SUBMISSIONS
    return connection.execute(query, (first, first + _SUBMISSIONS, MAX_ROWS)).fetchall()


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode()
