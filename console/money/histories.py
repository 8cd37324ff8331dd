"""Accounts and rules as the topics have them now: for commands, which fold them anew each time.

What one person reads and writes while another writes too, the later word wins: each event says all of its subject.
"""

from typing import NoReturn

from console.exits import CommandError, Exit
from console.kafka import Log
from console.money.events import history
from router.accounts import Accounts
from router.rules import Rules
from router.terms import DEFAULT_TIER
from runtime.settings import Settings
from schemas.accounts import Budget, Organisation
from schemas.topics import BUDGETS, POLICIES


async def accounts(log: Log) -> Accounts:
    """Organisations, tenants, budgets and transfers."""
    found = Accounts()
    for record in await history(log, BUDGETS):
        found.fold(record)
    return found


async def rules(log: Log, settings: Settings) -> Rules:
    """Policies, tiers and alert rules."""
    found = Rules(settings)
    for record in await history(log, POLICIES):
        found.fold(record)
    return found


def organisation_of(known: Accounts, name: str) -> Organisation:
    """Raises `CommandError` for one that nobody has made."""
    found = known.organisation(name)
    if found is None:
        raise CommandError(f"no organisation {name!r}; make it with: novix org create {name}", Exit.NOT_MET)
    return found


def budget_of(known: Accounts, tenant: str, name: str) -> Budget:
    """Raises `CommandError` naming those that there are."""
    budgets = {one.id: one for one in known.budgets_of(tenant)}
    if name not in budgets:
        there = ", ".join(sorted(budgets)) or "none"
        raise CommandError(f"no budget {name!r} of tenant {tenant!r}; there are: {there}", Exit.NOT_MET)
    return budgets[name]


def need_tier(known: Rules, name: str) -> None:
    """Raises `CommandError` naming the tiers that there are."""
    if name != DEFAULT_TIER and known.tier(name) is None:
        there = ", ".join(tier.tier for tier in known.tiers())
        raise CommandError(f"--tier {name!r}: no such tier; there are: {there}", Exit.USAGE)


def refused(option: str, value: object, reason: str) -> NoReturn:
    """Raises `CommandError` for an option's value."""
    raise CommandError(f"{option} {value!r}: {reason}", Exit.USAGE)
