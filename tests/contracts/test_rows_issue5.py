"""Rows of the requirements that no other suite proves: the provider's certificate."""

import asyncio

import httpx
import pytest
from own_certificate import certificate

from runtime.http import Egress, HttpTransport


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_token_is_shown_to_nobody_whose_certificate_is_not_vouched_for(trusted: bool) -> None:
    """A3: the handshake fails before a byte of the request has left."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    own, knows_it = certificate("localhost")
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=own)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    transport = HttpTransport(Egress([url]), tls=knows_it if trusted else None)
    try:
        async with httpx.AsyncClient(transport=transport, headers={"authorization": "Bearer hf_canary"}) as client:
            if trusted:
                assert (await client.get(url)).json() == {}
            else:
                with pytest.raises(httpx.ConnectError):
                    await client.get(url)
    finally:
        server.close()
    assert [b"hf_canary" in head for head in heard] == [True] * trusted
