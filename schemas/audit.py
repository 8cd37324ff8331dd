"""Who did what and why: entries in a hash chain per lane."""

from typing import Any

from pydantic import Field

from schemas.base import Contract, UtcInstant


class AuditEntry(Contract):
    """One deed of one lane about one job."""

    at: UtcInstant
    action: str
    """Past tense, from the table of events: `job.assigned`, `job.rejected`, `job.succeeded`, `job.duplicate`, ..."""
    tenant: str | None = None
    job_id: str | None = None
    submission: int | None = None
    trace_id: str | None = None
    span_id: str | None = None
    detail: dict[str, Any] = Field(default_factory=dict)
    """Reasons, sizes and costs; never content."""


class AuditBatch(Contract):
    """All entries of one transaction of one lane. On `inference.audit.v1`, keyed by lane.

    `hash` = sha256(`previous` as 32 bytes, then the canonical JSON of `{"lane", "sequence", "entries"}`), hex.
    Canonical is compact, with sorted keys, over the entries as they stand in the record. The first batch of a lane has
    64 zeros before it. Sequence and hash travel in the lane's commit metadata as well, so a missing tail shows.
    """

    lane: str
    """`{group}.{topic}.{partition}`."""
    sequence: int
    """Counts the lane's batches from 1, without a gap."""
    previous: str
    hash: str
    entries: list[AuditEntry]
