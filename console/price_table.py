"""The price book as people read it. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from console.money.amounts import NANO
from router.catalogue import Catalogue
from router.prices.book import Key, PriceBook
from router.prices.radar import Spread
from router.prices.rule import TABLE, Stated
from schemas.assignment import Price
from schemas.prices import SERVICE_TIER
from schemas.units import UNITS
from schemas.values import frozen

COLUMNS = ["provider/model", "tier", "dollars", "source", "since", "state"]
HISTORY_COLUMNS = ["counts from", "provider/model", "tier", "dollars", "source", "state", "moved", "by", "why"]
SPREAD_COLUMNS = ["model", "providers", "cheapest", "dearest", "ratio"]
_LABELS = {
    "input_nanousd_per_million_tokens": "in/Mtok",
    "output_nanousd_per_million_tokens": "out/Mtok",
    "cached_input_nanousd_per_million_tokens": "cached/Mtok",
    "reasoning_nanousd_per_million_tokens": "reasoning/Mtok",
    "nanousd_per_compute_ms": "/compute ms",
    "nanousd_per_call": "/call",
    "nanousd_per_million_characters": "/M characters",
    "nanousd_per_image": "/image",
    "nanousd_per_megapixel": "/megapixel",
    "nanousd_per_step": "/step",
    "nanousd_per_audio_second": "/audio s",
    "nanousd_per_video_second": "/video s",
}


@frozen
class Line:
    """What one provider takes for one model at an instant."""

    provider: str
    model: str
    service_tier: str
    price: Price | None
    """None: unknown."""
    source: str
    since: datetime | None
    """None: of the catalogue's row."""
    is_live: bool = True
    is_waiting: bool = False
    """Another price waits for approval."""


def lines(book: PriceBook, catalogue: Catalogue, at: datetime) -> list[Line]:
    """Every price that is known at `at`, by name: of the book, and of the catalogue's rows where it says nothing."""
    waiting = {(event.provider, event.model, event.service_tier) for event in book.held()}
    found: dict[Key, Line] = {}
    for offer in book.priced(catalogue, at).offers:
        tier = offer.price.service_tier if offer.price is not None else SERVICE_TIER
        if offer.price is not None and not offer.price.is_known:
            continue
        source = TABLE if offer.price is None else offer.price.source
        found[offer.provider, offer.model, tier] = Line(offer.provider, offer.model, tier, offer.price, source, None)
    for provider, model, tier in book.known:
        key, event = (provider, model, tier), book.price_at(provider, model, at, tier)
        if event is not None:
            found[key] = Line(
                *key, event.price, event.source, event.valid_from, event.is_live, is_waiting=key in waiting
            )
        elif key in waiting and key not in found:
            found[key] = Line(*key, None, "", None, is_waiting=True)
    return [found[key] for key in sorted(found, key=lambda key: (key[1], key[0], key[2]))]


def chosen(names: Iterable[Key], model: str | None, provider: str | None) -> set[Key]:
    """Those of one model (its name, or a part of it if none has that name) and one provider; None: all."""
    listed = list(names)
    whole = [key for key in listed if key[1] == model]
    if model is not None:
        listed = whole or [key for key in listed if model.lower() in key[1].lower()]
    return {key for key in listed if provider is None or key[0] == provider}


def as_row(line: Line) -> list[str]:
    """One line of the table, in the order of `COLUMNS`."""
    told = ["" if line.is_live else "not served", "another waits for approval" if line.is_waiting else ""]
    since = "-" if line.since is None else _moment(line.since)
    state = ", ".join(word for word in told if word) or "-"
    return [f"{line.provider}/{line.model}", line.service_tier, dollars_of(line.price), line.source, since, state]


def as_document(line: Line) -> dict[str, Any]:
    """The line as JSON: the price with its units in nano-dollars, null where it is unknown."""
    return {
        "provider": line.provider,
        "model": line.model,
        "service_tier": line.service_tier,
        "price": None if line.price is None else line.price.model_dump(mode="json"),
        "source": line.source,
        "valid_from": None if line.since is None else line.since.isoformat(),
        "is_live": line.is_live,
        "is_waiting": line.is_waiting,
    }


def statements(book: PriceBook, keys: Iterable[Key]) -> Iterator[Stated]:
    """Every statement about these, in the order in which they were written."""
    yield from sorted((one for key in keys for one in book.written(*key)), key=lambda one: one.offset)


def statement_row(one: Stated) -> list[str]:
    """One line of the history, in the order of `HISTORY_COLUMNS`."""
    event = one.event
    moved = "-" if event.moved_ppm is None else f"{event.moved_ppm / 10_000:g} %"
    return [
        _moment(one.counts_from), f"{event.provider}/{event.model}", event.service_tier, dollars_of(event.price),
        event.source, event.state, moved, event.by or "-", event.reason or "-",
    ]  # fmt: skip


def statement_document(one: Stated) -> dict[str, Any]:
    """The event as it was written, with its offset and the instant from which it counts."""
    told = one.event.model_dump(mode="json")
    return {**told, "offset": one.offset, "counts_from": one.counts_from.isoformat()}


def spread_row(spread: Spread) -> list[str]:
    """One line of the spreads, in the order of `SPREAD_COLUMNS`."""
    quotes = (f"{quote.provider} {_amount(quote.nanousd)}" for quote in (spread.cheapest, spread.dearest))
    return [spread.model, str(len(spread.quotes)), *quotes, f"{float(spread.ratio):.2f}x"]


def spread_document(spread: Spread) -> dict[str, Any]:
    """The same as JSON, with every provider; nano-dollars for the basket."""
    return {
        "model": spread.model,
        "ratio": round(float(spread.ratio), 4),
        "providers": [{"provider": quote.provider, "nanousd": quote.nanousd} for quote in spread.quotes],
    }


def dollars_of(price: Price | None) -> str:
    """A price in dollars, unit by unit: `0.5 in/Mtok, 2 out/Mtok`; `unknown`, `free`."""
    if price is None or not price.is_known:
        return "unknown"
    told = ((getattr(price, unit.price), _LABELS[unit.price]) for unit in UNITS)
    return ", ".join(f"{_amount(amount)} {label}" for amount, label in told if amount) or "free"


def _amount(nanousd: int) -> str:
    return f"{(Decimal(nanousd) / NANO).normalize():f}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
