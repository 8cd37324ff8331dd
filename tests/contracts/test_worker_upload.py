"""A large body over a real socket: whole, with its length told, sent in pieces, and with the patience that it needs."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from runtime.http import Egress, HttpTransport, ReadTimeout
from workers.exchange import Call
from workers.sending import WHOLE_BYTES, Bounds, request_of

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Server:
    """Reads one request to its end, slowly if it is told to, and answers if it is told to."""

    url: str = ""
    head: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    pause_s: float = 0.0
    answers: bool = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(self.head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while len(self.body) < length:
                self.body += await reader.read(1_048_576)
                await asyncio.sleep(self.pause_s)
            if self.answers:
                writer.write(OK)
                await writer.drain()
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def served(**how: float | bool) -> AsyncIterator[tuple[Server, HttpTransport]]:
    server = Server(**how)  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # what is sent is soon read, or not sent
    listening = await asyncio.start_server(server.serve, sock=listener, limit=65_536)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with HttpTransport(Egress([server.url])) as http:
        yield server, http
    listening.close()


async def test_a_body_of_pieces_arrives_whole_with_its_length_and_is_never_chunked() -> None:
    pieces = (b'{"inputs":"', b"A" * (4 * WHOLE_BYTES + 7), b'"}')
    async with served() as (server, http):
        call = Call("POST", f"{server.url}/x", (("content-type", "application/json"),), pieces)
        response = await http.handle_async_request(request_of(call, "Bearer t", Bounds(3, 30, 30, 1_000)))
        assert await response.aread() == b"ok"

    assert bytes(server.body) == b"".join(pieces)
    assert server.head.count(b"content-length: ") == 1
    assert b"transfer-encoding" not in server.head
    assert b"authorization: bearer t\r\n" in server.head


async def test_while_a_body_is_sent_no_silence_of_the_server_is_counted() -> None:
    """The server takes several times as long to read it as it may be silent once all has been sent."""
    async with served(pause_s=0.004) as (server, http):
        call = Call("POST", server.url, (), (b"x" * 64 * WHOLE_BYTES,))
        response = await http.handle_async_request(request_of(call, None, Bounds(3, 1.0, 60, 1_000)))
        assert await response.aread() == b"ok"
    assert len(server.body) == 64 * WHOLE_BYTES


async def test_a_server_that_takes_a_large_body_and_says_nothing_times_out() -> None:
    async with served(answers=False) as (server, http):
        call = Call("POST", server.url, (), (b"x" * 2 * WHOLE_BYTES,))
        with pytest.raises(ReadTimeout):
            await http.handle_async_request(request_of(call, None, Bounds(3, 0.2, 30, 1_000)))
    assert len(server.body) == 2 * WHOLE_BYTES
