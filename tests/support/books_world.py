"""Decisions, ledger entries and account records as a router's books meet them, and the same money added up by hand."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from router_world import MemoryLog

from router.accounts import Accounts
from router.money.books import Books
from router.money.ended import MOST_ENDED
from router.purse import Line
from runtime.ports import LaneId, Outgoing, Record
from schemas import codec
from schemas.accounts import AccountEvent, AccountRecord, Budget, Organisation, Tenant, Transfer
from schemas.job import InferenceJob
from schemas.ledger import Charge, LedgerBatch, LedgerEntry
from schemas.topics import BUDGETS, DECISIONS, JOBS, LEDGER, ROUTER_GROUP, SNAPSHOTS

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LANE = LaneId(ROUTER_GROUP, JOBS.name, 0)
TENANT = "acme"


def said(accounts: Accounts, *events: Organisation | Tenant | Budget | Transfer) -> None:
    """These are the next records of the budgets topic."""
    for event in events:
        value = AccountRecord(event=event).encode()
        accounts.fold(Record(BUDGETS.name, 0, int(accounts.version), None, value, (), 0))


def budget(id: str = "all", limit: int = 1_000, **more: Any) -> Budget:
    """A budget of the tenant."""
    return Budget.model_validate(
        {"at": NOON, "tenant": TENANT, "window": "day", **more, "id": id, "limit_nanousd": limit}
    )


def job(id: str = "a1", **more: Any) -> InferenceJob:
    """A job of the tenant."""
    return InferenceJob.model_validate(
        {"id": id, "task": "chat-completion", "input": {"messages": []}, "tenant": TENANT, **more}
    )


def decision(accounts: Accounts, id: str = "a1", nanousd: int | None = 100, **more: Any) -> dict[str, Any]:
    """A decision as the lane notes it; without money if `nanousd` is None."""
    places = more.pop("places", (("m/a", "groq"),))
    at = more.get("decided_at", NOON)
    return {
        "decision_id": f"d-{id}", "tenant": TENANT, "job_id": id, "submission": 1, "verdict": "assigned",
        "versions": {"accounts": accounts.version}, "team": None, "key_id": None, "metadata": {}, "decided_at": at,
        "candidates": [{"model": model, "provider": provider, "estimate_nanousd": 30} for model, provider in places],
        "reserve": None if nanousd is None else {"nanousd": nanousd}, "deadline": at + timedelta(minutes=10), **more,
    }  # fmt: skip


def charge(nanousd: int, place: tuple[str, str] = ("m/a", "groq"), *, ambiguous: bool = False) -> Charge:
    """One attempt that cost something."""
    return Charge(model=place[0], provider=place[1], nanousd=nanousd, source="computed", ambiguous=ambiguous, attempt=1)


def entry(id: str = "a1", *charges: Charge, at: datetime = NOON, rest: int = 0, by: str = "") -> LedgerEntry:
    """The end of a job: a release if it cost nothing. `rest`: what it cost beyond its charges."""
    return LedgerEntry(
        kind="settle" if charges else "release", tenant=TENANT, job_id=id, submission=1, decision_id=f"d-{id}",
        reserved_nanousd=100, cost_nanousd=sum(one.nanousd for one in charges) + rest, charges=list(charges),
        status="succeeded", at=at, by=by,
    )  # fmt: skip


def ledger_record(*entries: LedgerEntry, offset: int = 0) -> Record:
    """One record of the ledger."""
    return Record(LEDGER.name, 0, offset, None, LedgerBatch(lane="w", entries=list(entries)).encode(), (), 0)


def batch(sequence: int, decisions: list[dict[str, Any]]) -> Outgoing:
    """One record of the decisions topic."""
    value = codec.encode({"lane": str(LANE), "sequence": sequence, "decisions": decisions})
    return Outgoing(DECISIONS.name, b"0", value, partition=0)


class World:
    """Books, what folds into them, and a log that is written beside."""

    def __init__(self, *events: AccountEvent, most_ended: int = MOST_ENDED) -> None:
        self.accounts = Accounts()
        said(self.accounts, *events)
        self.most_ended = most_ended
        self.books = Books(self.accounts, most_ended)
        self.log = MemoryLog(**{SNAPSHOTS.name: 1, LEDGER.name: 1})

    def decide(self, id: str = "a1", nanousd: int | None = 100, **more: Any) -> None:
        """Noted and committed."""
        document = decision(self.accounts, id, nanousd, **more)
        self.books.reserve(document)
        self.log.commit([batch(self.books.sealed([f"d-{id}"], 1), [document])])

    def end(self, *entries: LedgerEntry) -> list[str]:
        """Written and read; the decisions that ended."""
        value = LedgerBatch(lane="w", entries=list(entries)).encode()
        record = self.log.commit([Outgoing(LEDGER.name, b"0", value, partition=0)])[0]
        return [one.decision_id for one in self.books.fold_ledger(record)]

    def snapshot(self, limit_bytes: int = 524_288) -> list[Record]:
        return self.log.commit(self.books.snapshot(LANE, NOON, limit_bytes))

    def reopened(self) -> Books:
        return asyncio.run(Books.open(LANE, self.log, self.accounts, NOON, self.most_ended))

    def line(self, id: str = "all", at: Any = NOON, **asker: Any) -> Line:
        return next(one for one in self.books.purse(job(**asker), at).lines if one.id == id)

    def held(self, id: str = "all", at: Any = NOON, **asker: Any) -> tuple[int, int]:
        """Spent and reserved."""
        line = self.line(id, at, **asker)
        return line.spent_nanousd, line.reserved_nanousd


@dataclass
class Job:
    """A decided job, as the sums by hand know it."""

    document: dict[str, Any]
    zone: str
    ambiguous: str
    tags: frozenset[tuple[str, str]]
    """That budgets named when it was decided."""
    committed: bool = False

    @property
    def id(self) -> str:
        return str(self.document["decision_id"])


@dataclass
class ByHand:
    """Every event there ever was, and nothing remembered of them: each question adds them all up again."""

    jobs: list[Job] = field(default_factory=list)
    ends: list[tuple[LedgerEntry, str]] = field(default_factory=list)
    """As they were folded, with the tenant's zone at that time."""

    def open(self) -> list[Job]:
        """Jobs that have not ended."""
        ended = {one.decision_id for one, _ in self.ends}
        return [one for one in self.jobs if one.id not in ended]

    def reserved(self, one: Budget, label: str) -> int:
        """By jobs that have not ended and may spend of this budget."""
        return sum(
            job.document["reserve"]["nanousd"]
            for job in self.open()
            if label_of(job.document["decided_at"], one.window, job.zone) == label
            and _asked(one, job)
            and any(_there(one, c["model"], c["provider"]) for c in job.document["candidates"])
        )

    def spent(self, one: Budget, label: str) -> int:
        """By what has ended."""
        jobs = {job.id: job for job in self.jobs}
        settled: set[str] = set()
        released: set[str] = set()
        total = 0
        for end, zone in self.ends:
            known = jobs.get(end.decision_id)
            if end.decision_id in settled or (end.kind == "release" and end.decision_id in released):
                continue
            (settled if end.kind == "settle" else released).add(end.decision_id)
            at, there = (known.document["decided_at"], known.zone) if known else (end.at, zone)
            if label_of(at, one.window, there) != label or not _asked(one, known):
                continue
            for paid in end.charges:
                if _there(one, paid.model, paid.provider):
                    total += _counts(paid, known)
            if one.model is None and one.provider is None:
                total += max(0, end.cost_nanousd - sum(paid.nanousd for paid in end.charges))
        return total


def label_of(at: datetime, window: str, zone: str) -> str:
    """The window that an instant lies in, by strftime."""
    local = at.astimezone(ZoneInfo(zone))
    if window == "total":
        return window
    if window == "hour" and local.fold:
        offset = local.strftime("%z")
        return f"{local:%Y-%m-%dT%H}{offset[:3]}:{offset[3:]}"
    return local.strftime({"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}[window])


def _asked(one: Budget, known: Job | None) -> bool:
    if known is None:
        return one.team is one.key_id is None and one.tag is None
    said = known.document
    return (
        one.team in (None, said["team"])
        and one.key_id in (None, said["key_id"])
        and (one.tag is None or (one.tag in said["metadata"].items() and one.tag in known.tags))
    )


def _there(one: Budget, model: str, provider: str) -> bool:
    return one.model in (None, model) and (one.provider in (None, provider) or provider == "auto")


def _counts(paid: Charge, known: Job | None) -> int:
    if not paid.ambiguous or known is None or known.ambiguous == "ceiling":
        return paid.nanousd
    if known.ambiguous == "nothing":
        return 0
    listed = [(c["model"], c["provider"]) for c in known.document["candidates"]]
    return min(30, paid.nanousd) if (paid.model, paid.provider) in listed else paid.nanousd
