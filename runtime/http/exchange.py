"""One request with a body in one piece, and the head of its answer, on a connection of aiohttp's pool.

aiohttp's pool, its connections and its parser; not its `ClientSession`, `ClientRequest` and `ClientResponse`, which
cost twice as much as all of these (docs/performance.md): they carry redirects, cookies, proxies, authentication, traces
and a task that writes the body, and an inference call has none of them. What is left is written in RFC 9112's form.
"""

import asyncio
import functools
from collections.abc import Iterable

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

MAX_FIELD_BYTES = 65_536
"""Longest header line and field; aiohttp's own 8,190 is less than some answers through the router have."""
MAX_HEADERS = 256
NEVER_CEILED = float("inf")
"""aiohttp rounds longer timeouts up to whole seconds, unless told not to."""
READ_BYTES = 65_536
"""Of a body, in memory before the server is made to wait."""


class Exchange:
    """An answer whose head has come. `release` or `close` it; what comes first counts.

    The deadline ends it wherever it is: whoever reads the body then gets TimeoutError.
    """

    __slots__ = ("_connection", "_deadline", "_protocol", "content", "raw_headers", "reason", "status")

    def __init__(self, connection: Connection, protocol: ResponseHandler, until: float) -> None:
        self._connection: Connection | None = connection
        self._protocol = protocol
        self._deadline = asyncio.get_running_loop().call_at(until, self._expire)
        self.status = 0
        self.reason = ""
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = ()
        self.content = aiohttp.EMPTY_PAYLOAD

    @property
    def connection(self) -> Connection | None:
        """None once it is back in the pool or closed."""
        return self._connection

    def release(self) -> None:
        """The body has come whole: the connection goes back to the pool."""
        connection, self._connection = self._connection, None
        self._deadline.cancel()
        if connection is not None:
            connection.release()

    def close(self) -> None:
        """The rest of the body is not wanted."""
        connection, self._connection = self._connection, None
        self._deadline.cancel()
        if connection is not None:
            connection.close()

    def _expire(self) -> None:
        late = TimeoutError()
        self._protocol.set_exception(late)
        self.content.set_exception(late)


async def exchange(
    connector: aiohttp.BaseConnector, target: aiohttp.ClientRequest, message: bytes, *, head_only: bool,
    left_s: float, connect_s: float | None, read_s: float | None,
) -> Exchange:  # fmt: skip
    """Send `message` (`head` and its body) to where `target` leads, and wait for the head of the answer.

    `target` names origin, TLS and proxy, and may serve any number of calls at once. Spans are seconds: what is left
    until the deadline, the longest connecting, the longest silence. `head_only` for the answer to a HEAD. Raises what
    aiohttp raises; TimeoutError at the deadline. Whatever it raises, the connection is closed.
    """
    until = asyncio.get_running_loop().time() + left_s
    connection = await _connected(connector, target, left_s, connect_s)
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing():
        connection.close()
        raise aiohttp.ClientConnectionResetError("the connection closed before anything was sent")
    found = Exchange(connection, protocol, until)
    try:
        protocol.set_response_params(
            skip_payload=head_only,
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=read_s,
            read_bufsize=READ_BYTES,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_HEADERS,
        )
        transport.write(message)
        protocol.start_timeout()
        answer, body = await protocol.read()
        while 100 <= answer.code < 200 and answer.code != 101:  # interim answers: RFC 9110 15.2
            answer, body = await protocol.read()
    except BaseException:
        found.close()
        raise
    found.status, found.reason, found.raw_headers = answer.code, answer.reason or "", answer.raw_headers
    found.content = body
    if body.is_eof():  # it came with the head: others may have the connection now
        found.release()
    return found


async def _connected(
    connector: aiohttp.BaseConnector, target: aiohttp.ClientRequest, left_s: float, connect_s: float | None
) -> Connection:
    longest = left_s if connect_s is None else min(connect_s, left_s)
    while True:
        try:
            connection = await connector.connect(target, traces=[], timeout=_to_connect(longest))
        except TimeoutError as error:
            if longest == left_s and not isinstance(error, aiohttp.ServerTimeoutError):
                raise TimeoutError from None
            raise aiohttp.ConnectionTimeoutError from None
        if connection.protocol is None or not connection.protocol.should_close:
            return connection
        connection.close()  # the server has sent, on an idle connection, what nobody had asked for


@functools.lru_cache(maxsize=64)
def _to_connect(longest_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=longest_s, sock_connect=longest_s, ceil_threshold=NEVER_CEILED)


def head(method: str, url: URL, host: bytes, fields: Iterable[tuple[bytes, bytes]], length: int | None) -> bytes:
    """A request's head (RFC 9112 3): its line, `Host`, `fields`, and the length of the body if it has one.

    Raises ValueError for a line break or a NUL in a field: it would begin another field, or another request.
    """
    lines = [b"%b %b HTTP/1.1\r\nHost: %b" % (method.encode("ascii"), url.raw_path_qs.encode("ascii"), host)]
    lines += [b"%b: %b" % field for field in fields]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    text = b"\r\n".join(lines)
    if text.count(b"\n") != len(lines) or text.count(b"\r") != len(lines) or b"\0" in text:
        raise ValueError("a header field has a line break or a NUL")
    return text + b"\r\n\r\n"


def fields_of(raw: Iterable[tuple[bytes, bytes]]) -> httpx.Headers:
    """httpx's headers of names and values that are bytes already: its own way calls two functions for each of them."""
    headers = httpx.Headers()
    headers._list = [(name, name.lower(), value) for name, value in raw]
    return headers
