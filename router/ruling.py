"""What was decided about a job, before anybody has written it down."""

from dataclasses import field, replace
from datetime import datetime
from typing import Any, Literal

from schemas.assignment import Candidate
from schemas.decision import Exclusion, Reserve, Verdict
from schemas.failure import FailureKind
from schemas.result import Resolved
from schemas.values import frozen

FAULT = "the router failed with "
OWN_LIMITS = {FailureKind.OVER_BUDGET: "budget", FailureKind.OVER_RATE: "rate"}
"""What a tenant's jobs wait for on account of the tenant itself, in words."""


@frozen
class Ruling:
    """What was decided, without the identity of the job."""

    verdict: Verdict | Literal["waiting"]
    """`waiting`: over a rate or a budget, and the tenant's jobs wait. Nothing is recorded; it is decided again."""
    deadline: datetime
    max_cost_nanousd: int
    """Over all attempts together: what is reserved, where something is."""
    kind: FailureKind | None = None
    """Why it was refused, or what it waits for: `over_rate`, `over_budget`; None: it was assigned."""
    message: str | None = None
    modality: str | None = None
    complexity: float | None = None
    candidates: tuple[Candidate, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    adapted: dict[str, Any] | None = None
    bound_by: str | None = None
    reserve: Reserve | None = None
    """What is taken out of the budgets until the job ends; None where nothing is called."""
    held: dict[str, Any] = field(default_factory=dict)
    """What the ruling was made from and has no version (`Decision.held`)."""
    resolved: Resolved | None = None
    """What the model that was asked for stood for, where it is an alias of the registry."""
    until: datetime | None = None
    """Of a `waiting` one: when to look again at the latest; None: when a reservation ends."""
    sure_until: datetime | None = None
    """Of an `assigned` one: before this instant the same job is ruled on alike from an equal view. None: who knows."""


def failed(error_type: str) -> str:
    """The message of a job that ends by a fault of ours."""
    return f"{FAULT}{error_type}"


def turned_away(ruling: Ruling) -> Ruling:
    """A `waiting` one whose job may wait no longer, whatever its tenant chose: its lane could read no further."""
    why = "it waits no longer: what has come since, and waits, is as much as a router holds meanwhile"
    return replace(ruling, verdict="rejected", message=f"{(ruling.message or '')[:900]}; {why}", until=None)


def outwaited(ruling: Ruling, limit: FailureKind) -> Ruling:
    """An `expired` one whose time ran out while its tenant's jobs waited for the tenant's own money or rate: it ends by
    that limit, and not by a fault of the service (docs/slo.md)."""
    why = f"while jobs of its tenant waited for the tenant's own {OWN_LIMITS[limit]}"
    return replace(ruling, kind=limit, message=f"{(ruling.message or '')[:900]}, {why}")
