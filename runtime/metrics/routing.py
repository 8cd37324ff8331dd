"""What a router counts of its decisions, when they are committed."""

from runtime.metrics.registry import Metrics
from schemas.tasks import MODALITIES


class RoutingMeter:
    """What a router lane tells. This one counts nothing."""

    def decided(self, verdict: str, kind: str | None, task: str | None, reserved_nanousd: int) -> None:
        """A decision is committed; `kind`: why nobody was assigned."""


class CountedRouting(RoutingMeter):
    """Counts into a process's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._decisions = metrics.events("novix_decisions_total")
        self._refusals = metrics.events("novix_refusals_total")
        self._reserved = metrics.money("novix_money_reserved_usd_total")

    def decided(self, verdict: str, kind: str | None, task: str | None, reserved_nanousd: int) -> None:
        """See `RoutingMeter`."""
        self._decisions.of(verdict, task if task in MODALITIES else "unknown").inc()
        if verdict != "assigned":
            self._refusals.of(str(kind or "unknown")).inc()
        if reserved_nanousd:
            self._reserved.add(reserved_nanousd)
