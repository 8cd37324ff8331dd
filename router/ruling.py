"""What was decided about a job, before anybody has written it down."""

from dataclasses import field, replace
from datetime import datetime
from typing import Any, Literal

from schemas.assignment import Candidate
from schemas.decision import Exclusion, Reserve, Verdict
from schemas.failure import FailureKind
from schemas.values import frozen

FAULT = "the router failed with "


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
    until: datetime | None = None
    """Of a `waiting` one: when to look again at the latest; None: when a reservation ends."""


def failed(error_type: str) -> str:
    """The message of a job that ends by a fault of ours."""
    return f"{FAULT}{error_type}"


def turned_away(ruling: Ruling) -> Ruling:
    """A `waiting` one whose job may wait no longer, whatever its tenant chose: its lane could read no further."""
    why = "it waits no longer: as many newer records have come as a lane reads meanwhile"
    return replace(ruling, verdict="rejected", message=f"{(ruling.message or '')[:900]}; {why}", until=None)
