"""The answer of a broker that refuses a request: every partition, or the request itself, with one error code.

The layouts are aiokafka's own tables of the Kafka protocol; what they do not name is a number, a text or a list.
"""

import struct
from io import BytesIO
from typing import Any

from aiokafka.protocol import coordination, fetch, group, produce, transaction
from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.types import Array, Bytes, Schema, String


def _is_request(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, RequestStruct) and kind is not RequestStruct


KINDS: dict[tuple[int, int], type[RequestStruct]] = {
    (kind.API_KEY, kind.API_VERSION): kind
    for module in (coordination, fetch, group, produce, transaction)
    for kind in vars(module).values()
    if _is_request(kind)
}
"""Requests that can be refused, by api key and version."""
NAMED = {"throttle_time_ms": 0}


def refusal(frame: bytes, code: int) -> bytes:
    """The answer to a request (both without their size) whose every `error_code` is `code`.

    Raises `KeyError` for a kind of request that is not in `KINDS`.
    """
    key, version, correlation, named = struct.unpack_from(">hhih", frame)
    kind = KINDS[key, version]
    asked = kind.decode(BytesIO(frame[10 + max(0, named) :])).__dict__
    told = kind.RESPONSE_TYPE.SCHEMA
    values = [_filled(name, field, asked.get("topics", ()), code) for name, field in zip(*_fields(told), strict=True)]
    answer: bytes = told.encode(values)
    return struct.pack(">i", correlation) + answer


def _fields(schema: Schema) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    return schema.names, schema.fields


def _filled(name: str, field: Any, topics: Any, code: int) -> Any:
    """The value of one field. `topics` are the request's: name, and partitions that are or begin with a number."""
    if name == "error_code":
        return code
    if isinstance(field, String | Bytes) or field is Bytes:
        return "" if isinstance(field, String) else b""
    if isinstance(field, Array):
        return [_entry(field.array_of, topic, code) for topic in topics] if name in ("topics", "errors") else []
    return NAMED.get(name, -1)


def _entry(schema: Schema, topic: tuple[str, list[Any]], code: int) -> tuple[Any, ...]:
    name, asked = topic
    partitions = schema.fields[1].array_of
    return name, [_partition(partitions, one, code) for one in asked]


def _partition(schema: Schema, asked: Any, code: int) -> tuple[Any, ...]:
    number = asked[0] if isinstance(asked, tuple | list) else asked
    rest = list(zip(*_fields(schema), strict=True))[1:]
    return number, *(_filled(name, field, (), code) for name, field in rest)
