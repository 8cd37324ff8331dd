"""Dead letters: the original record, set aside with its failure kind and origin."""

from runtime.ports import LaneId, Outgoing, Record
from schemas import headers
from schemas.failure import FailureKind
from schemas.headers import Headers
from schemas.topics import DLQ

KEPT_HEADERS_BYTES = 65_536
"""Of the original headers; more would make a dead letter that no topic takes."""
KEPT_KEY_BYTES = 65_536
LETTER_BYTES = DLQ.limit_bytes - 2_048
"""Of a whole dead letter. A record that came compressed may be far larger than its topic's limit."""
SHORT_LETTER_BYTES = 524_288
"""Of the dead letter of a record that led to one which its topic refused: that may have been the dead letter itself."""
_FRAME_BYTES = 12
"""Around a header in a record, at most."""
_OURS = (headers.HAS_RESULT, headers.KEPT)


def dead_letter(
    record: Record, lane: LaneId, kind: FailureKind, message: str, *, has_result: bool, error_type: str = "",
    deliveries: int = 1,
) -> Outgoing:  # fmt: skip
    """The dead letter of `record`: key, value and headers untouched, with `__dlq.errors.*` after KIP-1191 beside them.

    What no topic would take is left out: headers beyond 64 KiB from the first that does not fit on, a key beyond
    64 KiB, and the end of a value that makes the whole larger than `LETTER_BYTES`, of which the header `novix.kept`
    tells. So are headers that the record brought under the names of ours: nobody else says why it is here. The message
    names sizes and limits, never content.
    """
    kept = _kept(record.headers)
    told = {
        headers.DLQ_TOPIC: record.topic,
        headers.DLQ_PARTITION: str(record.partition),
        headers.DLQ_OFFSET: str(record.offset),
        headers.DLQ_GROUP: lane.group,
        headers.DLQ_DELIVERIES: str(deliveries),
        headers.DLQ_MESSAGE: f"{kind}: {message}"[:1000],
        headers.DLQ_EXCEPTION: error_type,
        headers.HAS_RESULT: "true" if has_result else "",
    }
    ours = tuple((name, text.encode(errors="replace")) for name, text in told.items() if text)
    key = record.key if len(record.key or b"") <= KEPT_KEY_BYTES else None
    limit = SHORT_LETTER_BYTES if kind is FailureKind.OUTPUT_TOO_LARGE else LETTER_BYTES
    room = limit - len(key or b"") - _bytes_of(kept) - _bytes_of(ours)
    value = record.value
    if value is not None and len(value) > room:
        ours = (*ours, (headers.KEPT, f"{room} of {len(value)} bytes".encode()))
        value = value[:room]
    return Outgoing(DLQ.name, key, value, (*kept, *ours))


def _kept(original: Headers) -> Headers:
    kept: list[tuple[str, bytes]] = []
    size = 0
    for name, value in original:
        if name.startswith(headers.DLQ_PREFIX) or name in _OURS:
            continue
        size += _bytes_of([(name, value)])
        if size > KEPT_HEADERS_BYTES:
            break
        kept.append((name, value))
    return tuple(kept)


def _bytes_of(some: Headers | list[tuple[str, bytes]]) -> int:
    return headers.size_of(some) + _FRAME_BYTES * len(some)
