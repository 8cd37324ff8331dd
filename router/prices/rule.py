"""Which of several statements about one price holds. Pure.

At an instant, of the accepted statements that count by then: the operator's newest, unless it withdraws his word; else
the newest of all others. The newest is the one that is valid from the latest instant. Of two that are valid from the
same instant the one of the higher source (`RANKS`) counts, then the one that was seen later, then the one that leaves
the price unknown, then the dearer. So the order in which such statements were written decides nothing.

What the newest statement does not price is unknown, whatever older ones say: who withdraws a price knows more than who
has not looked again.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from schemas.assignment import Price
from schemas.prices import PriceEvent
from schemas.units import UNITS
from schemas.values import frozen

OPERATOR = "operator"
ROUTER = "router"
ENDPOINTS = "endpoints"
GENAI = "genai-prices"
TABLE = "novix-table"
RANKS: dict[str, int] = {TABLE: 1, GENAI: 2, ENDPOINTS: 3, ROUTER: 4, OPERATOR: 5}
"""Sources from the least to the most believed, of statements about the same instant. One that is not listed comes
before them all."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Stated:
    """A statement with its place in the history."""

    event: PriceEvent
    counts_from: datetime
    """`valid_from`, but never before it was written: what was decided yesterday stays as it was decided."""
    offset: int


def stated(event: PriceEvent, *, offset: int, written_ms: int) -> Stated:
    """`event` as it was written at `written_ms` (of the epoch)."""
    return Stated(event, max(event.valid_from, instant(written_ms)), offset)


def instant(timestamp_ms: int) -> datetime:
    """A record's timestamp as an instant; one that is none is the epoch's or the last of the calendar's."""
    try:
        return _EPOCH + timedelta(milliseconds=max(0, timestamp_ms))
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def holding(statements: Iterable[Stated], at: datetime) -> Stated | None:
    """The statement that holds at `at`; its price is None where it is unknown. None: nobody has said anything."""
    counting = [one for one in statements if one.event.state == "accepted" and one.counts_from <= at]
    own = max((one for one in counting if one.event.source == OPERATOR), key=_newest, default=None)
    if own is not None and own.event.price is not None:
        return own
    return max((one for one in counting if one.event.source != OPERATOR), key=_newest, default=None)


def _newest(one: Stated) -> tuple[datetime, int, datetime, bool, tuple[int, ...], bool, str]:
    event = one.event
    order = event.valid_from, RANKS.get(event.source, 0), event.seen_at, event.price is None
    return *order, units_of(event.price), event.is_live, event.source


def units_of(price: Price | None) -> tuple[int, ...]:
    """A price's numbers in the order of `UNITS`: two prices with the same numbers are the same price."""
    return () if price is None else tuple(getattr(price, unit.price) for unit in UNITS)


def same(one: Price | None, other: Price | None) -> bool:
    """Whether two prices are the same, whoever told them and on whichever day."""
    return (one is None) == (other is None) and units_of(one) == units_of(other)
