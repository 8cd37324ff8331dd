"""`novix budget`: what a tenant, or a part of it, may spend in each window; and what used it up."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded

Tenant = Annotated[str, typer.Argument(help="Whose.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The budget's name within the tenant.")]


@command
def set_(
    tenant: Tenant,
    name: Id,
    limit: Annotated[str | None, typer.Option(metavar="DOLLARS", help="Of each window, like 5.00.")] = None,
    window: Annotated[str | None, typer.Option(metavar="hour|day|month|total", help="Default: month.")] = None,
    team: Annotated[str | None, typer.Option(help="Only jobs of this team; '' for any.")] = None,
    key: Annotated[str | None, typer.Option(help="Only jobs of this application (key_id); '' for any.")] = None,
    tag: Annotated[str | None, typer.Option(metavar="LABEL=VALUE", help="Only jobs so labelled; '' for any.")] = None,
    model: Annotated[str | None, typer.Option(help="Only calls of this model; '' for any.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only calls at this provider; '' for any.")] = None,
    hard: Annotated[bool | None, typer.Option("--hard/--soft", help="Soft: alerts, never a limit.")] = None,
    funded: Annotated[
        bool | None, typer.Option("--funded/--no-funded", help="What an organisation hands over is added.")
    ] = None,
    alerts: Annotated[str | None, typer.Option(metavar="PERCENT,...", help="Default: 50,80,100.")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Make a budget, or change it: what is not named stays as it was. In force within two seconds.

    It counts what was spent in its present window before, too. Several budgets may hold for one job.
    """
    asked = {
        "limit": limit, "window": window, "team": team, "key": key, "tag": tag, "model": model, "provider": provider,
        "hard": hard, "funded": funded, "alerts": alerts,
    }  # fmt: skip
    named = {option: value for option, value in asked.items() if value is not None}
    return asyncio.run(_set(settings(), Screen(as_json=as_json), tenant, name, named))


async def _set(loaded: "Loaded", screen: Screen, tenant: str, name: str, asked: dict[str, Any]) -> Exit:
    from console.kafka import connected
    from console.money import events, histories, lanes
    from console.who import who
    from console.words import money, shown
    from schemas.accounts import Budget

    told = _fields(asked)
    async with connected(loaded) as log:
        known = await histories.accounts(log)
        old = next((one for one in known.budgets_of(tenant) if one.id == name), None)
        if old is None and "limit_nanousd" not in told:
            raise CommandError("a new budget needs --limit, in dollars like 5.00", Exit.USAGE)
        fields = {} if old is None else old.model_dump(exclude={"at", "by"})
        event = events.made(Budget, **{**fields, **told, "tenant": tenant, "id": name, "by": who("budget set")})
        version = await events.account(log, f"budget/{tenant}/{name}", event)
    done = "made" if old is None else "changed"
    document = {"done": done, "accounts_version": version, **event.model_dump(mode="json")}
    kind = "hard" if event.hard else "soft"
    per = "for all time" if event.window == "total" else f"a {event.window}"
    line = f"{done} {kind} budget {tenant}/{name}: {money(event.limit_nanousd)} {per}{lanes.scope(event)}"
    screen.answer(document, [shown(f"{line}; accounts are at version {version}")])
    return Exit.OK


def _fields(asked: dict[str, Any]) -> dict[str, Any]:
    """The options as fields of the record. Raises `CommandError`."""
    from console.money import events

    told = dict(asked)
    if "limit" in told:
        told["limit_nanousd"] = events.amount("--limit", told.pop("limit"))
    if "key" in told:
        told["key_id"] = told.pop("key")
    for option in ("team", "key_id", "model", "provider"):
        if option in told:
            told[option] = told[option] or None
    if "tag" in told:
        label, equals, value = told["tag"].partition("=")
        if told["tag"] and not (equals and label):
            raise CommandError(f"--tag {told['tag'][:40]!r}: write LABEL=VALUE", Exit.USAGE)
        told["tag"] = (label, value) if told["tag"] else None
    if "alerts" in told:
        shares = [share.strip().removesuffix("%").strip() for share in told.pop("alerts").split(",") if share.strip()]
        if not all(share.isascii() and share.isdigit() and len(share) < 5 for share in shares):
            raise CommandError("--alerts: write per cent as whole numbers from 1 to 1000, like 50,80,100", Exit.USAGE)
        told["alert_percent"] = tuple(map(int, shares))
    return told


@command
def remove(tenant: Tenant, name: Id, as_json: AsJson = False) -> Exit:
    """Take a budget away: it limits nothing any more. What was spent stays in the ledger."""
    return asyncio.run(_remove(settings(), Screen(as_json=as_json), tenant, name))


async def _remove(loaded: "Loaded", screen: Screen, tenant: str, name: str) -> Exit:
    from console.kafka import connected
    from console.money import events, histories
    from console.who import who
    from schemas.accounts import Budget

    async with connected(loaded) as log:
        old = histories.budget_of(await histories.accounts(log), tenant, name)
        fields = old.model_dump(exclude={"at", "by", "removed"})
        event = events.made(Budget, **fields, by=who("budget remove"), removed=True)
        version = await events.account(log, f"budget/{tenant}/{name}", event)
    document = {"done": "removed", "accounts_version": version, "tenant": tenant, "id": name}
    screen.answer(document, [f"removed budget {tenant}/{name}; accounts are at version {version}"])
    return Exit.OK


@command
def show(
    tenant: Annotated[str | None, typer.Argument(help="Whose; none: of all tenants.")] = None, as_json: AsJson = False
) -> Exit:
    """Show budgets in their present windows: limit, spent, reserved, left, and when the next window begins."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), tenant))


async def _show(loaded: "Loaded", screen: Screen, tenant: str | None) -> Exit:
    from console.kafka import connected
    from console.money import histories, lanes
    from schemas.topics import BUDGETS

    now = datetime.now(UTC)
    async with connected(loaded) as log:
        known = await histories.accounts(log)
        named = [tenant] if tenant is not None else known.budgeted()
        with screen.progress("reading the ledger", None):
            found = await lanes.lines(log, known, named, now)
    for one in known.faults:
        screen.note(f"novix: record {one.offset} of {BUDGETS.name} was passed over, and changes nothing: {one.reason}")
    documents = [lanes.as_document(known, key, line) for key, line in sorted(found.items())]
    if screen.as_json:
        screen.answer(documents)
    elif not documents:
        whose = f"tenant {tenant!r} has" if tenant is not None else "there is"
        screen.note(f"novix: {whose} no budget: nothing limits what is spent but each job's own ceiling")
    else:
        columns = ["budget", "window", "limit", "spent", "reserved", "left", "kind", "holds for", "next window"]
        screen.table("Budgets", columns, [_row(one) for one in documents])
    return Exit.OK


def _row(told: dict[str, Any]) -> list[str]:
    from console.words import money, shown

    amounts = ("limit_with_transfers_nanousd", "spent_nanousd", "reserved_nanousd", "available_nanousd")
    cells = [
        f"{told['tenant']}/{told['id']}", told["present_window"], *(money(told[name]) for name in amounts),
        "hard" if told["hard"] else "soft", told["holds_for"] or "all", told["next_window"] or "never",
    ]  # fmt: skip
    return [shown(cell) for cell in cells]


@command
def explain(tenant: Tenant, name: Id, as_json: AsJson = False) -> Exit:
    """Say what used a budget up in its present window: by model, team and job; what is reserved, and why; what may
    have been paid; when the next window begins."""
    return asyncio.run(_explain(settings(), Screen(as_json=as_json), tenant, name))


async def _explain(loaded: "Loaded", screen: Screen, tenant: str, name: str) -> Exit:
    from console.kafka import connected
    from console.money import explaining

    async with connected(loaded) as log:
        with screen.progress("reading the ledger", None):
            found = await explaining.explain(log, tenant, name, datetime.now(UTC))
    screen.answer(explaining.as_document(found), explaining.told(found))
    return Exit.OK
