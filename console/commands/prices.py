"""`novix prices`: what units cost, now or then, and who says so; how far the providers lie apart."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from console.exits import CommandError, Exit
from console.money.moments import TIME_HELP, moment
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from datetime import datetime

    from console.kafka import Log
    from router.catalogue import Catalogue
    from router.prices.book import PriceBook
    from runtime.settings import Loaded

DEFAULT = "show"
Model = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="A model's name, or a part of it.")]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help=f"As it was or will be at {TIME_HELP}")]


class Prices(TyperGroup):
    """`novix prices MODEL` is `novix prices show MODEL`, if no command has that name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


@command
def show(
    model: Model = None,
    provider: Annotated[str | None, typer.Option(help="Of this provider alone.")] = None,
    at: At = None,
    history: Annotated[bool, typer.Option("--history", help="Every statement, as it was written.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Show what each provider takes for each model, since when, and who says so; all of it without MODEL."""
    when = moment("--at", at)
    return asyncio.run(_show(settings(), Screen(as_json=as_json), model, provider, when, history=history))


@command
def spread(model: Model = None, at: At = None, as_json: AsJson = False) -> Exit:
    """Compare the providers of each model, the widest spread first: dollars for 750,000 tokens in and 250,000 out."""
    return asyncio.run(_spread(settings(), Screen(as_json=as_json), model, moment("--at", at)))


async def _show(
    loaded: "Loaded", screen: Screen, model: str | None, provider: str | None, at: "datetime | None", *, history: bool
) -> Exit:
    from console import price_table as table
    from console.kafka import connected

    catalogue, now = catalogue_of(loaded), present()
    async with connected(loaded) as log:
        book = await read_book(log)
    if history:
        told = list(table.statements(book, table.chosen(book.known, model, provider)))
        if screen.as_json:
            screen.answer([table.statement_document(one) for one in told])
        else:
            screen.table("Prices", table.HISTORY_COLUMNS, [table.statement_row(one) for one in told])
        return _found(screen, bool(told), model, provider)
    lines = table.lines(book, catalogue, at or now)
    wanted = table.chosen(((line.provider, line.model, line.service_tier) for line in lines), model, provider)
    lines = [line for line in lines if (line.provider, line.model, line.service_tier) in wanted]
    if screen.as_json:
        screen.answer([table.as_document(line) for line in lines])
    else:
        screen.table("Prices", table.COLUMNS, [table.as_row(line) for line in lines])
        if any(line.is_waiting for line in lines):
            screen.note(
                "novix: look at what waits with --history; let it hold with: novix prices approve PROVIDER/MODEL"
            )
    return _found(screen, bool(lines), model, provider)


async def _spread(loaded: "Loaded", screen: Screen, model: str | None, at: "datetime | None") -> Exit:
    from console import price_table as table
    from console.kafka import connected
    from router.prices.radar import spreads

    catalogue, now = catalogue_of(loaded), present()
    async with connected(loaded) as log:
        lines = table.lines(await read_book(log), catalogue, at or now)
    wanted = table.chosen(((line.provider, line.model, line.service_tier) for line in lines), model, None)
    found = spreads(
        (line.provider, line.model, line.price)
        for line in lines
        if line.price is not None and line.is_live and line.service_tier == "standard" and line.provider != "auto"
        if (line.provider, line.model, line.service_tier) in wanted
    )
    if screen.as_json:
        screen.answer([table.spread_document(one) for one in found])
    else:
        screen.table("Spreads", table.SPREAD_COLUMNS, [table.spread_row(one) for one in found])
    return _found(screen, bool(found), model, None)


def _found(screen: Screen, some: bool, model: str | None, provider: str | None) -> Exit:
    if some:
        return Exit.OK
    of = " ".join(word for word in (model and f"of {model}", provider and f"at {provider}") if word)
    screen.note(f"novix: no price {of} is known".replace("  ", " "))
    return Exit.NOT_MET if model or provider else Exit.OK


async def read_book(log: "Log") -> "PriceBook":
    """The price book as the topic has it now; empty without the topic."""
    from console.money.events import history
    from router.prices.book import PriceBook
    from schemas.topics import PRICES

    book = PriceBook()
    for record in await history(log, PRICES):
        book.fold(record)
    return book


def catalogue_of(loaded: "Loaded") -> "Catalogue":
    """This installation's. Raises `CommandError` for one that cannot be used."""
    from router.catalogue import BadCatalogue, load

    try:
        return load(loaded.settings)
    except BadCatalogue as error:
        raise CommandError(str(error), Exit.USAGE) from None


def present() -> "datetime":
    """Now, UTC."""
    from datetime import UTC, datetime

    return datetime.now(UTC)
