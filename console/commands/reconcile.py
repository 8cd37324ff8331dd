"""`novix ledger reconcile` and `novix ledger bill`: a provider's bill against the ledger."""

import asyncio
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.ledger import Since, Until
from console.exits import CommandError, Exit
from console.money.moments import moment
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.money.bill import Bill
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
        str | None, typer.Option(metavar="MEANING=HEADING,...", help="request_id, cost, cost_nanousd, time, model, ...")
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
    asked = _Asked(file, provider, tenant, moment("--since", since), moment("--until", until), _accepted(accept))
    return asyncio.run(_reconcile(settings(), Screen(as_json=as_json), asked, columns))


class _Asked:
    """What the person wants."""

    def __init__(
        self, file: Path, provider: str | None, tenant: str | None, since: datetime | None, until: datetime | None,
        accepted: set[str],
    ) -> None:  # fmt: skip
        self.file = file
        self.provider = provider
        self.tenant = tenant
        self.since = since
        self.until = until
        self.accepted = accepted


async def _reconcile(loaded: "Loaded", screen: Screen, asked: _Asked, columns: str | None) -> Exit:
    from console.kafka import connected
    from console.money import histories
    from console.money.reading import read
    from console.money.reconcile import Reconciler, ours_of
    from console.money.summed import Sums, is_summed

    bill = _read(asked, columns)
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
    for line in books.notes():
        screen.note(f"novix: {line}")
    return Exit.OK if agrees else Exit.FAILED


def _read(asked: _Asked, columns: str | None) -> "Bill":
    """The rows that are asked for. Raises `CommandError` naming line and column."""
    from console.money.bill import BadBill, Bill, columns_of, read_bill

    try:
        with asked.file.open(encoding="utf-8-sig", newline="") as lines:
            bill = read_bill(lines, columns_of(columns))
    except BadBill as error:
        raise CommandError(f"{asked.file}: {error}", Exit.USAGE) from None
    except UnicodeDecodeError:
        raise CommandError(f"{asked.file}: no UTF-8 text", Exit.USAGE) from None
    except OSError as error:
        raise CommandError(f"{asked.file}: {error.strerror}", Exit.USAGE) from None
    rows = [
        row
        for row in bill.rows
        if (asked.provider is None or row.provider in ("", asked.provider))
        and (asked.since is None or row.until is None or row.until >= asked.since)
        and (asked.until is None or row.since is None or row.since < asked.until)
    ]
    return Bill(tuple(rows), bill.unit_nanousd, bill.columns)


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
        + (f", exact to {money(bill.unit_nanousd)}" if bill.unit_nanousd > 1 else ""),
        f"ledger  {money(found.ours_nanousd)} in {count(found.charges, 'call')}",
        "matched " + ", ".join(f"{many:,} by {how.replace('_', ' ')}" for how, many in found.matched.items()),
        f"difference {money(found.billed_nanousd - found.ours_nanousd)}",
    ]
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
