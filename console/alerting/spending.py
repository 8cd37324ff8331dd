"""Budgets, anomalies, overcharges and reservations that stay open: what decisions and ledger say together. Pure."""

import statistics
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from console.alerting.reading import Buckets, Reading, wanted
from console.words import count, money
from router.accounts import Accounts
from router.money.reservation import Reservation, counted, reservation_of
from router.money.windows import UnknownZone, calendar, kind_of
from runtime.ports import Record
from schemas import codec
from schemas.accounts import Tenant, Window
from schemas.decision import BudgetHeld, Reserve
from schemas.ledger import LedgerBatch, LedgerEntry
from schemas.policies import AlertRule
from schemas.topics import DECISIONS
from schemas.values import frozen

MOST_OPEN = 200_000
"""Reservations that are remembered until they end: 300 MB."""
MOST_ENDED = 200_000
"""Ends that are remembered, so that one that is read twice counts once."""
MOST_EARLY = 20_000
"""Ends that are remembered until their decision is read, for two topics are read at once."""
MOST_TENANTS = 5_000
"""Tenants whose past is remembered for anomalies: those that spent last."""
STEP = timedelta(minutes=5)
STEPS = 864
"""Three days: a window of eight hours, and eight of its length before it."""
PAST_WINDOWS, LEAST_PAST = 24, 8
LEAST_SPREAD_NANOUSD = 1_000_000
"""A tenth of a cent: less than that above the past is no anomaly of money."""
Z_PER_MAD = 0.6745
TOLD_JOBS = 10
SOFT_PERCENT = (50, 80, 100)
NEARLY_PERCENT = 90
"""From there on a hard budget that has no room for the smallest job of its window counts as used up: nothing is spent
beyond it, so that its last part is never spent."""


@frozen
class Open:
    """A reservation that has not ended."""

    reservation: Reservation
    budgets: tuple[tuple[str, str], ...]
    """Id and window of each that it counts against, as the lane that took it says."""


class Spent:
    """One budget in one window. `told` is what the lane that reserves said last, `ours` what ended since it was first
    seen here: the larger is the truth, for what is spent in a window never grows less."""

    __slots__ = ("base", "least", "ours", "reserved", "told")

    def __init__(self, base: int) -> None:
        self.base = self.told = base
        self.ours = self.reserved = self.least = 0

    @property
    def nanousd(self) -> int:
        """Spent so far."""
        return max(self.told, self.base + self.ours)


class Money:
    """Folds decisions and ledger, in whatever order the two come."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._open: OrderedDict[str, Open] = OrderedDict()
        self._early: OrderedDict[str, LedgerEntry] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        """Decisions whose end was counted, so that a record that is read twice counts once."""
        self._budgets: dict[tuple[str, str, str], Spent] = {}
        """By tenant, id and window."""
        self._past: OrderedDict[str, Buckets] = OrderedDict()
        self._over: dict[tuple[str, str], Buckets] = {}
        """What providers charged above the reserve, by model and provider."""
        self._organisations: dict[tuple[str, str], int] = {}
        """Spent by organisation and month (UTC)."""

    def fold(self, record: Record) -> None:
        """A record of the decisions or of the ledger. What is none is passed over."""
        if record.topic == DECISIONS.name:
            try:
                batch = codec.decode(record.value or b"")
            except codec.Undecodable:
                return
            rows = batch.get("decisions") if isinstance(batch, dict) else None
            for row in rows if isinstance(rows, list) else ():
                if isinstance(row, dict) and row.get("reserve"):
                    self._decided(row)
            return
        try:
            entries = LedgerBatch.model_validate_json(record.value or b"").entries
        except ValidationError:
            return
        for entry in entries:
            self._ends(entry)

    def _decided(self, row: Mapping[str, Any]) -> None:
        try:
            reservation = reservation_of(row, self._accounts)
            budgets = Reserve.model_validate(row["reserve"]).budgets
        except (KeyError, TypeError, ValueError):
            return
        if reservation is None:
            return
        name = reservation.decision_id
        if name in self._open or (name in self._ended and name not in self._early):
            return
        for held in budgets:
            self._held(reservation.tenant, held, reservation.nanousd)
        self._open[name] = Open(reservation, tuple((held.id, held.window) for held in budgets))
        if len(self._open) > MOST_OPEN:
            self._give_back(self._open.popitem(last=False)[1])
        early = self._early.pop(name, None)
        if early is not None:
            self._settle(self._open.pop(name), early)

    def _held(self, tenant: str, held: BudgetHeld, nanousd: int) -> None:
        spent = self._budgets.setdefault((tenant, held.id, held.window), Spent(held.spent_nanousd))
        spent.told = max(spent.told, held.spent_nanousd)
        spent.reserved += nanousd
        spent.least = min(spent.least or nanousd, nanousd)

    def _ends(self, entry: LedgerEntry) -> None:
        if entry.decision_id in self._ended:
            return
        self._ended[entry.decision_id] = None
        _bound(self._ended, MOST_ENDED)
        if entry.cost_nanousd:
            self._spend(entry)
        reservation = self._open.pop(entry.decision_id, None)
        if reservation is not None:
            self._settle(reservation, entry)
        else:
            self._early[entry.decision_id] = entry
            _bound(self._early, MOST_EARLY)

    def _settle(self, one: Open, entry: LedgerEntry) -> None:
        """A call that may have been paid counts as the tenant has it count (`Tenant.ambiguous`)."""
        tenant, version = one.reservation.tenant, one.reservation.version
        known = {budget.id: budget for budget in self._accounts.budgets_of(tenant)}
        ambiguous = self._accounts.customs(tenant, version).ambiguous
        self._give_back(one)
        for name, window in one.budgets:
            spent, budget = self._budgets.get((tenant, name, window)), known.get(name)
            if spent is None:
                continue
            spent.ours += sum(
                counted(charge, ambiguous, one.reservation)
                for charge in entry.charges
                if budget is None
                or (budget.model in (None, charge.model) and budget.provider in (None, charge.provider))
            )

    def _give_back(self, one: Open) -> None:
        for name, window in one.budgets:
            spent = self._budgets.get((one.reservation.tenant, name, window))
            if spent is not None:
                spent.reserved = max(0, spent.reserved - one.reservation.nanousd)

    def _spend(self, entry: LedgerEntry) -> None:
        past = self._past.setdefault(entry.tenant, Buckets(STEP, STEPS))
        self._past.move_to_end(entry.tenant)
        _bound(self._past, MOST_TENANTS)
        past.add(entry.at, nanousd=entry.cost_nanousd)
        tenant = self._accounts.tenant(entry.tenant)
        if tenant is not None and tenant.organisation is not None:
            place = tenant.organisation, f"{entry.at:%Y-%m}"
            self._organisations[place] = self._organisations.get(place, 0) + entry.cost_nanousd
        excess = entry.cost_nanousd - entry.reserved_nanousd
        if excess > 0 and entry.charges:
            dearest = max(entry.charges, key=lambda charge: charge.nanousd)
            over = self._over.setdefault((dearest.model, dearest.provider), Buckets(STEP, STEPS))
            over.add(entry.at, nanousd=excess)

    # what is to be seen

    def budgets(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """Each budget in its present window at each of its shares, or at the rule's threshold if that is not 0; not
        known where the log that was read says nothing of it. And each organisation's soft limit of the month."""
        for (tenant, name, label), spent in list(self._budgets.items()):
            budget = next((one for one in self._accounts.budgets_of(tenant) if one.id == name), None)
            if budget is None:
                continue
            holder = self._accounts.tenant(tenant)
            if kind_of(label) != budget.window or label < _label(budget.window, holder, now):
                del self._budgets[tenant, name, label]
                continue
            if not wanted(rule, tenant):
                continue
            funded = self._accounts.funded(tenant, name, label) if budget.funded else 0
            limit = max(0, budget.limit_nanousd + funded)
            used = _percent(spent.nanousd, limit)
            full = budget.hard and used >= NEARLY_PERCENT and spent.nanousd + spent.least > limit
            detail = {
                "budget": name, "window": label, "limit_nanousd": limit, "spent_nanousd": spent.nanousd,
                "reserved_nanousd": spent.reserved, "hard": budget.hard,
            }  # fmt: skip
            told = f"{money(spent.nanousd)} of {money(limit)} spent, {money(spent.reserved)} more reserved"
            if full:
                told += ": no room for a job as small as the smallest of this window"
            subject = f"budget {name} of {tenant}, {label}"
            yield from _shares(subject, tenant, rule, budget.alert_percent, used, told, detail, full=full)
        yield from self._unknown(rule, now)
        yield from self._soft(rule, now)

    def _unknown(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """What fires for a budget that was used up long ago goes on, although nothing is reserved of it any more."""
        for tenant in self._accounts.budgeted():
            for budget in self._accounts.budgets_of(tenant) if wanted(rule, tenant) else ():
                label = _label(budget.window, self._accounts.tenant(tenant), now)
                if (tenant, budget.id, label) not in self._budgets:
                    subject = f"budget {budget.id} of {tenant}, {label}"
                    yield from _shares(subject, tenant, rule, budget.alert_percent, None, "nothing is known of it", {})

    def _soft(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        if rule.tenant != "*":
            return
        for (name, month), nanousd in list(self._organisations.items()):
            if month < f"{now:%Y-%m}":
                del self._organisations[name, month]
                continue
            organisation = self._accounts.organisation(name)
            soft = organisation.soft_nanousd_per_month if organisation is not None else None
            if soft is not None:
                detail = {"organisation": name, "limit_nanousd": soft, "spent_nanousd": nanousd}
                told = f"its tenants spent {money(nanousd)} of {money(soft)}"
                subject = f"organisation {name}, {month}"
                yield from _shares(subject, None, rule, SOFT_PERCENT, _percent(nanousd, soft), told, detail)

    def anomalies(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """How far each tenant's spend of the last window lies above its own past: the modified z-score of Iglewicz and
        Hoaglin, "How to Detect and Handle Outliers" (ASQC, 1993), over up to 24 windows of the same length before it:

            z = 0.6745 * (x - median) / max(MAD, 5 % of the median, 0.001 dollars)
        """
        window = timedelta(seconds=rule.window_s)
        for tenant, spent in self._past.items():
            latest = spent.sum("nanousd", now, window)
            at_most = Z_PER_MAD * latest / LEAST_SPREAD_NANOUSD  # too little for any past: nearly all, nearly always
            if not latest or at_most < rule.threshold or not wanted(rule, tenant):
                continue
            first = spent.first("nanousd", now) or now
            ends = [now - window * back for back in range(1, PAST_WINDOWS + 1)]
            past = [spent.sum("nanousd", end, window) for end in ends if end - window >= first]
            if len(past) < LEAST_PAST:
                yield Reading(f"spend of {tenant}", None, "z", "too little is known of its past", tenant)
                continue
            usual, z = robust_z(latest, past)
            told = f"{money(latest)} in {rule.window_s} s, where {money(round(usual))} is usual"
            detail = {"spent_nanousd": latest, "median_nanousd": round(usual), "windows": len(past)}
            yield Reading(f"spend of {tenant}", round(z, 2), "z", told, tenant, detail=detail)

    def overcharges(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """What each provider charged for a model beyond what was reserved, in the rule's window."""
        for (model, provider), over in self._over.items():
            excess = over.sum("nanousd", now, timedelta(seconds=rule.window_s))
            if excess and rule.tenant == "*":
                told = f"charged {money(excess)} above what was reserved, in {rule.window_s} s"
                yield Reading(f"{model} at {provider}", excess, "nanousd", told)

    def open_too_long(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """Reservations of each tenant that are open although their job's deadline passed longer ago than the window."""
        grace = timedelta(seconds=rule.window_s)
        late: dict[str, list[Reservation]] = {}
        for one in (open_.reservation for open_ in self._open.values()):
            if one.deadline is not None and one.deadline + grace < now and wanted(rule, one.tenant):
                late.setdefault(one.tenant, []).append(one)
        for tenant, those in late.items():
            held = sum(one.nanousd for one in those)
            detail = {"jobs": [f"{one.job_id}/{one.submission}" for one in those[:TOLD_JOBS]], "nanousd": held}
            told = f"{count(len(those), 'reservation')} of {money(held)} outlived their deadlines"
            yield Reading(f"reservations of {tenant}", len(those), "reservations", told, tenant, detail=detail)


def robust_z(latest: int, past: list[int]) -> tuple[float, float]:
    """The median of the past, and how far `latest` lies above it; 0 if it does not."""
    usual = statistics.median(past)
    spread = statistics.median(abs(one - usual) for one in past)
    return usual, max(0.0, Z_PER_MAD * (latest - usual) / max(spread, 0.05 * usual, LEAST_SPREAD_NANOUSD))


def _shares(
    subject: str, tenant: str | None, rule: AlertRule, percents: tuple[int, ...], used: float | None, told: str,
    detail: Mapping[str, Any], *, full: bool = False,
) -> Iterator[Reading]:  # fmt: skip
    for percent in percents if rule.threshold == 0 else (rule.threshold,):
        value = None if used is None else round(max(used, 100.0) if full and percent == 100 else used, 2)
        yield Reading(f"{subject} at {percent:g} %", value, "%", told, tenant, float(percent), detail)


def _label(window: Window, tenant: Tenant | None, now: datetime) -> str:
    """Of the present window. Later ones have later labels: they have begun already where a lane's clock is ahead."""
    try:
        return calendar(tenant.time_zone if tenant else "UTC").labels(now).of(window)
    except UnknownZone:
        return calendar("UTC").labels(now).of(window)


def _percent(part: int, whole: int) -> float:
    return min(100 * part / whole, 1e6) if whole else (100.0 if part else 0.0)


def _bound(some: "OrderedDict[str, Any]", most: int) -> None:
    while len(some) > most:
        some.popitem(last=False)
