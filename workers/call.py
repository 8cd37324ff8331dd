"""One call to a provider: send, read, put together. All I/O of this room is here."""

import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from runtime.http import (
    DEADLINE,
    MAX_BYTES,
    URL,
    AsyncBaseTransport,
    AsyncByteStream,
    ByteStream,
    HTTPError,
    Request,
    Response,
)
from runtime.ports import Clock
from runtime.sse import SseLimitError, SseParser
from schemas import codec
from schemas.failure import FailureKind
from workers import errors
from workers.errors import ProviderError
from workers.exchange import Answer, Ask, Call
from workers.modalities import answered
from workers.modalities.chat_stream import ChatStream
from workers.modalities.reading import bad
from workers.providers import Dialect

MAX_PROVIDER_CHARS = 64
"""Of a provider's name in `x-inference-provider`; as many as a job may have in its field."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one call: spans in seconds, size in bytes."""

    connect_s: float
    read_s: float
    """The longest silence."""
    total_s: float
    """What is left until the job's deadline."""
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Called:
    """A call that ended in an answer."""

    answer: Answer
    status: int
    request_id: str | None
    provider: str | None
    """Who served it, if the door chose."""
    adapted: Mapping[str, Any]
    """What the request left out of the input, in the form of a result's `adapted`."""
    first_token_s: float | None
    """From sending to the first piece of output; None if the answer came in one piece."""

    def redacted(self, redact: Callable[[str], str]) -> "Called":
        """Without credentials in what the provider says about itself."""
        said = redact(self.request_id or "") or None
        return replace(self, request_id=said, provider=redact(self.provider or "") or None)


class Caller:
    """Makes calls over `http`. Never retries; raises `ProviderError` for every fault of provider and network.

    Whatever else it raises is a fault of ours.
    """

    def __init__(self, http: AsyncBaseTransport, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def __call__(self, call: Call, ask: Ask, dialect: Dialect, token: str | None, bounds: Bounds) -> Called:
        """Send `call` and read its answer as an answer to `ask`. Cancelling it closes the connection."""
        began = self._clock.monotonic()
        response = await self._send(_request(call, token, bounds))
        headers = _fields(response)
        reading = _Reading(self._clock, bounds.max_bytes)
        try:
            if not 200 <= response.status_code < 300:
                body = await reading.prefix(response, errors.MAX_BODY_BYTES)
                raise errors.read_error(response.status_code, headers, body, now=self._clock.now())
            document = await reading.document(response, _in_events(headers, ask))
            if isinstance(document, dict) and document.get("error"):
                raise errors.read_error(200, headers, codec.encode(document), now=self._clock.now())
            answer = answered(ask, dialect.read(ask, document, headers))
        except ProviderError as error:
            error.upstream_status = response.status_code
            error.request_id = error.request_id or errors.request_id(headers)
            error.emitted = error.emitted or reading.stream.emitted
            raise
        finally:
            await response.aclose()
        first = None if reading.first_at is None else reading.first_at - began
        served_by = headers.get("x-inference-provider", "")
        provider = served_by if served_by.isprintable() and 0 < len(served_by) <= MAX_PROVIDER_CHARS else None
        return Called(answer, response.status_code, errors.request_id(headers), provider, ask.adapted, first)

    async def _send(self, request: Request) -> Response:
        try:
            return await self._http.handle_async_request(request)
        except HTTPError as error:
            failure = errors.of_exception(error)
        raise failure  # outside the handler: the original holds the request with its credential


def _request(call: Call, token: str | None, bounds: Bounds) -> Request:
    timeout = {"connect": bounds.connect_s, "read": bounds.read_s, "write": bounds.read_s, "pool": bounds.total_s}
    return Request(
        call.method,
        _url(call.url),
        headers=[*call.headers, *([("authorization", f"Bearer {token}")] if token else [])],
        stream=ByteStream(call.body),  # not `content=`: httpx would add a Host and a length that the transport writes
        extensions={"timeout": timeout, DEADLINE: bounds.total_s, MAX_BYTES: bounds.max_bytes},
    )


_url = functools.lru_cache(maxsize=1_024)(URL)
"""An address taken apart once: a worker calls few of them, each of them often."""


def _fields(response: Response) -> dict[str, str]:
    """The headers by lower-case name; those that come several times joined by commas, as httpx does it."""
    encoding = response.headers.encoding
    fields: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.lower().decode(encoding), raw_value.decode(encoding)
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _in_events(headers: Mapping[str, str], ask: Ask) -> bool:
    """Whether the body is a stream of events. Some stream without saying so, some answer whole all the same."""
    declared = headers.get("content-type", "").lower()
    return "text/event-stream" in declared or (ask.stream and "json" not in declared)


class _Reading:
    """Reads one body. `stream` and `first_at` tell how far a streamed one came."""

    def __init__(self, clock: Clock, max_bytes: int) -> None:
        self.stream = ChatStream()
        self.first_at: float | None = None
        self._clock = clock
        self._max_bytes = max_bytes

    async def prefix(self, response: Response, size: int) -> bytes:
        """The first `size` bytes. The status has said the most: a body that breaks off is read as far as it goes."""
        body = b""
        with contextlib.suppress(HTTPError):
            async with contextlib.aclosing(_raw(response)) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) >= size:
                        break
        return body[:size]

    async def document(self, response: Response, events: bool) -> codec.Json:
        """The answer as JSON; a stream of events put together into what it would be in one piece."""
        try:
            if events:
                return await self._events(response)
            body = b"".join([chunk async for chunk in self._chunks(response)])
        except HTTPError as error:
            failure = errors.of_exception(error)
        else:
            return _decoded(body)
        raise failure

    async def _events(self, response: Response) -> codec.Json:
        parser = SseParser(max_event_bytes=self._max_bytes)
        stream, failure = self.stream, None
        try:
            async with contextlib.aclosing(self._chunks(response)) as chunks:
                async for chunk in chunks:
                    self._feed([event.data for event in parser.feed(chunk)])
                    if stream.done:
                        break
            self._feed([event.data for event in parser.end()])
        except SseLimitError as error:
            failure = ProviderError(FailureKind.RESPONSE_TOO_LARGE, str(error))
        except HTTPError as error:
            failure = errors.of_exception(error)
            if failure.kind is FailureKind.CONNECTION_LOST and stream.emitted:
                failure.kind = FailureKind.STREAM_CUT
        if stream.whole:  # cut after its end: nothing of the answer is missing
            return stream.completion()
        raise failure or ProviderError(FailureKind.STREAM_CUT, "the stream ended without its end mark")

    def _feed(self, events: list[bytes]) -> None:
        for data in events:
            if not self.stream.done:
                self.stream.feed(data)
        if self.first_at is None and self.stream.emitted:
            self.first_at = self._clock.monotonic()

    async def _chunks(self, response: Response) -> AsyncGenerator[bytes, None]:
        """The body as it comes, never more than the limit, whatever the transport allows."""
        size = 0
        async with contextlib.aclosing(_raw(response)) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > self._max_bytes:
                    message = f"the answer has more than {self._max_bytes} bytes, which is the limit"
                    raise ProviderError(FailureKind.RESPONSE_TOO_LARGE, message)
                yield chunk


def _raw(response: Response) -> AsyncGenerator[bytes, None]:
    """The body's bytes as they come: the transport's own stream, for httpx wraps it into three further generators."""
    # httpx types it as an iterator, which could not be closed.
    return cast(AsyncGenerator[bytes, None], aiter(cast(AsyncByteStream, response.stream)))


def _decoded(body: bytes) -> codec.Json:
    if not body.strip():
        raise bad("the answer is empty")
    try:
        return codec.decode(body)
    except codec.Undecodable as error:
        raise bad(f"the answer of {len(body)} bytes is {error}") from None
