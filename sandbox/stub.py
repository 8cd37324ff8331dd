"""A provider that answers at once, or as slowly as it is told: for benchmarks and fault tests.

Speaks `POST /v1/chat/completions` (plain) and hf-inference's text generation, keeps a log of the calls that reached it, and
is told how to behave by environment or `POST /admin/behave`. HTTP/1.1 with keep-alive and Content-Length, nothing more: it
has to cost less than what is measured.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any, cast

HOST = "127.0.0.1"


@dataclass
class Behaviour:
    """How the stub answers. Changed by `POST /admin/behave` with the same fields."""

    status: int = 200
    delay_ms: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    words: int = 12
    """Completion tokens of each answer."""
    fail_first: int = 0
    """So many calls answer `fail_status` before the rest answer `status`."""
    fail_status: int = 503


class Stub(asyncio.Protocol):
    """One connection."""

    behaviour = Behaviour()
    calls: list[tuple[str, int]] = []  # noqa: RUF012 - one log per process is the point
    """(trace header or empty, status answered), in order of arrival."""
    in_flight = 0
    most_in_flight = 0

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away: what it asked is answered to nobody."""
        self._transport = None

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
            return
        cls, how = type(self), self.behaviour
        status = how.fail_status if len(cls.calls) < how.fail_first else how.status
        cls.calls.append((fields.get("x-amzn-trace-id", ""), status))
        cls.in_flight += 1
        cls.most_in_flight = max(cls.most_in_flight, cls.in_flight)
        answer = _completion(body, how.words) if status == 200 else {"error": f"scripted {status}"}
        if how.delay_ms:
            asyncio.get_running_loop().call_later(how.delay_ms / 1000, self._finish, status, answer)
        else:
            self._finish(status, answer)

    def _finish(self, status: int, answer: Any) -> None:
        type(self).in_flight -= 1
        self._answer(status, answer)

    def _admin(self, method: str, path: str, body: bytes) -> Any:
        cls = type(self)
        if path == "/admin/behave" and method == "POST":
            cls.behaviour = Behaviour(**json.loads(body))
        elif path == "/admin/reset" and method == "POST":
            cls.calls.clear()
            cls.most_in_flight = cls.in_flight
        elif path == "/admin/calls":
            return cls.calls
        return {"calls": len(cls.calls), "in_flight": cls.in_flight, "most_in_flight": cls.most_in_flight}

    def _answer(self, status: int, value: Any) -> None:
        if self._transport is None:
            return
        body = json.dumps(value).encode()
        extra = "".join(f"{name}: {text}\r\n" for name, text in self.behaviour.headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{extra}content-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


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
