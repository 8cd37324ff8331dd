"""The way in and out of every call: reads its body, injects a fault if one is due, writes the call log. ASGI."""

import asyncio
import random
import re
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.hf import faults, wire
from sandbox.hf.calls import Call, CallLog
from schemas import codec

MAX_BODY_BYTES = 48 * 1024 * 1024
"""A file of 32 MiB in base64, and some JSON around it."""

OWN_PATHS = ("/admin", "/sandbox/", "/healthz")
"""Paths of the sandbox itself: neither logged nor spoilt."""

_MODEL_PATH = re.compile(r"^/(?:hf-inference|api)/models/(?P<model>[^/]+(?:/[^/]+)?)")


class Broken(Exception):
    """An answer could not be brought to its end."""


class Gate:
    """Wraps the application. Outside of `OWN_PATHS` every call passes through `_admit`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        log: CallLog,
        armed: faults.Faults,
        clock: Callable[[], datetime],
        chance: Callable[[], str],
    ) -> None:
        """`chance` gives 32 fresh hex digits a call."""
        self._app = app
        self._log = log
        self._armed = armed
        self._clock = clock
        self._chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # HEAD asks whether anybody is here: no call, and no fault is spent on it.
        if scope["type"] != "http" or scope["method"] == "HEAD" or scope["path"].startswith(OWN_PATHS):
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        body, size = await _read(receive)
        call = self._call(scope, body)
        profile = self._armed.pick(model=call.model, path=call.path, headers=call.headers)
        call.fault = profile.name if profile else None
        number = self._log.begin(call)
        leaving = asyncio.create_task(self._watch(receive, call, number))
        out = Outlet(send, call)
        try:
            if size > MAX_BODY_BYTES:
                await out.refuse(wire.too_large(size, MAX_BODY_BYTES))
            else:
                await self._admit({**scope, "novix.call": call}, call, out, profile)
        except Exception as error:
            kind = type(error).__name__
            place = traceback.extract_tb(error.__traceback__)[-1]
            # Not the error's own words: engines quote what they were given.
            print(f"sandbox.hf: {kind} at {place.filename}:{place.lineno}", file=sys.stderr, flush=True)  # noqa: T201
            if call.status is not None:
                raise Broken(kind) from None  # the server closes the connection on an unfinished answer
            await out.refuse(wire.engine_failed(kind))
        finally:
            leaving.cancel()
            self._log.end(number, call, int((time.monotonic() - began) * 1000))

    async def _admit(self, scope: Scope, call: Call, out: "Outlet", profile: faults.Profile | None) -> None:
        body_given = False

        async def body_then_end() -> Message:
            nonlocal body_given
            if not body_given:
                body_given = True
                return {"type": "http.request", "body": call.body, "more_body": False}
            await call.stop.wait()
            return {"type": "http.disconnect"}

        send: Send = out.send
        match profile.action if profile else None:
            case faults.Status(status=status, body=body, headers=headers):
                return await out.refuse(wire.Refusal(status, "" if body is None else body, headers))
            case faults.RateLimit(retry_after=after, body=body):
                told = {} if after is None else {"retry-after": after}
                return await out.refuse(wire.Refusal(429, body, told))
            case faults.Garbage(size_bytes=size, content_type=kind):
                noise = random.Random(call.inference_id).randbytes(size)  # noqa: S311, noise only
                return await out.whole(200, noise, {"content-type": kind})
            case faults.Stall():
                await call.stop.wait()
                return None
            case faults.Delay(delay_ms=ms):
                with suppress(TimeoutError):
                    await asyncio.wait_for(call.stop.wait(), ms / 1000)
                    return None  # the client left while we waited
            case faults.Drip() as drip:
                send = Dripping(out.send, drip)
            case faults.Cut() as cut:
                send = Cutting(out.send, cut, call)
            case faults.StreamError() as error:
                send = Failing(out.send, error, call)
            case None:
                pass
        await self._app(scope, body_then_end, send)
        return None

    async def _watch(self, receive: Receive, call: Call, number: int) -> None:
        """Wait until the client is gone; note it at once if it had no whole answer. Cancelled when the call ends."""
        while (await receive())["type"] != "http.disconnect":
            pass
        if not call.answered:
            call.aborted = True
            self._log.left(number)
        call.stop.set()

    def _call(self, scope: Scope, body: bytes) -> Call:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        chance = self._chance()
        return Call(
            at=self._clock(),
            method=scope["method"],
            path=scope["path"],
            headers=headers,
            body=body,
            model=named_model(scope["path"], body),
            inference_id=chance,
            request_id=wire.request_id(chance, headers.get("x-amzn-trace-id")),
        )


class Outlet:
    """The last step before the socket: adds `x-request-id`, notes the status and whether somebody was still there."""

    def __init__(self, send: Send, call: Call) -> None:
        self._send = send
        self._call = call

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._call.answered = True
        if message["type"] == "http.response.start":
            self._call.status = message["status"]
            named = (b"x-request-id", self._call.request_id.encode("latin-1"))
            message = {**message, "headers": [*message.get("headers", ()), named]}
        await self._send(message)

    async def refuse(self, refusal: wire.Refusal) -> None:
        """Answer with a refusal."""
        content_type = {"content-type": refusal.content_type()}
        await self.whole(refusal.status, refusal.content(), content_type | refusal.headers)

    async def whole(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Answer in one piece."""
        named = {name.lower(): value for name, value in headers.items()} | {"content-length": str(len(body))}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


class Dripping:
    """Sends every body a few bytes at a time."""

    def __init__(self, send: Send, drip: faults.Drip) -> None:
        self._send = send
        self._drip = drip

    async def __call__(self, message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or not body:
            await self._send(message)
            return
        step = self._drip.chunk_bytes
        for start in range(0, len(body), step):
            last = start + step >= len(body)
            more = message.get("more_body", False) or not last
            await self._send({**message, "body": body[start : start + step], "more_body": more})
            await asyncio.sleep(self._drip.delay_ms / 1000)


class Cutting:
    """Lets some bytes of the body out and no end: the server closes the connection on an unfinished answer."""

    def __init__(self, send: Send, cut: faults.Cut, call: Call) -> None:
        self._send = send
        self._left = cut.after_bytes
        self._call = call

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        part = message.get("body", b"")[: self._left]
        self._left -= len(part)
        if part:
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
        if self._left == 0:
            self._call.stop.set()


class Failing:
    """Lets some events of a stream out, then an error object and the end. An answer in one piece passes untouched."""

    def __init__(self, send: Send, error: faults.StreamError, call: Call) -> None:
        self._send = send
        self._error = error
        self._call = call
        self._events = 0
        self._streaming = False
        self._failed = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kinds = dict(message.get("headers", ()))
            self._streaming = kinds.get(b"content-type", b"").startswith(b"text/event-stream")
        if message["type"] != "http.response.body" or not self._streaming:
            await self._send(message)
        elif self._events < self._error.after_events and message.get("more_body"):
            self._events += 1
            await self._send(message)
        elif not self._failed:
            self._failed = True
            told = {"error": self._error.error, "error_type": self._error.error_type}
            event = b"data: " + codec.encode(told) + b"\n\n"
            await self._send({"type": "http.response.body", "body": event, "more_body": False})
            self._call.stop.set()


def named_model(path: str, body: bytes) -> str | None:
    """The model that a call names, in its path or else in its body, without suffix; None if it names none."""
    if found := _MODEL_PATH.match(path):
        return found["model"].partition(":")[0]
    try:
        value = codec.decode(body)
    except codec.Undecodable:
        return None
    model = value.get("model") if isinstance(value, dict) else None
    return model.partition(":")[0] if isinstance(model, str) else None


async def _read(receive: Receive) -> tuple[bytes, int]:
    """The body and its size. Over the limit it is read to its end and dropped, so that the client hears the refusal."""
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY_BYTES:
            parts.append(part)
        if not message.get("more_body", False):
            return (b"".join(parts) if size <= MAX_BODY_BYTES else b""), size
