"""Calendar windows in a tenant's time zone: the hour, day and month that an instant lies in, as labels and as spans.

A window is named by a label: `2026-11`, `2026-11-22`, `2026-11-22T14`, `total`. Where clocks are set back an hour is
there twice; the second one is a window of its own, whose label ends in its offset: `2026-10-25T02+01:00`.
"""

import functools
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas.accounts import Window

TOTAL = "total"
_LONGEST = {"hour": timedelta(hours=2), "day": timedelta(hours=50), "month": timedelta(days=33)}
"""Longer than any window of its kind, however clocks are set in it."""
_SECOND = timedelta(seconds=1)
_KINDS: dict[int, Window] = {len("2026-11"): "month", len("2026-11-22"): "day"}


class UnknownZone(ValueError):
    """A time zone that the time zone database does not have. The message gives its name's size, and never the name."""


_PLACE: dict[Window, int] = {"hour": 0, "day": 1, "month": 2, "total": 3}


class Labels(NamedTuple):
    """The windows that an instant lies in."""

    hour: str
    day: str
    month: str
    total: str = TOTAL

    def of(self, window: Window) -> str:
        """The label of that kind of window."""
        return self[_PLACE[window]]


class Calendar:
    """The windows of one time zone. Remembers the hour that it was asked for last, so that most answers cost nothing.

    It holds no state that an answer depends on.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._begin = self._end = datetime.min.replace(tzinfo=UTC)
        self._labels = Labels("", "", "")
        self._ends: dict[str, datetime] = {}

    def labels(self, instant: datetime) -> Labels:
        """The windows that `instant` lies in."""
        if not self._begin <= instant < self._end:
            labels = _labels(instant, self._zone)
            self._begin, self._end = span("hour", instant, self._zone)
            self._labels = labels
        return self._labels

    def ends(self, window: Window, instant: datetime) -> datetime | None:
        """When the window that `instant` lies in is over; None for `total`."""
        if window == "total":
            return None
        label = self.labels(instant)[_PLACE[window]]
        end = self._ends.get(label)
        if end is None:
            if len(self._ends) >= 8:
                self._ends.clear()
            end = self._ends[label] = span(window, instant, self._zone)[1]
        return end


def kind_of(label: str) -> Window:
    """Which kind of window a label names."""
    return "total" if label == TOTAL else _KINDS.get(len(label), "hour")


def span(window: Window, instant: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Begin and end (not included) of the window that `instant` lies in, UTC. `total` has neither: ValueError.

    Found by bisection on the labels themselves, to the second: so days of 23 and 25 hours, half hours that are set back
    (Lord Howe) and days that were left out (Samoa, 2011) need no rules of their own.
    """
    if window == "total":
        raise ValueError("the window `total` has no end")
    label = _labels(instant, zone).of(window)
    whole = instant.astimezone(UTC).replace(microsecond=0)
    return _edge(window, label, whole, -_LONGEST[window], zone) + _SECOND, _edge(
        window, label, whole, _LONGEST[window], zone
    )


@functools.lru_cache(maxsize=1_024)
def calendar(zone: str) -> Calendar:
    """The calendar of an IANA time zone. Raises `UnknownZone`."""
    return Calendar(zone_of(zone))


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises `UnknownZone`, also for a name that no file could have."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # not found; a path that leads elsewhere; a folder
        raise UnknownZone(f"a time zone of {len(name)} characters is none of the IANA database's") from None


def _labels(instant: datetime, zone: tzinfo) -> Labels:
    try:
        local = instant.astimezone(zone)
    except OverflowError:  # in the years 1 and 9999
        local = instant.astimezone(UTC)
    text = local.isoformat()
    hour = text[:13]
    if local.fold:
        hour += text[-6:] if text[-6] in "+-" else text[19:]
    return Labels(hour, text[:10], text[:7])


def _edge(window: Window, label: str, inside: datetime, reach: timedelta, zone: tzinfo) -> datetime:
    """The first whole second beyond the window, in the direction of `reach`, which is surely beyond it."""
    try:
        outside = inside + reach
    except OverflowError:  # the years 1 and 9999 have an end
        return datetime.max.replace(tzinfo=UTC, microsecond=0) if reach > timedelta(0) else _FIRST
    while abs(outside - inside) > _SECOND:
        middle = inside + timedelta(seconds=(outside - inside) // _SECOND // 2 or (1 if reach > timedelta(0) else -1))
        if _labels(middle, zone).of(window) == label:
            inside = middle
        else:
            outside = middle
    return outside


_FIRST = datetime.min.replace(tzinfo=UTC)
