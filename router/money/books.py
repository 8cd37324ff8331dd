"""One home lane's money: what its tenants spent and have reserved, folded from decisions[p] and ledger[p].

A record's way: `purse` says what a job's budgets have left; `reserve` notes what its decision takes out of them;
`sealed` puts that into the lane's transaction; `fold_ledger` gives back what the job's end tells. `tenant.py` holds the
sums, `opening.py` reads the log, `snapshots.py` saves a successor the reading.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from router.accounts import Accounts
from router.money import opening, snapshots
from router.money.ended import MOST_ENDED, Ended
from router.money.reports import Overdrawn, Reports
from router.money.reservation import Document, Reservation, counted, reservation_of
from router.money.scope import NOBODY, Plan
from router.money.tenant import TenantMoney, told
from router.money.watchdog import OpenReservation, why_open
from router.money.windows import calendar
from router.purse import NO_PURSE, Line, Purse
from runtime.ports import LaneId, LogReader, Outgoing, Record
from schemas.accounts import Budget
from schemas.job import InferenceJob
from schemas.ledger import LedgerEntry
from schemas.topics import DECISIONS


class Books:
    """The money of one lane's tenants. No clock; one owner: the lane, and whoever brings it ledger[p].

    The invariant: apart from what is noted and not sealed, it is a function of the decisions up to `sequence`, of the
    ledger before `ledger_next`, and of the accounts that those decisions name. Budgets are laid over it when they are
    asked for, so it does not depend on them. Whoever drops this object drops what its open transaction noted.
    """

    def __init__(self, accounts: Accounts, most_ended: int = MOST_ENDED) -> None:
        self._accounts = accounts
        self._tenants: dict[str, TenantMoney] = {}
        self._open: dict[str, Reservation] = {}
        """By decision_id."""
        self._jobs: dict[tuple[str, str, int], Reservation] = {}
        """The same by tenant, id and submission."""
        self._noted: set[str] = set()
        """Decisions that are in no transaction yet."""
        self._ended = Ended(most_ended)
        self._plans: dict[str, Plan] = {}
        self._since_snapshot = self._since_mark = 0
        """Decisions."""
        self.reports = Reports()
        self.ledger_next = 0
        """The next offset of ledger[p] to be folded."""
        self.sequence = 0
        """Of the lane's last batch of decisions."""
        self.decisions_from = 0
        """An offset in decisions[p] at or below the first batch that is not in here."""

    @classmethod
    async def open(
        cls, lane: LaneId, log: LogReader, accounts: Accounts, now: datetime, most_ended: int = MOST_ENDED
    ) -> "Books":
        """The money of a lane that has fenced its predecessors: its newest snapshot, and what the log says since.
        Of reservations that ended it remembers `most_ended` (never more than `MOST_ENDED`).

        `accounts` is folded to the end of its topic first. Raises `fold.UnreadableDecisions` or
        `opening.UnreadableLedger` where the log holds what no router wrote, `opening.LostLog` where it ends before the
        snapshot.
        """
        await opening.catch_up(accounts, log)
        books = cls(accounts, most_ended)
        found = await snapshots.newest(log, lane.partition)
        if found is not None:
            try:
                books.restore(found)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError):
                books = cls(accounts, most_ended)  # not of our form after all
        await opening.fold_log(books, lane.partition, log)
        return books

    # what a job may spend

    def purse(self, job: InferenceJob, now: datetime) -> Purse:
        """The budgets that hold for a job that is decided at `now`, each as it stands in its window of that instant."""
        budgets = self._accounts.budgets_of(job.tenant)
        if not budgets:
            return NO_PURSE
        money = self._money(job.tenant)
        here = calendar(self._accounts.customs(job.tenant).time_zone)
        labels = here.labels(now)
        lines: list[Line] = []
        for budget, scope in self._plan(job.tenant, budgets).of(job.team, job.key_id, job.metadata):
            label = labels.of(budget.window)
            tally = money.tally(scope, label)
            limit = budget.limit_nanousd
            if budget.funded:
                limit += self._accounts.funded(job.tenant, budget.id, label)
            lines.append(
                Line(
                    budget.id, label, told(limit), told(tally.spent), told(tally.reserved), budget.hard, budget.model,
                    budget.provider, here.ends(budget.window, now),
                )
            )  # fmt: skip
        return Purse(tuple(lines))

    def overdrawn(self, now: datetime) -> Sequence[Overdrawn]:
        """Hard budgets of which more is spent and reserved than they allow in their present window: a provider charged
        above its reserve, the limit was lowered, or the budget is new."""
        found: list[Overdrawn] = []
        for tenant in sorted(self._tenants):
            here = calendar(self._accounts.customs(tenant).time_zone)
            for budget, scope in self._plan(tenant, self._accounts.budgets_of(tenant)).all:
                label = here.labels(now).of(budget.window)
                tally = self._tenants[tenant].tally(scope, label)
                limit = budget.limit_nanousd + self._accounts.funded(tenant, budget.id, label)
                if budget.hard and tally.spent + tally.reserved > limit:
                    found.append(Overdrawn(tenant, budget.id, label, limit, tally.spent, tally.reserved))
        return found

    # what a decision takes

    def reserve(self, decision: Document) -> None:
        """Note a decision before it is committed. Another one about the same submission takes its place: nothing is
        reserved for it any more unless that one reserves as well."""
        before = self._jobs.get((decision["tenant"], decision["job_id"], decision["submission"]))
        if before is not None:
            self._free(before)
        one = reservation_of(decision, self._accounts)
        if one is not None and one.decision_id not in self._open:
            self._ended.forget(one.decision_id)  # a record that is read again long after: it runs, and costs, again
            self._hold(one)
            self._noted.add(one.decision_id)

    def sealed(self, decision_ids: Collection[str], batches: int) -> int:
        """These decisions go into the present transaction, in that many batches: the number of the first of them."""
        self._noted.difference_update(decision_ids)
        self._since_snapshot += len(decision_ids)
        self._since_mark += len(decision_ids)
        first = self.sequence + 1
        self.sequence += batches
        return first

    def fold_decisions(self, document: Document) -> None:
        """Take in a batch (`DecisionBatch`) of decisions[p]: unless it is in here. Raises KeyError, TypeError or
        ValueError for what is none."""
        sequence = int(document.get("sequence", 0))
        if 0 < sequence <= self.sequence:
            return
        if self.sequence and sequence > self.sequence + 1:
            self.reports.lost_batches += sequence - self.sequence - 1
        decisions = document["decisions"]
        for decision in decisions:
            self.reserve(decision)
        self._noted.clear()
        self._since_snapshot += len(decisions)
        self.sequence = max(self.sequence, sequence)

    # what an end gives back

    def fold_ledger(self, record: Record) -> Sequence[LedgerEntry]:
        """Take in the next record of ledger[p]; one before `ledger_next` is in here. The entries that ended a
        reservation which was open here. Raises `opening.UnreadableLedger` for what is no batch, and passes over it."""
        if record.offset < self.ledger_next:
            return []
        self.ledger_next = record.offset + 1
        return [entry for entry in opening.entries_of(record) if self.end(entry)]

    def end(self, entry: LedgerEntry) -> bool:
        """One reservation ends. What it cost counts once, in the windows of its decision; False: none was open.

        A charge whose reservation is not known counts at the time of its entry, for its tenant, model and provider.
        """
        costs = bool(entry.charges or entry.cost_nanousd)
        one = self._open.get(entry.decision_id)
        was_open = one is not None
        if one is not None:
            self._free(one)
        elif self._ended.knows(entry.decision_id):
            one = self._ended.released(entry.decision_id)
            if one is None or not costs:
                self.reports.repeated += 1
                return False
            self.reports.late += 1
        else:
            self.reports.unknown += 1
        if costs:
            self._count(entry, one)
        if costs or one is not None:  # a release of nothing that is known protects nothing
            self._ended.add(entry.decision_id, None if costs else one)
        return was_open

    def knows(self, decision_id: str) -> bool:
        """Whether its reservation is open here, or known to have ended."""
        return decision_id in self._open or self._ended.knows(decision_id)

    def _count(self, entry: LedgerEntry, one: Reservation | None) -> None:
        tenant, version, payer = (entry.tenant, None, NOBODY) if one is None else (one.tenant, one.version, one.payer)
        money, customs = self._money(tenant), self._accounts.customs(tenant, version)
        labels: tuple[str, ...]
        if one is None:
            labels = calendar(customs.time_zone).labels(entry.at)
            money.begin(labels)
        else:
            labels = one.labels
        rest = entry.cost_nanousd
        for charge in entry.charges:
            rest -= charge.nanousd
            money.spend(payer, (charge.model, charge.provider), counted(charge, customs.ambiguous, one), labels)
            if charge.ambiguous:
                self.reports.add_ambiguous(entry, charge)
        if rest > 0:  # it cost more than its charges name
            money.spend(payer, ("", ""), rest, labels)
        if one is not None and entry.cost_nanousd > one.nanousd:
            self.reports.add_overcharge(entry, one.nanousd)

    # what a successor need not read

    def wants_mark(self, every: int) -> bool:
        """Whether `mark` would do something."""
        return self._since_mark >= every // 2

    async def mark(self, partition: int, log: LogReader, every: int) -> None:
        """Twice in `every` decisions, note where decisions[p] ends: from there a snapshot's reader reads on.

        This lane alone writes there, one transaction after the other, and a snapshot holds all that was sealed before
        it: so whatever it does not hold is written behind every end that was read before.
        """
        if not self.wants_mark(every):
            return
        self._since_mark = 0
        end = (await log.bounds(DECISIONS.name, partition))[1]
        self.decisions_from = max(self.decisions_from, end)

    def due(self, every: int) -> bool:
        """Whether as many decisions were sealed since the last snapshot."""
        return self._since_snapshot >= every

    def snapshot(self, lane: LaneId, now: datetime, limit_bytes: int) -> list[Outgoing]:
        """Everything but what is noted and not sealed, for the transaction that is sealed now; each part about
        `limit_bytes` at most."""
        self._since_snapshot = 0
        rows = snapshots.rows_of(self._tenants, self._noted, self._ended, self.reports)
        return snapshots.parts(
            rows, lane, now, sequence=self.sequence, decisions_from=self.decisions_from, ledger_next=self.ledger_next,
            limit_bytes=limit_bytes,
        )  # fmt: skip

    def restore(self, found: snapshots.Found) -> None:
        """Take over a snapshot, into books in which there is nothing. Raises KeyError, TypeError, ValueError or
        IndexError for one of another form."""
        for one in snapshots.restore(found.rows, self._money, self._ended, self.reports):
            self._hold(one)
        self.sequence, self.ledger_next = found.sequence, found.ledger_next
        self.decisions_from, self.reports.snapshot = found.decisions_from, found.snapshot_id

    # what is watched

    def open_jobs(self, now: datetime) -> Sequence[OpenReservation]:
        """What is reserved and has not ended, the oldest first."""
        return [
            OpenReservation(
                one.identity, one.submission, one.decision_id, one.nanousd, one.decided_at, one.deadline,
                age=now - one.decided_at,
                why=why_open(one.decided_at, one.deadline, now, noted=one.decision_id in self._noted),
            )
            for one in sorted(self._open.values(), key=lambda one: one.decided_at)
        ]  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """What is known, for /healthz: tenants that spent or reserved something, open reservations and their sum, since
        when all ends are in here (`since`; None: from the log's beginning), and what did not go as it should."""
        return {
            "tenants": sum(map(TenantMoney.is_used, self._tenants.values())),
            "open": len(self._open),
            "reserved_nanousd": sum(one.nanousd for one in self._open.values()),
            "sequence": self.sequence,
            **self.reports.describe(),
        }

    def _hold(self, one: Reservation) -> None:
        money = self._money(one.tenant)
        payer = money.known(one.payer, one.version, self._accounts, one.tenant)
        if payer != one.payer:
            one = replace(one, payer=payer)
        money.reserve(one)
        self._open[one.decision_id] = one
        self._jobs[one.tenant, one.job_id, one.submission] = one

    def _free(self, one: Reservation) -> None:
        self._tenants[one.tenant].free(one)
        del self._open[one.decision_id]
        del self._jobs[one.tenant, one.job_id, one.submission]
        self._noted.discard(one.decision_id)

    def _money(self, tenant: str) -> TenantMoney:
        money = self._tenants.get(tenant)
        if money is None:
            money = self._tenants[tenant] = TenantMoney()
        return money

    def _plan(self, tenant: str, budgets: Sequence[Budget]) -> Plan:
        plan = self._plans.get(tenant)
        if plan is None or plan.budgets is not budgets:
            plan = self._plans[tenant] = Plan(budgets)
        return plan
