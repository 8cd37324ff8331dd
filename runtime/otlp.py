"""Spans as OTLP protobuf, written byte by byte: the hot path's encoder.

Field numbers are those of opentelemetry-proto's `trace/v1/trace.proto` and `common/v1/common.proto`, the wire form is
that of protobuf.dev/programming-guides/encoding. protobuf's own Python messages cost five times as much for each span,
and most attributes of a lane's spans are the same from job to job: those are encoded once.
`tests/pure/test_telemetry.py` reads what is written here with OpenTelemetry's own classes.
"""

import functools
import struct
from collections.abc import Iterable, Mapping

AttributeValue = str | int | float | bool | tuple[str, ...]

_LENGTH_DELIMITED = 2
_TIMES = struct.Struct("<BQBQ")
_DOUBLE = struct.Struct("<d")
_START, _END = 7 << 3 | 1, 8 << 3 | 1  # Span.start_time_unix_nano, end_time_unix_nano: fixed64
_KIND = bytes([6 << 3])  # Span.kind: varint
_DROPPED = bytes([10 << 3])  # Span.dropped_attributes_count: varint
_STATUS_CODE_ERROR = bytes([3 << 3, 2])
_INT64 = 2**63


def _varint(number: int) -> bytes:
    if number < 0x4000:  # as nearly all: one byte or two
        return bytes((number & 0x7F | 0x80, number >> 7)) if number >= 0x80 else bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_INT = bytes([3 << 3])  # AnyValue.int_value: varint
_SHORT = 124
"""Bytes of a key and a value whose `KeyValue` is shorter than 128."""
_VARINTS = tuple(_varint(number) for number in range(4_096))


def _tag(number: int) -> bytes:
    return bytes([number << 3 | _LENGTH_DELIMITED])


_TRACE_ID, _SPAN_ID, _PARENT_ID = bytes([1 << 3 | 2, 16]), bytes([2 << 3 | 2, 8]), bytes([4 << 3 | 2, 8])
_1, _2, _3, _5, _9, _15 = (_tag(number) for number in (1, 2, 3, 5, 9, 15))
_LINK = bytes([13 << 3 | _LENGTH_DELIMITED, 28])
"""Before a link of a trace id (18 bytes with tag and length) and a span id (10)."""


def field(tag: bytes, payload: bytes) -> bytes:
    """One length-delimited field: text, bytes or an embedded message."""
    size = len(payload)
    return b"".join((tag, _VARINTS[size] if size < len(_VARINTS) else _varint(size), payload))


def _text(tag: bytes, text: str) -> bytes:
    return field(tag, text.encode(errors="replace")) if text else b""


def _value(value: AttributeValue) -> bytes:
    """An `AnyValue`. What is no int64 is told as text."""
    if isinstance(value, bool):
        return bytes([2 << 3, value])
    if isinstance(value, str):
        return field(_1, value.encode(errors="replace"))
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return _INT + _varint(value % 2**64)
    if isinstance(value, float):
        return bytes([4 << 3 | 1]) + _DOUBLE.pack(value)
    if isinstance(value, tuple):
        return field(_5, b"".join(field(_1, _value(item)) for item in value))
    return field(_1, str(value).encode())


@functools.cache  # keys are our own names
def _key(name: str) -> bytes:
    return field(_1, name.encode())


def _made(key: str, value: AttributeValue) -> bytes:
    """`Span.attributes`: one `KeyValue`."""
    if value.__class__ is str:  # as nearly all of one job: in one go where every length is one byte
        text, name = value.encode(errors="replace"), _key(key)
        size = len(text)
        if size + len(name) < _SHORT:
            lengths = _VARINTS
            return b"".join((_9, lengths[size + len(name) + 4], name, _2, lengths[size + 2], _1, lengths[size], text))
    elif value.__class__ is int and 0 <= value < _INT64:
        number, name = _varint(value), _key(key)
        size = len(number) + 1
        if size + len(name) < _SHORT:
            lengths = _VARINTS
            return b"".join((_9, lengths[size + len(name) + 2], name, _2, lengths[size], _INT, number))
    return field(_9, b"".join((_key(key), field(_2, _value(value)))))


_attribute = functools.lru_cache(maxsize=4_096, typed=True)(_made)  # typed: True is 1 to a dict
_trace_id = functools.lru_cache(maxsize=16)(
    lambda text: b"".join((_TRACE_ID, bytes.fromhex(text)))
)  # of one job's spans


def span(
    trace_id: str, span_id: str, parent_id: str | None, state: str, name: str, kind: int, start_ns: int, end_ns: int,
    attributes: Mapping[str, AttributeValue | None], links: Iterable[tuple[str, str]], error: str | None,
    unique: frozenset[str] = frozenset(), dropped: int = 0,
) -> bytes:  # fmt: skip
    """One span as `ScopeSpans.spans`. Ids are hex, times nanoseconds since 1970; None attributes are left out.

    Attributes named in `unique` differ from span to span: they are not kept. `dropped`: attributes that a limit took.
    """
    parts = [_trace_id(trace_id), _SPAN_ID, bytes.fromhex(span_id)]
    if state:
        parts.append(_text(_3, state))
    if parent_id:
        parts += (_PARENT_ID, bytes.fromhex(parent_id))
    try:
        times = _TIMES.pack(_START, start_ns, _END, end_ns)
    except struct.error:
        times = _TIMES.pack(_START, _within(start_ns), _END, _within(end_ns))
    parts += (_name(name), _KIND, _VARINTS[kind], times)
    for key, value in attributes.items():
        if value is not None:
            parts.append(_made(key, value) if key in unique else _attribute(key, value))
    if dropped:
        parts += (_DROPPED, _varint(dropped))
    for trace, cause in links:
        parts += (_LINK, _trace_id(trace), _SPAN_ID, bytes.fromhex(cause))
    if error:
        parts.append(field(_15, _text(_2, error) + _STATUS_CODE_ERROR))
    return field(_2, b"".join(parts))


def _within(instant_ns: int) -> int:
    """The nearest instant that a fixed64 can tell, 1970 to 2554: a record from elsewhere may bear any year, and no job
    is to fail for it."""
    return min(max(instant_ns, 0), 2**64 - 1)


@functools.lru_cache(maxsize=1_024)
def _name(text: str) -> bytes:
    return _text(_5, text)


def request(resource: bytes, scope: bytes, spans: Iterable[bytes], schema_url: str = "") -> bytes:
    """`ExportTraceServiceRequest` of one `Resource` and one `InstrumentationScope` (both encoded) with its `span`s,
    whose attributes are named as `schema_url` has them."""
    scope_spans = b"".join((field(_1, scope), *spans, _text(_3, schema_url)))
    return field(_1, field(_1, resource) + field(_2, scope_spans))
