"""What was spent, by whatever one asks for. Pure: ends of reservations in, sums out.

Every nano-dollar of the ledger is in exactly one group: the sum over the groups is the sum over the entries, whatever
they are grouped by (`tests/pure/test_console_money_statement.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.money.joined import Ended, Reservation
from router.money.windows import Calendar, calendar
from schemas.accounts import Window
from schemas.ledger import Charge

NONE = "-"
"""Of what a job does not say, or an entry does not tell."""
TAG = "tag:"
MOST_GROUPS = 100_000

_ENTRY: dict[str, Callable[[Ended], str | None]] = {
    "tenant": lambda ended: ended.entry.tenant,
    "task": lambda ended: ended.entry.task,
    "status": lambda ended: ended.entry.status,
    "job": lambda ended: ended.job,
}
_RESERVED: dict[str, Callable[[Reservation], str | None]] = {
    "team": lambda reserved: reserved.held.payer.team,
    "key": lambda reserved: reserved.held.payer.key_id,
    "modality": lambda reserved: reserved.modality,
    "policy": lambda reserved: reserved.policy,
}
_CHARGE: dict[str, Callable[[Charge], str]] = {
    "model": lambda charge: charge.model,
    "provider": lambda charge: charge.provider,
    "tier": lambda charge: charge.service_tier,
    "source": lambda charge: charge.source,
}
_TIME: tuple[Window, ...] = ("month", "day", "hour")
DIMENSIONS = (*_ENTRY, *_RESERVED, *_CHARGE, *_TIME, TAG + "NAME")


class BadDimension(ValueError):
    """Nothing can be summed by that. The message says by what it can."""


class TooManyGroups(ValueError):
    """More groups than `MOST_GROUPS`."""


@dataclass(slots=True)
class Sum:
    """One group. Jobs that cost nothing are counted where no model is asked for, and under `-` where one is."""

    jobs: int = 0
    calls: int = 0
    """That cost something, or may have."""
    nanousd: int = 0
    ambiguous_nanousd: int = 0
    """Of `nanousd`: calls that may have been paid without an answer, with their ceiling."""
    estimated_nanousd: int = 0
    """Of `nanousd`: calls whose usage no answer told."""


@dataclass(slots=True)
class Statement:
    """Sums of ended reservations by `by`. A job that was charged in several groups counts as a job in each."""

    by: tuple[str, ...] = ()
    calendar: Calendar = field(default_factory=lambda: calendar("UTC"))
    """Where days, months and hours begin."""
    groups: dict[tuple[str, ...], Sum] = field(default_factory=dict)
    total: Sum = field(default_factory=Sum)
    first: datetime | None = None
    last: datetime | None = None

    def __post_init__(self) -> None:
        for name in self.by:
            if name not in DIMENSIONS[:-1] and not _is_tag(name):
                raise BadDimension(f"{name!r}: sums are by {', '.join(DIMENSIONS)}")

    def add(self, ended: Ended) -> None:
        """Take one more. Raises `TooManyGroups`."""
        one = 0 if ended.late else 1
        parts: dict[tuple[str, ...], Sum] = {}
        for charge, part in _parts(ended):
            into = parts.setdefault(self._group(ended, charge), Sum(jobs=one))
            _put(into, part)
        whole = Sum(jobs=one)
        for key, part in parts.items():
            _put(self._sum(key), part)
            _put(whole, part, jobs=0)
        _put(self.total, whole)
        self.first = min(self.first or ended.at, ended.at)
        self.last = max(self.last or ended.at, ended.at)

    def rows(self) -> list[tuple[tuple[str, ...], Sum]]:
        """The groups, the dearest first."""
        return sorted(self.groups.items(), key=lambda row: (-row[1].nanousd, row[0]))

    def _sum(self, key: tuple[str, ...]) -> Sum:
        found = self.groups.get(key)
        if found is None:
            if len(self.groups) >= MOST_GROUPS:
                raise TooManyGroups(f"more than {MOST_GROUPS:,} groups by {', '.join(self.by)}")
            found = self.groups[key] = Sum()
        return found

    def _group(self, ended: Ended, charge: Charge | None) -> tuple[str, ...]:
        return tuple(self._value(name, ended, charge) for name in self.by)

    def _value(self, name: str, ended: Ended, charge: Charge | None) -> str:
        reserved = ended.reservation
        if name in _ENTRY:
            return _ENTRY[name](ended) or NONE
        if name in _RESERVED:
            return (_RESERVED[name](reserved) if reserved is not None else "") or NONE
        if name in _CHARGE:
            return (_CHARGE[name](charge) if charge is not None else "") or NONE
        if name in _TIME:
            return self.calendar.labels(ended.at).of(name)
        labels = dict(reserved.labels) if reserved is not None else {}
        return labels.get(name[len(TAG) :], NONE)


def dimensions(text: str | None) -> tuple[str, ...]:
    """`model,tag:project` as dimensions, each once."""
    return tuple(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))


def as_document(statement: Statement) -> dict[str, Any]:
    """The statement as JSON; money in integer nano-dollars."""
    return {
        "by": list(statement.by),
        "total": told(statement.total),
        "groups": [
            {**dict(zip(statement.by, key, strict=True)), **told(group)} for key, group in statement.rows() if key
        ],
    }


def told(one: Sum) -> dict[str, int]:
    """A sum as JSON."""
    return {name: getattr(one, name) for name in Sum.__slots__}


def columns(by: Sequence[str]) -> list[str]:
    """Of the table: the dimensions, then the sums."""
    return [*by, "jobs", "calls", "spent", "ambiguous", "estimated"]


def _parts(ended: Ended) -> Iterator[tuple[Charge | None, Sum]]:
    """An entry's charges, and what of its cost no charge tells: their sum is the entry's cost."""
    entry = ended.entry
    for charge in entry.charges:
        yield (
            charge,
            Sum(
                calls=1,
                nanousd=charge.nanousd,
                ambiguous_nanousd=charge.nanousd if charge.ambiguous else 0,
                estimated_nanousd=charge.nanousd if charge.source == "estimated" and not charge.ambiguous else 0,
            ),
        )
    untold = entry.cost_nanousd - sum(charge.nanousd for charge in entry.charges)
    if untold or not entry.charges:
        yield None, Sum(nanousd=untold)


def _put(into: Sum, part: Sum, *, jobs: int | None = None) -> None:
    into.jobs += part.jobs if jobs is None else jobs
    into.calls += part.calls
    into.nanousd += part.nanousd
    into.ambiguous_nanousd += part.ambiguous_nanousd
    into.estimated_nanousd += part.estimated_nanousd


def _is_tag(name: str) -> bool:
    return name.startswith(TAG) and len(name) > len(TAG)
