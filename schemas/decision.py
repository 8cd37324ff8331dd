"""What a router lane decided, and why."""

from typing import Any, Literal

from pydantic import Field

from schemas.base import Contract, Nanousd, UtcInstant
from schemas.failure import FailureKind
from schemas.result import Received, Resolved

Verdict = Literal["assigned", "rejected", "expired", "cancelled"]


class Exclusion(Contract):
    """A candidate that was not taken, and the first reason found."""

    model: str
    provider: str
    reason: FailureKind
    detail: str


class BudgetHeld(Contract):
    """One budget as it stood when a job was decided."""

    id: str
    window: str
    """Which of its windows, `2026-11`, `2026-11-22`, `2026-11-22T14`, `total`; of a `novix.budgets.v1` budget."""
    limit_nanousd: int
    spent_nanousd: int
    reserved_nanousd: int
    """By jobs that had not ended, this one not among them."""
    hard: bool = True


class Reserve(Contract):
    """What a job may spend at most, taken out of its tenant's budgets until it ends."""

    nanousd: Nanousd
    quoted_nanousd: Nanousd | None = None
    """What its producer was told, if it was told."""
    expected_nanousd: Nanousd = 0
    budgets: list[BudgetHeld] = Field(default_factory=list)
    """Those that it counts against. A budget of one model or provider counts for the attempts made there."""


class Decision(Contract):
    """One decision about one submission. Every accepted identity has exactly one per submission."""

    decision_id: str
    """Digest of the jobs record that it answers, or of the dead letter that was driven again: a redelivery, or a second
    redrive, decides under the same id."""
    tenant: str
    job_id: str
    submission: int
    digest: str
    """sha256 of the job's content, hex; empty for a job that could not be read whole."""
    verdict: Verdict
    task: str | None
    modality: str | None = None
    policy: str | None = None
    """Name and version of the routing policy, `brief/1`."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of what the decision was made from: catalogue, prices, policies, accounts, registry, scorer,
    policy."""
    held: dict[str, Any] = Field(default_factory=dict)
    """What it was made from and has no version: open breakers, budgets, limits, observations. Enough, with `versions`
    and the job's record, to decide it again byte for byte (`novix replay`)."""
    complexity: float | None = None
    """0 to 1, by the scorer whose version is named."""
    candidates: list[dict[str, Any]] = Field(default_factory=list)
    """In order of preference: model, provider, price source, estimate and ceiling in nano-dollars."""
    exclusions: list[Exclusion] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)
    bound_by: str | None = None
    """The limit that bound max_tokens: job, cap, context, money or budget; None where nothing had to give."""
    max_cost_nanousd: Nanousd = 0
    reserve: Reserve | None = None
    """None: nothing is called, so nothing is reserved."""
    team: str | None = None
    key_id: str | None = None
    deadline: UtcInstant | None = None
    kind: FailureKind | None = None
    message: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    received: Received
    redriven_from: str | None = None
    """`partition/offset` of the dead letter that was driven again."""
    trace_id: str | None = None
    decided_at: UtcInstant
    resolved: Resolved | None = None
    """What the job's model stood for, where that is an alias of the registry; not in records older than the registry.
    """


class DecisionBatch(Contract):
    """All decisions of one transaction of one router lane. On `inference.decisions.v1`, at the lane's own partition."""

    lane: str
    sequence: int = 0
    """Counts the lane's batches from 1, without a gap; 0: written before they were counted."""
    decisions: list[Decision]
