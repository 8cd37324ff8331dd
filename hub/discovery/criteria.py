"""Criteria out of texts: of an address, a form, a command line. One reading for all three. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from schemas.discovery import MAX_QUERY_CHARS, Criteria

MAX_PAIRS = 200
LISTS = ("tasks", "modalities", "libraries", "languages", "licenses", "authors", "tags", "providers", "regions")
SWITCHES = ("unknown_size", "served", "trending", "popular", "approved", "gated", "facets")
NUMBERS = (
    "min_parameters", "max_parameters", "max_bytes", "max_nanousd_per_mtok", "max_latency_ms", "recent_days", "limit",
    "offset",
)  # fmt: skip
ALSO: Mapping[str, str] = {
    "q": "text", "query": "text", "search": "text", "task": "tasks", "modality": "modalities", "library": "libraries",
    "language": "languages", "license": "licenses", "licence": "licenses", "author": "authors", "tag": "tags",
    "provider": "providers", "region": "regions", "sort": "order",
}  # fmt: skip
"""Other names that are understood."""
_YES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_AMOUNT = re.compile(r"(\d{1,19})(?:\.(\d{1,6}))?\s*([a-z]{0,3})", re.ASCII)
_SCALES: Mapping[str, int] = {
    "": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


class BadCriteria(ValueError):
    """A search that cannot be: the message names the field, what it was, and what is allowed."""


def criteria_of(pairs: Iterable[tuple[str, str]]) -> Criteria:
    """From names and values as an address has them; of a list each word is a pair of its own. Raises `BadCriteria`."""
    told: dict[str, Any] = {}
    for count, (name, value) in enumerate(pairs, 1):
        if count > MAX_PAIRS:
            raise BadCriteria(f"more than {MAX_PAIRS} criteria")
        field = ALSO.get(name, name)
        if field not in Criteria.model_fields:
            raise BadCriteria(f"{_cut(name)} is no criterion; there are: {', '.join(Criteria.model_fields)}")
        if field in LISTS:
            told[field] = (*told.get(field, ()), *(() if value == "" else (value,)))
        elif field in told:
            raise BadCriteria(f"{field} is given twice; it takes one value")
        elif field == "text":
            told[field] = value
        elif value != "":  # an empty field of a form asks for nothing
            told[field] = _value(field, value)
    return checked(told)


def checked(told: Mapping[str, Any]) -> Criteria:
    """Criteria of fields that have their types already. Raises `BadCriteria`."""
    text = told.get("text", "")
    if isinstance(text, str) and len(text) > MAX_QUERY_CHARS:
        raise BadCriteria(f"text has {len(text):,} characters; a search may have {MAX_QUERY_CHARS:,}")
    try:
        return Criteria.model_validate(told)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "criteria"
        raise BadCriteria(f"{_cut(where)}: {_told(where, told, fault['msg'])}") from None


def _told(where: str, told: Mapping[str, Any], reason: str) -> str:
    value = told.get(where.split(".", maxsplit=1)[0])
    if isinstance(value, str | int | float):
        return f"{_cut(str(value))}: {reason[:200]}"
    return f"{reason[:200]}; {len(value)} given" if isinstance(value, tuple | list) else reason[:200]


def amount(value: str) -> int:
    """A number as people write it: `7B`, `1.5gb`, `500_000`. Raises ValueError."""
    found = _AMOUNT.fullmatch(value.strip().lower().replace("_", "").replace(",", ""))
    if found is None or found[3] not in _SCALES:
        raise ValueError
    whole, parts, scale = found[1], found[2] or "", _SCALES[found[3]]
    return int(whole + parts) * scale // int(10 ** len(parts))


def _value(field: str, value: str) -> Any:
    if field in SWITCHES:
        if value.lower() not in _YES:
            raise BadCriteria(f"{field}: {_cut(value)}; it is true or false")
        return _YES[value.lower()]
    if field in NUMBERS:
        try:
            return amount(value)
        except ValueError:
            raise BadCriteria(f"{field}: {_cut(value)}; it is a whole number, as 500000, 7B or 1.5GB") from None
    if field == "order" and value not in (orders := get_args(Criteria.model_fields["order"].annotation)):
        raise BadCriteria(f"order: {_cut(value)}; it is one of {', '.join(orders)}")
    return value


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}… ({len(text):,} characters)")
