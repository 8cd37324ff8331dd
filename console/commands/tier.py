"""`novix tier`: what tenants of a tier may have."""

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.money.amounts import BadAmount, decimal
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.settings import Loaded
    from schemas.policies import Tier

PPM = 1_000_000


@command
def set_(
    name: Annotated[str, typer.Argument(help="The tier; a built-in one is replaced.")],
    requests_per_minute: Annotated[
        str | None, typer.Option("--rpm", metavar="NUMBER|none", help="Requests a minute of each of its tenants.")
    ] = None,
    weight: Annotated[int | None, typer.Option(help="Share of the work beside other tenants, 1 to 1000.")] = None,
    residency: Annotated[str | None, typer.Option(metavar="global|regional|sovereign")] = None,
    dedicated: Annotated[
        bool | None, typer.Option("--dedicated/--no-dedicated", help="Dedicated endpoints may be used.")
    ] = None,
    availability: Annotated[
        str | None, typer.Option(metavar="PERCENT|none", help="The objective: of 100 jobs, those that end well.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away; a built-in one is as it was.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Make a tier, or change it: what is not named stays as it was. In force within two seconds."""
    asked = {
        "requests_per_minute": requests_per_minute, "weight": weight, "residency": residency, "dedicated": dedicated,
        "availability": availability,
    }  # fmt: skip
    named = {key: value for key, value in asked.items() if value is not None}
    return asyncio.run(_set(settings(), Screen(as_json=as_json), name, named, remove=remove))


async def _set(loaded: "Loaded", screen: Screen, name: str, asked: dict[str, Any], *, remove: bool) -> Exit:
    from console.kafka import connected
    from console.money import events, histories
    from console.who import who
    from schemas.policies import Tier

    told = _fields(asked)
    async with connected(loaded) as log:
        rules, known = await histories.rules(log, loaded.settings), await histories.accounts(log)
        old = rules.tier(name)
        if remove and old is None:
            raise CommandError(f"no tier {name!r}", Exit.NOT_MET)
        fields = {} if old is None else old.model_dump(exclude={"at", "by"})
        event = events.made(Tier, **{**fields, **told, "tier": name, "by": who("tier set"), "removed": remove})
        version = await events.rule(log, f"tier/{name}", event)
        rules = await histories.rules(log, loaded.settings)
        orphans = [one.tenant for one in known.tenants() if rules.tier(one.tier) is None]
    tier = rules.tier(name)
    done = "removed" if remove else "made" if old is None else "changed"
    document = {"done": done, "policies_version": version, "tier": None if tier is None else _described(tier)}
    screen.answer(document, [f"{done} tier {name}; policies are at version {version}"])
    if orphans:
        screen.note(f"novix: tenants whose tier is none now: {', '.join(orphans[:20])}")
    return Exit.OK


def _fields(asked: dict[str, Any]) -> dict[str, Any]:
    """The options as fields of the record. Raises `CommandError`."""
    told = dict(asked)
    if "requests_per_minute" in told:
        text = told["requests_per_minute"]
        if text != "none" and not (text.isascii() and text.isdigit()):
            raise CommandError(f"--rpm {text[:40]!r}: write a whole number of requests a minute, or none", Exit.USAGE)
        told["requests_per_minute"] = None if text == "none" else int(text[:20])
    if "availability" in told:
        told["availability_ppm"] = _ppm(told.pop("availability"))
    return told


def _ppm(text: str) -> int | None:
    if text == "none":
        return None
    try:
        ppm = decimal(text.removesuffix("%").strip()) * (PPM // 100)
    except BadAmount:
        ppm = Decimal(-1)
    if ppm != int(ppm) or not 0 <= ppm <= PPM:
        raise CommandError(
            f"--availability {text[:40]!r}: write per cent from 0 to 100 with at most 4 decimals, or none", Exit.USAGE
        )
    return int(ppm)


@command
def show(
    name: Annotated[str | None, typer.Argument(help="Which one; none: all.")] = None, as_json: AsJson = False
) -> Exit:
    """Show the tiers, built in or set: rate, weight, residency, objective, and how many tenants have them."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), name))


async def _show(loaded: "Loaded", screen: Screen, name: str | None) -> Exit:
    from console.kafka import connected
    from console.money import histories

    async with connected(loaded) as log:
        rules, known = await histories.rules(log, loaded.settings), await histories.accounts(log)
    tiers: Sequence[Tier] = [one for one in rules.tiers() if name in (None, one.tier)]
    if not tiers:
        raise CommandError(f"no tier {name!r}; there are: {', '.join(one.tier for one in rules.tiers())}", Exit.NOT_MET)
    members = [one.tier for one in known.tenants()]
    documents = [{**_described(one), "tenants": members.count(one.tier)} for one in tiers]
    if screen.as_json:
        screen.answer(documents)
    else:
        columns = ["tier", "requests a minute", "weight", "residency", "dedicated", "availability", "tenants"]
        screen.table("Tiers", columns, [_row(one) for one in documents])
    return Exit.OK


def _described(tier: "Tier") -> dict[str, Any]:
    return tier.model_dump(mode="json", exclude={"kind", "removed"})


def _row(told: dict[str, Any]) -> list[str]:
    from console.words import shown

    rate, ppm = told["requests_per_minute"], told["availability_ppm"]
    cells = [
        told["tier"], "no limit" if rate is None else f"{rate:,}", str(told["weight"]), told["residency"],
        "yes" if told["dedicated"] else "no", "-" if ppm is None else f"{ppm / 10_000:g} %", str(told["tenants"]),
    ]  # fmt: skip
    return [shown(cell) for cell in cells]
