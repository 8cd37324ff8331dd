"""Whether a series grows: the slope over its second half, with its error, against a threshold. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

BLOCKS = 12
"""Means of so many equal pieces of time are fitted instead of the samples: neighbours are alike, and a fit that takes
them for independent believes too much in itself ("batch means", Law and Kelton, Simulation Modeling and Analysis)."""
ERRORS = 2.23
"""Standard errors to each side: Student's t for 95 % at 10 degrees of freedom."""
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


def slope(series: Sequence[tuple[float, float]], limit: float) -> Slope | None:
    """Least squares through the block means of the second half; `series` are (seconds, value), oldest first.

    None where the second half is shorter than `SHORTEST_S` or has less than two samples a block.
    """
    if not series:
        return None
    middle, end = (series[0][0] + series[-1][0]) / 2, series[-1][0]
    length = (end - middle) / BLOCKS
    blocks: list[list[tuple[float, float]]] = [[] for _ in range(BLOCKS)]
    for at, value in series:
        if at >= middle and length > 0:
            blocks[min(BLOCKS - 1, int((at - middle) / length))].append((at, value))
    if end - middle < SHORTEST_S or any(len(block) < 2 for block in blocks):
        return None
    xs = [sum(at for at, _ in block) / len(block) / 3600 for block in blocks]
    ys = [sum(value for _, value in block) / len(block) for block in blocks]
    mean_x, mean_y = sum(xs) / BLOCKS, sum(ys) / BLOCKS
    spread = sum((x - mean_x) ** 2 for x in xs)
    rise = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    left = sum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    return Slope(rise, ERRORS * sqrt(left / (BLOCKS - 2) / spread), limit)
