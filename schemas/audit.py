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
    authority: str | None = None
    """On whose word: `tenant` (its own job), `operator:NAME` (a person's order), `rule:KIND` (a limit of the
    tenant, its budget or its policy), `decision:ID` (the router's decision that assigned the job)."""


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


class TreeHead(Contract):
    """One lane as a checkpoint signs it: how far its chain goes, and the Merkle tree over its entries.

    A leaf is the canonical JSON of one entry as it stands in its batch, in the order of the batches. Trees, leaf and
    node hashes are those of RFC 9162 section 2.1.
    """

    lane: str
    run: int = 1
    """Counts the lane's trees from 1. Another one begins where the chain began anew, or where batches were gone before
    they were seen."""
    first: int
    """Sequence of the tree's first batch."""
    sequence: int
    """Of its last one."""
    hash: str
    """Of its last one, hex: by the chain, of all of them."""
    size: int
    """Leaves: entries."""
    root: str
    """Hex."""
    peaks: str
    """What the root is made of, base64: 32 bytes for each bit that is set in `size`, the largest full tree first. The
    tree goes on from them without the entries before."""
    signature: str
    """Ed25519, base64, over `novix-tree-head-v1`, a line feed, and the canonical JSON of lane, size, root and `at_ms`,
    the checkpoint's instant in milliseconds: enough to prove an entry without the rest of the checkpoint."""


class Checkpoint(Contract):
    """All lanes' heads at one moment, signed. On `inference.checkpoints.v1`, kept for ever, as canonical JSON.

    `signature` is Ed25519 over `novix-checkpoint-v1`, a line feed, and the canonical JSON of the other fields.
    """

    number: int
    """Counts the checkpoints from 1."""
    at: UtcInstant
    previous: str
    """sha256 of the record's value before this one, hex; 64 zeros before the first."""
    key: str
    """Which key signed: the first 16 hex digits of the sha256 over the 32 bytes of the public one."""
    every_s: float
    """While anything is written, the next checkpoint follows within so many seconds."""
    offsets: dict[str, int]
    """Of each partition of the audit topic, the offset below which everything is covered."""
    heads: list[TreeHead]
    """By lane."""
    signature: str
