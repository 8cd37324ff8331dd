"""A provider that answers at once, or as slowly as it is told: for benchmarks and fault tests.

Speaks `POST /v1/chat/completions` (plain and streamed), hf-inference's text generation, tasks that are answered with a
file, and fal's two ways: at once with an address, or a queue to be asked. Keeps a log of the calls that reached it, and
is told how to behave by environment or `POST /admin/behave`, for every model or for one. HTTP/1.1 with keep-alive and
Content-Length, nothing more: it has to cost less than what is measured.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

from sandbox.stub_files import addresses, made, type_of

HOST = "127.0.0.1"


@dataclass
class Behaviour:
    """How the stub answers. Changed by `POST /admin/behave` with the same fields."""

    status: int = 200
    delay_ms: float = 0.0
    slow_every: int = 0
    """Each call of such a number takes `slow_ms` instead of `delay_ms`; 0: none does."""
    slow_ms: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    words: int = 12
    """Completion tokens of each answer."""
    fail_first: int = 0
    """So many calls answer `fail_status` before the rest answer `status`."""
    fail_status: int = 503
    fail_headers: dict[str, str] = field(default_factory=dict)
    """Beside `headers` on those first calls."""
    statuses: list[int] = field(default_factory=list)
    """Answered in turn, over and over, instead of `status`."""
    takes: list[str] = field(default_factory=list)
    """Whoever shows another token is answered 401; empty: all are taken."""
    capacity: int = 0
    """A call beyond so many at once is answered 429, without delay; 0: none is."""
    stall: bool = False
    """Take the call and never answer."""
    echo: bool = False
    """A refusal quotes the request's body and token, as some providers do."""
    answer: Any = None
    """This JSON answers every call, whatever was asked."""
    file: str = ""
    """`image/png`, `audio/wav` or `video/mp4`: each of hf-inference's tasks is answered with such a file, no two alike;
    fal's have its address in their answer, at this server."""
    file_bytes: int = 0
    """At least so large."""
    polls: int = 1
    """How often a queued request is asked for its state before it is completed."""
    ends: str = "COMPLETED"
    """The state that a queued request ends in."""


@dataclass
class Queued:
    """A request in the queue."""

    how: Behaviour
    looks: int = 0
    cancelled: bool = False

    @property
    def state(self) -> str:
        """As fal names it."""
        return self.how.ends if self.looks > self.how.polls else "IN_PROGRESS"


ASIDE = re.compile(r"/(?:files/|[^?]*/requests/)(?P<number>\d+)(?P<what>/status|/cancel|\.[a-z0-9]+)?(?:\?|$)")
"""Paths of what belongs to a call that was made before: a file, or a request in the queue."""
MODEL = re.compile(r"^/(?:hf-inference/models|fal-ai)/(?P<model>[^?]+?)(?:/pipeline/[^/?]+)?(?:\?|$)")


class Stub(asyncio.Protocol):
    """One connection."""

    behaviour = Behaviour()
    of_model: dict[str, tuple[Behaviour, int]] = {}  # noqa: RUF012 - one table per process is the point
    """How the stub answers for one model, and how often that model had been called when it was told so."""
    asked: Counter[str] = Counter()  # noqa: RUF012
    """Calls by model; counted while `of_model` has rows."""
    tokens: list[str] = []  # noqa: RUF012
    """Bearer tokens in order of first use."""
    calls: list[tuple[str, int]] = []  # noqa: RUF012 - one log per process is the point
    """(trace header or empty, status answered), in order of arrival."""
    times: list[float] = []  # noqa: RUF012
    """When each of them arrived, in seconds of the wall clock."""
    bill: list[tuple[str, str, int, int]] = []  # noqa: RUF012
    """(trace header or empty, model, prompt tokens, completion tokens) of each chat completion that is charged for:
    whoever asked for it pays, whether or not they wait for the answer."""
    queue: dict[int, Queued] = {}  # noqa: RUF012
    """Calls that a queue or an address answered, by their number."""
    aside: Counter[str] = Counter()  # noqa: RUF012
    """Requests for what earlier calls made: `status`, `result`, `cancel`, `file`. They are no calls."""
    in_flight = 0
    most_in_flight = 0

    def __init__(self) -> None:
        self._buffer = b""
        self._stalled = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away: what it asked is answered to nobody."""
        self._transport = None
        type(self).in_flight -= self._stalled

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].decode("latin-1").split("\r\n")
            fields = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
            }
            length = int(fields.get("content-length", "0"))
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            method, path, _ = head[0].split(" ", 2)
            self._request(method, path, fields, body)

    def _request(self, method: str, path: str, fields: dict[str, str], body: bytes) -> None:
        if path.startswith("/admin/") or path == "/healthz":
            self._answer(200, self._admin(method, path, body))
        elif method == "HEAD":  # somebody looks whether anybody is here: no call
            self._write(_head(200, "text/plain", 0, {}))
        elif found := ASIDE.match(path):
            self._aside(int(found["number"]), found["what"] or "")
        else:
            self._call(path, fields, body)

    def _call(self, path: str, fields: dict[str, str], body: bytes) -> None:
        cls, how, before = type(self), self.behaviour, len(self.calls)
        if cls.of_model:
            model = _model(path, body)
            how, told_at = cls.of_model.get(model, (how, 0))
            before = cls.asked[model] - told_at if model in cls.of_model else before
            cls.asked[model] += 1
        first = before < how.fail_first
        status = how.fail_status if first else how.status
        if how.statuses and not first:
            status = how.statuses[before % len(how.statuses)]
        too_many = 0 < how.capacity <= cls.in_flight
        if too_many:
            status = 429
        token = fields.get("authorization", "").removeprefix("Bearer ")
        if token not in cls.tokens:
            cls.tokens.append(token)
        if how.takes and token not in how.takes:
            status = 401
        cls.calls.append((fields.get("x-amzn-trace-id", ""), status))
        cls.times.append(time.time())
        cls.in_flight += 1
        cls.most_in_flight = max(cls.most_in_flight, cls.in_flight)
        if how.stall:
            self._stalled += 1
            return
        headers = {**how.headers, **how.fail_headers} if first else how.headers
        if status != 200:
            quoted = f" {token} {body.decode(errors='replace')}" if how.echo else ""
            answer: Any = {"error": f"scripted {status}{quoted}"}
        else:
            answer = self._worked(path, body, how, fields.get("host", HOST))
            if isinstance(answer, dict) and "usage" in answer:
                used = answer["usage"]
                prompt, completion = used["prompt_tokens"], used["completion_tokens"]
                cls.bill.append((fields.get("x-amzn-trace-id", ""), answer["model"], prompt, completion))
                if b'"stream":true' in body.replace(b" ", b""):
                    self._stream(headers, answer, how.words, how.delay_ms / 1000)
                    return
        slow = how.slow_every and len(cls.calls) % how.slow_every == 0
        delay_ms = how.slow_ms if slow else how.delay_ms
        if delay_ms and not too_many:
            asyncio.get_running_loop().call_later(delay_ms / 1000, self._finish, status, headers, answer)
        else:
            self._finish(status, headers, answer)

    def _worked(self, path: str, body: bytes, how: Behaviour, host: str) -> Any:
        """What a call is answered with: JSON, or the bytes of a file."""
        if how.answer is not None:
            return how.answer
        cls, number = type(self), len(self.calls)
        if path.startswith("/fal-ai/"):
            cls.queue[number] = Queued(how)
            if not path.endswith("_subdomain=queue"):
                return addresses(how.file, f"http://{host}", number)
            asked = f"https://queue.fal.run{path.removeprefix('/fal-ai').partition('?')[0]}/requests/{number}"
            told = {"status_url": f"{asked}/status", "cancel_url": f"{asked}/cancel", "queue_position": 0}
            return {"status": "IN_QUEUE", "request_id": str(number), "response_url": asked} | told
        if how.file and path.startswith("/hf-inference/") and "/v1/" not in path:
            return made(how.file, how.file_bytes, number)
        return _completion(body, how.words)

    def _aside(self, number: int, what: str) -> None:
        """Ask after, take or cancel what an earlier call made. The address of a result is at the host it came from."""
        cls, queued = type(self), self.queue.get(number)
        name = {"/status": "status", "/cancel": "cancel", "": "result"}.get(what, "file")
        cls.aside[name] += 1
        if queued is None or (name == "result" and queued.state != "COMPLETED"):
            self._answer(404, {"detail": "no such request, or it is not completed"})
        elif name == "file":
            self._answer(200, made(queued.how.file or "image/png", queued.how.file_bytes, number))
        elif name == "cancel":
            queued.cancelled = True
            self._answer(200, {"status": "CANCELLATION_REQUESTED"})
        elif name == "status":
            queued.looks += 1
            self._answer(200, {"status": queued.state, "request_id": str(number)})
        else:
            self._answer(200, addresses(queued.how.file, self._origin(), number))

    def _origin(self) -> str:
        """This server as its clients see it."""
        host, port = self._transport.get_extra_info("sockname")[:2] if self._transport else (HOST, 0)
        return f"http://{host}:{port}"

    def _finish(self, status: int, headers: dict[str, str], answer: Any) -> None:
        type(self).in_flight -= 1
        self._answer(status, answer, headers)

    def _stream(self, headers: dict[str, str], answer: dict[str, Any], words: int, delay_s: float) -> None:
        """The answer as server-sent events: head and first word at once, the rest after `delay_s`."""
        common = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
        deltas = [{"role": "assistant", "content": "stub "}, *[{"content": "stub "}] * (words - 1)]
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({"choices": [], "usage": answer["usage"]})
        events = [b"data: %s\n\n" % json.dumps({**common, **chunk}).encode() for chunk in chunks]
        body = [events[0], b"".join(events[1:]) + b"data: [DONE]\n\n"]
        self._write(_head(200, "text/event-stream", sum(map(len, body)), headers) + body[0])
        asyncio.get_running_loop().call_later(delay_s, self._end_stream, body[1])

    def _end_stream(self, rest: bytes) -> None:
        type(self).in_flight -= 1
        self._write(rest)

    def _admin(self, method: str, path: str, body: bytes) -> Any:
        cls = type(self)
        if path == "/admin/behave" and method == "POST":
            told = json.loads(body)
            model = told.pop("model", None)
            if model is None:
                cls.behaviour = Behaviour(**told)
            else:
                cls.of_model[model] = Behaviour(**told), cls.asked[model]
        elif path == "/admin/reset" and method == "POST":
            cls.calls.clear()
            cls.times.clear()
            cls.bill.clear()
            cls.aside.clear()
            cls.most_in_flight = cls.in_flight
        elif path == "/admin/calls":
            return cls.calls
        elif path == "/admin/times":
            return cls.times
        elif path == "/admin/bill":
            return cls.bill
        elif path == "/admin/tokens":
            return cls.tokens
        elif path == "/admin/aside":
            return {"cancelled": sum(queued.cancelled for queued in cls.queue.values()), **cls.aside}
        return {"calls": len(cls.calls), "in_flight": cls.in_flight, "most_in_flight": cls.most_in_flight}

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        """JSON, or a file."""
        is_file = isinstance(value, bytes)
        body = value if is_file else json.dumps(value).encode()
        self._write(_head(status, type_of(body) if is_file else "application/json", len(body), headers or {}) + body)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _head(status: int, media_type: str, length: int, headers: dict[str, str]) -> bytes:
    extra = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\n{extra}content-length: {length}\r\n\r\n".encode()


def _model(path: str, body: bytes) -> str:
    """The model that a call names, in its path or else in its body, without suffix; empty if it names none."""
    if found := MODEL.match(path):
        return found["model"].removesuffix("/v1/chat/completions")
    named: str = json.loads(body or b"{}").get("model", "")
    return named.partition(":")[0]


def _completion(body: bytes, words: int) -> Any:
    asked = json.loads(body or b"{}")
    if "messages" not in asked:
        return [{"generated_text": "stub " * words}]
    prompt = sum(len(str(message.get("content"))) for message in asked["messages"]) // 4 + 8
    return {
        "id": "stub",
        "object": "chat.completion",
        "created": 0,
        "model": asked.get("model", ""),
        "system_fingerprint": "",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "stub " * words}}
        ],
        "usage": {"prompt_tokens": prompt, "completion_tokens": words, "total_tokens": prompt + words},
    }


async def serve(port: int) -> None:
    """Serve for ever; prints the port on its first line."""
    server = await asyncio.get_running_loop().create_server(Stub, HOST, port)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    Stub.behaviour = Behaviour(**json.loads(os.environ.get("STUB_BEHAVIOUR", "{}")))
    uvloop.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
