"""Whatever happens to jobs, budgets, clocks and lanes: the books agree with the same events added up by hand."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from books_world import LANE, NOON, TENANT, ByHand, Job, batch, budget, charge, decision, entry, job, label_of, said
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from router_world import MemoryLog

from router.accounts import Accounts
from router.money.books import Books
from runtime.ports import Outgoing
from schemas.accounts import AccountRecord, Budget, Tenant, Transfer
from schemas.ledger import LedgerBatch, LedgerEntry
from schemas.topics import BUDGETS, LEDGER, SNAPSHOTS

PLACES = (("m/a", "groq"), ("m/a", "together"), ("m/b", "groq"), ("m/b", "auto"))
ASKERS = [
    {"team": team, "key_id": key, "metadata": metadata}
    for team, key, metadata in product((None, "red"), (None, "k1"), ({}, {"env": "prod"}, {"env": "dev"}))
]
SCOPES: list[dict[str, Any]] = [
    {}, {"team": "red"}, {"key_id": "k1"}, {"tag": ("env", "prod")}, {"model": "m/a"}, {"provider": "groq"},
    {"team": "red", "model": "m/a", "provider": "groq"},
]  # fmt: skip
LIMITS = st.builds(
    lambda id, limit, window, scope, hard, funded: budget(id, limit, window=window, hard=hard, funded=funded, **scope),
    st.sampled_from(["b1", "b2", "b3"]), st.sampled_from([0, 150, 400, 1_000, 5_000]),
    st.sampled_from(["hour", "day", "month", "total"]), st.sampled_from(SCOPES), st.booleans(), st.booleans(),
)  # fmt: skip
STARTS = [NOON, datetime(2026, 10, 24, 23, 45, tzinfo=UTC), datetime(2026, 12, 31, 22, 50, tzinfo=UTC)]
"""The second is an hour before Berlin's clocks are set back."""
PARTITIONS = {SNAPSHOTS.name: 1, LEDGER.name: 1, BUDGETS.name: 1}
SHORT_PARTS = 1_500
"""Bytes: so that a snapshot has several."""


class MoneyMachine(RuleBasedStateMachine):
    @initialize(start=st.sampled_from(STARTS))
    def begin(self, start: datetime) -> None:
        self.log = MemoryLog(**PARTITIONS)
        self.accounts = Accounts()
        self.books = Books(self.accounts)
        self.hand = ByHand()
        self.unfolded: list[tuple[Any, LedgerEntry]] = []
        self.now = self.latest = start
        self.zone, self.ambiguous = "UTC", "ceiling"
        self.tags: frozenset[tuple[str, str]] = frozenset()
        self.count = 0
        self.over: set[tuple[str, str]] = set()
        """Budgets that are over their limits, and may be: of what happened to them."""
        self.tell(budget("b1", 1_000))

    # what happens

    @rule(
        nanousd=st.integers(0, 400), asker=st.sampled_from(ASKERS),
        places=st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True),
    )  # fmt: skip
    def decide(self, nanousd: int, asker: dict[str, Any], places: list[tuple[str, str]]) -> None:
        """As the router does: no more than every hard budget has left, wherever it may be done."""
        self.count += 1
        purse = self.books.purse(job(f"j{self.count}", **asker), self.now)
        room = [line.available_nanousd for place in places for line in purse.of_calls(*place)]
        self.note(f"j{self.count}", min([nanousd, *room]), asker, places)

    @precondition(lambda self: any(not one.committed for one in self.hand.jobs))
    @rule(nanousd=st.none() | st.just(0))
    def decide_again(self, nanousd: int | None) -> None:
        """What is not committed may be decided otherwise: refused, or for nothing."""
        before = next(one for one in self.hand.jobs if not one.committed)
        self.hand.jobs.remove(before)
        asker = {name: before.document[name] for name in ("team", "key_id", "metadata")}
        self.note(before.document["job_id"], nanousd, asker, [PLACES[0]])

    @rule(snapshot=st.booleans(), mark=st.booleans())
    def commit(self, snapshot: bool, mark: bool) -> None:
        """Everything noted goes into one transaction, in one batch a decision."""
        if mark:
            asyncio.run(self.books.mark(0, self.log, 0))
        noted = [one for one in self.hand.jobs if not one.committed]
        first = self.books.sealed([one.id for one in noted], len(noted))
        outs = [batch(sequence, [one.document]) for sequence, one in enumerate(noted, first)]
        if snapshot:
            outs += self.books.snapshot(LANE, self.now, SHORT_PARTS)
        self.write(outs)
        for one in noted:
            one.committed = True

    @precondition(lambda self: self.open())
    @rule(
        which=st.integers(0, 50), part=st.sampled_from([0, 1, 50, 100]), more=st.sampled_from([0, 0, 0, 70]),
        ambiguous=st.booleans(), place=st.sampled_from(PLACES),
    )  # fmt: skip
    def settle(self, which: int, part: int, more: int, ambiguous: bool, place: tuple[str, str]) -> None:
        """Below, at or above what was reserved."""
        one = self.open()[which % len(self.open())]
        cost = one.document["reserve"]["nanousd"] * part // 100 + more
        at_any = [(c["model"], c["provider"]) for c in one.document["candidates"]]
        paid = charge(cost, place if place in at_any else at_any[0], ambiguous=ambiguous)
        self.end(one.document["job_id"], paid, excused=more > 0)

    @precondition(lambda self: self.open())
    @rule(which=st.integers(0, 50), by=st.sampled_from(["", "ops"]))
    def release(self, which: int, by: str) -> None:
        """The job cost nothing, or an operator says so."""
        self.end(self.open()[which % len(self.open())].document["job_id"], by=by)

    @precondition(lambda self: self.hand.ends)
    @rule(which=st.integers(0, 50), cost=st.sampled_from([0, 30, 90]))
    def end_again(self, which: int, cost: int) -> None:
        """A duplicate; or the cost of what had been released, which counts after all."""
        before = self.hand.ends[which % len(self.hand.ends)][0]
        self.end(before.job_id, *([charge(cost)] if cost else []), excused=True)

    @precondition(lambda self: self.zone == "UTC")
    @rule()
    def end_of_the_unknown(self) -> None:
        """Its decision is not in the log any more."""
        self.count += 1
        self.end(f"lost{self.count}", charge(20), rest=5, excused=True)

    @precondition(lambda self: self.unfolded)
    @rule()
    def fold(self) -> None:
        """The lane reads on in the ledger."""
        record, end = self.unfolded.pop(0)
        assert [one.decision_id for one in self.books.fold_ledger(record)] == [
            one.id for one in self.hand.open() if one.id == end.decision_id
        ]
        assert not self.books.fold_ledger(record), "a record that is given again changes nothing"
        self.hand.ends.append((end, self.zone))

    @rule(one=LIMITS, removed=st.sampled_from([False, False, False, True]))
    def change_a_budget(self, one: Budget, removed: bool) -> None:
        """New, raised, lowered, of another window or scope, or gone."""
        self.tell(one.model_copy(update={"removed": removed}))

    @rule(nanousd=st.integers(-300, 500), id=st.sampled_from(["t1", "t2"]), to=st.sampled_from(["b1", "b2"]))
    def transfer(self, nanousd: int, id: str, to: str) -> None:
        """The organisation hands over or takes back."""
        event = Transfer(at=self.now, id=id, organisation="org", tenant=TENANT, budget=to, nanousd=nanousd)
        self.say(event)
        self.excuse()

    @precondition(lambda self: not any(one.job_id.startswith("lost") for one, _ in self.hand.ends + self.waiting()))
    @rule(
        zone=st.sampled_from(["Europe/Berlin", "Asia/Kolkata"]), how=st.sampled_from(["ceiling", "estimate", "nothing"])
    )
    def change_the_tenant(self, zone: str, how: Any) -> None:
        """Another zone, another way to count what may have been paid: for what is decided from now on."""
        self.say(Tenant(at=self.now, tenant=TENANT, time_zone=zone, ambiguous=how))
        self.zone, self.ambiguous = zone, how
        self.excuse()

    @rule(hours=st.sampled_from([0.3, 1, 5, 24, 24 * 9]))
    def time_passes(self, hours: float) -> None:
        self.now = self.latest = max(self.latest, self.now + timedelta(hours=hours))
        self.excuse()

    @rule(hours=st.sampled_from([0.5, 2, 23]))
    def the_clock_is_set_back(self, hours: float) -> None:
        self.now = self.latest - timedelta(hours=hours)
        self.excuse()

    @rule(behind=st.integers(0, 3))
    def crash(self, behind: int) -> None:
        """What was noted is gone. The successor, who has not heard of the newest budgets and zones, says the same from
        a snapshot as from the log's beginning."""
        self.hand.jobs = [one for one in self.hand.jobs if one.committed]
        while self.unfolded:
            self.hand.ends.append((self.unfolded.pop(0)[1], self.zone))
        self.accounts = self.heard(behind)
        self.books = self.opened(self.log)
        bare = MemoryLog(**PARTITIONS)
        bare.records = {place: records for place, records in self.log.records.items() if place[0] != SNAPSHOTS.name}
        bare.ends = self.log.ends
        whole = self.opened(bare)
        assert lines(whole, self.now) == lines(self.books, self.now)
        assert whole.open_jobs(self.now) == self.books.open_jobs(self.now)
        told, more = self.books.describe(), whole.describe()
        assert {**told, "snapshot": None} == {**more, "snapshot": None}
        assert whole.reports.ambiguous_charges == self.books.reports.ambiguous_charges
        self.excuse()

    # what must hold

    @invariant()
    def the_books_agree_with_the_sums_by_hand(self) -> None:
        for one in self.accounts.budgets_of(TENANT):
            label = label_of(self.now, one.window, self.zone)
            line = lines(self.books, self.now)[one.id]
            assert line.window == label
            assert (line.spent_nanousd, line.reserved_nanousd) == (
                self.hand.spent(one, label), self.hand.reserved(one, label)
            ), one  # fmt: skip

    @invariant()
    def no_hard_budget_is_passed_by_what_the_router_decides(self) -> None:
        assert self.over_limits() <= self.over
        self.excuse()  # what is within its limit again has no excuse any more

    @invariant()
    def every_reservation_is_open_until_its_end(self) -> None:
        told = {(one.decision_id, one.nanousd) for one in self.books.open_jobs(self.now)}
        assert told == {(one.id, one.document["reserve"]["nanousd"]) for one in self.hand.open()}

    def teardown(self) -> None:
        """When all has ended nothing is reserved."""
        if not hasattr(self, "books"):
            return
        while self.unfolded:
            self.fold()
        self.commit(snapshot=False, mark=False)
        for one in self.open():
            self.end(one.document["job_id"])
        while self.unfolded:
            self.fold()
        assert all(line.reserved_nanousd == 0 for line in lines(self.books, self.now).values())
        assert self.books.describe()["reserved_nanousd"] == 0

    # helpers

    def note(self, id: str, nanousd: int | None, asker: dict[str, Any], places: list[tuple[str, str]]) -> None:
        document = decision(self.accounts, id, nanousd, **asker, places=places, decided_at=self.now)
        if nanousd is None:
            document["verdict"] = "rejected"
        else:
            self.hand.jobs.append(Job(document, self.zone, self.ambiguous, self.tags))
        self.books.reserve(document)

    def end(self, id: str, *charges: Any, rest: int = 0, by: str = "", excused: bool = False) -> None:
        end = entry(id, *charges, at=self.now, rest=rest, by=by)
        out = Outgoing(LEDGER.name, b"0", LedgerBatch(lane="w", entries=[end]).encode(), partition=0)
        self.unfolded.append((self.write([out])[0], end))
        if excused:
            while self.unfolded:
                self.fold()
            self.excuse()

    def write(self, outs: list[Outgoing]) -> list[Any]:
        return self.log.commit(outs, int(self.now.timestamp() * 1000))

    def say(self, event: Budget | Tenant | Transfer) -> None:
        said(self.accounts, event)
        self.log.append(Outgoing(BUDGETS.name, b"", AccountRecord(event=event).encode(), partition=0))

    def heard(self, behind: int) -> Accounts:
        """What a process knows that lacks the newest records about accounts."""
        known, records = Accounts(), self.log.records[BUDGETS.name, 0]
        for record in records[: len(records) - behind]:
            known.fold(record)
        return known

    def tell(self, one: Budget) -> None:
        self.say(one)
        self.tags |= {one.tag} if one.tag else set()
        self.excuse()

    def open(self) -> list[Job]:
        """Committed, and nobody has written their end yet."""
        written = {end.decision_id for _, end in self.unfolded}
        return [one for one in self.hand.open() if one.committed and one.id not in written]

    def waiting(self) -> list[tuple[LedgerEntry, str]]:
        return [(end, "") for _, end in self.unfolded]

    def opened(self, log: MemoryLog) -> Books:
        return asyncio.run(Books.open(LANE, log, self.accounts, self.now))

    def over_limits(self) -> set[tuple[str, str]]:
        return {(one.budget, one.window) for one in self.books.overdrawn(self.now)}

    def excuse(self) -> None:
        self.over = self.over_limits()


def lines(books: Books, now: datetime) -> dict[str, Any]:
    """Every budget of the tenant as any of its jobs sees it."""
    return {line.id: line for asker in ASKERS for line in books.purse(job(**asker), now).lines}


MoneyMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestMoney = MoneyMachine.TestCase
