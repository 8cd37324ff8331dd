"""Retry-After (RFC 9110 10.2.3): seconds or a date. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(days=366)
"""More than this is told as this: far beyond any deadline, and still a timedelta."""

_SECONDS = re.compile(r"[ \t]*([0-9]{1,100}(?:\.[0-9]{1,9})?)[ \t]*")
_HUB = re.compile(r"\br=0\b.*?\bt=(\d{1,9})\b")
"""`RateLimit: "api";r=0;t=295`, the Hub's own form: nothing left, t seconds to the reset."""


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """What `headers` (lower-case names) ask us to wait from `now`; None if they do not say, or not understandably.

    A date in the past is a wait of zero; a negative number is no number.
    """
    value = headers.get("retry-after")
    if value is None:
        hub = _HUB.search(headers.get("ratelimit", ""))
        return timedelta(seconds=int(hub[1])) if hub else None
    seconds = _SECONDS.fullmatch(value)
    if seconds is not None:
        return timedelta(seconds=min(float(seconds[1]), LONGEST.total_seconds()))
    try:
        date = parsedate_to_datetime(value[:64])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max(timedelta(0), date - now), LONGEST)
