"""One turn of the chat model: its pieces become an answer, plain or streamed, and at most one charge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.hf import chat, llama, wire
from sandbox.hf.bill import Work
from sandbox.hf.calls import Call
from sandbox.hf.catalogue import Model
from sandbox.hf.seat import Chunk, Stream


class Answer(Protocol):
    """What pieces are gathered in: chat's or text generation's."""

    finish_reason: str | None
    usage: chat.Usage

    @property
    def enough(self) -> bool:
        """Whether the engine may stop although it has not come to its end."""

    def take(self, piece: Chunk) -> list[bytes]:
        """Take one piece; return the events to stream on."""

    def ending(self) -> list[bytes]:
        """The events that close a whole stream."""

    def whole(self) -> Any:
        """The answer in one piece."""


class Charging(Protocol):
    """Who writes the bill."""

    def charge(self, call: Call, model: Model, task: str, work: Work, *, aborted: bool) -> None:
        """Put one answered call on the bill."""


class Turn:
    """A generation that has been asked for. First `begun`, then either `ended` or `events`.

    Charged once, when the answer is whole or a stream is broken off; a plain call that nobody waits for any more is not
    answered and so not charged.
    """

    def __init__(self, to: Charging, call: Call, model: Model, task: str, answer: Answer, stream: Stream) -> None:
        self.answer = answer
        self._to = to
        self._call = call
        self._model = model
        self._task = task
        self._stream = stream
        self._first: Chunk | None = None

    async def begun(self, new_tokens: int) -> bool:
        """Wait for the first piece; False if the client left before it.

        No status has gone out yet, so a fault of the request can still become one: raises `Refusal`.
        """
        try:
            async with self._stopping():
                self._first = await self._stream.next()
        except llama.PromptTooLong as error:
            raise wire.too_long(error.given_tokens, self._model.context_length or 0, new_tokens) from None
        except llama.Unusable:
            raise wire.invalid("the model's template or grammar cannot render this request") from None
        return self._first is not None

    async def ended(self) -> Work | None:
        """Take every piece to the end and charge for them; None if the client left before it."""
        async with self._stopping():
            async for _ in self._taken():
                pass
        return None if self.answer.finish_reason is None else self._settle(aborted=False)

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The answer as server-sent events. Whatever ends it, the tokens made until then are charged."""
        charged = False
        try:
            async with self._stopping():
                async for event in self._taken():
                    yield event
            if self.answer.finish_reason is not None:
                self._settle(aborted=False)  # before the end is told: who has read it finds it on the bill
                charged = True
                for event in self.answer.ending():
                    yield event
        finally:
            if not charged:
                for piece in await self._stream.close():
                    self.answer.take(piece)
                self._settle(aborted=True)

    async def _taken(self) -> AsyncIterator[bytes]:
        piece = self._first
        while piece is not None:
            for event in self.answer.take(piece):
                yield event
            if self.answer.enough:
                self._stream.stop()
            piece = await self._stream.next()

    def _settle(self, *, aborted: bool) -> Work:
        self._call.queued_ms = self._stream.timing.queued_ms
        work = self.answer.usage.work(self._stream.timing.compute_ms)
        self._to.charge(self._call, self._model, self._task, work, aborted=aborted)
        return work

    @asynccontextmanager
    async def _stopping(self) -> AsyncIterator[None]:
        """Inside, the engine is stopped as soon as nobody waits for the answer, or we are cancelled."""

        async def watch() -> None:
            await self._call.stop.wait()
            self._stream.stop()

        watching = asyncio.create_task(watch())
        try:
            yield
        except BaseException:
            self._stream.stop()
            raise
        finally:
            watching.cancel()


class EventStream(Response):
    """Server-sent events, each in a message of its own; the source is closed whatever ends the answer."""

    def __init__(self, events: AsyncGenerator[bytes, None], headers: dict[str, str]) -> None:
        super().__init__(headers=headers | {"cache-control": "no-cache"}, media_type="text/event-stream; charset=utf-8")
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        try:
            await send(start)
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        finally:
            await self._events.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
