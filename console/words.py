"""Numbers and instants as people read them. Pure."""

import re
import unicodedata
from datetime import UTC, datetime


def money(nanousd: int) -> str:
    """Nano-dollars as dollars, without rounding: `$0.000012345`; at least two decimals."""
    whole, part = divmod(abs(nanousd), 1_000_000_000)
    decimals = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanousd < 0 else ''}${whole}.{decimals}"


def span(milliseconds: float | None) -> str:
    """A length of time in the unit that suits it: `840 ms`, `2.35 s`, `3 min 20 s`, `5 h 10 min`, `8 days 7 h`; a dash
    for none."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1_000:.2f} s"
    minutes, rest = divmod(round(milliseconds / 1_000), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def instant(milliseconds: int | None) -> str:
    """Milliseconds since 1970 as `2026-11-22 12:00:00.123 UTC`; a dash for none, and what no calendar has as its
    number."""
    if milliseconds is None:
        return "-"
    try:
        moment = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{milliseconds} ms"
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


_AGO = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def moment_ms(text: str, now: datetime) -> int | None:
    """An instant as people write it, in milliseconds since 1970: `2026-11-22T12:00:00Z` (without a zone it is UTC), or
    `90s`, `15m`, `2h`, `7d` for so long before `now`. None for anything else."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return int(now.timestamp() * 1_000) - int(ago[1]) * _UNIT_MS[ago[2]]
    try:
        told = datetime.fromisoformat(text)
        return int((told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 job`, `2 jobs`, `1,200 jobs`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shown(text: str) -> str:
    """Text of others, fit for a terminal: newlines, tabs and spaces of all widths stay, other control characters and
    marks of direction become U+FFFD.

    A model's answer or a stranger's id could otherwise move the cursor or change the title of the window.
    """
    return text if text.isprintable() else "".join(char if _is_shown(char) else _INSTEAD for char in text)


def _is_shown(char: str) -> bool:
    return char.isprintable() or char in "\n\t" or unicodedata.category(char) == "Zs"


_INSTEAD = "\N{REPLACEMENT CHARACTER}"


# C0 but for newline, tab and return, DEL, C1, and format characters: those that hide or turn text around among them.
_OBEYED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def shown_json(document: str) -> str:
    """JSON of others, fit for a terminal and the same to a parser: what a terminal would obey is written as `\\uXXXX`.

    JSON (RFC 8259, 7) lets C1 controls, DEL and marks of direction stand in a string as they are; terminals obey them.
    """
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", document.replace("\r", " "))
