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
    """Sums over time. An invariant: no more than `steps` steps are kept, the latest ones in which something was added;
    so whatever was added within that many steps is there, and a record from the future takes the place of the oldest.

    Instants are rounded down to a step, so that a window is exact to one step.
    """

    step: timedelta
    steps: int
    _sums: dict[int, dict[str, int]] = field(default_factory=dict)

    def add(self, at: datetime, **amounts: int) -> None:
        """Add at an instant, in whatever order they come."""
        number = self._number(at)
        sums = self._sums.get(number)
        if sums is None:
            sums = self._sums[number] = {}
            if len(self._sums) > self.steps:
                del self._sums[min(self._sums)]
        for name, amount in amounts.items():
            sums[name] = sums.get(name, 0) + amount

    def sum(self, name: str, end: datetime, window: timedelta) -> int:
        """What was added within `window` before `end`."""
        last = self._number(end)
        count = max(1, -(-window // self.step))
        if count < len(self._sums):
            return sum(self._sums.get(last - back, {}).get(name, 0) for back in range(count))
        return sum(sums.get(name, 0) for number, sums in self._sums.items() if last - count < number <= last)

    def first(self) -> datetime | None:
        """The begin of the oldest step that is kept."""
        return EPOCH + min(self._sums) * self.step if self._sums else None

    def _number(self, at: datetime) -> int:
        return (at - EPOCH) // self.step
