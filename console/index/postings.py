"""The search for `name=value` on any attribute: one number for each pair. Pure.

The index keeps neither names nor values, only 64 bits of a digest of both: among a million different pairs two share a
number in one file of thirty million, and then a search for either finds jobs too many.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from console.index.spans import Span
from schemas import codec

ERROR, NAME, SERVICE, KIND = "error", "name", "service", "kind"
"""What a span says besides its attributes; each can be searched as one."""
TAG = "tag."
"""Before the name of a producer's label."""
LINK = "link"
"""The trace that a span of another trace links to, by its id: so whatever is linked to can tell by whom."""


@functools.lru_cache(maxsize=32_768)
def number_of(name: str, value: str) -> int:
    """The number of an attribute with a value: a signed 64-bit integer, the same everywhere and for ever."""
    told = f"{name}\0{value}".encode(errors="replace")
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big", signed=True)


def text_of(value: Any) -> str:
    """An attribute's value as people type it: `true`, `12`, `0.5`, plain text; what is nested as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return codec.encode(value).decode() if isinstance(value, (dict, list)) else str(value)


def of_spans(spans: Iterable[Span]) -> set[int]:
    """The numbers of all that these spans say. A list counts with each of its items as well."""
    numbers = set()
    resources: dict[int, Mapping[str, Any]] = {}
    for span in spans:
        numbers |= {number_of(name, value) for name, value in _pairs(span.attributes)}
        numbers |= {number_of(NAME, span.name), number_of(SERVICE, span.service), number_of(KIND, span.kind)}
        if span.error:
            numbers.add(number_of(ERROR, "true"))
        numbers |= {number_of(LINK, link["trace_id"]) for link in span.links if link["trace_id"] != span.trace_id}
        for event in span.events:
            numbers |= {number_of(name, value) for name, value in _pairs(event["attributes"])}
        resources[id(span.resource)] = span.resource
    for resource in resources.values():
        numbers |= {number_of(name, value) for name, value in _pairs(resource)}
    return numbers


def _pairs(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in attributes.items():
        yield name, text_of(value)
        if isinstance(value, list):
            for item in value:
                yield name, text_of(item)
