"""Price tables that come with the installation: `genai-prices`, and the hourly prices of Inference Endpoints.

Both are statements like any other, written to the price book once. Offline: nothing is fetched.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib import metadata, resources
from typing import Any

from router.prices.money import BadPrice, nanousd
from router.prices.rule import ENDPOINTS, GENAI
from schemas import codec
from schemas.assignment import Price
from schemas.prices import PriceEvent

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""From when a price counts of which no day is told: any statement with a day is newer."""
MS_PER_HOUR = 3_600_000
_HUGGING_FACE = "huggingface_"
_GENAI_FIELDS = {
    "input_mtok": "input_nanousd_per_million_tokens",
    "output_mtok": "output_nanousd_per_million_tokens",
    "cache_read_mtok": "cached_input_nanousd_per_million_tokens",
}


def genai(seen_at: datetime) -> list[PriceEvent]:
    """What the package `genai-prices` tells of the providers behind Hugging Face's router, as it is on `seen_at`.

    Its model ids are Hugging Face's. A price that depends on the length of the input or on the hour counts with its
    dearest. Reading the table takes a third of a second of CPU: not in the loop.
    """
    from genai_prices.data import providers  # 1.6 MB of tables, of no use to most processes

    edition = f"genai-prices {metadata.version('genai-prices')}"
    events: list[PriceEvent] = []
    for provider in providers:
        if not provider.id.startswith(_HUGGING_FACE):
            continue
        for model in provider.models:
            since, told = _in_force(model, seen_at)
            price = _tokens(told, edition, since)
            if price is not None:
                events.append(_event(provider.id.removeprefix(_HUGGING_FACE), model.id, GENAI, price, since, seen_at))
    return sorted(events, key=lambda event: (event.provider, event.model))


def _in_force(model: Any, at: datetime) -> tuple[datetime, list[Any]]:
    """Since when, and the price sets of which any may count on that day."""
    if not isinstance(model.prices, list):
        return UNDATED, [model.prices]
    since, dated, hourly = UNDATED, model.prices[0].prices, []
    for one in model.prices:
        begin = getattr(one.constraint, "start_date", None)
        if begin is not None:
            if _midnight(begin) <= at:
                since, dated = _midnight(begin), one.prices
        elif one.constraint is None:
            dated = one.prices
        else:
            hourly.append(one.prices)
    return since, [dated, *hourly]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _tokens(told: list[Any], edition: str, since: datetime) -> Price | None:
    """The dearest of several price sets; None where input and output are not both told, or one is no price."""
    fields: dict[str, int] = {}
    try:
        for name, field in _GENAI_FIELDS.items():
            amounts = [nanousd(each) for one in told for each in _amounts(getattr(one, name, None))]
            if amounts:
                fields[field] = max(amounts)
    except BadPrice:
        return None
    if not {"input_nanousd_per_million_tokens", "output_nanousd_per_million_tokens"} <= fields.keys():
        return None
    as_of = "" if since == UNDATED else since.date().isoformat()
    price = Price(**fields, source=edition, as_of=as_of)
    return price if price.is_known else None


def _amounts(told: Any) -> Iterator[Decimal]:
    if told is None:
        return
    if isinstance(told, Decimal):
        yield told
        return
    yield told.base
    yield from (tier.price for tier in told.tiers)


@dataclass(frozen=True, slots=True)
class Hardware:
    """One machine of Inference Endpoints, as one replica is charged for it."""

    name: str
    """`aws/nvidia-l4/x1`."""
    accelerator: str
    hour_nanousd: int
    is_offered: bool
    """False: it is deprecated."""


def hardware() -> Mapping[str, Hardware]:
    """The machines by name."""
    rows = {}
    for row in _endpoints()["rows"]:
        name = f"{row['vendor']}/{row['instanceType']}/{row['instanceSize']}"
        rows[name] = Hardware(name, row["accelerator"], nanousd(row["pricePerHour"]), not row["deprecated"])
    return rows


def endpoints(seen_at: datetime) -> list[PriceEvent]:
    """What a millisecond of a machine's time costs, a started nano-dollar counted whole: provider `endpoints`, the
    machine as the model. For estimates; what is billed is minutes (`router.prices.replicas`)."""
    document = _endpoints()
    since = _midnight(date.fromisoformat(document["as_of"]))
    events = []
    for one in hardware().values():
        price = Price(
            nanousd_per_compute_ms=-(-one.hour_nanousd // MS_PER_HOUR),
            source="Inference Endpoints",
            as_of=document["as_of"],
        )
        event = _event(ENDPOINTS, one.name, ENDPOINTS, price, since, seen_at)
        events.append(event.model_copy(update={"is_live": one.is_offered}))
    return sorted(events, key=lambda event: event.model)


def _endpoints() -> Any:
    return codec.decode(resources.files("router").joinpath("data", "endpoints.json").read_bytes())


def _event(provider: str, model: str, source: str, price: Price, valid_from: datetime, seen_at: datetime) -> PriceEvent:
    return PriceEvent(
        provider=provider, model=model, source=source, price=price, valid_from=valid_from, seen_at=seen_at
    )
