"""Single fields out of what a stranger wrote: a value of the right kind and size, or nothing, and then it is
counted."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, TypeGuard

from schemas.catalog import MAX_REPO_CHARS, MAX_TAGS, MAX_TEXT_CHARS

MAX_COUNT = 10**18
FUTURE = timedelta(days=1)
"""A clock may be so far ahead of ours; what lies further in the future is a mistake, and would hide all that comes."""
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)


class Fields:
    """One row. A getter answers None for what is missing, null, or not of its kind; only the last is counted, in
    `dropped`, by the field's name."""

    def __init__(self, row: Mapping[str, Any], at: datetime, dropped: Counter[str]) -> None:
        self.row = row
        self._latest = at + FUTURE
        self._dropped = dropped

    def drop(self, name: str) -> None:
        """Count a value of this field as left out."""
        self._dropped[name] += 1

    def text(self, name: str, limit: int = MAX_REPO_CHARS) -> str | None:
        """A text without control characters."""
        told = self.row.get(name)
        if told is None or told == "":
            return None
        if is_text(told, limit):
            return str(told)
        self.drop(name)
        return None

    def prose(self, name: str) -> str | None:
        """A text of any length as its beginning, in one line; control characters are blanks."""
        told = self.row.get(name)
        if told is None or told == "":
            return None
        if not isinstance(told, str):
            self.drop(name)
            return None
        return plain(told[: MAX_TEXT_CHARS * 4]) or None

    def count(self, name: str) -> int | None:
        """A whole number from 0 on."""
        told = self.row.get(name)
        if told is None:
            return None
        if is_count(told):
            return int(told)
        self.drop(name)
        return None

    def number(self, name: str) -> float | None:
        """A finite number."""
        told = self.row.get(name)
        if told is None:
            return None
        if is_number(told):
            return float(told)
        self.drop(name)
        return None

    def flag(self, name: str) -> bool | None:
        """True or false."""
        told = self.row.get(name)
        if told is None or isinstance(told, bool):
            return told
        self.drop(name)
        return None

    def instant(self, name: str) -> datetime | None:
        """An instant in UTC, not of the future."""
        told = self.row.get(name)
        if told is None:
            return None
        found = instant(told)
        if found is None or not OLDEST <= found <= self._latest:
            self.drop(name)
            return None
        return found

    def table(self, name: str) -> Mapping[str, Any]:
        """An object; empty where there is none."""
        told = self.row.get(name)
        if isinstance(told, dict):
            return told
        if told is not None:
            self.drop(name)
        return {}

    def texts(self, name: str, limit: int = MAX_TAGS) -> tuple[str, ...]:
        """A list of texts without doubles; what is none is left out of it, and so is what is beyond `limit`."""
        told = self.row.get(name)
        if told is None:
            return ()
        if not isinstance(told, list):
            self.drop(name)
            return ()
        found = tuple(dict.fromkeys(one for one in told if is_text(one, MAX_REPO_CHARS)))
        if len(found) > limit or not all(is_text(one, MAX_REPO_CHARS) for one in told):
            self.drop(name)
        return found[:limit]


def is_text(told: Any, limit: int = MAX_REPO_CHARS) -> TypeGuard[str]:
    """A text that may stand in a key, on a page and in a log: not empty, no control character, no lone surrogate."""
    return isinstance(told, str) and 0 < len(told) <= limit and told.isprintable()


def is_count(told: Any) -> TypeGuard[int]:
    """A whole number from 0 to 10^18; true and false are none."""
    return isinstance(told, int) and not isinstance(told, bool) and 0 <= told <= MAX_COUNT


def is_number(told: Any) -> TypeGuard[float]:
    """A finite number; true and false are none."""
    return isinstance(told, int | float) and not isinstance(told, bool) and abs(told) <= 1e300 and isfinite(told)


def instant(told: Any) -> datetime | None:
    """An ISO 8601 instant with its zone, in UTC; None: it is none."""
    if not isinstance(told, str) or len(told) > 40:
        return None
    try:
        found = datetime.fromisoformat(told)
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def plain(text: str) -> str:
    """One line of printable characters, at most `MAX_TEXT_CHARS`."""
    words = "".join(char if char.isprintable() else " " for char in text).split()
    return " ".join(words)[:MAX_TEXT_CHARS]
