"""How many retries are made: a share of what succeeds, so that a provider in trouble is not called the more for it.

The idea is that of Finagle's `RetryBudget` (a share of requests, a least number a second, what is ten seconds old is
forgotten). Pure: time is an argument.
"""

from collections import deque

WINDOW_S = 10.0
BINS = 10
NO_BOUND = 1000.0
"""A share from which on every retry is made."""


class RetryBudget:
    """The retries towards one model of one provider, over the present second and the nine before it.

    Invariant: a retry is allowed only if all that were, it included, are at most `least + share * successes` of these
    ten seconds. Instants are seconds that never go back.
    """

    def __init__(self, share: float, least: int) -> None:
        self._share = share
        self._least = least
        self._bins: deque[tuple[int, int, int]] = deque()
        """Number of the span, successes in it, retries in it; oldest first."""

    def succeeded(self, now: float) -> None:
        """A call succeeded: a share of a retry more."""
        self._count(now, success=1, retry=0)

    def allows(self, now: float) -> bool:
        """Whether a retry might be made now."""
        self._forget(now)
        successes = sum(one for _, one, _ in self._bins)
        retries = sum(one for _, _, one in self._bins)
        return self._share >= NO_BOUND or retries + 1 <= self._least + self._share * successes

    def take(self, now: float) -> bool:
        """Whether a retry may be made now; if so it is counted."""
        allowed = self.allows(now)
        if allowed:
            self._count(now, success=0, retry=1)
        return allowed

    def idle(self, now: float) -> bool:
        """Nothing is remembered: a new one would say the same."""
        self._forget(now)
        return not self._bins

    def _count(self, now: float, *, success: int, retry: int) -> None:
        span = self._span(now)
        if self._bins and self._bins[-1][0] >= span:
            span, successes, retries = self._bins.pop()
            self._bins.append((span, successes + success, retries + retry))
        else:
            self._bins.append((span, success, retry))
            self._forget(now)

    def _forget(self, now: float) -> None:
        oldest = self._span(now) - BINS
        while self._bins and self._bins[0][0] <= oldest:
            self._bins.popleft()

    @staticmethod
    def _span(now: float) -> int:
        return int(now * BINS / WINDOW_S)
