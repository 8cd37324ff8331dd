"""The price list of Hugging Face's router, `GET /v1/models`: chat models, each with the providers that serve it. Pure.

Prices are dollars for a million tokens as JSON numbers. Every member but `provider` and `status` may be missing, and a
price that is missing is unknown, not zero. Latency and throughput are Hugging Face's own last measurement.
"""

import json
import math
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from router.prices.money import BadPrice, nanousd
from router.prices.rule import ROUTER, units_of
from schemas.assignment import Price
from schemas.prices import PriceEvent

SOURCE = "router /v1/models"
"""As a price's own `source` says it."""
MOST_ROWS = 20_000
"""Of model and provider together, in one list. In October 2026 there were 317."""
MOST_CONTEXT_TOKENS = 10**9


class NoListing(Exception):
    """The answer is no price list. The message gives sizes, never content."""


def parse(body: bytes) -> Any:
    """The document, its numbers as they were written: fractions are `Decimal`. Raises `NoListing`.

    A number that none can be made of, and what JSON knows no number for (NaN), is no finite `Decimal`: it spoils its
    own entry, not the list.
    """
    try:
        return json.loads(body, parse_float=_decimal, parse_int=_integer, parse_constant=_decimal)
    except (ValueError, RecursionError):
        raise NoListing(f"{len(body)} bytes that are no JSON") from None


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits
        return Decimal("NaN")


def _integer(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:  # more digits than Python reads
        return _decimal(text)


def read_models(document: Any, seen_at: datetime) -> list[PriceEvent]:
    """What the list says of each model at each provider, in order of the keys; nothing is judged yet.

    An entry without a price has None. One whose price cannot be one (negative, beyond all measure, no number) has None
    and is `held`, with the reason. Entries that name nobody are left out; of two about the same the one with a price
    counts, then the one that is served, then the dearer. Raises `NoListing`, also for a list that names nothing at all.
    """
    rows = document.get("data") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise NoListing("a document without a list in `data`")
    found: dict[tuple[str, str], PriceEvent] = {}
    for row in rows:
        model, providers = (row.get("id"), row.get("providers")) if isinstance(row, dict) else (None, None)
        for entry in providers if isinstance(providers, list) else ():
            event = _entry(model, entry, seen_at)
            if event is None:
                continue
            key = event.provider, event.model
            if key not in found or _dearness(event) > _dearness(found[key]):
                found[key] = event
            if len(found) > MOST_ROWS:
                raise NoListing(f"more than {MOST_ROWS} entries")
    if not found:
        raise NoListing(f"a list of {len(rows)} models without one provider")
    return [found[key] for key in sorted(found)]


def _dearness(event: PriceEvent) -> tuple[bool, bool, int, tuple[int, ...]]:
    units = units_of(event.price)  # of tokens alone, so that they add up
    return event.price is not None, event.is_live, sum(units), units


def _entry(model: Any, entry: Any, seen_at: datetime) -> PriceEvent | None:
    if not _is_name(model) or not isinstance(entry, dict) or not _is_name(entry.get("provider")):
        return None
    price, fault = _price(entry, seen_at)
    try:
        return PriceEvent(
            provider=entry["provider"],
            model=model,
            source=ROUTER,
            price=price,
            valid_from=seen_at,
            seen_at=seen_at,
            state="held" if fault else "accepted",
            reason=fault,
            context_tokens=_whole(entry.get("context_length"), MOST_CONTEXT_TOKENS),
            first_token_ms=_whole(entry.get("first_token_latency_ms"), 10**9),
            tokens_per_s=_number(entry.get("throughput")),
            is_live=entry.get("status") == "live",
        )
    except ValidationError:  # a name that is too long
        return None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable() and value.strip() == value


def _price(entry: dict[str, Any], seen_at: datetime) -> tuple[Price | None, str]:
    """The price, and why there is none although one was told."""
    told = entry.get("pricing")
    if not isinstance(told, dict) or told.get("input") is None or told.get("output") is None:
        return None, ""
    read: dict[str, int] = {}
    for name in ("input", "output"):
        try:
            read[name] = nanousd(told[name])
        except BadPrice as error:
            return None, f"the price of {name} {error}"
    price = Price(
        input_nanousd_per_million_tokens=read["input"],
        output_nanousd_per_million_tokens=read["output"],
        source=SOURCE,
        as_of=seen_at.date().isoformat(),
        is_free=entry.get("is_free") is True and not any(read.values()),
    )
    return price, ""


def _whole(value: Any, most: int) -> int | None:
    number = _number(value)
    return round(number) if number is not None and number <= most else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
