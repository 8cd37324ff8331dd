"""The names of record headers. Ours start with `novix-` or `__dlq.errors.`; values are UTF-8 text."""

from collections.abc import Iterable

Headers = tuple[tuple[str, bytes], ...]

SCHEMA = "novix-schema"
"""The contract's version; the job's field `schema` may stand instead."""
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
ORIGIN = "novix-origin"
"""`partition/offset/timestamp_ms` of the jobs record that a forwarded job came from."""
REFUSED = "novix-refused"
"""On a job forwarded home by a lane that could not take it: JSON of the refusal."""
HAS_RESULT = "novix.has_result"
"""On a dead letter whose job has a result as well."""
KEPT = "novix.kept"
"""On a dead letter that is too large to be whole: `N of M bytes`, how much of the value it keeps."""
IDENTITY = "novix-identity"
"""`tenant/id/submission` on everything derived from a job."""

ORDERED = "novix-ordered"
"""On an assigned job with an ordering key: records with the same key are worked on one at a time, in their order."""
NOT_BEFORE = "novix-not-before"
"""On a record of a retry topic: when it goes back, in milliseconds since 1970."""
WAITS_SINCE = "novix-waits-since"
"""Beside it: when that was decided, by the same clock. The record's own time is that of its transaction, which begins
later: a clock that is set back in between would make the wait seem longer by as much."""
RETURN_TO = "novix-return-to"
"""On a record of a retry topic: the topic that it goes back to, without prefix."""
ATTEMPT = "novix-attempt"
"""On a record of a retry topic: calls that were made so far."""
CAUSE = "novix-cause"
"""On a record of a retry topic: the failure kind that it waits for."""
REDRIVE = "novix-redrive"
"""On a job that is driven again: `partition/offset` of its dead letter. The router looks whether that is true."""
REDRIVEN_BY = "novix-redriven-by"
"""Beside `novix-redrive`: who did it, for the audit."""

DLQ_PREFIX = "__dlq.errors."
DLQ_TOPIC = "__dlq.errors.topic"
DLQ_PARTITION = "__dlq.errors.partition"
DLQ_OFFSET = "__dlq.errors.offset"
DLQ_GROUP = "__dlq.errors.group"
DLQ_DELIVERIES = "__dlq.errors.delivery.count"
DLQ_MESSAGE = "__dlq.errors.message"
DLQ_EXCEPTION = "__dlq.errors.exception"
"""Dead letter headers in the style of KIP-1191."""

MAX_HEADERS = 64
MAX_HEADERS_BYTES = 16_384
"""What a job may carry: a producer's headers are copied onto what is derived from it."""


RESERVED = ("novix-", "novix.", DLQ_PREFIX)
"""How the names of our headers begin."""


def is_producers(name: str) -> bool:
    """Whether a header of a job is its producer's to write: any but ours, and the contract's version."""
    return name == SCHEMA or not name.startswith(RESERVED)


def first(headers: Headers, name: str) -> str | None:
    """The first header of that name as text; None if there is none or it is no UTF-8."""
    for key, value in headers:
        if key == name:
            try:
                return value.decode()
            except (UnicodeDecodeError, AttributeError):
                return None
    return None


def size_of(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Bytes of all names and values together."""
    return sum(len(key.encode(errors="replace")) + len(value or b"") for key, value in headers)
