"""The HTTP port: httpx's transport interface, carried by aiohttp.

httpx's own pool loses slots when a call is cancelled (httpcore issues 830 and 1093) and searches its connections
anew for every call; aiohttp does neither. What aiohttp would do on its own and a paid call must not (follow
redirects, send a GET twice, decompress without a limit, keep cookies, read proxies from the environment, put a
wait for the pool and a slow connection into one error) is switched off here or done by us.
"""

import asyncio
import functools
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from runtime.http.body import ResponseBody
from runtime.http.decode import BodyDecoder, UnknownEncodingError
from runtime.http.egress import CREDENTIAL_HEADERS, Egress, Origin
from runtime.http.errors import CAUGHT, EgressRefusedError, EncodingRefusedError, mapped
from runtime.http.exchange import MAX_FIELD_BYTES, MAX_HEADERS, NEVER_CEILED, Exchange, exchange, fields_of, head
from runtime.http.guard import guarded
from runtime.http.resolver import GuardedResolver
from runtime.http.slots import Slots

DEADLINE = "novix.deadline_s"
"""Request extension: seconds from the start of the call until it must be over, waiting for a slot included."""
MAX_BYTES = "novix.max_bytes"
"""Request extension: the most bytes of body, as sent and as decoded."""

STREAMED_UPLOAD_BYTES = 1_048_576
"""Bodies above this go out in pieces: aiohttp holds a second copy of a body that it is given whole."""
_UPLOAD_PIECE_BYTES = 65_536
_MOST_ADDRESSES = 1_024
_OURS_TO_WRITE = frozenset({b"host", b"accept-encoding", b"transfer-encoding", b"connection"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
"""Methods whose empty body is not told of."""
_IDENTITY = (b"Accept-Encoding", b"identity")
_CREDENTIALS = frozenset(name.encode() for name in CREDENTIAL_HEADERS)
_NOT_AFTER_DECODING = frozenset({b"content-encoding", b"content-length"})
_SKIPPED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What bounds every call that does not bring its own bound. Spans in seconds, sizes in bytes."""

    connect_s: float = 3.05
    """Name lookup, TCP and TLS together. Just over 3 s: the first retransmission of a lost SYN."""
    read_s: float = 30.0
    """The longest silence before and between the bytes of an answer."""
    pool_s: float = 30.0
    """The longest wait for a slot of the transport; nothing is sent before."""
    deadline_s: float = 600.0
    """The whole call. The only bound on an answer that drips, or on a server that does not read."""
    max_bytes: int = 33_554_432
    max_in_flight: int = 1_000
    """Calls at once, from the wait for a connection to the end of the body; keep it 100 below `ulimit -n`."""
    max_in_flight_per_host: int = 1_000
    keepalive_s: float = 15.0


@dataclass(frozen=True, slots=True)
class _Door:
    """What an address comes to: looked at once, for a worker calls few of them and each of them often."""

    url: URL
    host: bytes
    """As the header names it."""
    place: str
    """`host:port`: whose slots it takes."""
    refused: str | None
    """Why it must not be called."""


@dataclass(slots=True)
class _PerLoop:
    session: aiohttp.ClientSession
    connector: aiohttp.BaseConnector
    slots: Slots
    targets: dict[URL, aiohttp.ClientRequest] = field(default_factory=dict)
    """What aiohttp's pool knows an address by."""


class HttpTransport(httpx.AsyncBaseTransport):
    """Sends one request and answers with one response whose body streams. Never retries, never follows.

    May be called directly or as the transport of an `httpx.AsyncClient`. Timeouts come from
    `request.extensions["timeout"]` (httpx's dict: connect, read, pool; `write` has no counterpart, the deadline
    ends a stuck upload), from `DEADLINE` and `MAX_BYTES`, else from `limits`. Raises httpx's transport errors
    and those of `runtime.http.errors`. Cancelling the caller closes the connection and frees the slot. The
    caller closes every response (`aclose`, or by reading it to its end).

    Works in several event loops: each gets its own connections, made on first use.
    """

    def __init__(
        self,
        egress: Egress,
        *,
        limits: HttpLimits | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        lookup: AbstractResolver | None = None,
    ) -> None:
        self._egress = egress
        self._lookup = lookup
        self._limits = limits or HttpLimits()
        self._tls = tls
        self._clock = clock
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _PerLoop] = WeakKeyDictionary()
        self._door = functools.lru_cache(maxsize=_MOST_ADDRESSES)(self._look_at)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; the response comes as soon as its headers are there."""
        fields, credentials = [], False
        for one in request.headers.raw:
            name = one[0].lower()
            credentials |= name in _CREDENTIALS
            if name not in _OURS_TO_WRITE:
                fields.append(one)
        door = self._door(str(request.url), credentials)
        if door.refused is not None:
            raise EgressRefusedError(f"{request.url.host}: {door.refused}", request=request)
        extensions = request.extensions
        spans = extensions.get("timeout", {})
        ends = self._clock() + float(extensions.get(DEADLINE, self._limits.deadline_s))
        here = self._here()
        await self._slot(here, door.place, request, ends, spans.get("pool", self._limits.pool_s))
        try:
            answer = await self._send(here, door, request, fields, spans, ends)
            return self._response(answer, functools.partial(here.slots.give, door.place), request)
        except BaseException:
            here.slots.give(door.place)
            raise

    @property
    def in_flight(self) -> int:
        """Calls of the running loop that hold a slot: sent, or being sent, and not yet read to the end."""
        return self._here().slots.taken

    async def aclose(self) -> None:
        """Close the connections of the running loop, those in use too."""
        here = self._loops.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    def _look_at(self, address: str, credentials: bool) -> _Door:
        url = httpx.URL(address)
        origin = Origin.of(url)
        reason = self._egress.why_not(url, credentials=credentials)
        return _Door(URL(address, encoded=True), url.netloc, f"{origin.host}:{origin.port}", reason)

    async def _slot(
        self, here: _PerLoop, place: str, request: httpx.Request, ends: float, pool_s: float | None
    ) -> None:
        left = ends - self._clock()
        try:
            await here.slots.take(place, left if pool_s is None else min(left, pool_s))
        except TimeoutError:
            message = f"no free slot; {here.slots.taken} calls are in flight"
            raise httpx.PoolTimeout(message, request=request) from None

    async def _send(
        self,
        here: _PerLoop,
        door: _Door,
        request: httpx.Request,
        headers: list[tuple[bytes, bytes]],
        spans: dict[str, float | None],
        ends: float,
    ) -> Exchange | aiohttp.ClientResponse:
        connect = spans.get("connect", self._limits.connect_s)
        read = spans.get("read", self._limits.read_s)
        try:
            body = _upload(request)
            left = ends - self._clock()
            if left <= 0:
                raise TimeoutError  # aiohttp takes 0 for "no limit"
            if isinstance(body, bytes):
                return await exchange(
                    here.connector, _target(here, door.url), _message(request.method, door, headers, body),
                    head_only=request.method == "HEAD", left_s=left, connect_s=connect, read_s=read,
                )  # fmt: skip
            return await here.session.request(
                request.method,
                door.url,
                headers=_texts([*headers, _IDENTITY]),
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=left, connect=connect, sock_connect=connect, sock_read=read, ceil_threshold=NEVER_CEILED
                ),
            )
        except CAUGHT as error:
            failure = mapped(error, request)
        raise failure  # outside the handler: the original holds the request with its headers

    def _response(
        self, answer: Exchange | aiohttp.ClientResponse, give_back: Callable[[], None], request: httpx.Request
    ) -> httpx.Response:
        max_bytes = int(request.extensions.get(MAX_BYTES, self._limits.max_bytes))
        encoding = b", ".join([value for name, value in answer.raw_headers if name.lower() == b"content-encoding"])
        try:
            decoder = BodyDecoder(encoding.decode("latin-1"), max_bytes=max_bytes)
        except UnknownEncodingError:
            answer.close()
            message = "the body has a content encoding that was not asked for and is not read"
            raise EncodingRefusedError(message, request=request) from None
        headers = list(answer.raw_headers)
        if decoder.changes_bytes:
            headers = [(name, value) for name, value in headers if name.lower() not in _NOT_AFTER_DECODING]
        reason = (answer.reason or "").encode("latin-1", "replace")
        return httpx.Response(
            answer.status,
            headers=fields_of(headers),
            stream=ResponseBody(answer, give_back, decoder, max_bytes=max_bytes, request=request),
            request=request,
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": reason},
        )

    def _here(self) -> _PerLoop:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            slots = Slots(self._limits.max_in_flight, self._limits.max_in_flight_per_host)
            connector = guarded(self._connector())
            here = self._loops[loop] = _PerLoop(self._session(connector), connector, slots)
        return here

    def _connector(self) -> aiohttp.BaseConnector:
        return aiohttp.TCPConnector(
            limit=0,  # our slots are the limit; aiohttp reports a full pool as a slow connection
            resolver=GuardedResolver(self._egress, self._lookup),
            ssl=self._tls if self._tls is not None else True,
            keepalive_timeout=self._limits.keepalive_s,
            timeout_ceil_threshold=NEVER_CEILED,
        )

    @staticmethod
    def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        """For bodies that go out in pieces."""
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
            auto_decompress=False,
            trust_env=False,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_HEADERS,
        )
        # A GET whose connection drops after it was sent would be sent again in silence. There is no public
        # switch; a contract test fails when this one goes.
        session._retry_connection = False
        return session


def _target(here: _PerLoop, url: URL) -> aiohttp.ClientRequest:
    target = here.targets.get(url)
    if target is None:
        if len(here.targets) >= _MOST_ADDRESSES:
            here.targets.clear()
        target = here.targets[url] = aiohttp.ClientRequest("GET", url, loop=asyncio.get_running_loop())
    return target


def _message(method: str, door: _Door, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    fields = [one for one in headers if one[0].lower() != b"content-length"]
    length = None if not body and method in _BODILESS else len(body)
    return head(method, door.url, door.host, (*fields, _IDENTITY), length) + body


def _texts(raw: list[tuple[bytes, bytes]]) -> CIMultiDict[str]:
    return CIMultiDict([(name.decode("ascii"), value.decode("latin-1")) for name, value in raw])


def _upload(request: httpx.Request) -> bytes | AsyncIterator[bytes]:
    """The body in one piece if it is short."""
    if not isinstance(request.stream, httpx.ByteStream):
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise TypeError("the body is a synchronous stream; an asynchronous one is needed")
        return aiter(request.stream)
    content = request.read()
    return content if len(content) <= STREAMED_UPLOAD_BYTES else _in_pieces(content)


async def _in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _UPLOAD_PIECE_BYTES):
        yield content[start : start + _UPLOAD_PIECE_BYTES]
