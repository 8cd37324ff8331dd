"""Each provider and model that is called: its breaker, what calls it may have at once, its 429s, its price. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from console.breaker_table import as_document
from console.price_table import dollars_of
from schemas.assignment import Price
from schemas.breakers import BreakerState
from schemas.prices import SERVICE_TIER

Key = tuple[str, str]
"""Provider and model."""


@dataclass(frozen=True, slots=True)
class ProviderNow:
    """One provider and model now. Sums over the processes that tell of it."""

    provider: str
    model: str
    breaker: str
    """`closed`, `open` or `half-open`, as the newest record of `novix.breakers.v1` says; `closed` where none does."""
    because: str
    since: str | None
    retry_at: str | None
    held_until: str | None
    """Of a Retry-After that holds for everybody."""
    by: str
    """Which process said so."""
    limit: int | None
    """Calls that may run at once: what was learnt, summed; None: no process has called it lately."""
    cap: int | None
    """As many as may be learnt at most."""
    in_flight: int
    waiting: int
    limited: int
    """Calls refused for load (429, overload) since their processes began."""
    price: str


def providers(
    breakers: Iterable[Mapping[str, Any]],
    told: Iterable[Any],
    prices: Iterable[Mapping[str, Any]],
    listed: Mapping[Key, Price | None],
    now: datetime,
) -> list[ProviderNow]:
    """Every provider and model that has a breaker's record or is called, by name. Prices are those of the newest
    accepted events, else of the catalogue (`listed`)."""
    states = {(state.provider, state.model): state for state in _read(BreakerState, breakers)}
    limits: dict[Key, list[Mapping[str, Any]]] = {}
    for key, view in _limits(told):
        limits.setdefault(key, []).append(view)
    events = {(one.provider, one.model): one for one in _read(_PriceRow, prices) if one.service_tier == SERVICE_TIER}
    return [
        _row(key, states.get(key), limits.get(key, []), _price(events.get(key), listed.get(key)), now)
        for key in sorted({*states, *limits})
    ]


class _PriceRow(BaseModel):
    provider: str
    model: str
    service_tier: str = SERVICE_TIER
    price: Price | None
    state: str = "accepted"


def _row(
    key: Key, state: BreakerState | None, views: list[Mapping[str, Any]], price: Price | None, now: datetime
) -> ProviderNow:
    told: Mapping[str, Any] = as_document(state, now) if state is not None else {}

    def total(name: str) -> int:
        return sum(value for view in views if isinstance(value := view.get(name), int))

    return ProviderNow(
        *key,
        breaker=told.get("state", "closed"),
        because=told.get("because", ""),
        since=told.get("since"),
        retry_at=told.get("retry_at") if told.get("state") != "closed" else None,
        held_until=told.get("held_until"),
        by=told.get("by", ""),
        limit=total("limit") if views else None,
        cap=total("cap") if views else None,
        in_flight=total("in_flight"),
        waiting=total("waiting"),
        limited=total("limited"),
        price=dollars_of(price),
    )


def _price(event: "_PriceRow | None", listed: Price | None) -> Price | None:
    return event.price if event is not None and event.state == "accepted" else listed


def _limits(told: Iterable[Any]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """`limits` of every process, each process once, however deep its services are nested: they share them."""
    for one in told:
        for name, view in _first(one, "limits").items():
            provider, _, model = str(name).partition("/")
            if isinstance(view, Mapping) and model:
                yield (provider, model), view


def _first(told: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        return {}
    own = told.get(name)
    if isinstance(own, Mapping):
        return own
    return next((found for part in told.values() if (found := _first(part, name))), {})


def _read(contract: Any, rows: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """The rows that are what they should be."""
    for row in rows:
        try:
            yield contract.model_validate(dict(row))
        except ValidationError:
            continue
