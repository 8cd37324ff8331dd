"""What a call costs: units times prices, in integer nano-dollars. Pure."""

from collections.abc import Iterable, Mapping

from schemas.assignment import Price
from schemas.base import MAX_NANOUSD
from schemas.result import CostSource
from schemas.units import CALLS, CHARACTERS, PARTS, UNITS
from schemas.values import frozen

LEAST_CERTAIN: tuple[CostSource, ...] = ("estimated", "computed", "provider", "none")
"""Of several charges together, the source that is told is the first of these that any of them has."""

FACTS = frozenset({CALLS, CHARACTERS})
"""Units that are known exactly before the call: no estimates, though the provider does not repeat them."""
_WHOLE = 1_000_000
"""A multiple of every unit's `per`."""
_ROWS = tuple((unit.name, unit.price, _WHOLE // unit.per) for unit in UNITS)
_WHOLES = tuple(
    (whole.name, whole.price, _WHOLE // whole.per, tuple((part.name, part.price) for part in PARTS[whole.name]))
    for whole in UNITS
    if not whole.part_of
)


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
    expected_nanousd: int = 0,
) -> Charge:
    """The cost of an answered call.

    `ceil(sum(units * price / per))` over `schemas.units.UNITS`: token prices are for a million, a megapixel's for a
    million pixels, a second's for a thousand milliseconds. A unit that has a price and was not reported is taken from
    `estimate`, and the source says so unless it is one of `FACTS`; where it is in neither, the call counts as
    `expected_nanousd` at least, which is what it was assigned for. What the provider itself tells wins. Without a known
    price the cost is not known: source `none`; of one that is known to be nothing it is nothing.

    A part of a unit (cached tokens of the input, reasoning of the output) that has a price of its own is charged at it
    and taken out of the whole; any other is charged with the whole. One that is not told, or that is larger than its
    whole and so no part of it, is none where it is cheaper than the rest, and all of it where it is dearer.
    """
    if told_nanousd is not None:
        return Charge(_bounded(told_nanousd), "provider")
    guessed, missing, unknown = estimate or {}, False, False
    cost, units = 0, _charged(price)
    for name, each, parts in units:
        reported = usage.get(name)
        if reported is None:
            missing |= name not in FACTS or name not in guessed
            unknown |= name not in guessed
            reported = guessed.get(name, 0)
        rest = each
        for part, own in parts:
            told = usage.get(part)
            if told is not None and told <= reported:
                cost += own * told
                reported -= told
            elif own > rest and reported:
                rest, missing = own, True
        cost += rest * reported
    if not units:
        return Charge(0, "computed") if price.is_free else Charge()
    known = -(-cost // _WHOLE)
    least = max(known, expected_nanousd) if unknown else known
    return Charge(_bounded(least), "estimated" if missing else "computed")


def priced(price: Price) -> list[tuple[str, int]]:
    """The units that have a price, and what one of each costs, in nano-dollars times `_WHOLE`: exact, without parts."""
    fields = price.__dict__
    return [(name, fields[field] * scale) for name, field, scale in _ROWS if fields[field]]


def _charged(price: Price) -> list[tuple[str, int, tuple[tuple[str, int], ...]]]:
    """The units that are charged, each with its parts that have a price of their own; prices as `priced` tells them."""
    fields, charged = price.__dict__, []
    for name, field, scale, parts in _WHOLES:
        own = tuple((part, fields[of] * scale) for part, of in parts if fields[of]) if parts else ()
        if fields[field] or own:
            charged.append((name, fields[field] * scale, own))
    return charged


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
