"""What one transaction holds: pure assembly of results, shared records and the position from settled works."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime import audit
from runtime.deadletter import dead_letter
from runtime.grouping import by_size
from runtime.lane import Lane
from runtime.metrics.lanes import Written
from runtime.outcome import Done, GiveUp
from runtime.ports import LaneId, Outgoing, Position, Record, RecordTooLarge
from runtime.progress import Progress, encode
from runtime.telemetry import SpanDraft, encode_spans
from runtime.telemetry_tail import Tail
from runtime.work import Work
from schemas.audit import AuditBatch, AuditEntry
from schemas.topics import SPANS

SHARED_LIMIT_BYTES = 524_288
"""Batched records (audit, spans, decisions) are split at this size."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction, ready to be sent."""

    records: list[Outgoing]
    owners: list[Work | None]
    """Whose record it is, by index; None for a shared one."""
    position: Position
    progress: Progress
    facts: list[Any]
    written: Written
    entries: list[AuditEntry]

    def owner_of(self, error: Exception) -> Work | None:
        """Whose record was refused for its size, if it was one of a work's own."""
        return self.owners[error.index] if isinstance(error, RecordTooLarge) and error.index >= 0 else None


def assemble(
    lane: Lane, works: Sequence[Work], now: datetime, shared_limit: int = SHARED_LIMIT_BYTES, custody: str = "",
    tail: Tail | None = None,
) -> Batch:  # fmt: skip
    """Make the transaction that finishes `works`. Marks them finished in the lane's tracker.

    `custody` names the journals of the calls that are out when it is committed. `tail` chooses the jobs whose spans are
    written; without it those that were sampled.

    If the transaction fails, the lane is rebuilt from what is committed, so nothing needs to be undone here.
    """
    records: list[Outgoing] = []
    owners: list[Work | None] = []
    entries: list[AuditEntry] = []
    spans: list[SpanDraft] = []
    facts: list[Any] = []
    for work in works:
        done = work.done
        if done is None:
            raise ValueError(f"offset {work.offset} is not settled")
        own = own_records(lane.id, work.record, done)
        records += own
        owners += [work] * len(own)
        entries += done.audit or _entry(work.record, done, now)
        spans += tail.kept(done.spans) if tail is not None else done.spans
        facts += done.facts
        lane.tracker.finish(work.offset)
    chain = _chain(str(lane.id), lane.progress, entries, shared_limit)
    shared = [
        *lane.handler.seal(facts, shared_limit),
        *map(audit.record, chain),
        *_span_records(lane, spans, shared_limit, now),
    ]
    sequence, head = (chain[-1].sequence, chain[-1].hash) if chain else (lane.progress.sequence, lane.progress.head)
    base = lane.tracker.committable()
    progress = Progress(sequence, head, lane.tracker.finished, custody)
    written = Written(
        Counter([record.topic for record in (*records, *shared)]),
        Counter([str(work.done.kind) for work in works if isinstance(work.done, GiveUp)]),
        Counter([entry.action for entry in entries]),
        len(spans),
    )
    return Batch(
        [*records, *shared], [*owners, *[None] * len(shared)], Position(base, encode(base, progress)), progress, facts,
        written, entries,
    )  # fmt: skip


def own_records(lane: LaneId, record: Record, done: Done) -> list[Outgoing]:
    """What an outcome writes for its record alone: its records, and the dead letter of one that was given up."""
    if not isinstance(done, GiveUp):
        return list(done.records)
    told = bool(done.records)
    letter = dead_letter(record, lane, done.kind, done.message, has_result=told, error_type=done.error_type)
    return [*done.records, letter]


def _entry(record: Record, done: Done, now: datetime) -> list[AuditEntry]:
    """A dead letter nobody else speaks of is a deed as well."""
    if not isinstance(done, GiveUp):
        return []
    where = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "kind": str(done.kind)}
    return [AuditEntry(at=now, action="record.dead_lettered", detail=where)]


def _chain(lane: str, progress: Progress, entries: list[AuditEntry], limit: int) -> list[AuditBatch]:
    """The entries as one or more chained batches, each about `limit` bytes at most."""
    batches: list[AuditBatch] = []
    sequence, head = progress.sequence, progress.head
    for group in by_size(entries, [audit.size_of(entry) for entry in entries], limit):
        sequence += 1
        batches.append(audit.link(lane, sequence, head, group))
        head = batches[-1].hash
    return batches


def _span_records(lane: Lane, spans: Sequence[SpanDraft], limit: int, now: datetime) -> list[Outgoing]:
    """The spans as one OTLP request, or as several where one would be too large."""
    service = lane.id.group
    value = encode_spans(service, spans, now)
    if value is None:
        return []
    if len(value) > limit and len(spans) > 1:
        half = len(spans) // 2
        return [*_span_records(lane, spans[:half], limit, now), *_span_records(lane, spans[half:], limit, now)]
    return [Outgoing(SPANS.name, str(lane.id).encode(), value)]
