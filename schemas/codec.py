"""JSON in and out of records, with the limits that keep a hostile record from costing more than its refusal."""

from collections.abc import Callable
from typing import Any

import orjson

MAX_DEPTH = 64
"""Levels of nesting that a message may have; the codec itself gives up at 254 when it writes."""
MAX_CONTAINERS = 100_000
"""Lists and objects that a message may have. Nothing else runs while they are made: 100,000 take 30 ms, 600,000 (2 MB
of `[],`) take 170 ms and 40 MB. Told by their opening brackets, those within texts too: to tell these apart takes
longer than to make the lists."""
UNCOUNTED_BYTES = 262_144
"""Of a message that cannot hold many more; as many as a job may have."""

Json = Any
_CONTAINERS = (dict, list)
Fragment = orjson.Fragment
"""Bytes that are JSON already: written as they are."""


class Undecodable(ValueError):
    """Bytes that are no JSON within our limits. The message names the reason and never the content."""


def encode(value: Json, other: Callable[[Any], Json] | None = None) -> bytes:
    """Write `value` as compact JSON. Datetimes become ISO 8601; those in UTC, as all of ours are, end in `Z`.

    `other` says what is written for values of kinds that JSON has not.
    """
    return orjson.dumps(value, other, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def canonical(value: Json) -> bytes:
    """Write `value` with sorted keys: equal values give equal bytes, fit for a digest."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS)


def decode(data: bytes | bytearray) -> Json:
    """Read JSON.

    Raises `Undecodable` for bytes that are no JSON (NaN and lone surrogates are none) and for nesting deeper than
    `MAX_DEPTH`.
    """
    value = parse(data)
    depth = excess_depth(data, value)
    if depth:
        raise Undecodable(f"nested {depth} levels deep; {MAX_DEPTH} are allowed")
    return value


def parse(data: bytes | bytearray) -> Json:
    """Read JSON of any depth that the parser itself takes (1,024): for who can say more of it than that it is too deep.

    Raises `Undecodable`, and MemoryError where there was no room to read it: that says nothing of the bytes.
    """
    if len(data) > UNCOUNTED_BYTES and (containers := _brackets(data)) > MAX_CONTAINERS:
        raise Undecodable(f"up to {containers} lists and objects; {MAX_CONTAINERS} are allowed")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("Not enough memory"):
            raise MemoryError(f"no room to read {len(data)} bytes of JSON") from None
        raise Undecodable(f"not JSON at byte {error.pos} of {len(data)}: {error.msg.split(':')[0]}") from None


def _brackets(data: bytes | bytearray) -> int:
    return data.count(b"[") + data.count(b"{")


def excess_depth(data: bytes | bytearray, value: Json) -> int:
    """How deep `value`, read from `data`, is nested if that is more than `MAX_DEPTH`; else 0."""
    if _brackets(data) <= MAX_DEPTH:  # cheap and never too low: most records end here
        return 0
    depth = depth_of(value)
    return depth if depth > MAX_DEPTH else 0


def depth_of(value: Json) -> int:
    """Levels of nesting: 0 for a scalar, 1 for `[]`. Iterative, so that depth costs no stack."""
    level, here = 0, [value] if isinstance(value, _CONTAINERS) else []
    while here:
        level += 1
        below: list[Json] = []
        for item in here:
            for child in item.values() if isinstance(item, dict) else item:
                if isinstance(child, _CONTAINERS):
                    below.append(child)
        here = below
    return level
