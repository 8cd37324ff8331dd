"""What publishing may spend in all: the rule of `novix publish --max-total`. Pure.

A job may be published while `spent + open + its own ceiling <= limit`: `spent` is what jobs with a result have cost,
`open` the ceilings of those published without one. Each is published with that ceiling as its `max_cost_nanousd`, which
its worker holds over all its calls together. So the sum of what is paid never passes the limit, whatever is killed or
repeated; but for a provider that charges more than the price it stated, which the result then says.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Place = tuple[int, int]
"""Partition and offset of a job that was published: whose result it is, a result tells by this."""


class Allowance:
    """A limit, what is spent of it, and what is open. No clock, no I/O, one owner.

    Invariant: `spent + open_nanousd <= limit` as long as no job costs more than its ceiling. A job that never gets a
    result, such as one whose id was used before, stays open with its ceiling.
    """

    def __init__(self, limit_nanousd: int) -> None:
        self.limit = limit_nanousd
        self.spent = 0
        self.ended = 0
        """Jobs whose result is known."""
        self.open_nanousd = 0
        """Ceilings of jobs that are published, or being published, and have no result."""
        self._open: dict[Place, int] = {}
        self._sending: list[int] = []
        self._early: dict[Place, int] = {}

    @property
    def open_jobs(self) -> int:
        """Jobs without a result."""
        return len(self._open) + len(self._sending)

    @property
    def left(self) -> int:
        """What one more job may cost at most."""
        return self.limit - self.spent - self.open_nanousd

    def send(self, ceiling_nanousd: int) -> bool:
        """Whether a job of that ceiling may be sent now; if so it counts from now on, acknowledged or not."""
        if ceiling_nanousd > self.left:
            return False
        self._sending.append(ceiling_nanousd)
        self.open_nanousd += ceiling_nanousd
        return True

    def placed(self, places: Sequence[Place]) -> None:
        """Kafka has all that were sent, in their order, there."""
        sent, self._sending = self._sending, []
        early, self._early = self._early, {}
        self._open.update(zip(places, sent, strict=True))
        for place, cost in early.items():
            self._end(place, cost)

    def result(self, result: Mapping[str, Any]) -> bool:
        """Count a result; whether it was of a job of ours. One that comes before its job was acknowledged is kept."""
        received = result.get("received") or {}
        place = int(received.get("partition", -1)), int(received.get("offset", -1))
        cost = int(result.get("cost_nanousd") or 0)
        if self._sending and place not in self._open:
            self._early.setdefault(place, cost)
            return False
        return self._end(place, cost)

    def _end(self, place: Place, cost: int) -> bool:
        ceiling = self._open.pop(place, None)
        if ceiling is None:
            return False
        self.open_nanousd -= ceiling
        self.spent += cost
        self.ended += 1
        return True
