"""`novix org`: who holds the account at Hugging Face, its tenants, and what it hands to them."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from router.accounts import Accounts
    from runtime.settings import Loaded
    from schemas.accounts import Budget, Transfer


@command
def create(
    name: Annotated[str, typer.Argument(help="The organisation's name, without slash or space.")],
    bill_to: Annotated[
        str | None, typer.Option(help="Organisation at Hugging Face that pays (X-HF-Bill-To); default: as it was.")
    ] = None,
    monthly: Annotated[
        str | None, typer.Option(metavar="DOLLARS", help="Its tenants together, per month: alerts, never a limit.")
    ] = None,
    as_json: AsJson = False,
) -> Exit:
    """Make an organisation, or change it: what is not named stays as it was."""
    return asyncio.run(_create(settings(), Screen(as_json=as_json), name, bill_to, monthly))


async def _create(loaded: "Loaded", screen: Screen, name: str, bill_to: str | None, monthly: str | None) -> Exit:
    from console.kafka import connected
    from console.money import events, histories
    from console.who import who
    from schemas.accounts import Organisation

    soft = None if monthly is None else events.amount("--monthly", monthly)
    async with connected(loaded) as log:
        old = (await histories.accounts(log)).organisation(name)
        fields: dict[str, Any] = {} if old is None else old.model_dump(exclude={"at", "by", "removed"})
        fields |= {"organisation": name, "by": who("org create")}
        fields |= {} if bill_to is None else {"bill_to": bill_to}
        fields |= {} if soft is None else {"soft_nanousd_per_month": soft}
        event = events.made(Organisation, **fields)
        version = await events.account(log, f"organisation/{name}", event)
    done = "made" if old is None else "changed"
    document = {"done": done, "accounts_version": version, **event.model_dump(mode="json")}
    payer = f", billed to {event.bill_to}" if event.bill_to else ""
    screen.answer(document, [f"{done} organisation {name}{payer}; accounts are at version {version}"])
    return Exit.OK


@command
def show(
    name: Annotated[str | None, typer.Argument(help="Which one; none: all.")] = None, as_json: AsJson = False
) -> Exit:
    """Show organisations: who pays, their tenants, what was handed to them. Totals: novix ledger statement."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), name))


async def _show(loaded: "Loaded", screen: Screen, name: str | None) -> Exit:
    from console.kafka import connected
    from console.money import histories

    async with connected(loaded) as log:
        known = await histories.accounts(log)
    named = [name] if name is not None else [one.organisation for one in known.organisations()]
    documents = [_described(known, one) for one in named]
    if screen.as_json:
        screen.answer(documents)
        return Exit.OK
    if not documents:
        screen.note("novix: no organisation; make one with: novix org create NAME")
    for document in documents:
        for line in _lines(document):
            screen.line(line)
    return Exit.OK


def _described(known: "Accounts", name: str) -> dict[str, Any]:
    from console.money import histories

    organisation = histories.organisation_of(known, name)
    tenants = [one.tenant for one in known.tenants() if one.organisation == name]
    handed = known.transfers_of(name)
    return {
        **organisation.model_dump(mode="json", exclude={"kind", "removed"}),
        "tenants": tenants,
        "transfers": [one.model_dump(mode="json", exclude={"kind", "removed"}) for one in handed],
        "handed_nanousd": sum(one.nanousd for one in handed),
    }


def _lines(document: dict[str, Any]) -> list[str]:
    from console.words import money, shown

    soft = document["soft_nanousd_per_month"]
    lines = [
        f"organisation {document['organisation']}",
        f"  billed to  {document['bill_to'] or '(as the installation says)'}",
        f"  alerts     {'at shares of ' + money(soft) + ' a month' if soft is not None else '-'}",
        f"  tenants    {', '.join(document['tenants']) or '-'}",
        f"  handed     {money(document['handed_nanousd'])}",
    ]
    for one in document["transfers"]:
        lines.append(
            f"             {one['at']} {money(one['nanousd'])} to {one['tenant']}/{one['budget']} ({one['id']})"
        )
    return [shown(line) for line in lines]


@command
def transfer(
    organisation: Annotated[str, typer.Argument(help="Who hands over.")],
    tenant: Annotated[str, typer.Argument(help="To which of its tenants.")],
    budget: Annotated[str, typer.Argument(help="To which of the tenant's funded budgets.")],
    amount: Annotated[str, typer.Argument(metavar="DOLLARS", help="How much, like 25.00.")],
    identity: Annotated[
        str | None,
        typer.Option("--id", help="Its name: handed over once, however often it is said. Default: a new one."),
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="Take so much back instead.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Hand an allotment to a tenant's funded budget, for its present window (`total`: for all time).

    The same --id with the same amount is done once (exit code 0 again); with another it is refused.
    """
    asked = (organisation, tenant, budget, amount, identity)
    return asyncio.run(_transfer(settings(), Screen(as_json=as_json), asked, back=back))


async def _transfer(
    loaded: "Loaded", screen: Screen, asked: tuple[str, str, str, str, str | None], *, back: bool
) -> Exit:
    import uuid

    from console.kafka import connected
    from console.money import events, histories
    from console.who import who
    from console.words import money, shown
    from schemas.accounts import Transfer

    organisation, tenant, budget, amount, identity = asked
    nanousd = events.amount("AMOUNT", amount, least=1) * (-1 if back else 1)
    event = events.made(
        Transfer, id=identity or uuid.uuid4().hex, organisation=organisation, tenant=tenant, budget=budget,
        nanousd=nanousd, by=who("org transfer"),
    )  # fmt: skip
    async with connected(loaded) as log:
        known = await histories.accounts(log)
        histories.organisation_of(known, organisation)
        target = histories.budget_of(known, tenant, budget)
        label, funded = _window(known, target, event)
        done = _checked(known, target, event, label, funded)
        if not done:
            await events.account(log, f"transfer/{organisation}/{event.id}", event)
            funded += nanousd
    document = {**event.model_dump(mode="json"), "window": label, "funded_nanousd": funded, "done_before": done}
    told = "was handed over before" if done else ("taken back" if back else "handed over")
    line = f"{told}: {money(abs(nanousd))}, {tenant}/{budget} has {money(funded)} of transfers in {label} ({event.id})"
    screen.answer(document, [shown(line)])
    return Exit.OK


def _window(known: "Accounts", budget: "Budget", event: "Transfer") -> tuple[str, int]:
    """The window that the transfer counts in, and what was handed over for it until now."""
    from router.money.windows import calendar

    label = calendar(known.customs(budget.tenant).time_zone).labels(event.at).of(budget.window)
    return label, known.funded(budget.tenant, budget.id, label)


def _checked(known: "Accounts", budget: "Budget", event: "Transfer", label: str, funded: int) -> bool:
    """Whether the very transfer was said before. Raises `CommandError` for one that cannot be."""
    from console.words import money

    record = known.tenant(budget.tenant)
    theirs = record.organisation if record is not None else None
    if theirs != event.organisation:
        belongs = f"belongs to {theirs!r}" if theirs else "belongs to none"
        raise CommandError(
            f"tenant {budget.tenant!r} {belongs}, not to {event.organisation!r}: novix tenant set --organisation",
            Exit.USAGE,
        )
    if not budget.funded:
        raise CommandError(
            f"budget {budget.id!r} takes no transfers: novix budget set {budget.tenant} {budget.id} --funded",
            Exit.USAGE,
        )
    for one in known.transfers_to(budget.tenant):
        if (one.organisation, one.id) == (event.organisation, event.id):
            if (one.budget, one.nanousd) == (event.budget, event.nanousd):
                return True
            raise CommandError(
                f"--id {event.id!r} was {money(one.nanousd)} to {one.tenant}/{one.budget}; say another id", Exit.USAGE
            )
    if funded + event.nanousd < 0:
        raise CommandError(
            f"{money(-event.nanousd)} is more than the {money(funded)} that was handed to {budget.id!r} in {label}",
            Exit.USAGE,
        )
    return False
