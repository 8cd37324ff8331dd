"""The body of one response: read as it comes, decoded under a ceiling, its connection and slot given back once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

import aiohttp
import httpx

from runtime.http.decode import BodyDecoder, BrokenEncodingError, TooLargeError
from runtime.http.errors import CAUGHT, ResponseTooLargeError, mapped
from runtime.http.exchange import Exchange
from runtime.http.watch import ConnectionWatch

T = TypeVar("T")
TURN_BYTES = 1_048_576
"""Of decoded body, before others get their turn: a chunk of 64 kB may stand for 64 MB, which take 150 ms."""


class ResponseBody(httpx.AsyncByteStream):
    """Chunks as the server sends them. At the end the connection goes back to the pool; else it is closed.

    `aclose` may be called at any time and often. A body that nobody closed gives its slot back when it is
    collected, so that an answer lost in a race cannot cost a slot for ever.
    """

    def __init__(
        self,
        answer: Exchange | aiohttp.ClientResponse,
        give_back: Callable[[], None],
        decoder: BodyDecoder,
        *,
        max_bytes: int,
        request: httpx.Request,
    ) -> None:
        self._answer = answer
        self._free_slot = give_back
        self._decoder = decoder
        self._max_bytes = max_bytes
        self._request = request
        self._watch = ConnectionWatch(answer)
        self._given_back = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        whole = False
        try:
            while chunk := await self._next_chunk():
                pieces, given = self._decoded(partial(self._decoder.feed, chunk)), 0
                while piece := self._decoded(partial(next, pieces, b"")):
                    yield piece
                    given += len(piece)
                    if given >= TURN_BYTES and self._decoder.changes_bytes:
                        await asyncio.sleep(0)
                        given = 0
            self._decoded(self._decoder.end)
            whole = True
        finally:
            self._give_back(whole=whole)

    async def aclose(self) -> None:
        """Give connection and slot back; an unread rest closes the connection rather than being read."""
        self._give_back(whole=self._answer.content.at_eof())

    async def _next_chunk(self) -> bytes:
        try:
            return await self._answer.content.readany()
        except CAUGHT as error:
            failure = mapped(error, self._request)
        raise failure  # outside the handler: the original holds the request with its headers

    def _decoded(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except TooLargeError:
            raise ResponseTooLargeError(self._max_bytes, request=self._request) from None
        except BrokenEncodingError:
            message = "the body is not what its content encoding says"
            raise httpx.DecodingError(message, request=self._request) from None

    def _give_back(self, *, whole: bool) -> None:
        if self._given_back:
            return
        self._given_back = True
        self._watch.stop()
        if whole:
            self._answer.release()
        else:
            self._answer.close()
        self._free_slot()

    def __del__(self) -> None:
        # The loop may be gone by then; there is nobody left to tell.
        with contextlib.suppress(Exception):
            self._give_back(whole=False)
