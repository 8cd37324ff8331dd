"""What the index answers with. Values without behaviour."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list, the newest first."""

    rows: list[dict[str, Any]]
    next: str | None
    """Cursor for what follows; None: nothing does."""
    total: int
    """How many there are, up to a bound."""
    total_exact: bool
    """False: there are more than `total`."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over every job that the index has."""

    by_status: dict[str, int]
    cost_nanousd: int

    @property
    def jobs(self) -> int:
        """All of them."""
        return sum(self.by_status.values())


@dataclass(frozen=True, slots=True)
class Point:
    """One job in a picture of durations."""

    published_ms: int
    total_ms: int
    cost_nanousd: int
    status: str
    tenant: str
    job_id: str
    submission: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Durations and costs of the jobs that a query finds.

    Percentiles are nearest-rank: the smallest duration such that at least so many per cent are not longer; over the
    jobs that have a duration, those with a result.
    """

    n: int
    """Jobs that were looked at; those without a result among them."""
    exact: bool
    """False: only the newest were, there are more."""
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None
    cost_nanousd: int
    by_status: dict[str, int] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    """By time. At most 2,200, the slowest of all hits always among them."""
    oldest_ms: int | None = None
    """When the first of them was published, and the last."""
    newest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class CostRow:
    """What one tenant, model, day ... has cost, as the ledger says."""

    name: str
    jobs: int
    nanousd: int
    quoted_nanousd: int
    """Of the jobs that had a quote."""
    ambiguous_nanousd: int
    """Of `nanousd`: for calls that may have been paid without an answer."""
