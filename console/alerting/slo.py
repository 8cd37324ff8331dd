"""How fast each tier's error budget burns. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from console.alerting.availability import burn_rate, ended_of, tier_of
from console.alerting.reading import Buckets, Once, Reading, instant_of, wanted
from router.accounts import Accounts
from runtime.ports import Record
from schemas.policies import AlertRule

MINUTE, STEPS = timedelta(minutes=1), 3 * 24 * 60
TENANT_STEP, TENANT_STEPS = timedelta(minutes=5), 3 * 24 * 12
MOST_TENANTS = 1_000
"""For rules that name one."""
SHORT_SHARE = 12
"""The short window is a twelfth of the long one."""
LEAST_JOBS = 100
"""Of the long window: in fewer one failure alone would burn the budget of a month."""


class Slo:
    """Folds the results: how the jobs of each tier ended, and those of the tenants that were active last.

    A job counts for the tier that its tenant had when its result was read.
    """

    def __init__(self, accounts: Accounts, objective: Callable[[str], int | None]) -> None:
        self._accounts = accounts
        self._objective = objective
        self._once = Once()
        self._tiers: dict[str, Buckets] = {}
        self._tenants: OrderedDict[str, Buckets] = OrderedDict()

    def fold(self, record: Record) -> None:
        """A record of the results."""
        ended = ended_of(record) if self._once.is_new(record) else None
        if ended is None or ended.verdict == "uncounted":
            return
        amounts: dict[str, int] = {ended.verdict: 1}
        at = instant_of(record)
        self._tiers.setdefault(tier_of(self._accounts, ended.tenant), Buckets(MINUTE, STEPS)).add(at, **amounts)
        self._tenants.setdefault(ended.tenant, Buckets(TENANT_STEP, TENANT_STEPS)).add(at, **amounts)
        self._tenants.move_to_end(ended.tenant)
        if len(self._tenants) > MOST_TENANTS:
            self._tenants.popitem(last=False)

    def readings(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """The burn rate of each tier that has an objective: the lower one of those over the rule's window and over a
        twelfth of it, so that an alert neither comes for what is long over nor stays on after it. Of the rule's tenant
        alone, if it names one."""
        if rule.tenant == "*":
            for tier, buckets in self._tiers.items():
                yield from _reading(f"tier {tier}", None, self._objective(tier), buckets, rule, now)
        elif (mine := self._tenants.get(rule.tenant)) is not None and wanted(rule, rule.tenant):
            objective = self._objective(tier_of(self._accounts, rule.tenant))
            yield from _reading(f"tenant {rule.tenant}", rule.tenant, objective, mine, rule, now)


def _reading(
    subject: str, tenant: str | None, objective: int | None, buckets: Buckets, rule: AlertRule, now: datetime
) -> Iterator[Reading]:
    if objective is None:
        return
    window = timedelta(seconds=rule.window_s)
    rates: list[float] = []
    detail: dict[str, Any] = {"objective_ppm": objective, "window_s": rule.window_s}
    for name, length in (("short", window / SHORT_SHARE), ("long", window)):
        good, bad = buckets.sum("good", now, length), buckets.sum("bad", now, length)
        detail |= {f"{name}_jobs": good + bad, f"{name}_bad": bad}
        rates.append(burn_rate(bad, good + bad, objective) or 0.0)
    if detail["long_jobs"] < LEAST_JOBS:
        return
    told = (
        f"{100 * (1 - detail['long_bad'] / detail['long_jobs']):.4g} % of {detail['long_jobs']} jobs ended well where "
        f"{objective / 10_000:g} % are promised; the error budget burns at {min(rates):.3g} times its rate"
    )
    yield Reading(subject, round(min(rates), 3), "times", told, tenant, detail=detail)
