"""Everything that rules are asked of, as one fold of topics. Pure."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

import structlog

from console.alerting.crossings import Told, crossings, orphans
from console.alerting.defaults import built_in, in_force
from console.alerting.drift import Prices
from console.alerting.reading import Reading
from console.alerting.slo import Slo
from console.alerting.spending import Money
from console.alerting.system import Breakers, DeadLetters, Lags
from router.accounts import Accounts
from router.rules import Rules
from runtime.ports import Record
from schemas.alerts import Alert
from schemas.policies import AlertRule, Measure
from schemas.topics import BREAKERS, BUDGETS, DECISIONS, DLQ, LEDGER, POLICIES, PRICES, RESULTS, Topic

log = structlog.get_logger("novix.alerts")

RECENT = timedelta(days=3)
"""The longest window of a built-in rule. What lies further back of decisions, results and dead letters is not read."""


class Measures:
    """Folds what the rules speak of, and answers each rule with its readings. One owner: the event loop."""

    def __init__(self, price_drift: float) -> None:
        self.accounts = Accounts()
        self.rules = Rules()
        self.lags = Lags()
        self._built_in = built_in(price_drift)
        money, prices, breakers, letters = Money(self.accounts), Prices(), Breakers(), DeadLetters()
        slo = Slo(self.accounts, self._objective)
        self.folds: Mapping[Topic, Callable[[Record], None]] = {
            BUDGETS: self.accounts.fold, POLICIES: self.rules.fold, PRICES: prices.fold, BREAKERS: breakers.fold,
            DECISIONS: money.fold, LEDGER: money.fold, RESULTS: slo.fold, DLQ: letters.fold,
        }  # fmt: skip
        """What is read, in this order: who pays and which rules hold comes first, and what was reserved before how it
        ended, of which only so much is remembered."""
        self._readings: dict[Measure, Callable[[AlertRule, datetime], Iterator[Reading]]] = {
            "budget": money.budgets, "anomaly": money.anomalies, "overcharge": money.overcharges,
            "reservation_open": money.open_too_long, "price_drift": prices.drifts, "price_held": prices.held,
            "breaker_open": breakers.readings, "dead_letters": letters.readings, "lag": self.lags.readings,
            "slo_burn": slo.readings,
        }  # fmt: skip

    def _objective(self, tier: str) -> int | None:
        known = self.rules.tier(tier)
        return known.availability_ppm if known is not None else None

    def in_force(self) -> Mapping[str, AlertRule]:
        """The rules as they hold now."""
        return in_force(self._built_in, self.rules.alert_rules())

    def look(self, told: Told, now: datetime) -> list[Alert]:
        """What is to be told now and has not been. A rule that fails, by a fault of ours, concludes nothing and leaves
        the others alone."""
        rules = self.in_force()
        alerts = list(orphans(rules, told, now))
        for rule in rules.values():
            try:
                alerts += crossings(rule, self._readings[rule.on](rule, now), told, now)
            except Exception as error:
                log.error("alerts.rule_failed", rule=rule.id, error=type(error).__name__)
        return alerts


def begin_of(topic: Topic, now: datetime) -> datetime | None:
    """From when on a topic is read: the histories and breakers from their beginning (None), the ledger from where the
    month began that is still the present one anywhere, the rest from three days back."""
    if topic.kept or topic.compacted:
        return None
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=14)
    return min(month, now - RECENT) if topic is LEDGER else now - RECENT
