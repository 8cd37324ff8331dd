"""Reading decisions[p] and ledger[p] as a lane opens: side by side by the time they were written, so that what is open
in memory meanwhile is about what was open then."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import ValidationError

from router.accounts import Accounts
from router.fold import UnreadableDecisions
from router.money.reports import Reports
from runtime.outcome import CannotOpen
from runtime.ports import LogReader, Record
from schemas import codec
from schemas.ledger import LedgerBatch, LedgerEntry
from schemas.topics import BUDGETS, DECISIONS, LEDGER


class UnreadableLedger(CannotOpen):
    """The ledger holds a record that is no batch of entries: what was spent cannot be told from it."""


class LostLog(CannotOpen):
    """The log ends before the place up to which a snapshot was taken: part of it is gone, or it is another one."""


class Folding(Protocol):
    """What is folded into: `router.money.books.Books`."""

    reports: Reports
    ledger_next: int
    decisions_from: int

    def fold_decisions(self, document: dict[str, Any]) -> None: ...

    def knows(self, decision_id: str) -> bool: ...

    def end(self, entry: LedgerEntry) -> bool: ...


async def catch_up(accounts: Accounts, log: LogReader) -> None:
    """Fold the accounts to the present end of their topic: whoever follows it here may be behind the lane's last owner,
    whose decisions were counted by zones and labels that it knew. What is followed later is not folded twice."""
    if not await log.partitions(BUDGETS.name):
        return
    end = (await log.bounds(BUDGETS.name, 0))[1]
    async for record in log.read(BUDGETS.name, 0, int(accounts.version), end):
        accounts.fold(record)


async def fold_log(books: Folding, partition: int, log: LogReader) -> None:
    """Fold both logs from where `books` stands to their present ends, letting the loop breathe between records.

    Every end that is in the ledger's log was decided in the decisions' one, if that is still there: an end that comes
    first waits for it. Raises `UnreadableDecisions`, `UnreadableLedger` or `LostLog`.
    """
    ledger_bounds = await log.bounds(LEDGER.name, partition)
    decisions_bounds = await log.bounds(DECISIONS.name, partition)
    _check("decisions", books.decisions_from, decisions_bounds[1])
    _check("ledger", books.ledger_next, ledger_bounds[1])
    gone = books.decisions_from < decisions_bounds[0] or books.ledger_next < ledger_bounds[0]
    early: dict[str, list[LedgerEntry]] = {}
    ends = log.read(LEDGER.name, partition, books.ledger_next, ledger_bounds[1])
    end = await anext(ends, None)
    async for record in log.read(DECISIONS.name, partition, books.decisions_from, decisions_bounds[1]):
        while end is not None and end.timestamp_ms < record.timestamp_ms:
            _fold_ends(books, end, early)
            end = await anext(ends, None)
            await asyncio.sleep(0)
        if gone and books.reports.since is None:
            books.reports.since = _iso(record)
        _fold_decisions(books, record)
        await asyncio.sleep(0)
    async for record in _rest(end, ends):
        if gone and books.reports.since is None:
            books.reports.since = _iso(record)
        _fold_ends(books, record, early)
        await asyncio.sleep(0)
    for entries in early.values():
        for entry in entries:
            books.end(entry)
    books.decisions_from, books.ledger_next = decisions_bounds[1], ledger_bounds[1]


def entries_of(record: Record) -> Sequence[LedgerEntry]:
    """The entries of one record of the ledger; none of a tombstone. Raises `UnreadableLedger`."""
    if record.value is None:
        return []
    try:
        return LedgerBatch.model_validate_json(record.value).entries
    except ValidationError as error:
        where = f"{record.topic}/{record.partition}/{record.offset}"
        raise UnreadableLedger(f"{where} is no ledger batch: {error.error_count()} faults") from None


def _fold_decisions(books: Folding, record: Record) -> None:
    try:
        books.fold_decisions(codec.decode(record.value or b""))
    except (codec.Undecodable, KeyError, TypeError, ValueError, AttributeError) as error:
        where = f"{record.topic}/{record.partition}/{record.offset}"
        raise UnreadableDecisions(f"{where} is no decision batch: {type(error).__name__}") from None


def _fold_ends(books: Folding, record: Record, early: dict[str, list[LedgerEntry]]) -> None:
    """End what is known by now; the ends of other decisions wait in `early`, in their order."""
    for entry in entries_of(record):
        if books.knows(entry.decision_id) and entry.decision_id not in early:
            books.end(entry)
        else:
            early.setdefault(entry.decision_id, []).append(entry)


async def _rest(first: Record | None, others: AsyncIterator[Record]) -> AsyncIterator[Record]:
    if first is not None:
        yield first
    async for record in others:
        yield record


def _check(name: str, known: int, end: int) -> None:
    if known > end:
        raise LostLog(f"{name} end at {end}; a snapshot was taken at {known}")


def _iso(record: Record) -> str:
    return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC).isoformat()
