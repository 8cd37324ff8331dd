"""A provider's bill as CSV: which column is what, and its rows. Pure; the file is read line by line, its rows are kept.

What has another form than a bill is refused by line and column: a bill that is read wrongly is worse than none.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from console.money.amounts import BadAmount, decimal, nanousd, shortened
from schemas.base import MAX_NANOUSD
from schemas.values import frozen

MOST_ROWS = 1_000_000
"""That one reconciliation holds, some 500 bytes each: cut a longer bill by `--since` and `--until`."""
LONGEST_FIELD = 4_096
NANOUSD = "cost_nanousd"
KNOWN: dict[str, tuple[str, ...]] = {
    "request_id": ("request_id", "inference_id", "request id", "requestid", "call_id", "id"),
    "cost": ("cost", "cost_usd", "amount", "amount_usd", "total_cost", "cost (usd)", "price", "total"),
    NANOUSD: (NANOUSD, "nanousd"),
    "time": ("time", "at", "timestamp", "created_at", "created", "date", "datetime"),
    "model": ("model", "model_id", "model_name"),
    "provider": ("provider",),
    "job": ("job", "job_id", "trace"),
}
"""What a column may hold, and the headings under which it is found by itself, any case."""
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_NEXT = re.compile(rf",(?=\s*(?:{'|'.join(KNOWN)})=)")
MEANINGS = "request_id, cost (dollars) or cost_nanousd (integers), time, model, provider, job"


class BadBill(ValueError):
    """The file is no bill that can be read. The message names line and column, or the columns that are missing."""


@frozen
class Billed:
    """One row of a bill."""

    line: int
    nanousd: int
    """Negative: a credit."""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """When the call was: an instant, or the day or month that the bill names (`until` is not in it)."""
    model: str = ""
    provider: str = ""
    job: str = ""
    """`tenant/id`, or the id alone."""


@frozen
class Bill:
    """All rows, and how fine the bill is."""

    rows: tuple[Billed, ...]
    unit_nanousd: int
    """Of the last decimal that any amount has: what differs by less is rounding. 1: the bill is exact."""
    columns: tuple[tuple[str, str], ...]
    """(meaning, heading) of those that are used."""


def read_bill(lines: Iterable[str], columns: Mapping[str, str] | None = None) -> Bill:
    """Read a bill with a heading line, separated by comma, semicolon, tab or bar.

    `columns` says which heading holds what (`{"cost": "Amount due"}`); the others are found by their names. A time
    without a zone is UTC; a date stands for its whole day, `2026-11` for its month. Raises `BadBill`.
    """
    rest, first = iter(lines), 1
    heading = next(rest, None)
    while heading is not None and not heading.strip():
        heading, first = next(rest, None), first + 1
    if heading is None:
        raise BadBill("the bill is empty; its first line must name the columns")
    separator = max(",;\t|", key=heading.count)
    headings = [name.strip() for name in _fields(heading, separator, first)]
    used = _used(headings, columns or {})
    rows: list[Billed] = []
    decimals = 0
    for number, fields in _rows(rest, separator, first):
        if len(fields) != len(headings):
            raise BadBill(f"line {number}: {len(fields)} fields; the heading has {len(headings)}")
        if len(rows) == MOST_ROWS:
            raise BadBill(f"line {number}: more than {MOST_ROWS:,} rows; cut the bill by time")
        told = {meaning: fields[place].strip() for meaning, place in used.items()}
        row, its_decimals = _row(number, told, {meaning: headings[place] for meaning, place in used.items()})
        rows.append(row)
        decimals = max(decimals, its_decimals)
    unit = 1 if NANOUSD in used else 10 ** max(0, 9 - decimals)
    return Bill(tuple(rows), unit, tuple((meaning, headings[place]) for meaning, place in used.items()))


def columns_of(text: str | None) -> dict[str, str]:
    """`request_id=Call,cost=Amount, net` as a map; a heading may have commas. Raises `BadBill`."""
    told: dict[str, str] = {}
    for part in filter(str.strip, _NEXT.split(text or "")):
        meaning, equals, heading = (piece.strip() for piece in part.partition("="))
        if not equals or not heading or meaning not in KNOWN:
            raise BadBill(f"--columns {shortened(part)}: write MEANING=HEADING; meanings are {MEANINGS}")
        told[meaning] = heading
    return told


def _used(headings: list[str], columns: Mapping[str, str]) -> dict[str, int]:
    """Where each meaning stands. Raises `BadBill` where what is needed is missing or told twice."""
    low = [name.lower() for name in headings]
    used: dict[str, int] = {}
    for meaning, names in KNOWN.items():
        wanted = (columns[meaning].lower(),) if meaning in columns else names
        place = next((low.index(name) for name in wanted if name in low and low.index(name) not in used.values()), None)
        if place is None:
            if meaning in columns:
                raise BadBill(f"no column {shortened(columns[meaning])} for {meaning}; {_has(headings)}")
            continue
        if low.count(low[place]) > 1:
            raise BadBill(f"column {shortened(headings[place])} stands there twice")
        used[meaning] = place
    if "cost" in used and NANOUSD in used:
        del used["cost" if NANOUSD in columns or "cost" not in columns else NANOUSD]
    if "cost" not in used and NANOUSD not in used:
        raise BadBill(f"no column for cost; name it with --columns cost=HEADING; {_has(headings)}")
    if not ({"request_id", "job"} & used.keys() or {"time", "model"} <= used.keys()):
        raise BadBill(
            f"no column by which a call is known: request_id, else job, else time and model; name it with --columns; "
            f"{_has(headings)}"
        )
    return used


def _row(number: int, told: Mapping[str, str], headings: Mapping[str, str]) -> tuple[Billed, int]:
    """A row and the decimals of its amount. Raises `BadBill`."""

    def bad(meaning: str, reason: object) -> BadBill:
        return BadBill(f"line {number}, column {headings[meaning]!r}: {reason}")

    for meaning, text in told.items():
        if len(text) > LONGEST_FIELD:
            raise bad(meaning, f"has {len(text)} characters; {LONGEST_FIELD} are allowed")
    decimals = 0
    if NANOUSD in told:
        text = told[NANOUSD]
        if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 17:
            raise bad(NANOUSD, f"{shortened(text)} is no whole number of nano-dollars")
        amount = int(text)
        if abs(amount) > MAX_NANOUSD:
            raise bad(NANOUSD, f"{amount} is more than {MAX_NANOUSD}")
    else:
        try:
            amount = nanousd(told["cost"], least=-MAX_NANOUSD)
            exponent = decimal(told["cost"]).as_tuple().exponent
            decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
        except BadAmount as error:
            raise bad("cost", error) from None
    since = until = None
    if told.get("time"):
        span = _span(told["time"])
        if span is None:
            raise bad(
                "time", f"{shortened(told['time'])} is no time; write 2026-11-22T12:00:00Z, 2026-11-22 or 2026-11"
            )
        since, until = span
    names = {name: told.get(name, "") for name in ("request_id", "model", "provider", "job")}
    return Billed(number, amount, since=since, until=until, **names), decimals


def _span(text: str) -> tuple[datetime, datetime] | None:
    """From when to when a time is; None for what is none. Digits alone are seconds since 1970, 13 of them ms."""
    try:
        if text.isascii() and text.isdigit() and len(text) in (10, 13):
            at = datetime.fromtimestamp(int(text) / (1_000 if len(text) == 13 else 1), UTC)
            return at, at
        if _MONTH.fullmatch(text):
            at = datetime.fromisoformat(f"{text}-01").replace(tzinfo=UTC)
            return at, (at + timedelta(days=31)).replace(day=1)
        at = datetime.fromisoformat(text.removesuffix(" UTC").strip())
        at = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
        return at, at + timedelta(days=1) if len(text) == len("2026-11-22") else at
    except (ValueError, OverflowError):
        return None


def _rows(lines: Iterator[str], separator: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """The lines after the first `before` with their numbers in the file, blank ones left out."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadBill(f"line {reader.line_num + before}: {error}") from None
        if any(field.strip() for field in fields):
            yield reader.line_num + before, fields


def _fields(line: str, separator: str, number: int) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise BadBill(f"line {number}: {error}") from None


def _has(headings: list[str]) -> str:
    named = ", ".join(headings)
    return f"the bill has: {named if len(named) <= 300 else named[:300] + '...'}"
