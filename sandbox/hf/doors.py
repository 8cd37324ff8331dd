"""The inference doors: who may call, which model, is the body right, run it, charge for it."""

import asyncio
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.hf import chat, generation, llama, wire
from sandbox.hf.bill import Bill, Entry, Work, cost, stamp
from sandbox.hf.calls import Call
from sandbox.hf.catalogue import PROVIDER, Catalogue, Model
from sandbox.hf.engines import Engines
from sandbox.hf.pipelines import PIPELINES, Pipeline, default_task
from sandbox.hf.seat import Chunk, Stream, Timing
from schemas import codec, tasks

CLIENT_CLOSED_REQUEST = 499
"""nginx's number for a call whose client left before there was an answer; nobody reads it but our log."""


@dataclass(frozen=True)
class Doors:
    """What the inference routes share. `token` None accepts any token that begins with `hf_`."""

    models: Catalogue
    engines: Engines
    bill: Bill
    token: str | None
    clock: Callable[[], datetime]

    async def router_chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`: the OpenAI door; the body names the model."""
        call, body = self._admitted(request)
        asked = body.get("model") if isinstance(body, dict) else None
        model = self.models.find(asked) if isinstance(asked, str) else None
        if model is None or "chat-completion" not in model.tasks:
            raise wire.model_not_supported(asked[:200] if isinstance(asked, str) else "")
        return await self._chat(call, model, body)

    async def hf_chat(self, request: Request) -> Response:
        """`POST /hf-inference/models/{id}/v1/chat/completions`: the path names the model, whatever the body says."""
        call, body = self._admitted(request)
        return await self._chat(call, self._model(request, "chat-completion"), body)

    async def hf_task(self, request: Request) -> Response:
        """`POST /hf-inference/models/{id}[/pipeline/{task}]`: `{"inputs", "parameters"}` in, the task's answer out."""
        call, body = self._admitted(request)
        named = request.path_params.get("task")
        model = self._model(request, named)
        task = named or default_task(model, body)
        if task == "text-generation":
            return await self._generate(call, model, body)
        if task not in PIPELINES:
            raise wire.wrong_task()
        return await self._pipeline(call, model, task, body)

    def _admitted(self, request: Request) -> tuple[Call, Any]:
        call: Call = request.scope["novix.call"]
        authorise(call.headers.get("authorization"), self.token)
        try:
            return call, codec.decode(call.body)
        except codec.Undecodable as error:
            raise wire.not_json(str(error)) from None

    def _model(self, request: Request, task: str | None) -> Model:
        asked = request.path_params["model"]
        model = self.models.find(asked)
        if model is None:
            raise wire.unknown_model(asked[:200])
        if task is not None and task not in model.tasks:
            raise wire.wrong_task()
        return model

    async def _chat(self, call: Call, model: Model, body: Any) -> Response:
        check("chat-completion", body)
        ask = chat.ask(body)
        created = int(call.at.timestamp())
        answer = chat.Answer(chat.Frame(call.inference_id, created, model.id, llama.fingerprint()))
        engine = self.engines.text
        stream = self.engines.seats["llama"].stream(engine.load, lambda emit: engine.chat(ask, emit))
        headers = wire.answered(model, call.inference_id, chat.characters(body))

        def settle(*, aborted: bool) -> None:
            call.queued_ms = stream.timing.queued_ms
            work = answer.usage.work(stream.timing.compute_ms)
            self._charge(call, model, "chat-completion", work, aborted=aborted)

        async def events(first: Chunk) -> AsyncGenerator[bytes, None]:
            piece: Chunk | None = first
            try:
                async with stopping(call, stream):
                    while piece is not None:
                        if chunk := answer.take(piece):
                            yield chat.event(chunk)
                        piece = await stream.next()
                if answer.finish_reason is not None:
                    if (body.get("stream_options") or {}).get("include_usage"):
                        yield chat.event(answer.usage_chunk())
                    yield chat.DONE
            finally:
                for late in await stream.close():
                    answer.take(late)
                settle(aborted=answer.finish_reason is None)

        first = await self._first(call, stream, model, ask["max_tokens"])
        if first is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        if body.get("stream"):
            return EventStream(events(first), headers)
        if not await drained(call, stream, first, answer.take) or answer.finish_reason is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        settle(aborted=False)
        return Response(codec.encode(answer.whole()), headers=headers, media_type=wire.JSON)

    async def _generate(self, call: Call, model: Model, body: Any) -> Response:
        check("text-generation", body)
        ask = generation.ask(body)
        answer = generation.begin(body)
        engine = self.engines.text
        stream = self.engines.seats["llama"].stream(engine.load, lambda emit: engine.complete(ask, emit))
        headers = wire.answered(model, call.inference_id, len(body["inputs"]))

        def take(piece: Chunk) -> None:
            answer.take(piece)
            if answer.finish_reason == "stop_sequence":
                stream.stop()

        def settle(*, aborted: bool) -> Work:
            call.queued_ms = stream.timing.queued_ms
            work = answer.usage.work(stream.timing.compute_ms)
            self._charge(call, model, "text-generation", work, aborted=aborted)
            return work

        async def events(first: Chunk) -> AsyncGenerator[bytes, None]:
            piece: Chunk | None = first
            sent = 0
            try:
                async with stopping(call, stream):
                    while piece is not None:
                        take(piece)
                        while sent < answer.streamable():
                            yield chat.event(answer.chunk(sent))
                            sent += 1
                        piece = await stream.next()
                if answer.finish_reason is not None:
                    yield chat.event(answer.last_chunk())
            finally:
                for late in await stream.close():
                    answer.take(late)
                settle(aborted=answer.finish_reason is None)

        first = await self._first(call, stream, model, ask["max_tokens"])
        if first is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        if body.get("stream"):
            return EventStream(events(first), headers)
        if not await drained(call, stream, first, take) or answer.finish_reason is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        headers |= wire.computed(settle(aborted=False), stream.timing.queued_ms)
        return Response(codec.encode(answer.whole()), headers=headers, media_type=wire.JSON)

    async def _pipeline(self, call: Call, model: Model, task: str, body: Any) -> Response:
        check(task, body)
        pipeline: Pipeline = PIPELINES[task]
        seat = self.engines.seats[model.engine]
        timing: Timing
        value, timing = await seat.run(self.engines.load(model.engine), lambda: pipeline.run(self.engines, model, body))
        call.queued_ms = timing.queued_ms
        work = Work(timing.compute_ms)
        self._charge(call, model, task, work, aborted=False)
        headers = wire.answered(model, call.inference_id, pipeline.characters(body))
        headers |= wire.computed(work, timing.queued_ms)
        return Response(codec.encode(value), headers=headers, media_type=wire.JSON)

    async def _first(self, call: Call, stream: Stream, model: Model, new_tokens: int) -> Chunk | None:
        """The first piece, or None if the client left before it. No status has gone out yet: a fault can be one."""
        try:
            async with stopping(call, stream):
                return await stream.next()
        except llama.PromptTooLong as error:
            raise wire.too_long(error.given_tokens, model.context_length or 0, new_tokens) from None
        except llama.Unusable:
            raise wire.invalid("the model's template or grammar cannot render this request") from None

    def _charge(self, call: Call, model: Model, task: str, work: Work, *, aborted: bool) -> None:
        entry = Entry(
            inference_id=call.inference_id,
            at=stamp(self.clock()),
            model=model.id,
            provider=PROVIDER,
            task=task,
            session=call.session,
            trace=call.trace,
            input_tokens=work.input_tokens,
            output_tokens=work.output_tokens,
            compute_ms=work.compute_ms,
            cost_nanousd=cost(work, model.price),
            aborted=aborted,
        )
        self.bill.charge(entry)


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


def authorise(header: str | None, token: str | None) -> None:
    """Raise the real refusals: a login page without a token, 401 in JSON for one that is not accepted."""
    if header is None:
        raise wire.no_token()
    scheme, _, given = header.partition(" ")
    good = hmac.compare_digest(given.encode(), token.encode()) if token else given.startswith("hf_")
    if scheme.lower() != "bearer" or not good:
        raise wire.bad_token()


def check(task: str, body: Any) -> None:
    """Raise 422 if the task's published input schema refuses `body`. Names the field and never its value."""
    if fault := tasks.input_fault(task, body):
        raise wire.invalid(fault)


@asynccontextmanager
async def stopping(call: Call, stream: Stream) -> AsyncIterator[None]:
    """While inside, a call that nobody waits for any more stops its stream."""

    async def watch() -> None:
        await call.stop.wait()
        stream.stop()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


async def drained(call: Call, stream: Stream, first: Chunk, take: Callable[[Chunk], Any]) -> bool:
    """Take every piece to the end; False if the client left before it."""
    piece: Chunk | None = first
    async with stopping(call, stream):
        while piece is not None:
            take(piece)
            piece = await stream.next()
    return not call.stop.is_set()
