"""One tenant's money: what was spent in each window, what is reserved now, each by whoever asked and where it is done.

Sums are kept by payer and place, not by budget. So a budget that is raised, lowered, removed, made again or given
another window counts the same money as if it had always been so, and money that is folded again gives the same sums
whatever became of the budgets meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from router.accounts import Accounts
from router.money.reservation import Reservation, is_known
from router.money.scope import NOBODY, Cell, Payer, Place, Scope
from router.money.windows import kind_of
from schemas.accounts import Window

KEPT: dict[Window, int] = {"hour": 26, "day": 4, "month": 3, "total": 1}
"""Windows of each kind of which sums are kept: those in which something was decided last. By their order of coming, not
by the clock, so that a clock that was wrong for a while does not throw away the present window."""
MOST_PAYERS = 1_000
"""Combinations of team, key and labels of one tenant. Of further ones only what a budget names is kept; the rest counts
for the tenant alone."""


MOST_TOLD = 2**63 - 1
"""Nano-dollars: what JSON holds of a sum. Nine thousand million dollars, which a lying provider may claim."""
MOST_TALLIED = 2 * sum(KEPT.values())
MOST_TOUCHED = 4_096
"""Remembered answers: they are worked out anew."""


def told(nanousd: int) -> int:
    """A sum as it is written."""
    return max(-MOST_TOLD, min(nanousd, MOST_TOLD))


@dataclass(slots=True)
class Tally:
    """Of one scope in one window, in nano-dollars."""

    spent: int = 0
    reserved: int = 0


@dataclass(slots=True, eq=False)
class TenantMoney:
    """The invariant: every tally is the sum over `sums` and `open` of what its scope and window pick."""

    open: dict[str, Reservation] = field(default_factory=dict)
    """By decision_id."""
    sums: dict[str, dict[Cell, int]] = field(default_factory=dict)
    """What was spent, by window in the order of their coming, and by cell."""
    payers: dict[Payer, None] = field(default_factory=lambda: {NOBODY: None})
    """In the order of their coming."""
    _tallies: dict[str, dict[Scope, Tally]] = field(default_factory=dict)
    _touched: dict[tuple[Payer, tuple[Place, ...], tuple[str, ...]], list[Tally]] = field(default_factory=dict)
    """Which tallies a payer's money at these places in these windows belongs to: worked out once, until others come."""

    def tally(self, scope: Scope, label: str) -> Tally:
        """What that scope has spent and reserved in that window: kept up to date from here on."""
        scopes = self._tallies.get(label)
        if scopes is None:
            scopes = self._tallies[label] = {}
        tally = scopes.get(scope)
        if tally is None:
            tally = scopes[scope] = Tally(self._spent(scope, label), self._reserved(scope, label))
            self._touched.clear()
            if len(self._tallies) > MOST_TALLIED:  # a clock that runs wild asks for windows in which nothing happens
                self._tallies = {label: scopes} | {one: all for one, all in self._tallies.items() if one in self.sums}
        return tally

    def is_used(self) -> bool:
        """Whether anything was spent, or is reserved."""
        return bool(self.open) or any(self.sums.values())

    def known(self, payer: Payer, version: int | None, accounts: Accounts, tenant: str) -> Payer:
        """`payer` as sums are kept of it: whole while there is room, else with what budgets name."""
        if payer in self.payers:
            return payer
        if len(self.payers) >= MOST_PAYERS:
            names = accounts.names(tenant)
            team = payer.team if is_known(("team", payer.team or ""), names, version) else None
            key_id = payer.key_id if is_known(("key_id", payer.key_id or ""), names, version) else None
            payer = Payer(team, key_id, payer.tags)
        self.payers[payer] = None
        return payer

    def reserve(self, one: Reservation) -> None:
        """Take it out of every scope and window that may have to pay for it."""
        self.open[one.decision_id] = one
        self.begin(one.labels)
        for tally in self._of(one.payer, one.places, one.labels):
            tally.reserved += one.nanousd

    def free(self, one: Reservation) -> None:
        """Give it back."""
        del self.open[one.decision_id]
        for tally in self._of(one.payer, one.places, one.labels):
            tally.reserved -= one.nanousd

    def spend(self, payer: Payer, place: Place, nanousd: int, labels: tuple[str, ...]) -> None:
        """Count a charge in windows that are still kept."""
        if not nanousd:
            return
        cell = (payer, *place)
        if not self.sums.keys() >= set(labels):
            labels = tuple(label for label in labels if label in self.sums)
        for label in labels:
            cells = self.sums[label]
            cells[cell] = cells.get(cell, 0) + nanousd
        for tally in self._of(payer, (place,), labels):
            tally.spent += nanousd

    def begin(self, labels: Iterable[str]) -> None:
        """Keep sums of these windows from here on, if they are not kept yet."""
        for label in labels:
            if label not in self.sums:
                self._begin(label)

    def _begin(self, label: str) -> None:
        kind = kind_of(label)
        same = [one for one in self.sums if kind_of(one) == kind]
        if len(same) >= KEPT[kind]:
            del self.sums[same[0]]
            self._tallies.pop(same[0], None)
            self._touched.clear()
        self.sums[label] = {}

    def _of(self, payer: Payer, places: tuple[Place, ...], labels: tuple[str, ...]) -> list[Tally]:
        """The tallies that this payer's money at these places in these windows belongs to."""
        key = (payer, places, labels)
        touched = self._touched.get(key)
        if touched is None:
            if len(self._touched) >= MOST_TOUCHED:
                self._touched.clear()
            touched = self._touched[key] = [
                tally
                for label in labels
                for scope, tally in self._tallies.get(label, _NONE).items()
                if scope.of_payer(payer) and scope.may_be_at(places)
            ]
        return touched

    def _spent(self, scope: Scope, label: str) -> int:
        cells = self.sums.get(label, {})
        return sum(
            nanousd
            for (payer, model, provider), nanousd in cells.items()
            if scope.of_payer(payer) and scope.of_place((model, provider))
        )

    def _reserved(self, scope: Scope, label: str) -> int:
        return sum(
            one.nanousd
            for one in self.open.values()
            if label in one.labels and scope.of_payer(one.payer) and scope.may_be_at(one.places)
        )


_NONE: dict[Scope, Tally] = {}
