"""The probe on real sockets: any answer is a sign of life, silence and a closed door are none."""

import asyncio

from runtime.http import Egress, HttpTransport
from runtime.probe import Probes


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HEAD / ")
    assert b"authorization" not in head.lower()
    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def until(probes: Probes, reachable: bool) -> None:
    async with asyncio.timeout(20):
        while probes.all_reachable is not reachable:
            await asyncio.sleep(0.02)


async def test_a_door_that_closes_shows_and_one_that_opens_again_shows_too():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    origin = f"http://127.0.0.1:{port}"
    async with HttpTransport(Egress([origin])) as http, Probes(http, [origin], 0.05) as probes:
        assert probes.view() == {origin: "reachable"}
        server.close()
        await server.wait_closed()
        await until(probes, reachable=False)
        assert probes.view() == {origin: "unreachable"}
        server = await asyncio.start_server(answer, "127.0.0.1", port)
        await until(probes, reachable=True)
        server.close()


async def test_nobody_is_asked_where_the_pause_is_nothing():
    async with HttpTransport(Egress(["http://127.0.0.1:1"])) as http, Probes(http, ["http://127.0.0.1:1"], 0) as probes:
        await asyncio.sleep(0)
        assert probes.all_reachable
