"""The retry budgets of one process: one a model of a provider."""

from runtime.breaker import BreakerKey
from runtime.ports import Clock
from runtime.retry_budget import RetryBudget

MANY = 1_000
"""Keys from which on those that remember nothing are let go."""


class Thrift:
    """Which retries are made now. `share` of the successes, `least` in ten seconds whatever succeeds."""

    def __init__(self, share: float, least: int, clock: Clock) -> None:
        self._share = share
        self._least = least
        self._clock = clock
        self._budgets: dict[BreakerKey, RetryBudget] = {}

    def succeeded(self, key: BreakerKey) -> None:
        """A call was answered."""
        self._budget(key).succeeded(self._clock.monotonic())

    def has_budget(self, key: BreakerKey) -> bool:
        """Whether a retry might be made now: one that has yet to wait for a slot is not counted."""
        return self._budget(key).allows(self._clock.monotonic())

    def may_retry(self, key: BreakerKey) -> bool:
        """Whether one more retry may be made; if so it is counted."""
        return self._budget(key).take(self._clock.monotonic())

    def _budget(self, key: BreakerKey) -> RetryBudget:
        budget = self._budgets.get(key)
        if budget is None:
            if len(self._budgets) >= MANY:
                now = self._clock.monotonic()
                self._budgets = {one: kept for one, kept in self._budgets.items() if not kept.idle(now)}
            budget = self._budgets[key] = RetryBudget(self._share, self._least)
        return budget
