"""A provider that lies, drips, bombs and breaks off: raw sockets, one script for each model name.

Runs in a thread of its own with a loop of its own, so that a test may be synchronous. The script is chosen by what
follows `hostile/` in the request's `model`; the part before a dot is the script, the rest tells calls apart.
"""

import asyncio
import contextlib
import gzip
import json
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

PREFIX = "hostile/"
DROP_S = 0.4
"""Between two drops of an answer that drips: below every read timeout, so that only a deadline ends it."""
BOMB_BYTES = 300 * 1024 * 1024
HUGE_BYTES = 5 * 1024**3
VALID_BYTES, BLOCK = 30_000_000, b"x" * 65_536


@dataclass
class Call:
    """One request as it arrived, and its connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    headers: dict[str, str]
    body: dict[str, Any]
    number: int
    """Of the calls for this model, from 1."""

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
        await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        await self.reader.read()


Script = Callable[["HostileProvider", Call], Awaitable[None]]


@dataclass
class HostileProvider:
    """What reached it. Changed by its own thread; a test reads it when nothing is on its way any more."""

    url: str = ""
    elsewhere: str = ""
    """Another port, that nobody may be sent to."""
    calls: Counter[str] = field(default_factory=Counter)
    """By model, without prefix."""
    at: dict[str, list[float]] = field(default_factory=dict)
    """When each call of a model came (seconds, the server's clock)."""
    tokens: Counter[str] = field(default_factory=Counter)
    traces: list[str] = field(default_factory=list)
    """`tenant/id` of each call."""
    strayed: list[bytes] = field(default_factory=list)
    """What came to the other port."""
    closed: Counter[str] = field(default_factory=Counter)
    """Calls whose script is over, by model: each of their connections was let go by one side or the other."""
    party: int = 0
    """So many `rendezvous` calls wait for one another."""
    arrived: int = 0
    together: asyncio.Event = field(default_factory=asyncio.Event)
    refused: set[str] = field(default_factory=set)
    """Jobs that were told to come again."""
    healed: threading.Event = field(default_factory=threading.Event)
    """Set by a test: `ill` answers well from then on."""
    ill_in_flight: int = 0
    ill_most_after_first: int = 0
    """Most calls of `ill` at once since the breaker had every reason to be open (the fourth call)."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                headers = {name.lower(): value for name, value in fields.items()}
                body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
                model = body.get("model", "").removeprefix(PREFIX)
                self.calls[model] += 1
                self.at.setdefault(model, []).append(asyncio.get_running_loop().time())
                self.traces.append(headers.get("x-amzn-trace-id", ""))
                self.tokens[headers.get("authorization", "").removeprefix("Bearer ")] += 1
                call = Call(reader, writer, headers, body, self.calls[model])
                try:
                    await SCRIPTS[model.partition(".")[0]](self, call)
                finally:
                    self.closed[model] += 1

    async def stray(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.strayed.append(await reader.read(65_536))
        writer.close()


SCRIPTS: dict[str, Script] = {}


def script(name: str) -> Callable[[Script], Script]:
    def named(function: Script) -> Script:
        SCRIPTS[name] = function
        return function

    return named


def head(status: str = "200 OK", kind: str = "application/json", **fields: str | int) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{lines}".encode()


def whole(body: bytes, status: str = "200 OK", kind: str = "application/json", **fields: str | int) -> bytes:
    return head(status, kind, content_length=len(body), **fields) + b"\r\n" + body


def completion(text: str = "Hello") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    return json.dumps({"id": "x", "model": "m", "created": 1, "choices": [choice], "usage": usage}).encode()


def event(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if more else [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]
    return (
        b"data: " + json.dumps({"id": "x", "model": "m", "created": 1, "choices": choices, **more}).encode() + b"\n\n"
    )


USAGE = event(usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11})
STREAM = head(kind="text/event-stream") + b"transfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def says(*parts: bytes) -> Script:
    """Send this and keep the connection."""

    async def answer(_: HostileProvider, call: Call) -> None:
        await call.send(*parts)

    return answer


def breaks_off(*parts: bytes, reset: bool = False, half: bool = False) -> Script:
    """Send this and end the connection: with FIN, with RST, or one half of it."""

    async def answer(_: HostileProvider, call: Call) -> None:
        await call.send(*parts)
        if half:
            call.writer.write_eof()
            await call.gone()
        if reset:
            linger = struct.pack("ii", 1, 0)
            call.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise ConnectionAbortedError

    return answer


def drips(start: bytes, drop: bytes) -> Script:
    async def answer(_: HostileProvider, call: Call) -> None:
        await call.send(start)
        while not call.writer.is_closing():
            await call.send(drop)
            await asyncio.sleep(DROP_S)

    return answer


def floods(start: bytes, block: bytes) -> Script:
    """As fast as the other side takes it, for ever."""

    async def answer(_: HostileProvider, call: Call) -> None:
        await call.send(start)
        while not call.writer.is_closing():
            await call.send(block)

    return answer


def bomb(encoding: str, data: Callable[[], bytes]) -> Script:
    async def answer(_: HostileProvider, call: Call) -> None:
        await call.send(whole(data(), content_encoding=encoding))

    return answer


@cache
def _raw_bomb() -> bytes:
    """One block that stands for a megabyte of zeros and refers to nothing before it, over and over."""
    deflate = zlib.compressobj(9, wbits=-15)
    block = deflate.compress(bytes(1024 * 1024)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return block * (BOMB_BYTES // (1024 * 1024)) + deflate.flush()


def gzip_bomb() -> bytes:
    return gzip.compress(b"")[:10] + _raw_bomb() + bytes(8)  # nobody comes as far as the checksum


def deflate_bomb() -> bytes:
    return b"\x78\xda" + _raw_bomb() + bytes(4)


def zstd_bomb() -> bytes:
    """RFC 8878: a frame of RLE blocks, 4 bytes each, that stand for 128 KiB each."""
    block = 131_072
    blocks = [struct.pack("<I", (block << 3) | (1 << 1))[:3] + b"\0"] * (BOMB_BYTES // block)
    return b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(blocks) + b"\x01\0\0"


def brotli_bomb() -> bytes:
    """Its name is refused, so what it holds need only look compressed."""
    return b"\x5b\xff\xff\x3f\x00\x58\xc0\x82" + bytes(300_000)


@script("healthy")
async def _healthy(_: HostileProvider, call: Call) -> None:
    if call.body.get("stream"):
        await call.send(STREAM + chunk(event("Hel") + event("lo", "stop") + USAGE + b"data: [DONE]\n\n") + b"0\r\n\r\n")
    else:
        await call.send(whole(completion()))


@script("rendezvous")
async def _rendezvous(provider: HostileProvider, call: Call) -> None:
    """Answers when as many calls are here at once as the client may have."""
    provider.arrived += 1
    if provider.arrived == provider.party:
        provider.together.set()
    await provider.together.wait()
    await call.send(whole(completion()))


@script("silent")
async def _silent(_: HostileProvider, call: Call) -> None:
    await call.gone()


@script("ill")
async def _ill(provider: HostileProvider, call: Call) -> None:
    """503 until a test heals it; slow enough that two trial calls would be seen together."""
    if provider.healed.is_set():
        await call.send(whole(completion()))
        return
    provider.ill_in_flight += 1
    if call.number > 3:
        provider.ill_most_after_first = max(provider.ill_most_after_first, provider.ill_in_flight)
        await asyncio.sleep(0.05)
    provider.ill_in_flight -= 1
    await call.send(whole(b'{"error":"overloaded"}', "503 Service Unavailable"))


@script("redirect")
async def _redirect(provider: HostileProvider, call: Call) -> None:
    where = {
        "metadata": "http://169.254.169.254/latest/meta-data/",
        "file": "file:///etc/passwd",
        "elsewhere": provider.elsewhere + "/steal",
        "relative": "/steal",
        "downgrade": provider.url.replace("http://", "HTTP://user:pass@"),
    }[call.body["model"].partition(".")[2]]
    await call.send(whole(b"", "307 Temporary Redirect", location=where))


@script("echo")
async def _echo(_: HostileProvider, call: Call) -> None:
    """Quotes the credential and the prompt."""
    said = json.dumps({"error": f"{call.headers['authorization']} said {json.dumps(call.body)}"}).encode()
    await call.send(whole(said, "400 Bad Request", x_request_id=call.headers["authorization"][7:]))


@script("retryafter")
async def _retry_after(provider: HostileProvider, call: Call) -> None:
    """429 with the hint that stands in the model's name, for each job's first call; then well."""
    job = call.headers["x-amzn-trace-id"]
    if job in provider.refused:
        await call.send(whole(completion()))
        return
    provider.refused.add(job)
    hint = RETRY_AFTERS[call.body["model"].partition(".")[2]]
    fields = {} if hint is None else {"retry_after": hint}
    await call.send(whole(b'{"error":"Rate limit reached"}', "429 Too Many Requests", **fields))


RETRY_AFTERS: dict[str, str | None] = {
    "one": "1",
    "storm": "1",
    "hour": "3600",
    "past": "Wed, 21 Oct 2015 07:28:00 GMT",
    "negative": "-5",
    "garbage": "soon; \x7f<b>",
    "huge": "1" + "0" * 30,
    "none": None,
    "two-hours-as-date": "Wed, 21 Oct 2099 07:28:00 GMT",
}

SCRIPTS |= {
    "drip-head": drips(b"HTTP/1.1 200 OK\r\nx-h: ", b"y"),
    "drip-status": drips(b"HTTP/1.1 200 OK\r\n", b"x-h: y\r\n"),
    "drip-body": drips(head(content_length=1_000_000) + b"\r\n", b" "),
    "drip-sse": drips(STREAM, chunk(b":\n")),
    "drip-words": drips(STREAM, chunk(event("w"))),
    "drip-1xx": drips(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
    "storm-1xx": floods(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 64),
    "half-close": breaks_off(head(content_length=500) + b"\r\n" + completion()[:40], half=True),
    "half-close-early": breaks_off(b"", half=True),
    "fin": breaks_off(b""),
    "reset": breaks_off(b"", reset=True),
    "reset-within": breaks_off(head(content_length=500) + b"\r\n{", reset=True),
    "length-more": breaks_off(head(content_length=5_000) + b"\r\n" + completion()),
    "length-less": says(head(content_length=20) + b"\r\n" + completion()),
    "length-twice": says(head(content_length=20) + b"content-length: 21\r\n\r\n" + completion()),
    "head-2mb": says(b"HTTP/1.1 200 OK\r\nx-big: " + b"y" * 2_000_000 + b"\r\ncontent-length: 2\r\n\r\n{}"),
    "heads-many": says(b"HTTP/1.1 200 OK\r\n" + b"x-many: y\r\n" * 5_000 + b"content-length: 2\r\n\r\n{}"),
    "garbage": breaks_off(bytes(range(256)) * 64),
    "garbage-chunk": breaks_off(STREAM + chunk(event("Hel")) + bytes(range(128, 256))),
    "bomb-gzip": bomb("gzip", gzip_bomb),
    "bomb-deflate": bomb("deflate", deflate_bomb),
    "bomb-zstd": bomb("zstd", zstd_bomb),
    "bomb-br": bomb("br", brotli_bomb),
    "bomb-twice": bomb("gzip, gzip", gzip_bomb),
    "length-5gb": floods(head(content_length=HUGE_BYTES) + b"\r\n", BLOCK),
    "endless": floods(head() + b"transfer-encoding: chunked\r\n\r\n", chunk(BLOCK)),
    "endless-sse": floods(STREAM, chunk(event("word ") * 400)),
    "endless-comments": floods(STREAM, chunk((b": " + b"p" * 250 + b"\n\n") * 250)),
    "endless-line": floods(STREAM, chunk(b"data: " + BLOCK)),
    "many-values": floods(head() + b"transfer-encoding: chunked\r\n\r\n" + chunk(b"["), chunk(b"[]," * 20_000)),
    "sse-cut": breaks_off(STREAM + chunk(event("Hel"))),
    "sse-cut-usage": breaks_off(STREAM + chunk(event("Hel") + event("lo", "stop") + USAGE)),
    "sse-no-done": says(STREAM + chunk(event("Hel") + event("lo", "stop") + USAGE) + b"0\r\n\r\n"),
    "sse-no-end": says(STREAM + chunk(event("Hel")) + b"0\r\n\r\n"),
    "sse-error": says(STREAM + chunk(event("Hel") + b'data: {"error":"CUDA out of memory"}\n\n') + b"0\r\n\r\n"),
    "sse-garbage": says(STREAM + chunk(event("Hel") + b"data: {nonsense\n\n") + b"0\r\n\r\n"),
    "html": says(whole(b"<html><script>alert(1)</script><title>Welcome</title></html>", kind="text/html")),
    "empty": says(whole(b"")),
    "error-inside": says(whole(b'{"error":{"message":"upstream exploded","code":500}}')),
    "wrong-type": says(whole(b"GIF89a" + bytes(500), kind="image/gif")),
    "nan": says(whole(completion().replace(b'"created": 1', b'"created": NaN'))),
    "nested": says(whole(b"[" * 100_000 + b"]" * 100_000)),
    "null": says(whole(b"null")),
    "no-choices": says(whole(b'{"choices":[]}')),
    "unauthorized": says(whole(b'{"error":"Invalid credentials in Authorization header"}', "401 Unauthorized")),
    "payment": says(whole(b'{"error":"You have depleted your monthly included credits"}', "402 Payment Required")),
}


@script("valid-30mb")
async def _valid(_: HostileProvider, call: Call) -> None:
    await call.send(whole(completion("y" * VALID_BYTES)))


@contextmanager
def hostile(party: int = 0) -> Iterator[HostileProvider]:
    """The server, on two ports of its own."""
    loop = asyncio.new_event_loop()
    provider = HostileProvider(party=party)
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1024) as front,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        provider.url = f"http://127.0.0.1:{front.getsockname()[1]}"
        provider.elsewhere = f"http://127.0.0.1:{other.getsockname()[1]}"

        async def open_both() -> list[asyncio.Server]:
            return [
                await asyncio.start_server(provider.serve, sock=front),
                await asyncio.start_server(provider.stray, sock=other),
            ]

        async def close_all(servers: list[asyncio.Server]) -> None:
            for server in servers:
                server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        servers = loop.run_until_complete(open_both())
        thread = threading.Thread(target=loop.run_forever, name="hostile-provider", daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            asyncio.run_coroutine_threadsafe(close_all(servers), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(30)
            loop.close()
