"""The rows that records become, each with its job first: what `console.index.store` writes."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

Key = tuple[str, str, int]
"""Tenant, job id, submission. Submission 0: the record cannot know it; tenant "": a trace that is no job's."""

QUEUED, DECIDED, LEDGERED, TERMINAL = 0, 1, 2, 3
"""Rank of what is known of a job: that it arrived, its decision, the end of its money, its result."""
STAMP_BITS = 59
LATEST_MS = 2**42


def stamp_of(timestamp_ms: int, offset: int) -> int:
    """Which of two records of the same kind is newer: by their time, within a millisecond by their offset."""
    return min(max(timestamp_ms, 0), LATEST_MS) << 16 | offset & 0xFFFF


def level_of(rank: int, stamp: int) -> int:
    """Rank and stamp as one number. The first arrival counts, of all others the last record."""
    return (rank + 1) << STAMP_BITS | ((1 << STAMP_BITS) - 1 - stamp if rank == QUEUED else stamp)


class Arrived(NamedTuple):
    """A record of the jobs topic."""

    job: Key
    level: int
    changed_ms: int
    published_ms: int
    asked_model: str | None
    task: str | None
    partition: int
    offset: int
    trace_id: str | None = None
    """Its producer's, as far as it is the job's own."""


class Decided(NamedTuple):
    """What a decision says of a submission."""

    job: Key
    stamp: int
    decided_ms: int | None
    team: str | None
    tags: str | None
    quoted_nanousd: int | None
    reserved_nanousd: int | None


class Placed(NamedTuple):
    """Where a submission came from."""

    job: Key
    level: int
    published_ms: int | None
    partition: int | None
    offset: int | None
    trace_id: str | None
    task: str | None


class Stands(NamedTuple):
    """How far a submission is."""

    job: Key
    level: int
    status: str
    changed_ms: int | None
    asked_model: str | None = None
    model: str | None = None
    provider: str | None = None
    cost_nanousd: int = 0
    total_ms: int | None = None
    wait_ms: int | None = None
    call_ms: int | None = None
    attempts: int = 0
    error_kind: str | None = None
    written_ms: int | None = None


class Document(NamedTuple):
    """A decision or a result, whole."""

    job: Key
    is_result: bool
    stamp: int
    body: bytes


class RecordRow(NamedTuple):
    """A record that speaks of a job."""

    job: Key
    topic: int
    partition: int
    offset: int
    timestamp_ms: int | None
    size_bytes: int | None
    key: str | None
    headers: str | None
    asked_model: str | None = None
    """On the jobs topic: decisions do not tell it."""
    asked: str | None = None
    """There too: provider, priority, time, key and team, as far as the job names them; a JSON object."""


class LedgerRow(NamedTuple):
    """One entry of the ledger."""

    job: Key
    partition: int
    offset: int
    n: int
    decision: str
    kind: str
    at_ms: int | None
    reserved_nanousd: int
    cost_nanousd: int
    ambiguous_nanousd: int
    charges: str | None
    by_whom: str | None


class AuditRow(NamedTuple):
    """One audit entry."""

    job: Key
    partition: int
    offset: int
    n: int
    at_ms: int | None
    action: str
    detail: str
    span_id: str | None


class Chunk(NamedTuple):
    """Spans that one record tells of one job, or of one trace that is no job's."""

    job: Key
    trace: bytes
    digest: int
    at_ms: int
    spans: int
    body: bytes


class Posting(NamedTuple):
    """A job has a span with this attribute."""

    job: Key
    attribute: int


class Batch(NamedTuple):
    """A record of audit entries."""

    partition: int
    offset: int
    at_ms: int
    lane: str
    sequence: int | None
    hash: str | None


class LetterRow(NamedTuple):
    """A dead letter, without its bytes."""

    partition: int
    offset: int
    at_ms: int
    kind: str
    topic: str
    body: str


class AlertRow(NamedTuple):
    """A crossing, or its end."""

    partition: int
    offset: int
    at_ms: int
    body: str


class StateRow(NamedTuple):
    """A value of a compacted topic."""

    kind: str
    key: str
    stamp: int
    body: str | None


class BrokenRow(NamedTuple):
    """What was left out of a record, or cut."""

    topic: int
    partition: int
    offset: int
    kind: str
    at_ms: int
    times: int


@dataclass(slots=True)
class Facts:
    """All rows of one record."""

    at_ms: int
    arrived: list[Arrived] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    stands: list[Stands] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    records: list[RecordRow] = field(default_factory=list)
    ledger: list[LedgerRow] = field(default_factory=list)
    audit: list[AuditRow] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    postings: set[Posting] = field(default_factory=set)
    letters: list[LetterRow] = field(default_factory=list)
    alerts: list[AlertRow] = field(default_factory=list)
    states: list[StateRow] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    broken_rows: list[BrokenRow] = field(default_factory=list)
