"""Which calls open a breaker beside so many failures in a row: shares over a rolling window. No clock, no I/O."""

from collections import deque
from dataclasses import dataclass

LEAST_CALLS = 20
WITHIN_S = 60.0
"""A share is told of at least so many calls, all of them within so long."""


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Opens when a share of the last `calls` calls failed, or was slow. With `calls` 0 it never does."""

    calls: int = 0
    failure_share: float = 0.5
    slow_s: float = 0.0
    """A call that takes longer is slow; 0: none is."""
    slow_share: float = 0.9


class Window:
    """The last calls of one key, by the rule. Forgotten when the breaker changes its state."""

    def __init__(self, rule: WindowRule) -> None:
        self._rule = rule
        self._calls: deque[tuple[float, bool, bool]] = deque(maxlen=rule.calls)

    def ended(self, now: float, *, failed: bool, took_s: float | None) -> str | None:
        """Count a call that ended at `now` (monotonic seconds); why it opens the breaker, or None."""
        rule = self._rule
        if not rule.calls:
            return None
        slow = rule.slow_s > 0 and took_s is not None and took_s > rule.slow_s
        self._calls.append((now, failed, slow))
        if not (failed or slow):
            return None
        recent = [call for call in self._calls if call[0] > now - WITHIN_S]
        if len(recent) < min(LEAST_CALLS, rule.calls):
            return None
        failures = sum(failed for _, failed, _ in recent)
        if failed and failures >= rule.failure_share * len(recent):
            return f"{failures} of the last {len(recent)} calls failed"
        slow_ones = sum(slow for _, _, slow in recent)
        if slow and slow_ones >= rule.slow_share * len(recent):
            return f"{slow_ones} of the last {len(recent)} calls took over {rule.slow_s:g} s"
        return None

    def forget(self) -> None:
        """Begin anew."""
        self._calls.clear()
