"""How fast logs grow, from where they ended at the last looks. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise

Place = tuple[str, int]
"""Topic and partition."""
WINDOW_S = 60.0
LEAST_S = 1.0
"""Two looks that are nearer tell no rate."""
MOST_LOOKS = 120
POINTS = 30
"""Of a sparkline, at most."""
SPARK_WIDTH, SPARK_HEIGHT = 120, 24


class Rates:
    """The ends of every partition at the looks of the last minute; nothing older, and no more than `MOST_LOOKS`."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Mapping[Place, int]]] = deque(maxlen=MOST_LOOKS)

    def add(self, at: float, ends: Mapping[Place, int]) -> None:
        """Take a look's ends; `at` in seconds of a monotonic clock."""
        while self._looks and self._looks[0][0] < at - WINDOW_S:
            self._looks.popleft()
        self._looks.append((at, ends))

    @property
    def over_s(self) -> float:
        """How much of the window the looks span."""
        return self._looks[-1][0] - self._looks[0][0] if self._looks else 0.0

    def per_s(self, place: Place) -> float | None:
        """Offsets a second over the window; None until two looks know the partition, a second apart."""
        known = [(at, ends[place]) for at, ends in self._looks if place in ends]
        if len(known) < 2 or known[-1][0] - known[0][0] < LEAST_S:
            return None
        return _growth(known[0], known[-1])

    def course(self, topic: str) -> list[float]:
        """The rate of a whole topic between each two looks, the oldest first; at most `POINTS`."""
        looks = [look for look in self._looks if any(name == topic for name, _ in look[1])]
        step = max(1, -(-(len(looks) - 1) // POINTS))
        sums = [(at, sum(end for (name, _), end in ends.items() if name == topic)) for at, ends in looks[::-1][::step]]
        sums.reverse()
        return [_growth(before, after) for before, after in pairwise(sums) if after[0] > before[0]]


def sparkline(course: Sequence[float]) -> str:
    """The points of a polyline `SPARK_WIDTH` wide and `SPARK_HEIGHT` high, the greatest rate at the top."""
    if len(course) < 2:
        return ""
    top = max(*course, 1e-9)
    step = SPARK_WIDTH / (len(course) - 1)
    return " ".join(
        f"{index * step:.1f},{SPARK_HEIGHT - 2 - (SPARK_HEIGHT - 4) * rate / top:.1f}"
        for index, rate in enumerate(course)
    )


def _growth(before: tuple[float, int], after: tuple[float, int]) -> float:
    # A topic that was made anew ends earlier than it did: it has not shrunk by a negative number of records.
    return max(0.0, (after[1] - before[1]) / (after[0] - before[0]))
