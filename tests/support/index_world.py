"""Records of every topic that the explorer reads, and its file as something that can be compared."""

import sqlite3
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from console_world import NOON, Story, ms

from console.index.facts import facts_of
from console.index.reading import Index
from console.index.record import TOPIC_NUMBERS
from console.index.store import Store
from schemas import codec
from schemas.topics import (
    ALERTS,
    AUDIT,
    BREAKERS,
    CONTROL,
    DECISIONS,
    DLQ,
    JOBS,
    LEDGER,
    PRICES,
    RESULTS,
    RETRY_TIERS,
    SPANS,
    TEXT,
)  # fmt: skip

Record = tuple[Any, ...]
"""As `facts_of` takes it: topic, partition, offset, timestamp_ms, value, key, headers."""
AT = ms(NOON)


def filled(path: Path, records: Iterable[Record], **options: Any) -> Store:
    """A store that has taken these records, one transaction each."""
    store = Store(path, **{"now_ms": lambda: AT, **options})
    for record in records:
        store.add([facts_of(*record, capture=store.capture)])
    return store


def index_of(path: Path, records: Iterable[Record]) -> Index:
    """An index over these records; nobody writes any more."""
    filled(path, records).close()
    return Index(path)


def ledger(n: int, *entries: dict[str, Any], home: int = 0) -> Record:
    """A record of the ledger."""
    return LEDGER.name, home, n, AT + 900 + n, codec.encode({"lane": "w", "entries": entries}), b"0", ()


def entry(story: Story, **told: Any) -> dict[str, Any]:
    """The end of a story's reservation."""
    charge = {"model": "org/small", "provider": "hf-inference", "nanousd": 1_234, "source": "computed", "attempt": 2}
    return {
        "kind": "settle", "tenant": story.tenant, "job_id": story.job_id, "submission": story.submission,
        "decision_id": f"d-{story.job_id}-{story.submission}", "reserved_nanousd": 4_000, "cost_nanousd": 1_234,
        "charges": [charge], "status": story.status, "waited_ms": 40, "called_ms": 540,
        "at": (story.began + timedelta(milliseconds=820)).isoformat(), **told,
    }  # fmt: skip


def decided(story: Story, offset: int, **told: Any) -> Record:
    """A record of the decisions: that of the story, with more."""
    reserve = {"nanousd": 4_000, "quoted_nanousd": 1_500, "budgets": [{"id": "tenant/default", "window": "2026-11"}]}
    decision = {
        **story.decision.model_dump(mode="json"), "reserve": reserve, "team": "red",
        "metadata": {"project": "alpha", "n": 1}, **told,
    }  # fmt: skip
    value = codec.encode({"lane": "r", "sequence": offset, "decisions": [decision]})
    return DECISIONS.name, story.home, offset, ms(story.began) + 30, value, b"0", ()


def audited(story: Story, offset: int) -> Record:
    """A record of the audit: the story's assignment, and a deed of the lane's own."""
    entries = [
        {"at": NOON.isoformat(), "action": "lane.opened", "detail": {}},
        {"at": NOON.isoformat(), "action": "job.assigned", "tenant": story.tenant, "job_id": story.job_id,
         "submission": story.submission, "span_id": "01" * 8, "detail": {"policy": "brief/1"},
         "authority": "tenant"},
    ]  # fmt: skip
    batch = {"lane": "novix-router.inference.jobs.v1.0", "sequence": offset + 1, "previous": "0" * 64, "hash": "a" * 64}
    return AUDIT.name, 0, offset, AT + 40, codec.encode({**batch, "entries": entries}), b"r", ()


def waits_twice() -> list[Record]:
    """A job that nobody has decided yet, and the same again from a producer that did not see it through."""
    traces = [(("traceparent", f"00-{digit * 32}-{digit * 16}-01".encode()),) for digit in "78"]
    asked = [{"id": "w1", "task": "chat-completion", "model": f"org/{name}"} for name in ("first", "again")]
    return [
        (JOBS.name, n, 70 + n, AT + 7 + n, codec.encode(asked[n]), b"default", traces[n]) for n in range(2)
    ]  # fmt: skip


def everything() -> list[Record]:
    """Some jobs with all that can happen to them, and what is no job's."""
    first, second = Story(job_id="r1", status="rejected", offset=20), Story(job_id="r1", submission=2, offset=21)
    other = Story(tenant="other", job_id="r1", offset=22)
    who = (("novix-identity", b"default/r1/2"), ("x-team", b"\xff\xfe"), ("Authorization", b"Bearer planted"))
    letter = (("__dlq.errors.topic", JOBS.name.encode()), ("__dlq.errors.message", b"conflict: other content"))
    alert = {
        "alert_id": "x",
        "rule": "spend",
        "state": "firing",
        "subject": "b",
        "message": "80 %",
        "at": NOON.isoformat(),
    }
    cancel = {"action": "cancel", "tenant": "default", "job_id": "r1"}
    unsure = {"model": "m", "provider": "p", "nanousd": 77, "ambiguous": True}
    breaker = {"provider": "p", "model": "m", "failures": 3, "at": NOON.isoformat(), "by": "w"}
    records: list[Record] = [
        (*record, None, ()) for story in (Story(), first, second, other) for record in story.records
    ]
    records += [
        (JOBS.name, first.home, 40, AT + 5, codec.encode(second.job), b"default", ()),  # the same job again
        decided(second, 50),
        ledger(0, entry(second), entry(Story(), charges=[], kind="release", cost_nanousd=0)),
        ledger(1, entry(second, cost_nanousd=9_999)),  # told again: counts for nothing
        ledger(2, entry(Story(), charges=[unsure], cost_nanousd=77)),
        audited(second, 0),
        (TEXT.name, 3, 21, AT + 30, b"{}", b"default/r1", who),
        (TEXT.name, second.home, 21, AT + 30, b"{}", b"default/r1", who),  # which its span names too
        *waits_twice(),
        (SPANS.name, 1, 3, AT + 990, second.records[2][4], None, ()),  # the same spans, told by another lane
        (RETRY_TIERS[0][1].name, 3, 4, AT + 200, b"{}", b"default/r1", who),
        (CONTROL.name, 0, 0, AT + 300, codec.encode(cancel), b"", ()),
        (DLQ.name, 1, 0, AT + 400, codec.encode(second.job), b"k", letter),
        (DLQ.name, 1, 1, AT + 401, b"\xff", None, ()),
        (ALERTS.name, 0, 0, AT, codec.encode(alert), b"x", ()),
        *((BREAKERS.name, 0, n, AT + n, codec.encode({**breaker, "state": state}), b"p/m", ())
          for n, state in enumerate(("open", "half-open", "closed"))),
        (BREAKERS.name, 0, 3, AT + 3, None, b"p/gone", ()),
        (PRICES.name, 0, 0, AT, codec.encode({"provider": "p", "model": "m", "price": None}), b"p/m/standard", ()),
        *((topic, 5, 99, AT, value, None, ()) for topic in (JOBS.name, RESULTS.name) for value in (b"\xff",)),
    ]  # fmt: skip
    return records


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, sorted; instead of the numbers of jobs, which depend on who came first, their names."""
    connection = sqlite3.connect(path)
    named = dict(connection.execute("SELECT id, tenant || '/' || job_id FROM identity"))

    def job(number: int) -> str:
        return f"{named.get(abs(number) >> 20)}/{abs(number) % 2**20}"

    told: dict[str, list[tuple[Any, ...]]] = {}
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in sorted(set(tables) - {"meta", "sqlite_sequence", "sqlite_stat1"}):
        rows = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - tables of the file itself
        columns = [column[0] for column in rows.description]
        told[table] = sorted((_steady(table, dict(zip(columns, row, strict=True)), job) for row in rows), key=repr)
    connection.close()
    return told


def _steady(table: str, row: dict[str, Any], job: Any) -> tuple[Any, ...]:
    if table in ("identity", "chunk", "job"):
        row.pop("id")
    if table == "document":
        row["id"] = (job(row["id"] >> 1), row["id"] & 1)
    if "job" in row:
        row["job"] = job(row["job"])
    return tuple(row.values())


assert set(TOPIC_NUMBERS) >= {record[0] for record in everything()}
