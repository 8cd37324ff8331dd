"""What the assemblers of streamed answers share."""

from datetime import UTC, datetime
from typing import Any

from schemas import codec
from workers.errors import ProviderError, read_error
from workers.modalities.reading import bad, kind_of

DONE = b"[DONE]"
"""The data of the event after which nothing follows."""
PIECE_BYTES = 64
"""Around each piece of text that is kept."""
DECODED_TIMES = 16
"""What log-probabilities take in memory, at most, for each byte on the wire."""
_NO_CLOCK = datetime.fromtimestamp(0, UTC)


def lines_of(data: bytes) -> list[bytes]:
    """The objects in an event's data: itself, or each of its lines where every line is one.

    Text-generation-inference 1.4 left out the blank line before its last event, so two came as the lines of one.
    """
    if b"\n" not in data:
        return [data]
    lines = [line for line in data.split(b"\n") if line.strip()]
    return lines if all(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines) else [data]


def event(data: bytes, *, emitted: bool) -> dict[str, Any]:
    """The object that an event carries. Raises `ProviderError` for garbage, and for an error that it tells.

    `emitted`: whether output has come before it. An error inside a stream has no headers, so no Retry-After and no
    need of a clock.
    """
    try:
        chunk = codec.decode(data)
    except codec.Undecodable as fault:
        failure = bad(f"an event of {len(data)} bytes: {fault}")
    else:
        if isinstance(chunk, dict) and not chunk.get("error"):
            return chunk
        told = isinstance(chunk, dict)
        failure = (
            read_error(200, {}, data, now=_NO_CLOCK)
            if told
            else bad(f"an event is {kind_of(chunk)}; an object is needed")
        )
    raise failed(failure, emitted=emitted)


def failed(failure: ProviderError, *, emitted: bool) -> ProviderError:
    """`failure`, telling whether output had come."""
    failure.emitted = emitted
    return failure
