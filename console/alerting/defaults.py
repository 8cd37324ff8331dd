"""The rules that hold where nobody says otherwise, and those of the policies topic over them. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from schemas.policies import AlertRule, Measure

BUILT_IN_AT = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_S, DAY_S = 3_600, 86_400
LONGEST_WINDOW_S: Mapping[Measure, int] = {
    "anomaly": 8 * HOUR_S, "dead_letters": DAY_S, "lag": 4 * HOUR_S, "overcharge": 3 * DAY_S, "slo_burn": 3 * DAY_S,
    "reservation_open": DAY_S,
}  # fmt: skip
"""Of what is remembered for so long only; a rule that looks back further would see less than it says."""


def built_in(price_drift: float) -> tuple[AlertRule, ...]:
    """One rule or more for each measure. `price_drift`: the share by which a price moves until an alert is given.

    The three of `slo_burn` are the multiwindow, multi-burn-rate alerts of Google's SRE Workbook, chapter 5, table 5-8:
    2 % of thirty days' error budget in an hour, 5 % in six hours, 10 % in three days.
    """
    return (
        _rule("budget", "budget", 0, DAY_S),
        _rule("anomaly", "anomaly", 3.5, HOUR_S),
        _rule("price-drift", "price_drift", 100 * price_drift, DAY_S),
        _rule("price-held", "price_held", 1, DAY_S),
        _rule("breaker-open", "breaker_open", 0, 300),
        _rule("dead-letters", "dead_letters", 1, 300),
        _rule("lag", "lag", 10_000, 300),
        _rule("slo-burn-1h", "slo_burn", 14.4, HOUR_S, "critical"),
        _rule("slo-burn-6h", "slo_burn", 6, 6 * HOUR_S, "critical"),
        _rule("slo-burn-3d", "slo_burn", 1, 3 * DAY_S),
        _rule("overcharge", "overcharge", 1, DAY_S),
        _rule("reservation-open", "reservation_open", 1, 600),
    )


def in_force(built: Iterable[AlertRule], told: Iterable[AlertRule]) -> Mapping[str, AlertRule]:
    """The rules by their ids: one that was told replaces the built-in one of its id."""
    return {rule.id: rule for rule in (*built, *told)}


def _rule(name: str, on: str, threshold: float, window_s: int, severity: str = "warning") -> AlertRule:
    return AlertRule.model_validate(
        {
            "id": name,
            "on": on,
            "threshold": threshold,
            "window_s": window_s,
            "severity": severity,
            "at": BUILT_IN_AT,
            "by": "novix",
        }
    )
