"""Budgets as they stand, and why: what was spent and reserved in a window, by whom and where. Pure.

The same sums as a home lane's books, told apart: a reservation counts in the windows in which it was decided, its
settle in the same, however late it comes; a charge at another model than a budget's counts nothing against it.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.money.joined import Ended, Reservation
from router.accounts import Accounts
from router.money.reservation import Reservation as Held
from router.money.reservation import counted
from router.money.scope import Scope, scope_of
from router.money.windows import calendar, span, zone_of
from schemas.accounts import Budget
from schemas.ledger import Charge

DEAREST = 20
"""Jobs of a budget that are told one by one."""
NONE = "-"
PARTS = ("model", "provider", "team", "key", "task")


@dataclass(slots=True)
class Standing:
    """One budget in its present window."""

    budget: Budget
    window: str
    begins: datetime | None
    """None: `total` began before everything."""
    ends: datetime | None
    """When the next window begins; None: never."""
    funded_nanousd: int = 0
    spent_nanousd: int = 0
    """What counts: of calls that may have been paid as much as the tenant's terms say."""
    ambiguous_nanousd: int = 0
    """The ceilings of calls that may have been paid, whatever of them counts."""
    jobs: int = 0
    open: list[Reservation] = field(default_factory=list)
    ambiguous: list[tuple[str, Charge]] = field(default_factory=list)
    """(`tenant/id/submission`, charge)."""
    over: list[tuple[str, int]] = field(default_factory=list)
    """(`tenant/id/submission`, nano-dollars) that a job cost above its reserve."""
    parts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in PARTS})
    _dearest: list[tuple[int, str]] = field(default_factory=list)

    @property
    def limit_nanousd(self) -> int:
        """Of the window, with what was handed over for it."""
        return self.budget.limit_nanousd + self.funded_nanousd

    @property
    def reserved_nanousd(self) -> int:
        """By jobs that have not ended."""
        return sum(one.held.nanousd for one in self.open)

    @property
    def available_nanousd(self) -> int:
        """What may still be reserved; negative where more is spent than the limit (it was lowered, say)."""
        return self.limit_nanousd - self.spent_nanousd - self.reserved_nanousd

    @property
    def dearest(self) -> list[tuple[str, int]]:
        """The jobs that cost most, the dearest first."""
        return [(job, cost) for cost, job in sorted(self._dearest, key=lambda one: (-one[0], one[1]))]

    def spent(self, ended: Ended, counts: Sequence[tuple[Charge | None, int]]) -> None:
        """Take a job with what each of its charges counts here; None: what no charge tells."""
        reserved = ended.reservation
        self.jobs += 0 if ended.late else 1
        cost = 0
        for charge, amount in counts:
            cost += amount
            self.parts["model"][charge.model if charge is not None else NONE] += amount
            self.parts["provider"][charge.provider if charge is not None else NONE] += amount
            if charge is not None and charge.ambiguous:
                self.ambiguous_nanousd += charge.nanousd
                self.ambiguous.append((ended.job, charge))
        for name, told in (
            ("team", reserved.held.payer.team if reserved is not None else None),
            ("key", reserved.held.payer.key_id if reserved is not None else None),
            ("task", ended.entry.task),
        ):
            self.parts[name][told or NONE] += cost
        self.spent_nanousd += cost
        if reserved is not None and ended.entry.cost_nanousd > reserved.held.nanousd:
            self.over.append((ended.job, ended.entry.cost_nanousd - reserved.held.nanousd))
        if cost:
            heapq.heappush(self._dearest, (cost, ended.job))
            if len(self._dearest) > DEAREST:
                heapq.heappop(self._dearest)


class Standings:
    """All budgets of some tenants at one instant. Give it every end (`spent`), then what is open (`reserved`)."""

    def __init__(self, accounts: Accounts, tenants: Iterable[str], now: datetime) -> None:
        self._accounts = accounts
        self._by_tenant: dict[str, list[tuple[Scope, Standing]]] = {}
        for tenant in tenants:
            zone = accounts.customs(tenant).time_zone
            self._by_tenant[tenant] = [
                (scope_of(budget), _standing(accounts, budget, zone, now)) for budget in accounts.budgets_of(tenant)
            ]

    @property
    def all(self) -> list[Standing]:
        """By tenant and budget."""
        return [standing for tenant in sorted(self._by_tenant) for _, standing in self._by_tenant[tenant]]

    def since(self) -> datetime | None:
        """From when on decisions count for any of them; None: from the beginning."""
        begins = [standing.begins for standing in self.all]
        known = [begin for begin in begins if begin is not None]
        return min(known) if known and len(known) == len(begins) else None

    def spent(self, ended: Ended) -> None:
        """Fold the end of one reservation. An end whose decision is gone counts in no present window but `total`,
        which the home lane's own books know."""
        reserved = ended.reservation
        if reserved is None or ended.entry.kind != "settle":
            return
        held = reserved.held
        ambiguous = self._accounts.customs(held.tenant, held.version).ambiguous
        for scope, standing in self._of(held):
            counts: list[tuple[Charge | None, int]] = [
                (charge, counted(charge, ambiguous, held))
                for charge in ended.entry.charges
                if scope.of_place((charge.model, charge.provider))
            ]
            rest = ended.entry.cost_nanousd - sum(charge.nanousd for charge in ended.entry.charges)
            if rest > 0 and scope.of_place(("", "")):
                counts.append((None, rest))
            if counts:
                standing.spent(ended, counts)

    def reserved(self, reserved: Reservation) -> None:
        """Fold one open reservation: until it ends, all of it may be spent wherever it may be done."""
        for scope, standing in self._of(reserved.held):
            if scope.may_be_at(reserved.held.places):
                standing.open.append(reserved)

    def _of(self, held: Held) -> Iterator[tuple[Scope, Standing]]:
        for scope, standing in self._by_tenant.get(held.tenant, ()):
            if standing.window in held.labels and scope.of_payer(held.payer):
                yield scope, standing


def as_document(standing: Standing) -> dict[str, Any]:
    """A budget as JSON; money in integer nano-dollars."""
    budget = standing.budget
    return {
        **budget.model_dump(mode="json", exclude={"kind", "removed"}),
        "present_window": standing.window,
        "begins": None if standing.begins is None else standing.begins.isoformat(),
        "next_window": None if standing.ends is None else standing.ends.isoformat(),
        "funded_nanousd": standing.funded_nanousd,
        "available_nanousd": standing.available_nanousd,
        "spent_nanousd": standing.spent_nanousd,
        "reserved_nanousd": standing.reserved_nanousd,
        "ambiguous_nanousd": standing.ambiguous_nanousd,
        "jobs": standing.jobs,
        "open": len(standing.open),
    }


def _standing(accounts: Accounts, budget: Budget, zone: str, now: datetime) -> Standing:
    window = calendar(zone).labels(now).of(budget.window)
    begins, ends = (None, None) if budget.window == "total" else span(budget.window, now, zone_of(zone))
    return Standing(budget, window, begins, ends, accounts.funded(budget.tenant, budget.id, window))
