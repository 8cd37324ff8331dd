"""The sandbox's own bill: what each answered call cost by its price list. Survives restarts; knows nothing of ours."""

import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.hf.catalogue import ComputePrice, TokenPrice

SCHEMA = """
create table if not exists bill (
    inference_id text primary key, at text not null, model text not null, provider text not null, task text not null,
    session text, trace text, input_tokens integer, output_tokens integer, compute_ms integer,
    cost_nanousd integer not null, aborted integer not null);
create index if not exists bill_trace on bill (trace);
create index if not exists bill_session on bill (session);
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What one call used. Tokens for generating models, milliseconds of compute for every model."""

    compute_ms: int
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One charge: an answered call, or a stream that was broken off, with the tokens made until then."""

    inference_id: str
    """The id that the answer carried in `inference-id`."""
    at: str
    """ISO 8601, UTC."""
    model: str
    provider: str
    task: str
    session: str | None
    """The request's `X-HF-Session-id`."""
    trace: str | None
    """The request's `X-Amzn-Trace-Id`."""
    input_tokens: int | None
    output_tokens: int | None
    compute_ms: int
    cost_nanousd: int
    aborted: bool


def cost(work: Work, price: TokenPrice | ComputePrice) -> int:
    """Nano-dollars for `work`.

    Tokens: `ceil((input * price_in + output * price_out) / 1_000_000)`, prices per million tokens. Compute:
    milliseconds of `x-compute-time` times the price of one, as hf-inference charges (compute time x hardware price).
    """
    if isinstance(price, ComputePrice):
        return work.compute_ms * price.nanousd_per_ms
    parts = (work.input_tokens or 0) * price.input_nanousd_per_mtok
    parts += (work.output_tokens or 0) * price.output_nanousd_per_mtok
    return -(-parts // 1_000_000)


def open_book(path: Path) -> sqlite3.Connection:
    """The state file of bill and call log: a write-ahead log, so that a killed server loses nothing it has answered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    book.row_factory = sqlite3.Row
    book.execute("pragma journal_mode = wal")
    book.execute("pragma synchronous = normal")
    return book


class Bill:
    """All charges. One writer: the server's event loop (an insert takes some 50 us)."""

    def __init__(self, book: sqlite3.Connection) -> None:
        self._book = book
        book.executescript(SCHEMA)

    def charge(self, entry: Entry) -> None:
        """Write one charge. Raises `sqlite3.IntegrityError` if its inference id has been charged before."""
        row = asdict(entry)
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        self._book.execute(f"insert into bill ({names}) values ({marks})", row)  # noqa: S608, fixed names

    def entries(
        self, *, since: datetime | None = None, session: str | None = None, trace: str | None = None
    ) -> list[Entry]:
        """The charges from `since` on, of one session, of one trace; oldest first."""
        where, values = ["1 = 1"], []
        for clause, value in (("at >= ?", since and stamp(since)), ("session = ?", session), ("trace = ?", trace)):
            if value is not None:
                where.append(clause)
                values.append(value)
        query = f"select * from bill where {' and '.join(where)} order by at, rowid"  # noqa: S608, fixed clauses
        return [Entry(**dict(row) | {"aborted": bool(row["aborted"])}) for row in self._book.execute(query, values)]


def summary(entries: Iterable[Entry]) -> dict[str, Any]:
    """`{count, total_nanousd, by_model: {id: {count, cost_nanousd, input_tokens, output_tokens, compute_ms}}}`."""
    by_model: dict[str, dict[str, int]] = {}
    for entry in entries:
        sums = by_model.setdefault(
            entry.model,
            {"count": 0, "cost_nanousd": 0, "input_tokens": 0, "output_tokens": 0, "compute_ms": 0},
        )
        sums["count"] += 1
        sums["cost_nanousd"] += entry.cost_nanousd
        sums["input_tokens"] += entry.input_tokens or 0
        sums["output_tokens"] += entry.output_tokens or 0
        sums["compute_ms"] += entry.compute_ms
    return {
        "count": sum(sums["count"] for sums in by_model.values()),
        "total_nanousd": sum(sums["cost_nanousd"] for sums in by_model.values()),
        "by_model": by_model,
    }


def stamp(at: datetime) -> str:
    """An aware UTC instant as text that sorts as time does: always six digits of microseconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
