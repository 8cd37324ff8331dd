"""`novix tenant`: one tenant's terms."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from router.accounts import Accounts
    from router.rules import Rules
    from runtime.settings import Loaded, Settings

LISTS = ("regions", "licences", "models")


@command
def set_(
    name: Annotated[str, typer.Argument(help="The tenant, as its jobs name it.")],
    organisation: Annotated[str | None, typer.Option(help="Whose it is; '' for none.")] = None,
    tier: Annotated[str | None, typer.Option(help="A tier: novix tier show.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="IANA name; its windows begin at local midnight.")] = None,
    over_limit: Annotated[str | None, typer.Option(metavar="wait|refuse", help="A job over a limit.")] = None,
    residency: Annotated[
        str | None, typer.Option(metavar="global|regional|sovereign", help="'' for: as the tier says.")
    ] = None,
    regions: Annotated[str | None, typer.Option(help="Comma-separated; '' for none.")] = None,
    licences: Annotated[str | None, typer.Option(help="Of models, comma-separated; '' for any.")] = None,
    models: Annotated[str | None, typer.Option(help="Approved ones, comma-separated; '' for all.")] = None,
    unknown_price_cap: Annotated[
        str | None,
        typer.Option(metavar="DOLLARS", help="For a call of unknown price; '' for: as the installation says."),
    ] = None,
    ambiguous: Annotated[
        str | None, typer.Option(metavar="ceiling|estimate|nothing", help="What a call that may have been paid counts.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the record away: the tenant is as any other.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Make a tenant's record, or change it: what is not named stays as it was. In force within two seconds."""
    asked = {
        "organisation": organisation, "tier": tier, "time_zone": time_zone, "over_limit": over_limit,
        "residency": residency, "regions": regions, "licences": licences, "models": models,
        "unknown_price_cap": unknown_price_cap, "ambiguous": ambiguous,
    }  # fmt: skip
    named = {key: value for key, value in asked.items() if value is not None}
    return asyncio.run(_set(settings(), Screen(as_json=as_json), name, named, remove=remove))


async def _set(loaded: "Loaded", screen: Screen, name: str, asked: dict[str, str], *, remove: bool) -> Exit:
    from console.kafka import connected
    from console.money import events, histories
    from console.who import who
    from schemas.accounts import Tenant

    told = _fields(asked)
    async with connected(loaded) as log:
        known, rules = await histories.accounts(log), await histories.rules(log, loaded.settings)
        old = known.tenant(name)
        if remove and old is None:
            raise CommandError(f"tenant {name!r} has no record", Exit.NOT_MET)
        fields: dict[str, Any] = {} if old is None else old.model_dump(exclude={"at", "by"})
        event = events.made(Tenant, **{**fields, **told, "tenant": name, "by": who("tenant set"), "removed": remove})
        if not remove:
            _check(event.model_dump(), known, rules)
        version = await events.account(log, f"tenant/{name}", event)
        after = await histories.accounts(log)
    done = "removed" if remove else "made" if old is None else "changed"
    document = {"done": done, "accounts_version": version, **described(name, after, rules, loaded.settings)}
    screen.answer(document, [f"{done} tenant {name}; accounts are at version {version}", *lines(document)])
    if not remove and document["residency"] != "global" and not document["regions"]:
        screen.note(f"novix: {document['residency']} residency without --regions: nothing may be done for {name}")
    return Exit.OK


def _fields(asked: dict[str, str]) -> dict[str, Any]:
    """The options as fields of the record. Raises `CommandError`."""
    from console.money import events

    told: dict[str, Any] = dict(asked)
    for key in LISTS:
        if key in told:
            told[key] = tuple(part.strip() for part in asked[key].split(",") if part.strip())
    for key in ("organisation", "residency"):
        if key in told:
            told[key] = told[key] or None
    if "unknown_price_cap" in told:
        cap = told.pop("unknown_price_cap")
        told["unknown_price_cap_nanousd"] = events.amount("--unknown-price-cap", cap) if cap else None
    return told


def _check(event: dict[str, Any], known: "Accounts", rules: "Rules") -> None:
    """What the contract cannot know: whether the names are known. Raises `CommandError`."""
    from console.money import histories
    from router.money.windows import UnknownZone, zone_of

    histories.need_tier(rules, event["tier"])
    if event["organisation"] is not None:
        histories.organisation_of(known, event["organisation"])
    try:
        zone_of(event["time_zone"])
    except UnknownZone:
        reason = "no time zone of the IANA database, like Europe/Berlin or UTC"
        histories.refused("--time-zone", event["time_zone"][:64], reason)


@command
def show(
    name: Annotated[str | None, typer.Argument(help="Which one; none: all that have a record.")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Show tenants' terms, completed from their tiers. What they spent: novix budget show, novix ledger statement."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), name))


async def _show(loaded: "Loaded", screen: Screen, name: str | None) -> Exit:
    from console.kafka import connected
    from console.money import histories

    async with connected(loaded) as log:
        known, rules = await histories.accounts(log), await histories.rules(log, loaded.settings)
    named = [name] if name is not None else [one.tenant for one in known.tenants()]
    documents = [described(one, known, rules, loaded.settings) for one in named]
    if screen.as_json:
        screen.answer(documents)
        return Exit.OK
    if not documents:
        screen.note("novix: no tenant has a record: all have the tier `default` (see: novix tenant set)")
    for document in documents:
        for line in lines(document):
            screen.line(line)
    return Exit.OK


def described(name: str, known: "Accounts", rules: "Rules", settings: "Settings") -> dict[str, Any]:
    """The terms as they hold, with what the tenant's own record says."""
    from router.terms import terms_of

    terms, record = terms_of(name, known, rules, settings), known.tenant(name)
    return {
        "tenant": name,
        "has_record": record is not None,
        "may_publish": terms.known,
        "organisation": terms.organisation,
        "bill_to": terms.bill_to or settings.hf_bill_to,
        "tier": terms.tier,
        "requests_per_minute": terms.requests_per_minute,
        "weight": terms.weight,
        "over_limit": terms.over_limit,
        "time_zone": terms.time_zone,
        "residency": terms.residency,
        "regions": sorted(terms.regions),
        "licences": None if terms.licences is None else sorted(terms.licences),
        "models": None if terms.models is None else sorted(terms.models),
        "unknown_price_cap_nanousd": terms.unknown_price_cap_nanousd,
        "ambiguous": terms.ambiguous,
        "budgets": [one.id for one in known.budgets_of(name)],
        "since": None if record is None else record.at.isoformat(),
        "by": "" if record is None else record.by,
    }


def lines(document: dict[str, Any]) -> list[str]:
    """The terms in words."""
    from console.words import money, shown

    rate, cap = document["requests_per_minute"], document["unknown_price_cap_nanousd"]
    record = f"by {document['by']}, {document['since']}" if document["has_record"] else "no record of its own"
    told = [
        f"tenant {document['tenant']} ({record})",
        *([] if document["may_publish"] else ["  refused     this installation knows its tenants, and it is none"]),
        f"  pays        {document['organisation'] or '-'}, billed to {document['bill_to'] or '(who holds the token)'}",
        f"  tier        {document['tier']}: {f'{rate:,} requests a minute' if rate else 'no rate limit'}, weight "
        f"{document['weight']}; over a limit its jobs {'wait' if document['over_limit'] == 'wait' else 'are refused'}",
        f"  windows     begin in {document['time_zone']}",
        f"  residency   {document['residency']}, regions: {', '.join(document['regions']) or '-'}",
        f"  models      {_listed(document['models'])}; licences: {_listed(document['licences'])}",
        f"  prices      an unknown one is {'refused' if not cap else 'capped at ' + money(cap)}; a call that may have "
        f"been paid counts with {document['ambiguous']}",
        f"  budgets     {', '.join(document['budgets']) or '-'}",
    ]
    return [shown(line) for line in told]


def _listed(names: list[str] | None) -> str:
    return "all" if names is None else ", ".join(names)
