"""The body of one answer: read under every bound, decoded without holding anybody else up."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

from runtime.http import AsyncByteStream, HTTPError, Response
from runtime.ports import Clock
from runtime.sse import SseLimitError, SseParser
from schemas import codec
from schemas.failure import FailureKind
from workers import errors
from workers.errors import ProviderError
from workers.modalities.streams import lines_of
from workers.modalities.task import Assembler
from workers.room import FREE_BYTES, Share

MAX_VALUES = 524_288
"""JSON values of one answer, told by its commas: those of a record of 1 MiB are no more.

Lists and objects are counted like the codec's, and while they come: 30 MB of `[],` take 690 MB and 2.1 s to decode."""
MAX_EVENT_BYTES = 4_194_304
"""Of one server-sent event: it is decoded at once."""
_JSON_BEGINS = (b"{", b"[", b'"')
"""Lists and objects, where values are many. No picture, sound or video begins so."""
_SLICE_BYTES = 16_384
"""Of a stream, what is parsed before others get their turn."""


class Reading:
    """Reads one body. `emitted` and `first_at` tell how far a streamed one came, `size` its bytes so far.

    Raises `ProviderError` for whatever is wrong with it.
    """

    def __init__(
        self, clock: Clock, share: Share, *, max_bytes: int, left_s: float, told: Callable[[str], None] | None = None
    ) -> None:
        """`told` is given each piece of a streamed answer's text as it comes."""
        self.emitted = False
        self.first_at: float | None = None
        self.size = 0
        self._clock = clock
        self._share = share
        self._max_bytes = max_bytes
        self._ends = clock.monotonic() + left_s
        self._values = 0
        self._containers = 0
        self._is_json: bool | None = None
        self._told = told

    async def prefix(self, response: Response, size: int) -> bytes:
        """The first `size` bytes. The status has said the most: a body that breaks off is read as far as it goes."""
        body = b""
        with contextlib.suppress(HTTPError):
            async with contextlib.aclosing(raw(response)) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) >= size:
                        break
        return body[:size]

    async def whole(self, response: Response) -> bytearray:
        """A body that comes in one piece."""
        body, failure = bytearray(), None
        try:
            async with contextlib.aclosing(raw(response)) as chunks:
                async for chunk in chunks:
                    self._grown(chunk)
                    if self.size > FREE_BYTES and self._looks_like_json(body or chunk):
                        self._count(chunk)
                    await self._hold(self.size)
                    body += chunk
        except HTTPError as error:
            failure = errors.of_exception(error)
        if failure is not None:
            raise failure  # outside the handler: the original holds the request with its credential
        return body

    async def events(self, response: Response, stream: Assembler) -> Any:
        """A body that is a stream of events, read until `stream` is `whole`: the object that it was put together to."""
        parser = SseParser(max_event_bytes=min(self._max_bytes, MAX_EVENT_BYTES))
        failure = None
        try:
            async with contextlib.aclosing(self._chunks(response)) as chunks:
                async for chunk in chunks:
                    await self._feed(stream, parser, chunk)
                    await self._hold(stream.kept_bytes + parser.held_bytes)
                    if stream.done:
                        break
            self._take(stream, [event.data for event in parser.end()])
        except SseLimitError as error:
            failure = ProviderError(FailureKind.RESPONSE_TOO_LARGE, str(error), emitted=stream.emitted)
        except HTTPError as error:
            failure = errors.of_exception(error)
            if failure.kind is FailureKind.CONNECTION_LOST and stream.emitted:
                failure.kind = FailureKind.STREAM_CUT
        if stream.whole:  # cut after its end: nothing of the answer is missing
            return stream.completion()
        raise failure or ProviderError(FailureKind.STREAM_CUT, "the stream ended without its end mark")

    async def _feed(self, stream: Assembler, parser: SseParser, chunk: bytes) -> None:
        for start in range(0, len(chunk), _SLICE_BYTES):
            if start:
                await asyncio.sleep(0)
            self._take(stream, [event.data for event in parser.feed(chunk[start : start + _SLICE_BYTES])])

    def _take(self, stream: Assembler, events: list[bytes]) -> None:
        """Put the events in. What they add to the text is told once for all of them."""
        try:
            for data in events:
                for one in lines_of(data):
                    if not stream.done:
                        stream.feed(one)
        finally:
            self.emitted = stream.emitted
            if self.first_at is None and self.emitted:
                self.first_at = self._clock.monotonic()
            if self._told is not None and (pieces := stream.pieces()):
                self._told("".join(pieces))

    async def _chunks(self, response: Response) -> AsyncGenerator[bytes, None]:
        """The body as it comes, never more than its limit, whatever the transport allows."""
        async with contextlib.aclosing(raw(response)) as chunks:
            async for chunk in chunks:
                self._grown(chunk)
                yield chunk

    def _grown(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise _too_large(f"more than {self._max_bytes} bytes, which is the limit")

    def _looks_like_json(self, start: bytes | bytearray) -> bool:
        """Whether the body is a list, an object or a text, whatever it is declared to be: a picture is not counted."""
        if self._is_json is None:
            first = start.lstrip()[:1]
            self._is_json = first in _JSON_BEGINS if first else None
        return self._is_json is not False

    def _count(self, chunk: bytes) -> None:
        self._values += chunk.count(b",")
        self._containers += chunk.count(b"[") + chunk.count(b"{")
        if self._values > MAX_VALUES:
            raise _too_large(f"more than {MAX_VALUES} values, which is the limit")
        if self._containers > codec.MAX_CONTAINERS:
            raise _too_large(f"more than {codec.MAX_CONTAINERS} lists and objects, which is the limit")

    async def _hold(self, size: int) -> None:
        """Keep `size` bytes of the answer. Waits while other answers fill the memory, at most until the deadline.

        Then the fault is ours, and what the provider did was paid for.
        """
        if self._share.fits(size):
            await self._share.grow(size)
            return
        try:
            async with asyncio.timeout(self._ends - self._clock.monotonic()):
                await self._share.grow(size)
        except TimeoutError:
            message = f"{self.size} bytes of the answer had come; for more there was no memory before the deadline"
            raise ProviderError(FailureKind.DEADLINE_PASSED, message, emitted=True) from None


def _too_large(message: str) -> ProviderError:
    return ProviderError(FailureKind.RESPONSE_TOO_LARGE, f"the answer has {message}")


def raw(response: Response) -> AsyncGenerator[bytes, None]:
    """The body's bytes as they come: the transport's own stream, for httpx wraps it into three further generators."""
    # httpx types it as an iterator, which could not be closed.
    return cast(AsyncGenerator[bytes, None], aiter(cast(AsyncByteStream, response.stream)))
