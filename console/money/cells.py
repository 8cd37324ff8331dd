"""The cells of a bill: amounts and times as strangers write them. Pure.

Nothing is guessed: a cell that can be read in two ways is refused with both of them.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from console.money.amounts import shortened

DecimalSign = Literal["point", "comma"]
LONGEST_AMOUNT = 60
MOST_NANOUSD = 10**18
"""Of one row: a row may be the sum of a month, so more than any amount of ours."""
_GROUPS = "'\N{RIGHT SINGLE QUOTATION MARK} \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_CURRENCY = re.compile(r"us\$|\$|usd", re.IGNORECASE)
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_EPOCH = re.compile(r"([0-9]{10})(?:\.[0-9]{1,9})?|[0-9]{13}")


def _number(point: str, apart: str) -> re.Pattern[str]:
    """A number with that decimal sign, thousands set apart by `apart`, a space or an apostrophe: by one of them."""
    grouped = rf"[0-9]{{1,3}}(?P<apart>[{re.escape(apart + _GROUPS)}])[0-9]{{3}}(?:(?P=apart)[0-9]{{3}})*"
    return re.compile(rf"(?:(?:{grouped}|[0-9]+)(?:[{point}][0-9]*)?|[{point}][0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?")


_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_NUMBERS: dict[DecimalSign, re.Pattern[str]] = {"point": _number(".", ","), "comma": _number(",", ".")}
_EITHER = re.compile(r"[0-9]+,[0-9]+(?:[eE][+-]?[0-9]{1,3})?")


class BadCell(ValueError):
    """It cannot be read, or in two ways. The message names the value and what is allowed."""


def amount(text: str, digits: int, sign: DecimalSign | None = None) -> tuple[int, int]:
    """A number of units of `10 ** digits` nano-dollars (dollars: 9, cents: 7), as nano-dollars and the decimals of a
    dollar that it has.

    What is finer than a nano-dollar is rounded to the nearest, half to even: then it has 10 decimals. Thousands
    may be set apart (`1,234.56`, `1'234.56`), a negative one may be `-5`, `(5)` or `5-`, and the currency may be told
    (`$5`, `5 USD`). `sign` is the decimal sign of the bill; without it a point, and a lone comma that may be either is
    refused. Raises `BadCell`.
    """
    plain = text.strip()
    if len(plain) > LONGEST_AMOUNT:
        raise BadCell(f"{shortened(text)} has {len(plain)} characters; an amount may have {LONGEST_AMOUNT}")
    negative = False
    if sign == "comma" or not _PLAIN.fullmatch(plain):
        plain, negative = _bare(plain)
        if sign is None and _EITHER.fullmatch(plain):
            raise BadCell(f"{shortened(text)}: its comma may be a decimal sign or set thousands apart; say --decimal")
        if not _NUMBERS[sign or "point"].fullmatch(plain):
            raise BadCell(f"{shortened(text)} is no amount; write decimal numbers like 5.00, 0.000125 or -1,234.50")
        for mark in (*_GROUPS, "." if sign == "comma" else ","):
            plain = plain.replace(mark, "")
    value = Decimal(plain.replace(",", "."))
    negative, value = negative or value.is_signed(), value.copy_abs()  # `abs` would round to the context's digits
    numerator, denominator = value.as_integer_ratio()  # no context of `decimal` rounds what is a ratio
    whole, rest = divmod(numerator * 10**digits, denominator)
    whole += 1 if 2 * rest > denominator or (2 * rest == denominator and whole % 2) else 0
    if whole > MOST_NANOUSD:
        raise BadCell(f"{shortened(text)} is more than {MOST_NANOUSD // 10**digits:,}")
    exponent = value.as_tuple().exponent
    decimals = 9 - digits - exponent if isinstance(exponent, int) else 0
    return -whole if negative else whole, 10 if rest else min(max(decimals, 0), 9)


def _bare(text: str) -> tuple[str, bool]:
    """Without currency and sign, and whether it is negative."""
    plain = _CURRENCY.sub("", text.replace("\N{MINUS SIGN}", "-"), count=1).strip()
    for opening, closing in (("(", ")"), ("-", ""), ("", "-"), ("+", "")):
        if plain.startswith(opening) and plain.endswith(closing):
            return plain[len(opening) : len(plain) - len(closing)].strip(), opening != "+"
    return plain, False


def span(text: str) -> tuple[datetime, datetime]:
    """From when to when a time is, the end not in it: an instant, a whole day (`2026-11-22`) or a month (`2026-11`).

    Without a zone it is UTC. Ten digits are seconds since 1970, thirteen milliseconds. Raises `BadCell`.
    """
    try:
        if (epoch := _EPOCH.fullmatch(text)) is not None:
            at = datetime.fromtimestamp(float(text) / (1 if epoch[1] else 1_000), UTC)
            return at, at
        if _MONTH.fullmatch(text):
            first = datetime.fromisoformat(f"{text}-01").replace(tzinfo=UTC)
            return first, (first + timedelta(days=31)).replace(day=1)
        if (day := _day(text)) is not None:
            return day, day + timedelta(days=1)
        at = datetime.fromisoformat(text.removesuffix(" UTC").strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        return at, at
    except (ValueError, OverflowError, OSError):
        raise BadCell(f"{shortened(text)} is no time; write 2026-11-22T12:00:00Z, 2026-11-22 or 2026-11") from None


def _day(text: str) -> datetime | None:
    try:
        day = date.fromisoformat(text) if len(text) <= len("2026-11-22") else None
    except ValueError:
        return None
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)
