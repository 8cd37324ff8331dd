"""What an address asks of the Model Hub: its parameters as criteria, and criteria as an address. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, get_args
from urllib.parse import urlencode

from pydantic import ValidationError

from schemas.discovery import MAX_QUERY_CHARS, Criteria, Order
from schemas.job import describe

PER_PAGE = 20
RECENT_DAYS = 30
MOST_COMPARED = 5
LONGEST_MODEL = 256
LISTS = {
    "task": "tasks", "modality": "modalities", "library": "libraries", "language": "languages", "license": "licenses",
    "author": "authors", "tag": "tags", "provider": "providers", "region": "regions",
}  # fmt: skip
"""Parameters that may be given several times, and the criterion that each fills."""
SWITCHES = ("trending", "popular", "approved", "unknown_size")
LIVE = "live"
"""Others than the index are asked as well."""
ORDERS = get_args(Order)
CATEGORIES = {"text": "NLP", "image": "Vision", "audio": "Audio", "multimodal": "Multimodal"}
"""The brief's categories, by our modality."""
_NUMBER = re.compile(r"\$?\s*(\d{1,15}(?:[.,]\d{1,9})?)\s*([a-zA-Z]{0,3})")
_PARAMETERS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "k": 10**3, "m": 10**6, "g": 10**9,
          "t": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}  # fmt: skip
_MILLISECONDS = {"": 1, "ms": 1, "s": 1_000, "m": 60_000}
_DOLLARS = {"": 10**9, "usd": 10**9}
MEASURES: dict[str, tuple[str, Mapping[str, int], str]] = {
    "min_params": ("min_parameters", _PARAMETERS, "110M, 7B"),
    "max_params": ("max_parameters", _PARAMETERS, "110M, 7B"),
    "max_size": ("max_bytes", _BYTES, "500MB, 1GB"),
    "max_price": ("max_nanousd_per_mtok", _DOLLARS, "0.50, for dollars a million tokens"),
    "max_latency": ("max_latency_ms", _MILLISECONDS, "800ms, 2s"),
}
"""Parameters with a unit: the criterion, what a unit counts, examples."""


class Params(Protocol):
    """Query parameters, several of one name."""

    def getlist(self, key: Any) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as the address has it. Where it cannot be read, `error` says why, and the criteria are without it."""

    criteria: Criteria
    told: Mapping[str, tuple[str, ...]]
    """Every parameter that counts, as it was given."""
    error: str = ""
    page: int = 1
    model: str = ""
    """The model that is looked at beside the list."""
    marked: tuple[str, ...] = field(default=())
    """Models of the compare tray."""

    def first(self, name: str) -> str:
        """A parameter's first value; empty: it was not given."""
        return self.told.get(name, ("",))[0]

    def has(self, name: str, value: str) -> bool:
        """Whether the search has that value."""
        return value.casefold() in (one.casefold() for one in self.told.get(name, ()))

    def address(self, path: str = "/hub", **changed: object) -> str:
        """The same search at `path`, with some parameters changed; None or empty: without it. From its first page,
        unless `page` is told."""
        told = dict(self.told)
        for name, value in changed.items():
            values = value if isinstance(value, tuple | list) else (value,)
            told[name] = tuple(str(one) for one in values if one not in (None, "", False))
        pairs = [(name, value) for name, values in told.items() for value in values if value]
        return path + (f"?{urlencode(pairs)}" if pairs else "")

    def toggled(self, name: str, value: str) -> str:
        """The address with a value of a list added, or taken away where the search has it."""
        rest = tuple(one for one in self.told.get(name, ()) if one.casefold() != value.casefold())
        changed: dict[str, Any] = {name: rest if self.has(name, value) else (*rest, value)}
        return self.address(**changed)


def asked(params: Params) -> Asked:
    """Read a query string. Total: what cannot be read is told, and left out."""
    told: dict[str, tuple[str, ...]] = {}
    wanted: dict[str, Any] = {}
    wrong: list[str] = []
    _read_text(params, told, wanted, wrong)
    _read_lists(params, told, wanted, wrong)
    _read_switches(params, told, wanted)
    _read_numbers(params, told, wanted, wrong)
    if (order := _one(params, "order")) and order != "relevance":
        if order in ORDERS:
            told["order"], wanted["order"] = (order,), order
        else:
            wrong.append(f"order={order[:40]}: there are {', '.join(ORDERS)}")
    if tenant := _one(params, "tenant")[:128]:
        told["tenant"], wanted["tenant"] = (tenant,), tenant
    page = _whole(_one(params, "page"), 1, 500)
    model, marked = _one(params, "model")[:LONGEST_MODEL], models_of(params)
    if model:
        told["model"] = (model,)
    if marked:
        told["m"] = marked
    try:
        criteria = Criteria(**wanted, limit=PER_PAGE, offset=(page - 1) * PER_PAGE)
    except ValidationError as error:
        wrong.append(describe(error))
        safe = {name: value for name, value in wanted.items() if name not in {one["loc"][0] for one in error.errors()}}
        told = {
            name: value
            for name, value in told.items()
            if LISTS.get(name, criterion_of(name)) in (*safe, "model", "m", LIVE)
        }
        criteria = Criteria(**safe, limit=PER_PAGE, offset=(page - 1) * PER_PAGE)
    return Asked(criteria, told, "; ".join(wrong), page, model, marked)


def models_of(params: Params) -> tuple[str, ...]:
    """The models of `m=`, each once."""
    given = [one.strip()[:LONGEST_MODEL] for value in params.getlist("m")[:64] for one in value.split(",")]
    return tuple(dict.fromkeys(one for one in given if one))[: MOST_COMPARED + 1]


WORDS = {
    "q": "words", "license": "licence", "max_size": "size at most", "min_params": "parameters at least",
    "max_params": "parameters at most", "max_price": "$ per 1M tokens at most", "max_latency": "latency at most",
    "served": "served now", "gated": "gated",
    "tenant": "for tenant", "unknown_size": "unknown size too",
}  # fmt: skip
"""Conditions as people say them, where the parameter's name does not."""
SHOWN_TOO = ("tenant", "unknown_size")
"""They keep nobody out, but change who is found."""
NO_CONDITIONS = ("order", "tenant", "model", "m", LIVE, "unknown_size")


def condition_names(asked: Asked) -> list[tuple[str, str]]:
    """The parameters that keep models out, each with its words and values."""
    return [(name, label(name, ", ".join(values))) for name, values in asked.told.items() if name not in NO_CONDITIONS]


def label(name: str, value: str) -> str:
    """A condition in words: `licence mit`, `trending`, `not gated`."""
    said = WORDS.get(name, name)
    if name in (*SWITCHES, "served", "gated"):
        return said if value in ("1", "on", "true") else f"not {said}"
    return f"changed within {value} days" if name == "recent" else f"{said} {value}"


def chips(asked: Asked) -> list[tuple[str, str]]:
    """Each value that a search filters by: its words, and the address without it. Text and category show theirs
    themselves."""
    told = []
    for name, values in asked.told.items():
        if name in (*NO_CONDITIONS, "q", "modality") and name not in SHOWN_TOO:
            continue
        for value in values:
            rest = tuple(one for one in values if one != value)
            changed: dict[str, Any] = {name: rest}
            told.append((label(name, value), asked.address(**changed)))
    return told


def criterion_of(name: str) -> str:
    """The criterion that a parameter fills."""
    if name in LISTS:
        return LISTS[name]
    if name in MEASURES:
        return MEASURES[name][0]
    return {"q": "text", "recent": "recent_days"}.get(name, name)


def _read_text(params: Params, told: dict[str, tuple[str, ...]], wanted: dict[str, Any], wrong: list[str]) -> None:
    text = _one(params, "q")
    if len(text) > MAX_QUERY_CHARS:
        wrong.append(f"q has {len(text)} characters; it may have {MAX_QUERY_CHARS}")
        text = text[:MAX_QUERY_CHARS].strip()
    if text:
        told["q"], wanted["text"] = (text,), text


def _read_switches(params: Params, told: dict[str, tuple[str, ...]], wanted: dict[str, Any]) -> None:
    for name in SWITCHES:
        if _one(params, name) in ("1", "on", "true"):
            told[name], wanted[name] = ("1",), True
    if _one(params, LIVE) == "1":
        told[LIVE] = ("1",)
    for name in ("served", "gated"):
        if (given := _one(params, name)) in ("1", "on", "true", "0", "no", "false"):
            told[name], wanted[name] = (given,), given in ("1", "on", "true")


def _read_lists(params: Params, told: dict[str, tuple[str, ...]], wanted: dict[str, Any], wrong: list[str]) -> None:
    for name, criterion in LISTS.items():
        values = [part.strip() for value in params.getlist(name)[:64] for part in value[:4_096].split(",")]
        values = list(dict.fromkeys(value for value in values if value))
        if long := [value for value in values if len(value) > 128]:
            wrong.append(f"{name} has {len(long[0])} characters; it may have 128")
        if len(values) > 32:
            wrong.append(f"{name} has {len(values)} values; it may have 32")
        values = [value for value in values if len(value) <= 128][:32]
        if values:
            told[name] = wanted[criterion] = tuple(values)


def _read_numbers(params: Params, told: dict[str, tuple[str, ...]], wanted: dict[str, Any], wrong: list[str]) -> None:
    for name, (criterion, units, examples) in MEASURES.items():
        if not (given := _one(params, name)[:40]):
            continue
        value = measure(given, units)
        if value is None:
            wrong.append(f"{name}={given}: write {examples}")
        else:
            told[name], wanted[criterion] = (given,), value
    if given := _one(params, "recent")[:10]:
        days = RECENT_DAYS if given == "on" else _whole(given, 0, 3_650)
        if days:
            told["recent"], wanted["recent_days"] = (str(days),), days
        else:
            wrong.append(f"recent={given}: write a number of days, from 1 to 3,650")


def measure(text: str, units: Mapping[str, int]) -> int | None:
    """A number with its unit in whole ones; None: it is none."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[2].lower() not in units:
        return None
    value = int(Decimal(found[1].replace(",", ".")) * units[found[2].lower()])
    return value if value < 2**63 else None


def _one(params: Params, name: str) -> str:
    given = params.getlist(name)
    return given[-1].strip() if given else ""


def _whole(text: str, default: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        return default
    return min(most, max(1, int(text)))
