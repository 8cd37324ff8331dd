"""Reading decisions[p] as a changelog: from records to the entries that deduplication needs."""

import asyncio
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runtime.outcome import CannotOpen
from runtime.ports import LogReader, Record
from schemas import codec
from schemas.topics import DECISIONS
from schemas.values import frozen

TAIL = 8
"""Offsets before the end that are searched for the last record: transaction markers occupy offsets as well."""

STEP_ENTRIES = 2_000
"""Entries that are folded at once: a piece of some milliseconds, so that heartbeats go on while a long log is read."""


class UnreadableDecisions(CannotOpen):
    """The decisions topic holds a record that is no decision batch: whom to run twice cannot be told from it."""


@frozen
class Entry:
    """What is remembered of one decision."""

    identity: str
    """`tenant/id`; a tenant has no slash."""
    submission: int
    digest: str
    """Of the job's content; empty for a job that could not be read whole."""
    rejected: bool
    """The id may be sent again."""
    decision_id: str
    decided_ms: int
    """When, in milliseconds since 1970, by the router's clock."""
    redriven: bool = False
    """It was the dead letter that `decision_id` is made of, driven again."""

    def row(self) -> dict[str, str | int]:
        """As SQL parameters."""
        return {
            "identity": self.identity,
            "submission": self.submission,
            "digest": self.digest,
            "rejected": int(self.rejected),
            "decision_id": self.decision_id,
            "decided_ms": self.decided_ms,
        }


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a log was folded: the next offset, and by what the last folded record is known again."""

    next: int
    offset: int
    decision_id: str
    """Of the record's first decision."""


async def read(log: LogReader, partition: int, start: int, end: int) -> AsyncIterator[tuple[list[Entry], Cursor]]:
    """The entries of decisions[partition] from `start` to `end`, in steps, each with the cursor behind it."""
    entries: list[Entry] = []
    cursor: Cursor | None = None
    async for record in log.read(DECISIONS.name, partition, start, end):
        found = entries_of(record)
        if not found:
            continue
        entries += found
        cursor = Cursor(record.offset + 1, record.offset, found[0].decision_id)
        if len(entries) >= STEP_ENTRIES:
            yield entries, cursor
            entries, cursor = [], None
            await asyncio.sleep(0)
    if cursor is not None:
        yield entries, cursor


def entries_of(record: Record) -> list[Entry]:
    """The entries of one record. Raises `UnreadableDecisions`."""
    try:
        document = codec.decode(record.value or b"")
        return [_entry(one, record.timestamp_ms) for one in document["decisions"]]
    except (codec.Undecodable, KeyError, TypeError, ValueError) as error:
        where = f"{record.topic}/{record.partition}/{record.offset}"
        raise UnreadableDecisions(f"{where} is no decision batch: {type(error).__name__}") from None


def _entry(one: dict[str, Any], written_ms: int) -> Entry:
    identity = f"{one['tenant']}/{one['job_id']}"
    told = one.get("decided_at")
    decided_ms = milliseconds(datetime.fromisoformat(told)) if told else written_ms
    return Entry(
        identity, int(one["submission"]), one["digest"], one["verdict"] == "rejected", one["decision_id"], decided_ms,
        redriven=bool(one.get("redriven_from")),
    )  # fmt: skip


def milliseconds(instant: datetime) -> int:
    """Since 1970, rounded down."""
    return int(instant.timestamp() * 1000)


async def still_there(log: LogReader, partition: int, cursor: Cursor, first: int, end: int) -> bool:
    """Whether the log is still the one that was folded: the last folded record stands where it stood."""
    if not first <= cursor.offset < cursor.next <= end:
        return False
    async for record in log.read(DECISIONS.name, partition, cursor.offset, cursor.offset + 1):
        found = entries_of(record)
        return bool(found) and found[0].decision_id == cursor.decision_id
    return False


async def cursor_at_end(log: LogReader, partition: int) -> Cursor | None:
    """A cursor at the log's present end; None where no record stands close before it."""
    first, end = await log.bounds(DECISIONS.name, partition)
    cursor: Cursor | None = None
    async for record in log.read(DECISIONS.name, partition, max(first, end - TAIL), end):
        found = entries_of(record)
        if found:
            cursor = Cursor(end, record.offset, found[0].decision_id)
    return cursor


@functools.cache
def boot_id() -> str:
    """Which start of this machine it is (Linux); elsewhere always the same."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
