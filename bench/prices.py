"""Eleven months of real prices through the price book, and what the book costs: `python -m bench prices`.

The prices are those that Hugging Face's router told day by day (`tests/contracts/data/hf/prices`). Each day's list is
read, judged, written and folded; then every price of every day is asked for and compared with the file.
"""

import importlib
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.figure import Figure, median

NAME = "prices"
OFFERS = 2_000
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def measure(*, quick: bool) -> list[Figure]:
    """What was compared and found, and microseconds of each question."""
    replay, world = _support("price_replay"), _support("price_world")
    began = time.perf_counter()
    done = replay.replayed()
    took = time.perf_counter() - began
    told = [(at, key, prices) for at, listed in done.days for key, prices in listed.items()]
    held = [event for event in done.written if event.state == "held"]
    zeros = sum(len(prices) for _, _, prices in told if not any(prices))
    figures = [
        Figure(NAME, "days", len(done.days), "snapshots"),
        Figure(NAME, "offers", len({key for _, key, _ in told}), "of a model at a provider"),
        Figure(NAME, "prices in the file", sum(len(prices) for *_, prices in told), "prices"),
        Figure(NAME, "of these zero, which is held", zeros, "prices"),
        Figure(NAME, "prices that differ from the file", _differing(done, told), "prices", wanted="0"),
        Figure(NAME, "statements written", len(done.written), "events"),
        Figure(NAME, "statements held", len(held), "events"),
        Figure(NAME, "largest accepted move", _largest_move(done.written), "%"),
        Figure(NAME, "read, judged, written and folded", took * 1_000, "ms"),
    ]
    rounds = 200 if quick else 2_000
    at, (provider, model), _ = told[-1]
    rows, book = _large(world)
    priced = _times(lambda: book.priced(rows, NOON), rounds)
    figures += [
        Figure(NAME, "price_at", _times(lambda: done.book.price_at(provider, model, at), rounds), "us"),
        Figure(NAME, f"a catalogue of {OFFERS:,} offers, nothing changed", priced, "us"),
        Figure(NAME, "the same after a price changed", _anew(world, rows, book, 5 if quick else 50) / 1_000, "ms"),
    ]
    return figures


def _differing(done: Any, told: list[Any]) -> int:
    """Prices above zero that the book does not tell as the file does, on their day."""
    wrong = 0
    for at, (provider, model), prices in told:
        if any(prices):
            price = done.book.price_at(provider, model, at).price
            fields = ("input_nanousd_per_million_tokens", "output_nanousd_per_million_tokens")
            pairs = zip(fields, prices, strict=True)
            wrong += sum(Decimal(getattr(price, name)) != dollars * 10**9 for name, dollars in pairs)
    return wrong


def _largest_move(written: list[Any]) -> float:
    return max(event.moved_ppm or 0 for event in written if event.state == "accepted") / 10_000


def _large(world: Any) -> tuple[Any, Any]:
    """A catalogue of `OFFERS` offers, ten to a model, and a book that prices them all."""
    models = [f"org/m{index}" for index in range(OFFERS // 10)]
    rows = [world.catalogue(*((f"p{at}", world.tokens(1, 1)) for at in range(10)), model=model) for model in models]
    told = [world.event(world.tokens(5, 5), provider=f"p{at}", model=model) for model in models for at in range(10)]
    return replace(rows[0], offers=tuple(offer for one in rows for offer in one.offers)), world.book_of(*told)


def _anew(world: Any, rows: Any, book: Any, rounds: int) -> float:
    """Microseconds to price a catalogue after one statement more."""
    times = []
    for index in range(rounds):
        world.write(book, world.event(world.tokens(7, index + 1), provider="p0", model="org/m0"))
        began = time.perf_counter()
        book.priced(rows, NOON)
        times.append((time.perf_counter() - began) * 1e6)
    return median(times)


def _times(once: Callable[[], object], count: int) -> float:
    """The median of `count` turns in microseconds."""
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        once()
        times.append(time.perf_counter_ns() - began)
    return median(times) / 1_000


def _support(name: str) -> Any:
    folder = str(Path(__file__).resolve().parents[1] / "tests" / "support")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
