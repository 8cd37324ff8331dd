"""The replay server: says again, on loopback, what was recorded. A wire of its own, so that nothing is smoothed over.

Every record has a path of its own (`/{id}/...`), for the same request was answered differently at different times. It
is matched by method, path with query, and canonical JSON or sha256 of the body. Bodies leave in pieces of odd sizes.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11

from conformance.records import digest

PIECES = (1, 2, 7, 61, 255, 1_021, 8_191, 65_521)
"""Sizes of the pieces that a body is cut into, one after the other; the last again and again."""
HELD_BACK = frozenset({"connection", "content-encoding", "content-length", "transfer-encoding", "keep-alive", "date"})
"""What the framing of this server says instead; the recorder decoded the bodies."""


@dataclass(frozen=True)
class Told:
    """A recorded answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Scene:
    """What one record's client may ask, and what it asked."""

    answers: dict[tuple[str, str, str], Told] = field(default_factory=dict)
    downloads: dict[str, Told] = field(default_factory=dict)
    """By address without scheme and query."""
    strangers: list[str] = field(default_factory=list)
    """Requests that no record answers, as `method path`."""

    def expect(self, method: str, path: str, body: bytes, told: Told) -> None:
        """`told` answers this request."""
        self.answers[method, path, digest(body)] = told


class Server:
    """Its address is `base`; scenes may be added while it runs."""

    def __init__(self) -> None:
        self.base = ""
        self.scenes: dict[str, Scene] = {}

    def told(self, method: str, target: str, body: bytes) -> Told:
        """What answers a request; 421 for one that nobody recorded."""
        _, name, rest = target.split("/", 2)
        scene = self.scenes.get(name)
        if scene is None:
            return Told(421, {}, b"")
        path = "/" + rest
        if path.startswith("/@/"):
            found = scene.downloads.get(path.removeprefix("/@/").partition("?")[0])
        else:
            found = scene.answers.get((method, path, digest(body)))
        if found is None:
            scene.strangers.append(f"{method} {path}")
            return Told(421, {}, b'{"error": "not recorded"}')
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        wire = h11.Connection(h11.SERVER)
        try:
            while (request := await _request(wire, reader)) is not None:
                method, target, body = request
                await _answer(wire, writer, self.told(method, target, body))
                wire.start_next_cycle()
        except (OSError, h11.ProtocolError):
            pass  # the client has had enough of it
        finally:
            writer.close()


async def _request(wire: h11.Connection, reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    asked: h11.Request | None = None
    body = bytearray()
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            asked = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and asked is not None:
            return asked.method.decode(), asked.target.decode(), bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            return None


async def _answer(wire: h11.Connection, writer: asyncio.StreamWriter, told: Told) -> None:
    headers = [(name, value) for name, value in told.headers.items() if name.lower() not in HELD_BACK]
    response = h11.Response(status_code=told.status, headers=[*headers, ("transfer-encoding", "chunked")])
    writer.write(wire.send(response) or b"")
    at = 0
    for turn in range(len(told.body) + 1):
        if at >= len(told.body):
            break
        size = PIECES[min(turn, len(PIECES) - 1)]
        writer.write(wire.send(h11.Data(data=told.body[at : at + size])) or b"")
        await writer.drain()
        await asyncio.sleep(0)
        at += size
    writer.write(wire.send(h11.EndOfMessage()) or b"")
    await writer.drain()


@asynccontextmanager
async def replaying() -> AsyncIterator[Server]:
    """A replay server on a free port of loopback."""
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.base = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield server
