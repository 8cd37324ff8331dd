"""`novix ledger reconcile` and `novix ledger bill`: a provider's bill against the ledger."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from console.commands.ledger import Since, Until
from console.exits import CommandError, Exit
from console.money.moments import moment
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.money.bill import Bill, Billed
    from console.money.cells import DecimalSign
    from console.money.joined import Ended
    from console.money.reconcile import Difference, Reconciled
    from runtime.settings import Loaded

MOST_LINES = 1_000
"""Differences that are told line by line; JSON has them all."""


@command
def reconcile(
    file: Annotated[Path, typer.Argument(metavar="BILL.csv", help="The bill, with a heading line.")],
    provider: Annotated[str | None, typer.Option(help="Only this provider's calls and rows.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="MEANING=HEADING,...", help="request_id, cost, cost_cents, time, ...; MEANING=-: none."),
    ] = None,
    decimal: Annotated[
        str | None, typer.Option(metavar="point|comma", help="Its amounts' decimal sign; default: a point.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's calls.")] = None,
    since: Since = None,
    until: Until = None,
    accept: Annotated[
        str | None, typer.Option(metavar="KIND,...", help="Differences that are no failure: rounding, ambiguous, ...")
    ] = None,
    as_json: AsJson = False,
) -> Exit:
    """Match a bill with the ledger and name every difference; exit code 1 if there is one that is not accepted.

    Calls are matched by the provider's request id, else by job, else by time, model and amount; a bill that has but a
    sum for each day or month and model is compared with such sums of ours. --since and --until choose calls and rows;
    without them the whole ledger is compared.
    """
    between = moment("--since", since), moment("--until", until)
    asked = _Asked(file, columns, _sign(decimal), provider, tenant, *between, _accepted(accept))
    return asyncio.run(_reconcile(settings(), Screen(as_json=as_json), asked))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the person wants."""

    file: Path
    columns: str | None
    decimal: "DecimalSign | None"
    provider: str | None
    tenant: str | None
    since: datetime | None
    until: datetime | None
    accepted: set[str]

    def row(self, row: "Billed") -> bool:
        """Whether this row of the bill is asked for; one that tells no provider or no time always is."""
        return (
            (self.provider is None or row.provider.casefold() in ("", self.provider.casefold()))
            and (self.since is None or row.until is None or row.until >= self.since)
            and (self.until is None or row.since is None or row.since < self.until)
        )


async def _reconcile(loaded: "Loaded", screen: Screen, asked: _Asked) -> Exit:
    from console.kafka import connected
    from console.money import histories
    from console.money.reading import read
    from console.money.reconcile import Reconciler, ours_of
    from console.money.summed import Sums, is_summed
    from console.words import shown

    bill = _read(asked)
    reconciler = Sums(bill) if is_summed(bill) else Reconciler(bill)

    def take(ended: "Ended") -> None:
        if asked.tenant not in (None, ended.entry.tenant) or (asked.until is not None and ended.at >= asked.until):
            return
        for ours in ours_of(ended):
            if asked.provider in (None, ours.provider):
                reconciler.add(ours)

    async with connected(loaded) as log:
        with screen.progress("reading the ledger", None):
            books = await read(log, await histories.accounts(log), take, since=asked.since)
    found = reconciler.finish()
    agrees = found.agrees(asked.accepted)
    if screen.as_json:
        screen.answer({**_document(found, bill), "agrees": agrees, **books.completeness()})
    else:
        for line in _lines(found, bill, asked.accepted):
            screen.line(line)
    notes = books.notes()
    if (unit := found.other_unit()) is not None and "cost" in dict(bill.columns):
        heading = dict(bill.columns)["cost"]
        notes.append(f"column {heading!r} is probably not in dollars; if so: --columns {unit}={heading}")
    for line in notes:
        screen.note(shown(f"novix: {line}"))
    return Exit.OK if agrees else Exit.FAILED


def _read(asked: _Asked) -> "Bill":
    """The rows that are asked for. Raises `CommandError` naming line and column."""
    from codecs import BOM_UTF16_BE, BOM_UTF16_LE

    from console.money.bill import BadBill, columns_of, read_bill

    try:
        columns = columns_of(asked.columns)
        with asked.file.open("rb") as opened:
            wide = opened.read(2) in (BOM_UTF16_BE, BOM_UTF16_LE)
        encoding = "utf-16" if wide else "utf-8-sig"
        with asked.file.open(encoding=encoding, errors="strict" if wide else "surrogateescape", newline="") as lines:
            return read_bill(_text(lines), columns, sign=asked.decimal, asked=asked.row)
    except BadBill as error:
        raise CommandError(f"{asked.file}: {error}", Exit.USAGE) from None
    except UnicodeError:
        raise CommandError(f"{asked.file}: no UTF-16 text, though it begins as such", Exit.USAGE) from None
    except OSError as error:
        raise CommandError(f"{asked.file}: {error.strerror}", Exit.USAGE) from None


def _text(lines: Iterable[str]) -> Iterator[str]:
    """The lines, which were read with `surrogateescape`. Raises `BadBill` for one with bytes that are no UTF-8."""
    from console.money.bill import BadBill

    for number, line in enumerate(lines, 1):
        if not line.isascii() and any("\udc80" <= char <= "\udcff" for char in line):
            raise BadBill(f"line {number}: no UTF-8 text")
        yield line


def _sign(text: str | None) -> "DecimalSign | None":
    if text in ("point", "comma", None):
        return cast("DecimalSign | None", text)
    raise CommandError(f"--decimal {text[:40]!r}: write point or comma", Exit.USAGE)


def _accepted(text: str | None) -> set[str]:
    """Kinds of differences; `ambiguous` is both of its kinds. Raises `CommandError`."""
    from console.money.reconcile import MEANINGS

    known: dict[str, set[str]] = {kind: {kind} for kind in MEANINGS}
    known["ambiguous"] = {"ambiguous_billed", "ambiguous_not_billed"}
    accepted: set[str] = set()
    for part in (text or "").split(","):
        if part.strip() and part.strip() not in known:
            raise CommandError(f"--accept {part.strip()[:40]!r}: kinds are {', '.join(sorted(known))}", Exit.USAGE)
        accepted |= known.get(part.strip(), set())
    return accepted


def _document(found: "Reconciled", bill: "Bill") -> dict[str, Any]:
    return {
        "rows": found.rows,
        "charges": found.charges,
        "columns": dict(bill.columns),
        "unit_nanousd": bill.unit_nanousd,
        "rows_left_out": bill.left_out,
        "left_out_nanousd": bill.left_out_nanousd,
        "billed_nanousd": found.billed_nanousd,
        "ours_nanousd": found.ours_nanousd,
        "difference_nanousd": found.billed_nanousd - found.ours_nanousd,
        "matched": found.matched,
        "free_rows": found.free,
        "sums": {kind: {"count": many, "nanousd": amount} for kind, (many, amount) in found.sums().items()},
        "differences": [_told(one) for one in found.differences],
    }


def _told(one: "Difference") -> dict[str, Any]:
    return {**asdict(one), "nanousd": one.nanousd}


def _lines(found: "Reconciled", bill: "Bill", accepted: set[str]) -> list[str]:
    from console.money.reconcile import MEANINGS
    from console.words import count, money, shown

    lines = [
        f"bill    {money(found.billed_nanousd)} in {count(found.rows, 'row')}"
        + (f", exact to {money(bill.unit_nanousd)}" if bill.unit_nanousd > 2 else "")
        + (", finer than a nano-dollar: each row is rounded to the nearest" if bill.unit_nanousd == 2 else ""),
        "columns " + ", ".join(f"{meaning} is {heading!r}" for meaning, heading in bill.columns),
        f"ledger  {money(found.ours_nanousd)} in {count(found.charges, 'call')}",
        "matched " + ", ".join(f"{many:,} by {how.replace('_', ' ')}" for how, many in found.matched.items()),
        f"difference {money(found.billed_nanousd - found.ours_nanousd)}",
    ]
    if bill.left_out:
        lines.insert(
            1, f"        {count(bill.left_out, 'row')} left out by your options: {money(bill.left_out_nanousd)}"
        )
    for kind, (many, amount) in found.sums().items():
        mark = " (accepted)" if kind in accepted else ""
        lines.append(f"  {kind}: {many:,}, {money(amount)}: {MEANINGS[kind]}{mark}")
    for one in found.differences[:MOST_LINES]:
        where = f"line {one.line}" if one.line is not None else "no line"
        lines.append(
            f"{one.kind}\t{where}\t{one.job or '-'}\t{one.request_id or '-'}\t"
            f"{one.model or '-'} at {one.provider or '-'}\t"
            f"billed {money(one.billed_nanousd)}, ours {money(one.ours_nanousd)}, difference {money(one.nanousd)}"
        )
    if len(found.differences) > MOST_LINES:
        lines.append(f"{len(found.differences) - MOST_LINES:,} more: --json tells them all")
    return [shown(line) for line in lines]


@command
def bill(
    file: Annotated[Path, typer.Argument(metavar="BILL.csv", help="Where to write it.")],
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Charged at or after.")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Write the sandbox's own bill, which knows nothing of the ledger, as a CSV that `reconcile` reads."""
    return asyncio.run(_bill(settings(), Screen(as_json=as_json), file, since))


async def _bill(loaded: "Loaded", screen: Screen, file: Path, since: str | None) -> Exit:
    from console.money import sandbox_bill
    from console.words import count, money

    begin = moment("--since", since)
    rows = await sandbox_bill.entries(loaded.settings.sandbox_url, begin.isoformat() if begin else None)
    try:
        with file.open("w", encoding="utf-8", newline="") as target:
            sandbox_bill.write(rows, target)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None
    total = sum(row["cost_nanousd"] for row in rows)
    line = f"wrote {count(len(rows), 'charge')}, {money(total)}, to {file}"
    screen.answer({"file": str(file), "rows": len(rows), "total_nanousd": total}, [line])
    return Exit.OK
