"""Reading money from Kafka: decisions and ledger of each home, merged by time, in bounded memory.

Held at a time: one batch of either topic, and what is open: the reservations that have not ended, and those whose end
was written within `SKEW_MS` of them. So a log of any length can be read; the sums that are made of it are the
caller's.
"""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from console.answers import document
from console.kafka import Log, ends
from console.money.joined import Ended, Join, Reservation
from console.words import count
from router.accounts import Accounts
from runtime.ports import Record
from schemas.ledger import LedgerEntry
from schemas.topics import DECISIONS, LEDGER

SKEW_MS = 60_000
"""Clocks of two lanes may differ by so much: an entry is looked at so much later than a decision of the same time."""


@dataclass(slots=True)
class Books:
    """What was found of all homes, once everything was read."""

    open: list[Reservation] = field(default_factory=list)
    repeated: list[LedgerEntry] = field(default_factory=list)
    """Entries beyond the first of a reservation. They count for nothing."""
    strangers: int = 0
    """Ends whose decision is not in the log: older than it. Counted when they were written."""
    unreadable: int = 0
    begins: datetime | None = None
    """The first decision that the log still has; None: it has none."""
    whole: bool = True
    """False: decisions before `begins` have been deleted by the topic's retention, or nobody can know."""

    def completeness(self) -> dict[str, Any]:
        """How much of all money this is, as JSON."""
        return {
            "whole_log": self.whole,
            "log_begins": None if self.begins is None else self.begins.isoformat(),
            "repeated_entries": len(self.repeated),
            "entries_without_decision": self.strangers,
            "unreadable": self.unreadable,
        }

    def notes(self) -> list[str]:
        """What a person must know of what was read."""
        notes = []
        if not self.whole and self.begins is not None:
            notes.append(f"decisions are kept from {self.begins:%Y-%m-%d %H:%M:%S} UTC on; older ones are in no sum")
        if self.strangers:
            ends = count(self.strangers, "entry", "entries")
            notes.append(f"{ends} of decisions that are not in the log: counted when they were written")
        if self.repeated:
            notes.append(f"{count(len(self.repeated), 'entry', 'entries')} told an end a second time: counted once")
        if self.unreadable:
            notes.append(f"{count(self.unreadable, 'record')} could not be read: in no sum")
        return notes


async def read(
    log: Log,
    accounts: Accounts,
    tell: Callable[[Ended], None],
    *,
    homes: Collection[int] | None = None,
    since: datetime | None = None,
) -> Books:
    """Give every end of a reservation to `tell`, home by home; what is open, and how complete that is.

    `since` leaves out what was decided before it. Raises `CommandError` where a topic is missing.
    """
    found = Books()
    ledger = await ends(log, LEDGER.name)  # before the decisions: each of its entries has its decision among them
    decisions = await ends(log, DECISIONS.name)
    for home in sorted(decisions if homes is None else homes):
        await _home(log, Join(accounts), home, (decisions.get(home, 0), ledger.get(home, 0)), tell, found, since)
    return found


async def _home(
    log: Log,
    join: Join,
    home: int,
    until: tuple[int, int],
    tell: Callable[[Ended], None],
    found: Books,
    since: datetime | None,
) -> None:
    reader = log.reader()
    starts = []
    for topic in (DECISIONS.name, LEDGER.name):
        start, _ = await reader.bounds(topic, home)
        if topic == DECISIONS.name and start > 0:
            found.whole = False
        if since is not None:
            start = max(start, await log.find_since(topic, home, max(0, _ms(since) - SKEW_MS)))
        starts.append(start)

    def wanted(ended: Ended) -> None:
        if since is None or (ended.reservation is not None and ended.at >= since):
            tell(ended)

    decisions = reader.read(DECISIONS.name, home, starts[0], until[0])
    ledger = reader.read(LEDGER.name, home, starts[1], until[1])
    async for record in _merged(decisions, ledger):
        if record.topic == LEDGER.name:
            ended = join.ledger(record.value or b"")
        else:
            _began(found, record)
            ended = join.decisions(document(record))
        for one in ended:
            wanted(one)
    strangers = list(join.strangers())
    if since is None:
        found.strangers += len(strangers)
    for one in strangers:
        wanted(one)
    found.open += [one for one in join.open.values() if since is None or one.held.decided_at >= since]
    found.repeated += join.repeated
    found.unreadable += join.unreadable


async def _merged(decisions: AsyncIterator[Record], ledger: AsyncIterator[Record]) -> AsyncIterator[Record]:
    """Both by the time of their records, a decision before an entry that was written up to `SKEW_MS` earlier."""
    async with aclosing(decisions) as first, aclosing(ledger) as second:  # type: ignore[type-var]
        decision, entry = await anext(first, None), await anext(second, None)
        while decision is not None or entry is not None:
            if decision is not None and (entry is None or decision.timestamp_ms <= entry.timestamp_ms + SKEW_MS):
                yield decision
                decision = await anext(first, None)
            elif entry is not None:
                yield entry
                entry = await anext(second, None)


def _began(found: Books, record: Record) -> None:
    at = datetime.fromtimestamp(record.timestamp_ms / 1_000, UTC)
    if found.begins is None or at < found.begins:
        found.begins = at


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)
