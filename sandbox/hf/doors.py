"""The inference doors: who may call, which model, is the body right, run it, charge for it."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.hf import chat, exchange, generation, llama, wire
from sandbox.hf.bill import Bill, Entry, Work, cost, stamp
from sandbox.hf.calls import Call
from sandbox.hf.catalogue import PROVIDER, Catalogue, Model
from sandbox.hf.engines import Engines
from sandbox.hf.pipelines import PIPELINES, Pipeline, default_task
from sandbox.hf.seat import Timing
from sandbox.hf.turn import EventStream, Turn
from schemas import codec

CLIENT_CLOSED_REQUEST = 499
"""nginx's number for a call whose client left before there was an answer; nobody reads it but our log."""


class _Left(Exception):
    """The client has left before there was an answer."""


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
        """`POST /hf-inference/models/{id}[/pipeline/{task}]`: `{inputs, parameters}` or a file in, an answer out."""
        call = self._authorised(request)
        named = request.path_params.get("task")
        model = self._model(request, named)
        task = named or default_task(model, call.body)
        if task != "text-generation" and task not in PIPELINES:
            raise wire.wrong_task()
        body = exchange.body(task, call.body)
        if task == "text-generation":
            return await self._generate(call, model, body)
        return await self._pipeline(call, model, task, body | {"accept": call.headers.get("accept")})

    def _authorised(self, request: Request) -> Call:
        call: Call = request.scope["novix.call"]
        authorise(call.headers.get("authorization"), self.token)
        return call

    def _admitted(self, request: Request) -> tuple[Call, Any]:
        call = self._authorised(request)
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
        exchange.check("chat-completion", body)
        body = exchange.whole(body)
        ask, text = chat.ask(body), self.engines.text
        frame = chat.Frame(call.inference_id, int(call.at.timestamp()), model.id, llama.fingerprint())
        usage_too = bool((body.get("stream_options") or {}).get("include_usage"))
        stream = self.engines.seats["llama"].stream(text.load, lambda emit: text.chat(ask, emit))
        turn = Turn(self, call, model, "chat-completion", chat.Answer(frame, usage_too), stream)
        headers = wire.answered(model, call.inference_id, chat.characters(body))
        if not await turn.begun(ask["max_tokens"]):
            return nobody_there()
        if body.get("stream"):
            return EventStream(turn.events(), headers)
        return nobody_there() if await turn.ended() is None else told(turn.answer.whole(), headers)

    async def _generate(self, call: Call, model: Model, body: Any) -> Response:
        ask, text = generation.ask(body), self.engines.text
        stream = self.engines.seats["llama"].stream(text.load, lambda emit: text.complete(ask, emit))
        turn = Turn(self, call, model, "text-generation", generation.begin(body), stream)
        headers = wire.answered(model, call.inference_id, len(body["inputs"]))
        if not await turn.begun(ask["max_tokens"]):
            return nobody_there()
        if body.get("stream"):
            return EventStream(turn.events(), headers)
        if (work := await turn.ended()) is None:
            return nobody_there()
        return told(turn.answer.whole(), headers | wire.computed(work, stream.timing.queued_ms))

    async def _pipeline(self, call: Call, model: Model, task: str, body: Any) -> Response:
        pipeline: Pipeline = PIPELINES[task]
        try:
            value, timing = await self._seated(call, model.engine, lambda: pipeline.run(self.engines, model, body))
            if pipeline.then is not None:
                engine, step = pipeline.then
                first = value
                value, second = await self._seated(call, engine, lambda: step(self.engines, model, body, first))
                timing = timing + second
        except _Left:
            return nobody_there()
        call.queued_ms = timing.queued_ms
        work = Work(timing.compute_ms)
        self.charge(call, model, task, work, aborted=False)
        headers = wire.answered(model, call.inference_id, pipeline.characters(body))
        headers |= wire.computed(work, timing.queued_ms)
        if not isinstance(value, exchange.Product):
            return told(value, headers)
        if value.audio_s is not None:
            headers["x-compute-audio-length"] = f"{value.audio_s:.2f}"
        if isinstance(value.value, bytes):
            return Response(value.value, headers=headers, media_type=value.media_type)
        return told(value.value, headers)

    async def _seated(self, call: Call, engine: str, work: Callable[[], Any]) -> tuple[Any, Timing]:
        """Run `work` in its turn; raises `_Left` once nobody waits for it, and what had not begun never begins."""
        seated = asyncio.ensure_future(self.engines.seats[engine].run(self.engines.load(engine), work))
        left = asyncio.create_task(call.stop.wait())
        try:
            await asyncio.wait((seated, left), return_when=asyncio.FIRST_COMPLETED)
            if not seated.done():
                raise _Left
            return await seated
        finally:
            left.cancel()
            seated.cancel()

    def charge(self, call: Call, model: Model, task: str, work: Work, *, aborted: bool) -> None:
        """Put one answered call on the bill."""
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


def authorise(header: str | None, token: str | None) -> None:
    """Raise the real refusals: a login page without a token, 401 in JSON for one that is not accepted."""
    if header is None:
        raise wire.no_token()
    scheme, _, given = header.partition(" ")
    good = hmac.compare_digest(given.encode(), token.encode()) if token else given.startswith("hf_")
    if scheme.lower() != "bearer" or not good:
        raise wire.bad_token()


def told(value: Any, headers: dict[str, str]) -> Response:
    """An answer in one piece."""
    return Response(codec.encode(value), headers=headers, media_type=wire.JSON)


def nobody_there() -> Response:
    """What ends a call whose client has left: nothing is charged, and nobody reads it but our log."""
    return Response(status_code=CLIENT_CLOSED_REQUEST)
