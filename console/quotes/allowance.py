"""What publishing may spend in all: the rule of `novix publish --max-total`. Pure.

A job may be published while `spent + open + its own ceiling <= limit`: `spent` is what jobs with a result have cost,
`open` the ceilings of those published without one; both of all jobs of the file, whichever command published them
(`console/quotes/earlier.py`). Each is published with that ceiling as its `max_cost_nanousd`, which
its worker holds over all its calls together. So the sum of what is paid never passes the limit, whatever is killed or
repeated; but for a provider that charges more than the price it stated, which the result then says.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Place = tuple[int, int]
"""Partition and offset of a job that was published: whose result it is, a result tells by this."""


class Allowance:
    """A limit, what is spent of it, and what is open. No clock, no I/O, one owner.

    Invariant: `spent + open_nanousd <= limit` as long as no job costs more than its ceiling and what was published
    `before` kept within it. A job that never gets a result stays open with its ceiling.
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
        self._again: set[Place] = set()

    @property
    def open_jobs(self) -> int:
        """Jobs without a result."""
        return len(self._open) + len(self._sending)

    @property
    def left(self) -> int:
        """What one more job may cost at most."""
        return self.limit - self.spent - self.open_nanousd

    def before(self, place: Place, ceiling_nanousd: int, again: Sequence[Place] = ()) -> None:
        """A job that an earlier command published there, and perhaps `again`: whatever it costs is of this limit."""
        self._open[place] = ceiling_nanousd
        self.open_nanousd += ceiling_nanousd
        self._again.update(again)

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
        """Count a result; whether it was of a job of ours. One that comes before its job was acknowledged is kept; one
        that does not tell its job or its cost is none: the job stays open."""
        received = result.get("received")
        told = received if isinstance(received, Mapping) else {}
        partition, offset, cost = told.get("partition"), told.get("offset"), result.get("cost_nanousd", 0)
        if not (isinstance(partition, int) and isinstance(offset, int) and isinstance(cost, int) and cost >= 0):
            return False
        place = partition, offset
        if self._sending and place not in self._open:
            self._early.setdefault(place, cost)
            return False
        return self._end(place, cost)

    def _end(self, place: Place, cost: int) -> bool:
        if place in self._again:
            self._again.remove(place)
            self.spent += cost
            return True
        ceiling = self._open.pop(place, None)
        if ceiling is None:
            return False
        self.open_nanousd -= ceiling
        self.spent += cost
        self.ended += 1
        return True
