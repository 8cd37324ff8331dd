"""A provider's bill as CSV: which column is what, and its rows. Pure; the file is read line by line, its rows are kept.

What has another form than a bill is refused by line and column: a bill that is read wrongly is worse than none.
"""

import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from console.money.amounts import shortened
from console.money.cells import BadCell, DecimalSign, amount, span
from schemas.values import frozen

MOST_ROWS = 2_000_000
"""That one reconciliation holds, some 700 bytes each: of a longer bill choose by `--since` and `--until`."""
LONGEST_FIELD = 4_096
LONGEST_HEADING = 65_536
COSTS = {"cost_nanousd": 0, "cost_microusd": 3, "cost": 9, "cost_cents": 7}
"""What may hold the amount, the finest first, and how many decimals of its unit make a nano-dollar."""
COARSEST = 2
"""Decimals of a dollar that any bill is taken to have: one of whole dollars does not make a whole one rounding."""
KNOWN: dict[str, tuple[str, ...]] = {
    "request_id": ("requestid", "inferenceid", "callid", "generationid", "id"),
    "cost": ("cost", "costusd", "amount", "amountusd", "totalcost", "totalcostusd", "total", "totalusd"),
    "cost_cents": ("costcents", "costusdcents", "costincents", "amountcents", "amountusdcents", "amountincents"),
    "cost_microusd": ("costmicrousd", "costmicros", "amountmicros", "microusd"),
    "cost_nanousd": ("costnanousd", "costnanos", "nanousd"),
    "currency": ("currency", "currencycode"),
    "time": ("time", "at", "timestamp", "createdat", "created", "date", "datetime"),
    "model": ("model", "modelid", "modelname"),
    "provider": ("provider",),
    "job": ("job", "jobid", "trace"),
}  # fmt: skip
"""What a column may hold, and the headings under which it is found by itself: their letters and digits, any case. A
`price` is none: it may be that of one unit."""
_DOLLARS = ("usd", "us$", "$", "us dollar", "us dollars", "")
_NEXT = re.compile(rf",(?=\s*(?:{'|'.join(KNOWN)})=)")
UNUSED = "-"
MEANINGS = "request_id, cost (dollars), cost_cents, cost_microusd or cost_nanousd, currency, time, model, provider, job"


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
    """The rows that were asked for, and how fine the bill is."""

    rows: tuple[Billed, ...]
    unit_nanousd: int
    """Of the last decimal that any amount has: what differs by less is rounding. 1: the bill is exact. 2: it is finer
    than a nano-dollar, and rounded to the nearest."""
    columns: tuple[tuple[str, str], ...]
    """(meaning, heading) of those that are used."""
    left_out: int = 0
    """Rows that were not asked for."""
    left_out_nanousd: int = 0


def read_bill(
    lines: Iterable[str],
    columns: Mapping[str, str] | None = None,
    *,
    sign: DecimalSign | None = None,
    asked: Callable[[Billed], bool] = lambda _: True,
) -> Bill:
    """Read a bill with a heading line, separated by comma, semicolon, tab or bar; of its rows those that are `asked`.

    `columns` says which heading holds what (`{"cost": "Amount due"}`; `-`: none does); the others are found by their
    names. `sign` is the decimal sign of its amounts. Raises `BadBill`.
    """
    rest, first = iter(lines), 1
    heading = next(rest, None)
    while heading is not None and (not heading.strip() or heading.lower().startswith("sep=")):  # Excel's own first line
        heading, first = next(rest, None), first + 1
    if heading is None:
        raise BadBill("the bill is empty; its first line must name the columns")
    if len(heading) > LONGEST_HEADING:
        raise BadBill(f"line {first} has {len(heading):,} characters; a heading may have {LONGEST_HEADING:,}")
    separator = max(",;\t|", key=heading.count)
    headings = [name.strip() for name in _fields(heading, separator, first)]
    used = _used(headings, columns or {})
    rows: list[Billed] = []
    named = {meaning: headings[place] for meaning, place in used.items()}
    finest, left_out, left_out_nanousd = COARSEST, 0, 0
    for number, fields in _rows(rest, separator, first):
        if len(fields) != len(headings):
            raise BadBill(f"line {number}: {len(fields)} fields; the heading has {len(headings)}")
        told = {meaning: fields[place].strip() for meaning, place in used.items()}
        row, decimals = _row(number, told, named, sign)
        if not asked(row):
            left_out, left_out_nanousd = left_out + 1, left_out_nanousd + row.nanousd
            continue
        if len(rows) == MOST_ROWS:
            raise BadBill(f"line {number}: more than {MOST_ROWS:,} rows; choose some with --since and --until")
        rows.append(row)
        finest = max(finest, decimals)
    if "cost_nanousd" in used:
        finest = max(finest, 9)
    unit = 2 if finest > 9 else 10 ** (9 - finest)
    return Bill(tuple(rows), unit, tuple(named.items()), left_out, left_out_nanousd)


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
    plain = ["".join(filter(str.isalnum, name)) for name in low]
    used: dict[str, int] = {}
    for meaning in sorted(KNOWN, key=lambda meaning: meaning not in columns):  # what was named is nobody else's
        wanted = columns.get(meaning)
        if wanted == UNUSED:
            continue
        names, those = ((wanted.lower(),), low) if wanted is not None else (KNOWN[meaning], plain)
        place = next(
            (those.index(one) for one in names if one in those and those.index(one) not in used.values()), None
        )
        if place is None:
            if wanted is not None:
                raise BadBill(f"no column {shortened(wanted)} for {meaning}; {_has(headings)}")
            continue
        if low.count(low[place]) > 1:
            raise BadBill(f"column {shortened(headings[place])} stands there twice")
        used[meaning] = place
    costs = [meaning for meaning in COSTS if meaning in used]
    if not costs:
        raise BadBill(f"no column for cost; name it with --columns cost=HEADING; {_has(headings)}")
    for other in sorted(costs, key=lambda meaning: meaning not in columns)[1:]:
        del used[other]
    if not ({"request_id", "job"} & used.keys() or {"time", "model"} <= used.keys()):
        raise BadBill(
            f"no column by which a call is known: request_id, else job, else time and model; name it with --columns; "
            f"{_has(headings)}"
        )
    return used


def _row(
    number: int, told: Mapping[str, str], headings: Mapping[str, str], sign: DecimalSign | None
) -> tuple[Billed, int]:
    """A row and the decimals of a dollar that its amount has. Raises `BadBill`."""

    def bad(meaning: str, reason: object) -> BadBill:
        return BadBill(f"line {number}, column {shortened(headings[meaning])}: {reason}")

    for meaning, text in told.items():
        if len(text) > LONGEST_FIELD:
            raise bad(meaning, f"has {len(text)} characters; {LONGEST_FIELD} are allowed")
    if told.get("currency", "").lower() not in _DOLLARS:
        raise bad("currency", f"{shortened(told['currency'])} is not USD; the ledger keeps US dollars alone")
    meaning = next(meaning for meaning in COSTS if meaning in told)
    since = until = None
    try:
        nanousd, decimals = amount(told[meaning], COSTS[meaning], sign)
        if told.get("time"):
            meaning = "time"
            since, until = span(told["time"])
    except BadCell as error:
        raise bad(meaning, error) from None
    model, provider = (sys.intern(told.get(name, "")) for name in ("model", "provider"))
    row = Billed(number, nanousd, told.get("request_id", ""), since, until, model, provider, told.get("job", ""))
    return row, decimals


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
