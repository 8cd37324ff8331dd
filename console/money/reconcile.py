"""A provider's bill against the ledger: every difference has a name. Pure.

Calls are matched by the provider's request id; else by the job that the bill names; else by time, model and amount.
Each row and each of our charges is in one match or one difference, so

    billed - ours = the sum of the differences      (`tests/pure/test_console_money_reconcile.py`)
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Literal

from console.money.bill import COSTS, Bill, Billed
from console.money.joined import Ended
from schemas.values import frozen

SLACK = timedelta(seconds=60)
"""By so much the provider's clock may differ from ours."""
LOOKED_AT = 1_000
"""Charges of one model (and about one amount, at first) that a row without id or job is compared with."""

Kind = Literal[
    "billed_not_ours", "billed_twice", "other_time", "no_call", "credit", "ours_not_billed", "other_amount", "rounding",
    "ambiguous_billed", "ambiguous_not_billed",
]  # fmt: skip
MEANINGS: dict[Kind, str] = {
    "billed_not_ours": "billed, and no call of the ledger",
    "billed_twice": "billed a second time",
    "other_time": "billed at a time of which the ledger has no call",
    "no_call": "a row without request id, job and time: a fee, a tax, or the bill's own total",
    "credit": "a credit: the ledger knows of none",
    "ours_not_billed": "in the ledger, and not billed",
    "other_amount": "billed with another amount",
    "rounding": "less than the bill's last decimal apart",
    "ambiguous_billed": "a call that may have been paid: it was, with this",
    "ambiguous_not_billed": "a call that may have been paid: it was not",
}


@frozen
class Ours:
    """One charge of the ledger."""

    job: str
    """`tenant/id/submission`."""
    nanousd: int
    model: str
    provider: str
    request_id: str
    ambiguous: bool
    began: datetime
    """When the job was decided: the call was not before."""
    ended: datetime

    @property
    def names(self) -> tuple[str, str]:
        """How a bill may name the job: `tenant/id`, or its id."""
        whole = self.job.rpartition("/")[0]
        return whole, whole.partition("/")[2]


@frozen
class Difference:
    """One row, one charge, or a pair that does not agree."""

    kind: Kind
    billed_nanousd: int
    ours_nanousd: int
    line: int | None = None
    job: str | None = None
    request_id: str = ""
    model: str = ""
    provider: str = ""

    @property
    def nanousd(self) -> int:
        """What the bill has more than the ledger."""
        return self.billed_nanousd - self.ours_nanousd


@dataclass(slots=True)
class Reconciled:
    """What came of it."""

    rows: int = 0
    charges: int = 0
    billed_nanousd: int = 0
    ours_nanousd: int = 0
    matched: dict[str, int] = field(default_factory=lambda: {"request_id": 0, "job": 0, "time": 0})
    """Pairs, by what they were matched with; those that do not agree among them."""
    free: int = 0
    """Rows that cost nothing and are none of ours: calls that failed, for one."""
    differences: list[Difference] = field(default_factory=list)

    def sums(self) -> dict[Kind, tuple[int, int]]:
        """Of each kind that there is: how many, and nano-dollars that the bill has more."""
        found: dict[Kind, tuple[int, int]] = {}
        for kind in MEANINGS:
            members = [one.nanousd for one in self.differences if one.kind == kind]
            if members:
                found[kind] = len(members), sum(members)
        return found

    def other_unit(self) -> str | None:
        """What the cost column probably holds, where every amount that differs is the same power of ten of ours."""
        pairs = [(one.billed_nanousd, one.ours_nanousd) for one in self.differences if one.kind == "other_amount"]
        for meaning, digits in COSTS.items():
            factor = 10 ** (COSTS["cost"] - digits)
            if factor > 1 and pairs and all(abs(billed - factor * ours) <= ours for billed, ours in pairs):
                return meaning
        return None

    def agrees(self, accepted: Iterable[str] = ()) -> bool:
        """Whether nothing differs beside `accepted` kinds. A doubtful call that was billed as counted differs in
        nothing."""
        allowed = set(accepted)
        return all(one.kind in allowed or not one.nanousd for one in self.differences)


def ours_of(ended: Ended) -> list[Ours]:
    """The charges of one ended reservation."""
    began = ended.reservation.held.decided_at if ended.reservation is not None else _earliest(ended)
    return [
        Ours(
            job=ended.job, nanousd=charge.nanousd, model=charge.model, provider=charge.provider,
            request_id=charge.request_id or "", ambiguous=charge.ambiguous, began=began, ended=ended.entry.at,
        )
        for charge in ended.entry.charges
    ]  # fmt: skip


class Reconciler:
    """Takes the ledger's charges one by one and keeps only those that the bill has not got by id, with equal amount.

    No I/O, one owner; `finish` ends it.
    """

    def __init__(self, bill: Bill) -> None:
        self._unit = bill.unit_nanousd
        self._rows = {row.line: row for row in bill.rows}
        self._by_id: dict[str, list[Billed]] = defaultdict(list)
        for row in bill.rows:
            if row.request_id:
                self._by_id[row.request_id].append(row)
        self._left: list[Ours] = []
        self._known: set[str] = set()
        """Request ids of the bill that the ledger has as well."""
        self._first: datetime | None = None
        self._last: datetime | None = None
        self.found = Reconciled(rows=len(bill.rows), billed_nanousd=sum(row.nanousd for row in bill.rows))

    def add(self, ours: Ours) -> None:
        """One charge of ours."""
        self.found.charges += 1
        self.found.ours_nanousd += ours.nanousd
        self._first = min(self._first or ours.began, ours.began)
        self._last = max(self._last or ours.ended, ours.ended)
        same = self._by_id.get(ours.request_id, ())
        if same:
            self._known.add(ours.request_id)
        row = next((row for row in same if row.line in self._rows and row.nanousd == ours.nanousd), None)
        if row is None:
            self._left.append(ours)
        else:
            self._pair(row, ours, "request_id")

    def finish(self) -> Reconciled:
        """Match what is left, ever more loosely, and name the rest."""
        self._by_items()
        self._by_key("request_id", lambda row: [row.request_id], lambda ours: [ours.request_id])
        self._by_key("job", lambda row: [row.job], lambda ours: ours.names)
        self._by_time(self._about, about=True)
        self._by_time(lambda row, ours: row.nanousd < ours.nanousd + self._unit, unsure=True)
        self._by_time(lambda row, ours: True, alone=True)
        for row in self._rows.values():
            if not row.nanousd:
                self.found.free += 1
                continue
            self._differ(self._alone(row), row, None)
        for ours in self._left:
            self._differ("ambiguous_not_billed" if ours.ambiguous else "ours_not_billed", None, ours)
        self.found.differences.sort(key=lambda one: (list(MEANINGS).index(one.kind), one.line or 0, one.job or ""))
        return self.found

    def _alone(self, row: Billed) -> Kind:
        """What a row is that belongs to no charge."""
        if row.nanousd < 0:
            return "credit"
        if row.request_id in self._known:
            return "billed_twice"
        if row.since is None or row.until is None:
            return "billed_not_ours" if row.request_id or row.job else "no_call"
        if self._first is None or self._last is None:
            return "billed_not_ours"
        during = row.until >= self._first - SLACK and row.since <= self._last + SLACK
        return "billed_not_ours" if during else "other_time"

    def _by_items(self) -> None:
        """Pair a charge with all rows of its request id, where they are its items: where their sum is its amount."""
        items: dict[str, list[Billed]] = defaultdict(list)
        for row in self._rows.values():
            if row.request_id in self._known:
                items[row.request_id].append(row)
        left = []
        for ours in self._left:
            rows = items.get(ours.request_id, ())
            billed = sum(row.nanousd for row in rows)
            if len(rows) < 2 or abs(billed - ours.nanousd) >= self._unit:
                left.append(ours)
                continue
            for row in rows[1:]:
                del self._rows[row.line]
            del items[ours.request_id]
            self._pair(replace(rows[0], nanousd=billed), ours, "request_id")
        self._left = left

    def _by_key(
        self,
        how: str,
        of_row: Callable[[Billed], Sequence[str]],
        of_ours: Callable[[Ours], Sequence[str]],
    ) -> None:
        """Pair by an equal key: equal amounts first, then in the order of the bill."""
        rows: dict[str, list[Billed]] = defaultdict(list)
        for row in self._rows.values():
            for key in filter(None, of_row(row)):
                rows[key].append(row)
        for exact in (True, False):
            left = []
            for ours in self._left:
                among = (row for key in of_ours(ours) for row in rows.get(key, ()))
                found = next((row for row in among if self._may(row, ours, how) and self._fits(row, ours, exact)), None)
                if found is None:
                    left.append(ours)
                else:
                    self._pair(found, ours, how)
            self._left = left

    def _by_time(
        self,
        agree: Callable[[Billed, Ours], bool],
        *,
        about: bool = False,
        unsure: bool = False,
        alone: bool = False,
    ) -> None:
        """Pair a row with a charge of its model in whose time it lies, the latest first.

        `about`: only charges of about its amount are looked at; `unsure`: only those that may have been paid; `alone`:
        it is paired only if there is one. At most `LOOKED_AT` charges are compared with a row.
        """
        groups: dict[tuple[str, int], list[Ours]] = defaultdict(list)
        for ours in sorted(self._left, key=lambda one: one.began):
            if ours.ambiguous or not unsure:
                groups[ours.model, ours.nanousd // self._unit if about else 0].append(ours)
        ends = {key: list(accumulate((ours.ended for ours in group), max)) for key, group in groups.items()}
        gone: set[int] = set()
        for row in [row for row in self._rows.values() if row.until is not None]:
            amount = row.nanousd // self._unit
            near = (
                ours
                for key in ((row.model, part) for part in ((amount, amount - 1, amount + 1) if about else (0,)))
                for ours in _during(groups.get(key, ()), ends.get(key, ()), row)
                if id(ours) not in gone and self._may(row, ours, "time") and _overlap(row, ours) and agree(row, ours)
            )
            found = next(near, None)
            if found is None or (alone and next(near, None) is not None):
                continue
            gone.add(id(found))
            self._pair(row, found, "time")
        self._left = [ours for ours in self._left if id(ours) not in gone]

    def _about(self, row: Billed, ours: Ours) -> bool:
        return abs(row.nanousd - ours.nanousd) < self._unit

    def _may(self, row: Billed, ours: Ours, how: str) -> bool:
        """Whether they can be one call: what both tell must be equal, once the bill's ids are known to be ours."""
        if row.line not in self._rows or row.nanousd < 0:
            return False
        if how == "request_id":
            return True
        if self._known and row.request_id and ours.request_id and row.request_id != ours.request_id:
            return False
        models = not row.model or row.model == ours.model
        return models and (not row.provider or row.provider.casefold() == ours.provider.casefold())

    def _fits(self, row: Billed, ours: Ours, exact: bool) -> bool:
        return row.nanousd == ours.nanousd if exact else True

    def _pair(self, row: Billed, ours: Ours, how: str) -> None:
        del self._rows[row.line]
        self.found.matched[how] += 1
        if ours.ambiguous:
            self._differ("ambiguous_billed", row, ours)
        elif row.nanousd != ours.nanousd:
            self._differ("rounding" if self._about(row, ours) else "other_amount", row, ours)

    def _differ(self, kind: Kind, row: Billed | None, ours: Ours | None) -> None:
        self.found.differences.append(
            Difference(
                kind,
                billed_nanousd=row.nanousd if row is not None else 0,
                ours_nanousd=ours.nanousd if ours is not None else 0,
                line=row.line if row is not None else None,
                job=ours.job if ours is not None else (row.job if row is not None else None) or None,
                request_id=(row.request_id if row is not None else "") or (ours.request_id if ours is not None else ""),
                model=ours.model if ours is not None else (row.model if row is not None else ""),
                provider=ours.provider if ours is not None else (row.provider if row is not None else ""),
            )
        )


def _overlap(row: Billed, ours: Ours) -> bool:
    """Whether the row's time lies between decision and end of the charge's job, give or take `SLACK`."""
    if row.since is None or row.until is None:
        return False
    return row.since <= ours.ended + SLACK and row.until >= ours.began - SLACK


def _during(members: Sequence[Ours], ends: Sequence[datetime], row: Billed) -> Iterator[Ours]:
    """Of charges in the order of their decisions those in whose time the row may lie, the latest first; `ends` says
    when the last of each and all before it ended."""
    if row.since is None or row.until is None:
        return
    place = bisect_right(members, row.until + SLACK, key=lambda one: one.began)
    for at in range(place - 1, max(-1, place - 1 - LOOKED_AT), -1):
        if ends[at] + SLACK < row.since:
            return
        yield members[at]


def _earliest(ended: Ended) -> datetime:
    """When an end whose decision is gone may have been decided, at the latest."""
    return ended.entry.at - timedelta(milliseconds=ended.entry.waited_ms + ended.entry.called_ms)
