"""Money as events: what a job was allowed to spend, what it spent, what came back. Integer nano-dollars everywhere."""

from typing import Literal

from pydantic import Field

from schemas.base import Contract, JobId, Nanousd, TenantId, UtcInstant
from schemas.result import CostSource, Status

EntryKind = Literal["settle", "release"]


class Charge(Contract):
    """What one attempt cost."""

    model: str
    provider: str
    service_tier: str = "standard"
    nanousd: Nanousd
    source: CostSource
    ambiguous: bool = False
    """It may have been paid without an answer: it counts with its ceiling, and is listed."""
    attempt: int
    """Counts from 1, as in the result."""
    request_id: str | None = None
    """The provider's id of the call, for its bill."""
    usage: dict[str, int] = Field(default_factory=dict)
    """Units that were reported for it, where they are known."""


class CallMade(Contract):
    """One attempt, whatever it cost: what routing learns from."""

    provider: str
    model: str
    duration_ms: int
    kind: str | None = None
    """How it failed (a `FailureKind`); None: it gave the answer."""


class LedgerEntry(Contract):
    """The end of one reservation, written in the transaction of the job's terminal record.

    `settle`: money was spent, or may have been: `cost_nanousd` of it, and the rest of what was reserved comes back.
    `release`: none was, all of it comes back. The reservation itself stands in the decision (`Decision.reserve`).
    """

    kind: EntryKind
    tenant: TenantId
    job_id: JobId
    submission: int
    decision_id: str
    reserved_nanousd: Nanousd
    cost_nanousd: Nanousd = 0
    """The sum of `charges`; more than was reserved only where a provider charged above its ceiling."""
    cost_source: CostSource = "none"
    charges: list[Charge] = Field(default_factory=list)
    """Attempts that cost something or may have; those that cost nothing are not listed."""
    calls: list[CallMade] = Field(default_factory=list)
    """All attempts, in their order."""
    task: str | None = None
    status: Status
    """How the job ended."""
    waited_ms: int = 0
    """From the decision to the beginning of the first call, or to the end where none was made: how long the work stood
    in queues."""
    called_ms: int = 0
    """Time in calls, all attempts together."""
    at: UtcInstant
    by: str = ""
    """Who wrote it, if that was an operator and no lane."""


class LedgerBatch(Contract):
    """Ledger entries of one transaction of one lane, for one home.

    On `inference.ledger.v1`, at the home's partition."""

    lane: str
    entries: list[LedgerEntry]
