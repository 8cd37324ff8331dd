"""What a call costs: units times prices, in integer nano-dollars. Pure."""

from collections.abc import Iterable, Mapping

from schemas.assignment import Price
from schemas.base import MAX_NANOUSD
from schemas.result import CostSource
from schemas.units import UNITS
from schemas.values import frozen

LEAST_CERTAIN: tuple[CostSource, ...] = ("estimated", "computed", "provider", "none")
"""Of several charges together, the source that is told is the first of these that any of them has."""

_WHOLE = 1_000_000
"""A multiple of every unit's `per`."""
_ROWS = tuple((unit.name, unit.price, _WHOLE // unit.per) for unit in UNITS)


@frozen
class Charge:
    """What one call costs, and how we know."""

    nanousd: int = 0
    source: CostSource = "none"


def charge(
    usage: Mapping[str, int],
    price: Price,
    *,
    told_nanousd: int | None = None,
    estimate: Mapping[str, int] | None = None,
) -> Charge:
    """The cost of an answered call.

    `ceil(sum(units * price / per))` over `schemas.units.UNITS`: token prices are for a million, a megapixel's for a
    million pixels, a second's for a thousand milliseconds. A unit that has a price and was not reported is taken from
    `estimate`, and the source says so. What the provider itself tells wins. Without a known price the cost is not
    known: source `none`.
    """
    if told_nanousd is not None:
        return Charge(_bounded(told_nanousd), "provider")
    guessed, missing = estimate or {}, False
    cost, units = 0, priced(price)
    for name, each in units:
        reported = usage.get(name)
        missing |= reported is None
        cost += each * (guessed.get(name, 0) if reported is None else reported)
    if not units:
        return Charge()
    return Charge(_bounded(-(-cost // _WHOLE)), "estimated" if missing else "computed")


def priced(price: Price) -> list[tuple[str, int]]:
    """The units that have a price, and what one of each costs, in nano-dollars times `_WHOLE`: exact, without parts."""
    fields = price.__dict__
    return [(name, fields[field] * scale) for name, field, scale in _ROWS if fields[field]]


def together(charges: Iterable[Charge]) -> Charge:
    """Several calls of one job: their sum, and the least certain of their sources."""
    listed = list(charges)
    if len(listed) == 1:
        return listed[0]
    sources = {one.source for one in listed}
    return Charge(
        _bounded(sum(one.nanousd for one in listed)), next((one for one in LEAST_CERTAIN if one in sources), "none")
    )


def _bounded(nanousd: int) -> int:
    """Within what a record can carry. A provider's claim of more than a million dollars is not believed further."""
    return max(0, min(nanousd, MAX_NANOUSD))
