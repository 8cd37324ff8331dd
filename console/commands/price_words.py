"""`novix prices approve|set|unset|import`: the operator's word on a price, and a list that he has fetched himself."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.prices import catalogue_of, present, read_book
from console.exits import CommandError, Exit
from console.money.moments import moment
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from datetime import datetime

    from console.kafka import Log
    from router.prices.book import PriceBook
    from runtime.settings import Loaded
    from schemas.assignment import Price
    from schemas.prices import PriceEvent

Named = Annotated[str, typer.Argument(metavar="PROVIDER/MODEL", help="As in groq/openai/gpt-oss-20b.")]
Tier = Annotated[str, typer.Option("--tier", help="The provider's service tier.")]
Dollars = Annotated[str | None, typer.Option(metavar="DOLLARS")]


@command
def approve(name: Named, tier: Tier = "standard", as_json: AsJson = False) -> Exit:
    """Let a price hold that waits for approval; one of zero holds as free."""
    return asyncio.run(_approve(settings(), Screen(as_json=as_json), name, tier))


@command
def set_(
    name: Named,
    per_input: Annotated[str | None, typer.Option("--input", metavar="DOLLARS", help="A million tokens.")] = None,
    per_output: Annotated[str | None, typer.Option("--output", metavar="DOLLARS", help="A million tokens.")] = None,
    cached: Annotated[str | None, typer.Option(metavar="DOLLARS", help="A million cached tokens of the input.")] = None,
    reasoning: Annotated[str | None, typer.Option(metavar="DOLLARS", help="A million tokens of reasoning.")] = None,
    compute_ms: Dollars = None,
    call: Dollars = None,
    characters: Annotated[str | None, typer.Option(metavar="DOLLARS", help="A million characters.")] = None,
    image: Dollars = None,
    megapixel: Dollars = None,
    step: Dollars = None,
    audio_second: Dollars = None,
    video_second: Dollars = None,
    free: Annotated[bool, typer.Option("--free", help="It costs nothing.")] = False,
    valid_from: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From when it holds; default: now.")
    ] = None,
    tier: Tier = "standard",
    as_json: AsJson = False,
) -> Exit:
    """Say a price. It holds against every other source until it is withdrawn with `novix prices unset`."""
    told = {
        "input_nanousd_per_million_tokens": ("--input", per_input),
        "output_nanousd_per_million_tokens": ("--output", per_output),
        "cached_input_nanousd_per_million_tokens": ("--cached", cached),
        "reasoning_nanousd_per_million_tokens": ("--reasoning", reasoning),
        "nanousd_per_compute_ms": ("--compute-ms", compute_ms),
        "nanousd_per_call": ("--call", call),
        "nanousd_per_million_characters": ("--characters", characters),
        "nanousd_per_image": ("--image", image),
        "nanousd_per_megapixel": ("--megapixel", megapixel),
        "nanousd_per_step": ("--step", step),
        "nanousd_per_audio_second": ("--audio-second", audio_second),
        "nanousd_per_video_second": ("--video-second", video_second),
    }
    price = _price({field: value for field, value in told.items() if value[1] is not None}, tier, free=free)
    since = moment("--from", valid_from)
    return asyncio.run(_say(settings(), Screen(as_json=as_json), name, tier, price, since))


@command
def unset(name: Named, tier: Tier = "standard", as_json: AsJson = False) -> Exit:
    """Withdraw what `novix prices set` said: the other sources count again."""
    return asyncio.run(_say(settings(), Screen(as_json=as_json), name, tier, None, None))


@command
def import_(
    file: Annotated[Path, typer.Argument(help="A document as GET /v1/models of Hugging Face's router answers it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; tell what would be written.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Take in a list of prices where the router cannot be asked: judged as if it had been seen now; news are written.

    What the list does not name stays as it is. Exit code 1 if a price is held.
    """
    told = _list_in(file)
    return asyncio.run(_import(settings(), Screen(as_json=as_json), told, dry_run=dry_run))


def _list_in(file: Path) -> "list[PriceEvent]":
    """What a file's list says. Raises `CommandError` naming the file, and sizes alone of what is in it."""
    from router.prices.listing import NoListing, parse, read_models
    from router.prices.poller import MOST_BYTES

    try:
        size = file.stat().st_size
        if size > MOST_BYTES:
            raise CommandError(f"{file}: has {size} bytes; a list may have {MOST_BYTES}", Exit.USAGE)
        return read_models(parse(file.read_bytes()), present())
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None
    except NoListing as error:
        raise CommandError(f"{file}: {error}", Exit.USAGE) from None


async def _import(loaded: "Loaded", screen: Screen, told: "list[PriceEvent]", *, dry_run: bool) -> Exit:
    from console.kafka import connected, ends
    from console.price_table import dollars_of
    from router.prices.intake import news
    from router.prices.poller import record_of, rows_of
    from schemas.topics import PRICES

    rows, factor = rows_of(catalogue_of(loaded)), loaded.settings.price_hold_factor
    async with connected(loaded) as log:
        await ends(log, PRICES.name)
        found = news(await read_book(log), told, hold_factor=factor, rows=rows, is_live_source=True)
        if found and not dry_run:
            await log.publish([record_of(event) for event in found])
    if screen.as_json:
        screen.answer([event.model_dump(mode="json") for event in found])
    else:
        columns = ["provider/model", "dollars", "state", "why"]
        table = [[f"{one.provider}/{one.model}", dollars_of(one.price), one.state, one.reason or "-"] for one in found]
        screen.table("News", columns, table)
    screen.note(f"novix: {len(found)} of {len(told)} statements {'would be' if dry_run else 'are'} new")
    return Exit.FAILED if any(event.state == "held" for event in found) else Exit.OK


async def _approve(loaded: "Loaded", screen: Screen, name: str, tier: str) -> Exit:
    from console.kafka import connected
    from console.who import who

    provider, model = _parted(name)
    async with connected(loaded) as log:
        waiting = [one for one in (await read_book(log)).held() if _is_of(one, provider, model, tier)]
        if not waiting:
            raise CommandError(f"no price of {name} ({tier}) waits for approval", Exit.NOT_MET)
        event = waiting[-1]
        if event.price is None:
            reason = f"what waits names no price that could hold: {event.reason}"
            raise CommandError(f"{reason}; say one with: novix prices set {name}", Exit.NOT_MET)
        price = event.price.model_copy(update={"is_free": _is_nothing(event.price)})
        change = {"price": price, "state": "accepted", "valid_from": present(), "by": who("prices approve")}
        return await _write(log, screen, event.model_copy(update=change))


async def _say(
    loaded: "Loaded", screen: Screen, name: str, tier: str, price: "Price | None", since: "datetime | None"
) -> Exit:
    from console.kafka import connected
    from console.who import who
    from router.prices.rule import OPERATOR
    from schemas.prices import PriceEvent

    provider, model = _parted(name)
    now = present()
    async with connected(loaded) as log:
        book = await read_book(log)
        last = book.last_of(OPERATOR, provider, model, tier)
        if price is None and (last is None or last.price is None):
            raise CommandError(f"no operator has said a price of {name} ({tier})", Exit.NOT_MET)
        event = PriceEvent(
            provider=provider, model=model, service_tier=tier, source=OPERATOR, price=price,
            valid_from=max(since or now, now), seen_at=now,
            by=who("prices set" if price is not None else "prices unset"),
            moved_ppm=_moved(book, price, provider, model, tier, now),
        )  # fmt: skip
        return await _write(log, screen, event, *(_taken_back(book, event) if price is None else ()))


def _taken_back(book: "PriceBook", withdrawal: "PriceEvent") -> "list[PriceEvent]":
    """The withdrawal once more for each day to come from which the operator's word was to hold."""
    told = book.history(withdrawal.provider, withdrawal.model, withdrawal.service_tier)
    to_come = {one.valid_from for one in told if one.source == withdrawal.source and one.price is not None}
    later = sorted(at for at in to_come if at > withdrawal.valid_from)
    return [withdrawal.model_copy(update={"valid_from": at}) for at in later]


def _moved(
    book: "PriceBook", price: "Price | None", provider: str, model: str, tier: str, now: "datetime"
) -> int | None:
    from router.prices.judge import judge

    before = book.price_at(provider, model, now, tier)
    if price is None or before is None:
        return None
    return judge(before.price, price, hold_factor=1.0).moved_ppm


async def _write(log: "Log", screen: Screen, event: "PriceEvent", *more: "PriceEvent") -> Exit:
    """Write `event` and what goes with it; tell `event`."""
    from console.kafka import ends
    from console.price_table import dollars_of
    from router.prices.poller import record_of
    from schemas.topics import PRICES

    await ends(log, PRICES.name)  # refuses, with advice, where there is no such topic
    places = await log.publish([record_of(one) for one in (event, *more)])
    offset, last = places[0][1], places[-1][1]
    document = {**event.model_dump(mode="json"), "offset": offset}
    what = f"{event.provider}/{event.model} ({event.service_tier})"
    told = "withdrawn: the other sources count" if event.price is None else dollars_of(event.price)
    screen.answer(document, [f"{what}: {told}, from {event.valid_from:%Y-%m-%d %H:%M:%S} UTC on (prices@{last + 1})"])
    return Exit.OK


def _price(told: "dict[str, tuple[str, str | None]]", tier: str, *, free: bool) -> "Price":
    """Raises `CommandError` for what is no price: an amount that is none, nothing at all, or zero without `--free`."""
    from console.money.events import amount
    from schemas.assignment import Price

    fields = {field: amount(option, text or "") for field, (option, text) in told.items()}
    if free == any(fields.values()):
        raise CommandError("name a price above zero of at least one unit, or --free alone", Exit.USAGE)
    return Price(**fields, source="operator", as_of=present().date().isoformat(), service_tier=tier, is_free=free)


def _parted(name: str) -> tuple[str, str]:
    provider, _, model = name.partition("/")
    if not provider or not model or not name.isprintable() or len(provider) > 64 or len(model) > 256:
        raise CommandError(f"{name[:80]!r}: write PROVIDER/MODEL, as in groq/openai/gpt-oss-20b", Exit.USAGE)
    return provider, model


def _is_of(event: "PriceEvent", provider: str, model: str, tier: str) -> bool:
    return (event.provider, event.model, event.service_tier) == (provider, model, tier)


def _is_nothing(price: "Price") -> bool:
    from router.prices.rule import units_of

    return not any(units_of(price))
