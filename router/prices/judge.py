"""Is a new price to be believed? Pure; integers and fractions, no float arithmetic."""

from fractions import Fraction
from typing import Literal

from schemas.assignment import Price
from schemas.units import UNITS, Unit
from schemas.values import frozen

MILLION = 1_000_000
MOST_MOVED_PPM = 10**12
"""A larger move, and one from nothing, is told as this."""


@frozen
class Verdict:
    """What a new price comes to."""

    state: Literal["accepted", "held"]
    reason: str = ""
    """Why it is held."""
    moved_ppm: int | None = None
    """See `PriceEvent.moved_ppm`."""


def judge(old: Price | None, new: Price, *, hold_factor: float) -> Verdict:
    """Whether `new` may hold at once after `old` (None: unknown until now), or waits for somebody's approval.

    Held is a price of nothing at all (also one that says it is free), a first one of which tokens of the input cost
    nothing or those of the output, and one of which any unit grows or falls by more than `hold_factor`; a unit that is
    charged for the first time, or not any more, does that. Whoever was free and is free still, or costs something now,
    is believed. A part without a price of its own costs what its whole does.
    """
    was_charged = old is not None and any(getattr(old, unit.price) for unit in UNITS)
    if old is not None and was_charged and any(getattr(new, unit.price) for unit in UNITS):
        doubt = _jump(old, new, hold_factor)
    else:
        doubt = _zero(old, new)
    return Verdict("held" if doubt else "accepted", doubt, _moved(old, new))


def _zero(old: Price | None, new: Price) -> str:
    """Why `new`, which costs nothing or is the first to cost something, is not believed; empty: it is."""
    if not any(getattr(new, unit.price) for unit in UNITS):
        if old is not None and old.is_known and not any(getattr(old, unit.price) for unit in UNITS):
            return ""
        word = "says that it is free" if new.is_free else "is a price of zero, and unknown is never zero"
        return f"{word}: an operator has to approve that"
    for nothing, other in (_TOKENS, _TOKENS[::-1]):
        if getattr(new, nothing) == 0 < getattr(new, other):
            return f"{nothing} is zero, and unknown is never zero"
    return ""


def _jump(old: Price, new: Price, hold_factor: float) -> str:
    """Which unit moves too far from `old` to `new`, both above nothing; empty: none."""
    for unit in UNITS:
        before, after = effective(old, unit), effective(new, unit)
        if before == after:
            continue
        low, high = sorted((before, after))
        if low == 0:
            change = "was not charged before" if before == 0 else "is not charged any more"
            return f"{unit.price} {change}: {before} -> {after}"
        if Fraction(high, low) > Fraction(hold_factor):
            word = "grew" if after > before else "fell"
            return f"{unit.price} {word} by more than {hold_factor:g} times: {before} -> {after}"
    return ""


def effective(price: Price, unit: Unit) -> int:
    """What a price takes for a unit; for a part without a price of its own, what it takes for the whole."""
    own: int = getattr(price, unit.price)
    return own if own or not unit.part_of else getattr(price, _BY_NAME[unit.part_of].price)


_TOKENS = "input_nanousd_per_million_tokens", "output_nanousd_per_million_tokens"
_BY_NAME = {unit.name: unit for unit in UNITS}


def largest_move(old: Price, new: Price) -> tuple[str, int] | None:
    """The unit that moves most, as a price names it, and by how many millionths of what it cost; None if none does."""
    moves = []
    for unit in UNITS:
        before, after = effective(old, unit), effective(new, unit)
        if before != after:
            ppm = abs(after - before) * MILLION // before if before else MOST_MOVED_PPM
            moves.append((unit.price, min(ppm, MOST_MOVED_PPM)))
    return max(moves, key=lambda move: move[1], default=None)


def _moved(old: Price | None, new: Price) -> int | None:
    if old is None or not old.is_known:
        return None
    move = largest_move(old, new)
    return 0 if move is None else move[1]
