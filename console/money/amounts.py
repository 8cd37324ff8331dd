"""Dollars as people write them, exact to the nano-dollar. Pure."""

import re
from decimal import Decimal, InvalidOperation

from schemas.base import MAX_NANOUSD

NANO = 1_000_000_000
DECIMALS = 9
LONGEST = 40
"""Characters that an amount may have: more digits than any amount of ours needs."""
_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


class BadAmount(ValueError):
    """A text that is no amount, or one that is not allowed. The message names the value and the limit."""


def nanousd(text: str, *, least: int = 0, most: int = MAX_NANOUSD) -> int:
    """Decimal dollars (`5`, `5.00`, `0.000000001`, `1e-6`, with `$` or without) as integer nano-dollars.

    Exact: nothing is rounded. Raises `BadAmount` for what is no decimal number, has fractions of a nano-dollar, or lies
    outside `least` to `most` nano-dollars.
    """
    numerator, denominator = decimal(text).as_integer_ratio()  # no context of `decimal` rounds what is a ratio
    amount, fraction = divmod(numerator * NANO, denominator)
    if fraction:
        raise BadAmount(f"{shortened(text)} has a fraction of a nano-dollar; {DECIMALS} decimals are kept")
    if amount < least:
        raise BadAmount(f"{shortened(text)} is less than {dollars(least)}")
    if amount > most:
        raise BadAmount(f"{shortened(text)} is more than {dollars(most)}")
    return amount


def decimal(text: str) -> Decimal:
    """The number that `text` writes, whatever its size. Raises `BadAmount`."""
    plain = text.strip().removeprefix("$").strip() if not text.startswith("-$") else "-" + text[2:].strip()
    if len(plain) > LONGEST:
        raise BadAmount(f"{shortened(text)} has {len(plain)} characters; an amount may have {LONGEST}")
    if not _PLAIN.fullmatch(plain):
        raise BadAmount(f"{shortened(text)} is no amount; write decimal dollars like 5.00 or 0.000125")
    try:
        return Decimal(plain)
    except InvalidOperation:  # the pattern admits nothing that Decimal refuses; were it so, it is no amount
        raise BadAmount(f"{shortened(text)} is no amount") from None


def dollars(amount: int) -> str:
    """Nano-dollars as decimal dollars for files: `-0.000012345`; at least two decimals, nothing rounded."""
    whole, part = divmod(abs(amount), NANO)
    return f"{'-' if amount < 0 else ''}{whole}." + f"{part:09d}".rstrip("0").ljust(2, "0")


def shortened(text: str) -> str:
    """The value for an error, quoted, at most 40 characters of it as they are shown: an escape counts as several."""
    quoted = repr(text)
    return quoted if len(quoted) <= LONGEST + 2 else quoted[: LONGEST + 1] + "..." + quoted[0]
