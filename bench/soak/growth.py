"""Whether a series grows: the slope over its second half, with its error, against a threshold. Pure.

What a process holds in proportion to something that comes and goes (descriptors, to the lanes that it has open) is
fitted to time and to that together: else a partition that moves looks like growth, or hides it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

BLOCKS = 12
"""Means of so many equal pieces of time are fitted instead of the samples: neighbours are alike, and a fit that takes
them for independent believes too much in itself ("batch means", Law and Kelton, Simulation Modeling and Analysis)."""
ERRORS = 2.23
"""Standard errors to each side: Student's t for 95 % at 10 degrees of freedom."""
ERRORS_BESIDE = 2.26
"""The same at 9: one more is spent on what the series goes along with."""
SHORTEST_S = 600.0
"""A second half under ten minutes shows the last fault and what is made up for after it, no trend."""
LIMITS = {"rss_mb": 10.0, "fds": 4.0, "threads": 2.0, "works": 4.0, "lag": 20.0}
"""An hour: more than this, and it grows. MB; descriptors; threads; records."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Of a series, an hour."""

    per_hour: float
    error: float
    """Half of the interval that holds the true slope 95 times of 100."""
    limit: float

    @property
    def verdict(self) -> str:
        """`grows`, `does not grow`, or that the run was too short to tell."""
        if self.per_hour - self.error > self.limit:
            return "grows"
        return "does not grow" if self.per_hour + self.error <= self.limit else "cannot be told"


def slope(series: Sequence[tuple[float, float]], limit: float, along: Sequence[float] = ()) -> Slope | None:
    """Least squares through the block means of the second half; `series` are (seconds, value), oldest first.

    `along`: for each sample, what the value goes along with; its part is taken out of both time and value before they
    are fitted to each other (Frisch and Waugh 1933). None where the second half is shorter than `SHORTEST_S` or has
    less than two samples a block.
    """
    if not series:
        return None
    middle, end = (series[0][0] + series[-1][0]) / 2, series[-1][0]
    length = (end - middle) / BLOCKS
    blocks: list[list[tuple[float, float, float]]] = [[] for _ in range(BLOCKS)]
    for (at, value), beside in zip(series, along or [0.0] * len(series), strict=True):
        if at >= middle and length > 0:
            blocks[min(BLOCKS - 1, int((at - middle) / length))].append((at, value, beside))
    if end - middle < SHORTEST_S or any(len(block) < 2 for block in blocks):
        return None
    seconds, values, beside_it = (_centred([_mean(block, at) for block in blocks]) for at in range(3))
    errors, free = ERRORS, BLOCKS - 2
    if _dot(beside_it, beside_it) > 0:
        seconds, values = _without(seconds, beside_it), _without(values, beside_it)
        errors, free = ERRORS_BESIDE, free - 1
    spread = _dot(seconds, seconds) / 3600**2
    rise = _dot(seconds, values) / 3600 / spread
    left = [value - rise * second / 3600 for second, value in zip(seconds, values, strict=True)]
    return Slope(rise, errors * sqrt(_dot(left, left) / free / spread), limit)


def _mean(block: Sequence[tuple[float, float, float]], at: int) -> float:
    return sum(one[at] for one in block) / len(block)


def _centred(series: Sequence[float]) -> list[float]:
    mean = sum(series) / len(series)
    return [value - mean for value in series]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _without(series: Sequence[float], beside: Sequence[float]) -> list[float]:
    """What is left of a centred series when its part along `beside` is taken out."""
    part = _dot(series, beside) / _dot(beside, beside)
    return [value - part * other for value, other in zip(series, beside, strict=True)]
