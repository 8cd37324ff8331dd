"""What did not go as it should, and what nobody knows for sure: listed, never hidden. Bounded."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from router.money.tenant import told
from schemas.ledger import Charge, LedgerEntry
from schemas.values import frozen

MOST_LISTED = 1_000
"""Of ambiguous charges and of overcharges, the newest; number and sum count all. The ledger topic has them all."""
COUNTS = (
    "repeated", "late", "unknown", "lost_batches", "ambiguous", "ambiguous_nanousd", "overcharged",
    "overcharged_nanousd",
)  # fmt: skip


@frozen
class Overdrawn:
    """A hard budget of which more is spent and reserved than it allows."""

    tenant: str
    budget: str
    window: str
    limit_nanousd: int
    spent_nanousd: int
    reserved_nanousd: int


@dataclass(slots=True, eq=False)
class Reports:
    """Counts since the log's beginning, or since `since`."""

    repeated: int = 0
    """Ends of reservations that had ended: they counted nothing."""
    late: int = 0
    """Costs that were told of after a release: they counted."""
    unknown: int = 0
    """Ends whose decision is not in the log any more, or never was: they counted."""
    lost_batches: int = 0
    """Batches of decisions that are not in the log any more and in no snapshot."""
    ambiguous: int = 0
    """Calls that may have been paid without an answer."""
    ambiguous_nanousd: int = 0
    """Their ceilings, whatever the tenants count them with."""
    overcharged: int = 0
    """Jobs that cost more than was reserved."""
    overcharged_nanousd: int = 0
    """How much more."""
    since: str | None = None
    """Older ends are not known; None: all are, from the log's beginning."""
    snapshot: str | None = None
    """From which the lane was opened."""
    ambiguous_charges: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_LISTED))
    overcharges: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_LISTED))

    def add_ambiguous(self, entry: LedgerEntry, charge: Charge) -> None:
        """A call of that job may have been paid."""
        self.ambiguous += 1
        self.ambiguous_nanousd += charge.nanousd
        self.ambiguous_charges.append({**_job(entry), **_call(charge)})

    def add_overcharge(self, entry: LedgerEntry, reserved_nanousd: int) -> None:
        """The job cost more than was reserved for it."""
        self.overcharged += 1
        self.overcharged_nanousd += entry.cost_nanousd - reserved_nanousd
        cost = {"reserved_nanousd": reserved_nanousd, "cost_nanousd": entry.cost_nanousd}
        self.overcharges.append({**_job(entry), **cost, "charges": [_call(one) for one in entry.charges[:8]]})

    def describe(self) -> dict[str, Any]:
        """The counts, without the lists."""
        return {**{name: told(getattr(self, name)) for name in COUNTS}, "since": self.since, "snapshot": self.snapshot}


def _job(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "tenant": entry.tenant,
        "job_id": entry.job_id,
        "submission": entry.submission,
        "decision_id": entry.decision_id,
        "at": entry.at.isoformat(),
    }


def _call(charge: Charge) -> dict[str, Any]:
    return {
        "model": charge.model,
        "provider": charge.provider,
        "attempt": charge.attempt,
        "request_id": charge.request_id,
        "nanousd": charge.nanousd,
    }
