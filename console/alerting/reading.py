"""What a measure says of one subject at one instant. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from runtime.ports import Record
from schemas.policies import AlertRule
from schemas.values import frozen

MS = timedelta(milliseconds=1)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@frozen
class Reading:
    """One subject of one rule, as it stands."""

    subject: str
    """With the window, where there is one: another window is another subject."""
    value: float | None
    """None: it is not known now, so nothing is concluded from it."""
    unit: str
    told: str
    """For a person: a clause that ends the sentence `budget of tenant acme: ...`. Never content."""
    tenant: str | None = None
    threshold: float | None = None
    """Its own, in place of the rule's."""
    detail: Mapping[str, Any] = field(default_factory=dict)


def instant_of(record: Record) -> datetime:
    """When a record was written, as it says."""
    return EPOCH + record.timestamp_ms * MS


def wanted(rule: AlertRule, tenant: str | None) -> bool:
    """Whether a subject of this tenant is one of the rule's."""
    return rule.tenant in ("*", tenant)


class Once:
    """Which records of a topic were counted: a follower may give one twice, and a sum must not have it twice."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def is_new(self, record: Record) -> bool:
        """Whether it is the first time; from now on it is not."""
        new = record.offset >= self._next.get(record.partition, 0)
        if new:
            self._next[record.partition] = record.offset + 1
        return new


@dataclass(slots=True)
class Buckets:
    """Sums by name over time. An invariant: of each name no more than `steps` steps are kept, the latest ones in which
    something was added (100 bytes each); so whatever was added within that many steps is there, and a record from the
    future takes the place of the oldest.

    Instants are rounded down to a step, so that a window is exact to one step.
    """

    step: timedelta
    steps: int
    _sums: dict[str, dict[int, int]] = field(default_factory=dict)

    def add(self, at: datetime, **amounts: int) -> None:
        """Add at an instant, in whatever order they come."""
        number = self._number(at)
        for name, amount in amounts.items():
            sums = self._sums.setdefault(name, {})
            sums[number] = sums.get(number, 0) + amount
            if len(sums) > self.steps:
                del sums[min(sums)]

    def sum(self, name: str, end: datetime, window: timedelta) -> int:
        """What was added within `window` before `end`."""
        sums, last = self._sums.get(name, {}), self._number(end)
        count = max(1, -(-window // self.step))
        if count < len(sums):
            return sum(sums.get(last - back, 0) for back in range(count))
        return sum(amount for number, amount in sums.items() if last - count < number <= last)

    def first(self, name: str, end: datetime) -> datetime | None:
        """The begin of the oldest step in which something was added, of the last `steps` before `end`."""
        last = self._number(end)
        known = [number for number in self._sums.get(name, ()) if last - self.steps < number <= last]
        return EPOCH + min(known) * self.step if known else None

    def _number(self, at: datetime) -> int:
        return (at - EPOCH) // self.step
