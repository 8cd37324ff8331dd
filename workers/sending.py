"""One call as an HTTP request: its address, fields, bounds and body. Values; nothing is sent here."""

import functools
from collections.abc import AsyncIterator, Mapping

from runtime.http import DEADLINE, MAX_BYTES, URL, AsyncByteStream, ByteStream, Request, Response, fields_of
from schemas.values import frozen
from workers.exchange import Call

WHOLE_BYTES = 1_048_576
"""A body up to this goes out in one piece; of a larger one aiohttp would hold a second copy."""
PIECE_BYTES = 65_536
SERVER_WAITS_S = 60.0
"""How long a server keeps a request open that asks it to wait (`Prefer: wait`, RFC 7240 4.3) and names no time."""
ANSWERS_WITHIN_S = 5.0
"""After that time its answer comes: much silence is allowed."""
SCALE_UP = "x-scale-up-timeout"
"""Seconds for which a dedicated endpoint's proxy holds a request while a machine starts."""


@frozen
class Bounds:
    """Bounds of one call: spans in seconds, size in bytes."""

    connect_s: float
    read_s: float
    """The longest silence."""
    total_s: float
    """What is left until the job's deadline."""
    max_bytes: int


class Pieces(AsyncByteStream):
    """A body of several pieces, sent one after the other and never put together."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if len(piece) <= PIECE_BYTES:
                yield piece
                continue
            view = memoryview(piece)
            for start in range(0, len(piece), PIECE_BYTES):
                yield bytes(view[start : start + PIECE_BYTES])


def request_of(call: Call, authorization: str | None, bounds: Bounds) -> Request:
    """`call` as a request that may take `bounds.total_s`. `authorization` is the whole value of its header."""
    held_s = scale_up_s(call, bounds)
    headers = [(name.encode(), text.encode()) for name, text in call.headers if name != SCALE_UP]
    if held_s:
        headers.append((SCALE_UP.encode(), b"%d" % held_s))
    if authorization:
        headers.append((b"authorization", authorization.encode()))
    pieces = call.body if isinstance(call.body, tuple) else (call.body,)
    size = sum(map(len, pieces))
    # Not `content=`: httpx would add a Host and a length that the transport writes. Of pieces it knows no length.
    stream: AsyncByteStream
    if size <= WHOLE_BYTES:
        stream = ByteStream(call.body if isinstance(call.body, bytes) else b"".join(pieces))
    else:
        stream = Pieces(pieces)
        headers.append((b"content-length", b"%d" % size))
    read_s = min(max(bounds.read_s + held_s, silence_s(call)), bounds.total_s)
    timeout = {"connect": bounds.connect_s, "read": read_s, "write": read_s, "pool": bounds.total_s}
    return Request(
        call.method,
        url_of(call.url),
        headers=fields_of(headers),
        stream=stream,
        extensions={"timeout": timeout, DEADLINE: bounds.total_s, MAX_BYTES: bounds.max_bytes},
    )


def silence_s(call: Call) -> float:
    """How long a call's server may be silent because the call itself asks it to wait; 0: it does not."""
    for name, text in call.headers:
        if name == "prefer":
            for preference in text.split(","):
                token, _, value = preference.strip().partition("=")
                if token.strip().lower() == "wait":
                    wait = value.strip().strip('"')
                    return (float(wait[:6]) if wait.isdecimal() else SERVER_WAITS_S) + ANSWERS_WITHIN_S
    return 0.0


def scale_up_s(call: Call, bounds: Bounds) -> int:
    """How long its server shall hold `call` while a machine starts: as long as the call wishes at most.

    Of the time that is left, what one silence may take stays for the answer itself, or half: when no machine comes, the
    proxy's 503, which costs nothing, is to be there before the deadline.
    """
    wished = next((text for name, text in call.headers if name == SCALE_UP), "0")
    return int(min(float(wished), max(bounds.total_s - bounds.read_s, bounds.total_s / 2)))


url_of = functools.lru_cache(maxsize=1_024)(URL)
"""An address taken apart once: a worker calls few of them, each of them often."""


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses have one scheme, host and port: whoever may see the credential at one may at the other."""
    first, second = url_of(one), url_of(other)
    return (first.scheme, first.host, first.port) == (second.scheme, second.host, second.port)


def fields_by_name(response: Response) -> dict[str, str]:
    """The headers by lower-case name; those that come several times joined by commas, as httpx does it."""
    encoding = response.headers.encoding
    fields: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.lower().decode(encoding), raw_value.decode(encoding)
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def is_in_events(headers: Mapping[str, str], stream: bool) -> bool:
    """Whether the body is a stream of events, where `stream` was asked for. Some stream without saying so, some answer
    whole all the same."""
    declared = headers.get("content-type", "").lower()
    return "text/event-stream" in declared or (stream and "json" not in declared)
