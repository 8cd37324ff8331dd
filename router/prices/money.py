"""US dollars as texts and JSON tell them, in integer nano-dollars. Decimal throughout: 1.1 is no binary fraction."""

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from schemas.base import MAX_NANOUSD

NANO = 10**9
MOST_CHARS = 100
_LARGEST = Decimal(MAX_NANOUSD) / NANO
_WHOLE = 10**18
_DIGITS = 18


class BadPrice(Exception):
    """No price can be made of it. The message says why, and nothing longer than the number itself."""


def nanousd(value: Any) -> int:
    """Dollars as a JSON number, a decimal or a text; a started nano-dollar counts whole.

    Raises `BadPrice` for what is no number, is negative, or lies above `MAX_NANOUSD`. A float is taken for the shortest
    decimal that reads as it: what the text of the document said.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise BadPrice(f"is {type(value).__name__}, no number")
    if isinstance(value, int) and not -_WHOLE <= value <= _WHOLE:
        raise BadPrice(f"is a number of {value.bit_length()} bits")
    if isinstance(value, str) and len(value) > MOST_CHARS:
        raise BadPrice(f"has {len(value)} characters; a price has {MOST_CHARS} at most")
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        raise BadPrice(f"is no number ({len(value)} characters)")
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        raise BadPrice(f"is no number ({len(str(value))} characters)") from None
    if not number.is_finite():
        raise BadPrice("is no finite number")
    if number < 0:
        raise BadPrice(f"is negative: {_short(number)} dollars")
    if number > _LARGEST:
        raise BadPrice(f"is {_short(number)} dollars; it may be {_LARGEST:f}")
    if number.adjusted() < -_DIGITS:  # so small that only its being above zero counts
        return int(bool(number))
    return int((number * NANO).to_integral_value(ROUND_CEILING))


def _short(number: Decimal) -> str:
    return f"{number:.6g}"
