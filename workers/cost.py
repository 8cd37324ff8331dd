"""What a call costs: units times prices, in integer nano-dollars. Pure."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil

from schemas.assignment import Price
from schemas.base import MAX_NANOUSD
from schemas.result import CostSource
from schemas.units import UNITS
from schemas.values import frozen

LEAST_CERTAIN: tuple[CostSource, ...] = ("estimated", "computed", "provider", "none")
"""Of several charges together, the source that is told is the first of these that any of them has."""


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
    if not price.is_known:
        return Charge()
    guessed, missing = estimate or {}, False
    cost = Fraction(0)
    for unit in UNITS:
        each = getattr(price, unit.price)
        if each:
            reported = usage.get(unit.name)
            missing |= reported is None
            cost += Fraction(each * (guessed.get(unit.name, 0) if reported is None else reported), unit.per)
    return Charge(_bounded(ceil(cost)), "estimated" if missing else "computed")


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
