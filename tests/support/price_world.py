"""Price statements, their records, and a small catalogue, for the tests of the price book."""

from datetime import UTC, datetime
from typing import Any

from router.catalogue import Catalogue, merge, parse
from router.prices.book import PriceBook
from router.prices.poller import record_of
from runtime.ports import Record
from schemas import codec
from schemas.assignment import Price
from schemas.prices import PriceEvent
from schemas.topics import PRICES

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOVITA, GROQ = "novita", "groq"
MODEL = "org/model"


def tokens(inp: int, out: int, **more: Any) -> Price:
    """A price in nano-dollars for a million tokens."""
    return Price(
        input_nanousd_per_million_tokens=inp, output_nanousd_per_million_tokens=out,
        **{"source": "test", "as_of": "2026-11-22", **more},
    )  # fmt: skip


def event(price: Price | None, at: datetime = NOON, **more: Any) -> PriceEvent:
    """A statement of the router's about `MODEL` at `NOVITA`."""
    told = {"provider": NOVITA, "model": MODEL, "source": "router", "valid_from": at, "seen_at": at}
    return PriceEvent(price=price, **{**told, **more})


def record(told: PriceEvent, offset: int, written: datetime | None = None) -> Record:
    """It as the topic has it, written when it was seen."""
    outgoing = record_of(told)
    ms = int((written or told.seen_at).timestamp() * 1000)
    return Record(PRICES.name, 0, offset, outgoing.key, outgoing.value, (), ms)


def book_of(*told: PriceEvent) -> PriceBook:
    """A book of these statements, in this order."""
    book = PriceBook()
    write(book, *told)
    return book


def write(book: PriceBook, *told: PriceEvent) -> None:
    """These statements behind those that are there."""
    for one in told:
        book.fold(record(one, int(book.version)))


def catalogue(*rows: tuple[str, Price | None], model: str = MODEL) -> Catalogue:
    """One model for chats at each of these providers."""
    offers = [
        {
            "provider": provider, "dialect": "hf-router", "base": "huggingface", "tasks": ["chat-completion"],
            "max_in_flight": 1, "price": None if price is None else price.model_dump(),
        }
        for provider, price in rows
    ]  # fmt: skip
    document = {"origin": "test", "models": [{"model": model, "tier": "small", "offers": offers}]}
    return merge([parse("test.json", codec.encode(document))], {"huggingface": "https://router.example"})
