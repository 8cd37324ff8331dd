"""Who pays: organisations, tenants, budgets and transfers, as the fold of `novix.budgets.v1`.

One owner: whoever folds. No clock, no I/O. What was true for a decision is asked for by the version that it names, so
that money which is folded again, years later or on another machine, falls into the windows that it fell into then.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import ValidationError

from router.money.windows import TOTAL, UnknownZone, calendar, kind_of
from runtime.ports import Record
from schemas.accounts import AccountRecord, Budget, Organisation, Tenant, Transfer
from schemas.values import frozen

MOST_FAULTS = 100
"""Records that could not be taken in, of which we tell; older ones are forgotten."""

Name = tuple[str, ...]
"""What a budget picks jobs by: `("team", NAME)`, `("key_id", NAME)` or `("tag", LABEL, VALUE)`."""


@frozen
class Customs:
    """What of a tenant's record decides how its money is counted."""

    time_zone: str = "UTC"
    ambiguous: Literal["ceiling", "estimate", "nothing"] = "ceiling"


NO_CUSTOMS = Customs()
_NO_TAGS: Mapping[str, Mapping[str, int]] = {}


@frozen
class AccountFault:
    """A record that was passed over; what was said before it stays."""

    offset: int
    reason: str
    """Names fields, kinds and sizes, and no value."""


class Accounts:
    """Organisations, tenants, budgets and transfers up to `version`. The invariant: it depends on the records below
    that offset and on nothing else, and each is folded once, however often it is given."""

    def __init__(self) -> None:
        self._next = 0
        self._organisations: dict[str, Organisation] = {}
        self._tenants: dict[str, Tenant] = {}
        self._budgets: dict[str, dict[str, Budget]] = {}
        self._present: dict[str, tuple[Budget, ...]] = {}
        self._transfers: dict[str, dict[tuple[str, str], Transfer]] = {}
        self._funded: dict[tuple[str, str, str], int] = {}
        self._customs: dict[str, list[tuple[int, Customs]]] = {}
        self._names: dict[str, dict[Name, int]] = {}
        self._tags: dict[str, dict[str, dict[str, int]]] = {}
        self.faults: deque[AccountFault] = deque(maxlen=MOST_FAULTS)

    @property
    def version(self) -> str:
        """The offset after the last folded record, as decisions name it."""
        return str(self._next)

    def fold(self, record: Record) -> None:
        """Take in one record. Total: what cannot be read, or names an unknown time zone, is passed over and told in
        `faults`; it moves the version all the same. A record below the version is not folded again."""
        if record.offset < self._next:
            return
        self._next = record.offset + 1
        if record.value is None:
            return
        event = read_event(record.value)
        if isinstance(event, str):
            self.faults.append(AccountFault(record.offset, event))
            return
        self._funded.clear()  # a transfer, a zone or a budget's window moved
        match event:
            case Organisation():
                self._organisations[event.organisation] = event
            case Tenant():
                self._take_tenant(event)
            case Budget():
                self._take_budget(event)
            case Transfer():
                self._transfers.setdefault(event.tenant, {}).setdefault((event.organisation, event.id), event)
                if event.removed:
                    self._transfers[event.tenant][event.organisation, event.id] = event

    def tenant(self, name: str) -> Tenant | None:
        """The tenant's record; None where it has none, or it was removed."""
        found = self._tenants.get(name)
        return found if found is not None and not found.removed else None

    def organisation(self, name: str) -> Organisation | None:
        """The organisation's record; None where it has none, or it was removed."""
        found = self._organisations.get(name)
        return found if found is not None and not found.removed else None

    def organisations(self) -> Sequence[Organisation]:
        """All that there are, by name."""
        return [one for _, one in sorted(self._organisations.items()) if not one.removed]

    def tenants(self) -> Sequence[Tenant]:
        """All that have a record, by name."""
        return [one for _, one in sorted(self._tenants.items()) if not one.removed]

    def budgets_of(self, tenant: str) -> Sequence[Budget]:
        """The tenant's budgets that hold now, by id: the same object until one of them changes."""
        return self._present.get(tenant, ())

    def budgeted(self) -> Sequence[str]:
        """Tenants that have budgets, by name, whether they have a record of their own or not."""
        return sorted(tenant for tenant, budgets in self._present.items() if budgets)

    def funded(self, tenant: str, budget_id: str, window: str) -> int:
        """What transfers handed to that budget in the window of that label (`2026-11`, `total`), in nano-dollars.

        Negative where more was taken back than handed over; 0 for a budget that takes no transfers. The zone is the
        tenant's present one.
        """
        place = (tenant, budget_id, window)
        known = self._funded.get(place)
        if known is None:
            known = self._funded[place] = self._handed_over(tenant, budget_id, window)
        return known

    def transfers_to(self, tenant: str) -> Sequence[Transfer]:
        """All that hold, in the order in which they were said."""
        return [one for one in self._transfers.get(tenant, {}).values() if not one.removed]

    def transfers_of(self, organisation: str) -> Sequence[Transfer]:
        """All that an organisation handed over and that hold, by tenant, in the order in which they were said."""
        every = (one for tenant in sorted(self._transfers) for one in self.transfers_to(tenant))
        return [one for one in every if one.organisation == organisation]

    def customs(self, tenant: str, version: int | None = None) -> Customs:
        """How the tenant's money was counted as of `version`; None: as it is now."""
        history = self._customs.get(tenant)
        if not history:
            return NO_CUSTOMS
        if version is None or history[-1][0] <= version:
            return history[-1][1]
        at = bisect_right(history, version, key=lambda one: one[0])
        return history[at - 1][1] if at else NO_CUSTOMS

    def names(self, tenant: str) -> Mapping[Name, int]:
        """What any budget of the tenant ever picked jobs by, with the version from which on that is known."""
        return self._names.get(tenant, {})

    def tags(self, tenant: str) -> Mapping[str, Mapping[str, int]]:
        """Of these, the labels: by label and value."""
        return self._tags.get(tenant, _NO_TAGS)

    def _take_tenant(self, event: Tenant) -> None:
        self._tenants[event.tenant] = event
        customs = NO_CUSTOMS if event.removed else Customs(event.time_zone, event.ambiguous)
        if customs != self.customs(event.tenant):
            self._customs.setdefault(event.tenant, []).append((self._next, customs))

    def _take_budget(self, event: Budget) -> None:
        budgets = self._budgets.setdefault(event.tenant, {})
        budgets[event.id] = event
        self._present[event.tenant] = tuple(one for _, one in sorted(budgets.items()) if not one.removed)
        names = self._names.setdefault(event.tenant, {})
        for name in picks(event):
            names.setdefault(name, self._next)
        if event.tag is not None:
            label, value = event.tag
            self._tags.setdefault(event.tenant, {}).setdefault(label, {}).setdefault(value, self._next)

    def _handed_over(self, tenant: str, budget_id: str, window: str) -> int:
        budget = self._budgets.get(tenant, {}).get(budget_id)
        if budget is None or not budget.funded:
            return 0
        here = calendar(self.customs(tenant).time_zone)
        kind = kind_of(window)
        return sum(
            one.nanousd
            for one in self.transfers_to(tenant)
            if one.budget == budget_id and (window == TOTAL or here.labels(one.at).of(kind) == window)
        )


def read_event(value: bytes) -> Organisation | Tenant | Budget | Transfer | str:
    """What a record says; a text instead, where it cannot hold: the first fault, by field."""
    try:
        event = AccountRecord.model_validate_json(value).event
        if isinstance(event, Tenant):
            calendar(event.time_zone)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "record"
        return f"{field[:100]}: {first['msg'][:200]}"
    except UnknownZone as error:
        return f"event.tenant.time_zone: {error}"
    return event


def picks(budget: Budget) -> list[Name]:
    """What the budget picks jobs by, beside their tenant."""
    names: list[Name] = []
    if budget.team is not None:
        names.append(("team", budget.team))
    if budget.key_id is not None:
        names.append(("key_id", budget.key_id))
    if budget.tag is not None:
        names.append(("tag", *budget.tag))
    return names
