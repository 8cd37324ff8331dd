"""Budgets as the home lanes' own books have them: from the newest snapshot and the log since, as a router opens."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from console.exits import CommandError
from console.kafka import Log
from router.accounts import Accounts
from router.money.books import Books
from router.purse import Line
from runtime.outcome import CannotOpen
from runtime.partitions import home_partition
from runtime.ports import LaneId
from schemas.accounts import Budget
from schemas.job import InferenceJob
from schemas.topics import DECISIONS, JOBS, LEDGER, ROUTER_GROUP

Key = tuple[str, str]
"""Tenant and budget."""


async def homes(log: Log, tenants: Collection[str]) -> dict[int, list[str]]:
    """The tenants by home partition. Raises `CommandError` where the topics of money are missing."""
    reader = log.reader()
    for topic in (DECISIONS.name, LEDGER.name):
        count = await reader.partitions(topic)
        if not count:
            raise CommandError(f"the topic {topic} does not exist; create the topics with: novix topics create")
    found: dict[int, list[str]] = {}
    for tenant in sorted(tenants):
        found.setdefault(home_partition(tenant, count), []).append(tenant)
    return found


async def lines(log: Log, accounts: Accounts, tenants: Collection[str], now: datetime) -> dict[Key, Line]:
    """Every budget of these tenants in its present window, as the lane would see it for a job that is decided now.

    Raises `CommandError` where a lane could not open either: the log holds what no router wrote, or is cut.
    """
    found: dict[Key, Line] = {}
    for home, members in (await homes(log, tenants)).items():
        try:
            books = await Books.open(LaneId(ROUTER_GROUP, JOBS.name, home), log.reader(), accounts, now)
        except CannotOpen as error:
            raise CommandError(
                f"the money of partition {home} cannot be read: {type(error).__name__}: {error}"
            ) from None
        for tenant in members:
            for budget in accounts.budgets_of(tenant):
                purse = books.purse(_asking(budget), now)
                found |= {(tenant, line.id): line for line in purse.lines if line.id == budget.id}
    return found


def _asking(budget: Budget) -> InferenceJob:
    """A job that the budget holds for; it is never published."""
    return InferenceJob(
        id="budget", task="chat-completion", input={}, tenant=budget.tenant, team=budget.team, key_id=budget.key_id,
        metadata={} if budget.tag is None else {budget.tag[0]: budget.tag[1]},
    )  # fmt: skip


def as_document(known: Accounts, key: Key, line: Line) -> dict[str, Any]:
    """A budget with its present window as JSON; money in integer nano-dollars."""
    budget = next(one for one in known.budgets_of(key[0]) if one.id == key[1])
    return {
        **budget.model_dump(mode="json", exclude={"kind", "removed"}),
        "present_window": line.window,
        "limit_with_transfers_nanousd": line.limit_nanousd,
        "spent_nanousd": line.spent_nanousd,
        "reserved_nanousd": line.reserved_nanousd,
        "available_nanousd": line.limit_nanousd - line.spent_nanousd - line.reserved_nanousd,
        "next_window": None if line.resets_at is None else line.resets_at.isoformat(),
        "holds_for": scope(budget).strip(),
    }


def scope(budget: Budget) -> str:
    """What a budget holds for, in words; empty: for all of the tenant."""
    parts = [
        ("team", budget.team), ("key", budget.key_id), ("tag", "=".join(budget.tag) if budget.tag else None),
        ("model", budget.model), ("provider", budget.provider),
    ]  # fmt: skip
    told = [f"{what} {value}" for what, value in parts if value is not None]
    return f" of {', '.join(told)}" if told else ""
