"""Dead letters: the original record, set aside with its failure kind and origin."""

from runtime.ports import LaneId, Outgoing, Record
from schemas import headers
from schemas.failure import FailureKind
from schemas.topics import DLQ

KEPT_HEADERS_BYTES = 65_536
"""Of the original headers; more would make a dead letter that no topic takes."""


def dead_letter(
    record: Record, lane: LaneId, kind: FailureKind, message: str, *, has_result: bool, error_type: str = "",
    deliveries: int = 1,
) -> Outgoing:  # fmt: skip
    """The dead letter of `record`: key, value and headers untouched, with `__dlq.errors.*` after KIP-1191 beside them.

    Headers beyond 64 KiB are left out from the first that does not fit on. The message names sizes and limits, never content.
    """
    kept: list[tuple[str, bytes]] = []
    size = 0
    for name, value in record.headers:
        size += len(name) + len(value or b"")
        if size > KEPT_HEADERS_BYTES:
            break
        kept.append((name, value))
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
    return Outgoing(DLQ.name, record.key, record.value, (*kept, *ours))
