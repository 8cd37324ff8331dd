"""Real prices, as Hugging Face's router told them day by day, through the price book: `python -m bench prices`."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from price_world import write

from router.prices.book import PriceBook
from router.prices.intake import absent, news, withdrawn
from router.prices.listing import read_models
from router.prices.rule import ROUTER
from schemas.prices import PriceEvent

HISTORY = Path(__file__).resolve().parents[1] / "contracts" / "data" / "hf" / "prices" / "router_price_history.jsonl.gz"
HOLD_FACTOR = 10.0
Told = dict[tuple[str, str], tuple[Decimal, Decimal]]
"""Dollars for a million tokens of input and of output, by provider and model."""


@dataclass
class Replay:
    """A book that looked at every snapshot on its day."""

    book: PriceBook = field(default_factory=PriceBook)
    days: list[tuple[datetime, Told]] = field(default_factory=list)
    written: list[PriceEvent] = field(default_factory=list)


def snapshots() -> Iterator[tuple[datetime, Told]]:
    """Each snapshot, as the file has it, the oldest first."""
    with gzip.open(HISTORY, "rt") as lines:
        for line in lines:
            row = json.loads(line, parse_float=Decimal, parse_int=Decimal)
            told = {}
            for name, prices in row["models"].items():
                model, _, provider = name.rpartition(":")
                told[provider, model] = prices["in"], prices["out"]
            yield datetime.fromisoformat(row["date"]).astimezone(UTC), told


def replayed() -> Replay:
    """Every snapshot as a list of the router's own form, read, judged, written and folded on its day."""
    replay = Replay()
    for at, told in snapshots():
        listed = read_models(listing(told), at)
        gone = [withdrawn(listed[0], key) for key in sorted(absent(replay.book, listed, ROUTER))]
        found = news(replay.book, [*listed, *gone], hold_factor=HOLD_FACTOR, is_live_source=True)
        write(replay.book, *found)
        replay.days.append((at, told))
        replay.written += found
    return replay


def listing(told: Told) -> dict[str, object]:
    """A snapshot as `GET /v1/models` would have told it."""
    rows: dict[str, list[dict[str, object]]] = {}
    for (provider, model), (inp, out) in told.items():
        entry = {"provider": provider, "status": "live", "pricing": {"input": inp, "output": out}}
        rows.setdefault(model, []).append(entry)
    return {"data": [{"id": model, "providers": entries} for model, entries in rows.items()]}
