"""Numbers of the Model Hub's pages in words. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from console import words
from hub.catalog.ages import Age
from schemas.catalog import CatalogEntry, Said
from schemas.discovery import Interval

UNKNOWN = "unknown"
_STEPS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
REMOVED = {
    "tasks": "task", "modalities": "modality", "libraries": "library", "languages": "language", "licenses": "licence",
    "authors": "author", "tags": "tags", "providers": "provider", "regions": "region", "served": "being served",
    "max_nanousd_per_mtok": "price", "max_latency_ms": "latency", "max_bytes": "size", "max_parameters": "parameters",
    "min_parameters": "parameters", "recent_days": "age", "approved": "approval",
    "one_offer": "no single offer meeting all", "trending": "not trending", "popular": "not being popular",
}  # fmt: skip
"""Criteria in the words of "left out by"."""


def short(number: float | None) -> str:
    """`2.1M`; `unknown` for None."""
    if number is None:
        return UNKNOWN
    for step, name in _STEPS:
        if number >= step * 0.9995:
            return f"{_three(number / step)}{name}"
    return f"{number:,.0f}"


def size(number: int | None) -> str:
    """Bytes in decimal units: `438 MB`."""
    if number is None:
        return UNKNOWN
    for step, name in _SIZES:
        if number >= step * 0.9995:
            return f"{_three(number / step)} {name}"
    return f"{number} B"


def _three(number: float) -> str:
    return f"{number:.0f}" if number >= 99.95 else f"{number:.1f}".removesuffix(".0")


def percent(share: float | None) -> str:
    """A share as `94.1%`."""
    return UNKNOWN if share is None else f"{share * 100:.1f}%"


def signed(share: float | None) -> str:
    """A deviation as `+3.1%`."""
    return UNKNOWN if share is None else f"{share * 100:+.1f}%"


def instant(at: datetime | None) -> str:
    """An instant of UTC; `unknown` for None."""
    return UNKNOWN if at is None else at.strftime("%Y-%m-%d %H:%M UTC")


def day(at: datetime | None) -> str:
    """Its day."""
    return UNKNOWN if at is None else at.strftime("%Y-%m-%d")


def dollars(nanousd: float | None) -> str:
    """Nano-dollars; `unknown` for None."""
    return UNKNOWN if nanousd is None else words.money(round(nanousd))


def took(milliseconds: float | None) -> str:
    """Milliseconds; `unknown` for None."""
    return UNKNOWN if milliseconds is None else words.span(milliseconds)


def interval(told: Interval | None) -> str:
    """`812 ms (640 ms to 1.2 s, predicted)`; `unknown` for None."""
    if told is None:
        return UNKNOWN
    say = took if told.unit == "ms" else dollars
    return f"{say(told.value)} ({say(told.low)} to {say(told.high)}, {basis(told)})"


def around(told: Interval) -> str:
    """`about 812 ms` of a prediction, `812 ms (n=40)` of what was observed: the rest is for its tip."""
    say = (took if told.unit == "ms" else dollars)(told.value)
    return f"{say} (n={told.n:,})" if told.source == "observed" and told.n else f"about {say}"


def basis(told: Interval) -> str:
    """What it stands on."""
    count = f", n={told.n:,}" if told.n else ""
    window = f", {window_of(told.window_s)}" if told.window_s else ""
    return told.source + count + window


def window_of(seconds: float) -> str:
    """A window in its largest whole unit."""
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"over {seconds / unit:.0f} {name}"
    return f"over {seconds:.0f} seconds"


def removed(told: Mapping[str, Any]) -> list[str]:
    """`1,204 left out by licence`, the largest first; what is no count is left out."""
    counts = {name: value for name, value in told.items() if isinstance(value, int) and value > 0}
    for name, value in told.items():
        inner = value.get("count", value.get("removed")) if isinstance(value, Mapping) else None
        if isinstance(inner, int) and inner > 0:
            counts[name] = inner
    largest = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [f"{count:,} left out by {REMOVED.get(name, name.replace('_', ' '))}" for name, count in largest]


def condition(name: str) -> str:
    """A condition's name as people say it: `size, at most`, `licences`, `languages ruled out`."""
    for ending, told in (("_nanousd_per_mtok", " price of 1M tokens"), ("_nanousd_per_request", " price of a request"),
                         ("_nanousd_per_month", " price of a month"), ("_bytes", " size"), ("_ms", "")):  # fmt: skip
        if name.endswith(ending):
            name = name.removesuffix(ending) + told
            break
    told = name.replace("_", " ").replace("license", "licence")
    for beginning, ending in (("max ", ", at most"), ("min ", ", at least"), ("denied ", " ruled out")):
        if told.startswith(beginning):
            return told.removeprefix(beginning) + ending
    return told


def value(name: str, text: str) -> str:
    """A condition's value with its unit; as it is where it is no number."""
    if text in ("True", "False"):
        return "yes" if text == "True" else "no"
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        return text
    number = int(text)
    if "nanousd" in name:
        return dollars(number)
    if name.endswith("_bytes"):
        return size(number)
    return took(number) if name.endswith("_ms") else short(number) if number >= 10_000 else text


def said_by(entry: CatalogEntry) -> dict[str, Said]:
    """Who said each field, the first that is listed counts."""
    found: dict[str, Said] = {}
    for said in entry.said:
        for name in said.fields:
            found.setdefault(name, said)
    return found


def _first_said(entry: CatalogEntry, names: Sequence[str]) -> Said | None:
    found = said_by(entry)
    return next((found[name] for name in names if name in found), None)


def as_of(entry: CatalogEntry, ages: Sequence[Age], *names: str) -> str:
    """`2026-11-23 14:02 UTC, by hub`: when who says the first of these fields was last counted, or read; empty: nobody
    says it, or nobody has told when."""
    told = _first_said(entry, names)
    age = next((one for one in ages if told is not None and one.said.source == told.source), None)
    moment = None if age is None else age.counted or age.as_of
    return f"{instant(moment)}, by {age.said.source}" if age is not None and moment is not None else ""


def source_of(entry: CatalogEntry, *names: str) -> str:
    """`hub, since 2026-11-20 14:02 UTC`, of the first of these fields that somebody said; empty: nobody has."""
    told = _first_said(entry, names)
    return f"says {told.source}, since {instant(told.since)}" if told is not None else ""
