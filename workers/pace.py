"""How long calls take of late: tells a queue that moves on from one that stands. Pure."""

from collections.abc import Hashable
from datetime import timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
WEIGHT = 0.2
"""Of the newest call in the mean: that of the last five or so."""
MOST = 1_000
"""Keys that are remembered."""


class Pace(Generic[K]):
    """The mean duration of a key's latest calls, an exponentially weighted one."""

    def __init__(self) -> None:
        self._mean_s: dict[K, float] = {}

    def took(self, key: K, span: timedelta) -> None:
        """One more call."""
        seconds = span.total_seconds()
        mean = self._mean_s.pop(key, seconds)  # put back as the newest
        if len(self._mean_s) >= MOST:
            del self._mean_s[next(iter(self._mean_s))]
        self._mean_s[key] = mean + WEIGHT * (seconds - mean)

    def wait(self, key: K, *, before: int, at_once: int) -> timedelta | None:
        """What a caller has to wait with `before` others before it and `at_once` calls at a time; None: not known.

        Little's law the other way round: a place comes free every mean / `at_once` seconds.
        """
        mean = self._mean_s.get(key)
        return None if mean is None else timedelta(seconds=(before + 1) * mean / max(1, at_once))
