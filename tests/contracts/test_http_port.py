"""The HTTP port: one suite for the transport over aiohttp and for httpx's MockTransport; then what ours adds."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from aiohttp import web

from runtime.http import (
    DEADLINE,
    MAX_BYTES,
    AsyncBaseTransport,
    AsyncClient,
    Egress,
    EgressRefusedError,
    EncodingRefusedError,
    HttpLimits,
    HttpTransport,
    MockTransport,
    PoolTimeout,
    Request,
    Response,
    ResponseTooLargeError,
)
from runtime.http.transport import STREAMED_UPLOAD_BYTES

TOKEN = "Bearer hf_" + "Canary" * 5
BIG = bytes(range(256)) * (STREAMED_UPLOAD_BYTES // 256 + 100)


@dataclass
class Seen:
    method: str
    target: str
    headers: httpx.Headers
    body: bytes


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)


Handler = Callable[[Seen], Awaitable[Answer]]


@dataclass
class Port:
    """A transport, what it leads to, and what has arrived there."""

    transport: AsyncBaseTransport
    url: str
    seen: list[Seen] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)

    async def handle(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        return self.answer


@asynccontextmanager
async def serve(port: Port, listening: socket.socket | None = None) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        headers = httpx.Headers([(name.decode(), value.decode()) for name, value in request.raw_headers])
        said = await port.handle(Seen(request.method, request.raw_path, headers, await request.content.read()))
        response = web.StreamResponse(status=said.status, headers=said.headers)
        await response.prepare(request)
        for chunk in said.chunks:
            await response.write(chunk)
        return response

    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.SockSite(runner, listening or socket.create_server(("127.0.0.1", 0))).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class Chunks(httpx.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


@asynccontextmanager
async def over_aiohttp(limits: HttpLimits | None = None, egress: Egress | None = None) -> AsyncIterator[Port]:
    port = Port(MockTransport(lambda _: Response(500)), "")
    async with serve(port) as url:
        port.url = url
        port.transport = HttpTransport(egress or Egress([url]), limits=limits)
        async with port.transport:
            yield port


@asynccontextmanager
async def over_mock() -> AsyncIterator[Port]:
    async def answer(request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        said = await port.handle(Seen(request.method, request.url.raw_path.decode(), request.headers, body))
        return httpx.Response(said.status, headers=said.headers, stream=Chunks(said.chunks), request=request)

    port = Port(MockTransport(answer), "http://127.0.0.1:1")
    yield port


@pytest.fixture(params=[over_aiohttp, over_mock])
async def port(request: pytest.FixtureRequest) -> AsyncIterator[Port]:
    async with request.param() as opened:
        yield opened


@pytest.fixture
async def ours() -> AsyncIterator[Port]:
    async with over_aiohttp() as opened:
        yield opened


def post(port: Port, path: str = "/v1", **parts: object) -> Request:
    return Request("POST", port.url + path, **parts)  # type: ignore[arg-type]


async def test_method_target_headers_and_body_arrive_as_they_were_given(port: Port):
    path = "/v1/a%2Fb/%7Bx%7D?q=%C3%A9&r=a+b"
    await port.transport.handle_async_request(post(port, path, headers={"X-Id": "7"}, json={"a": [1, "é"]}))

    seen = port.seen[0]
    assert (seen.method, seen.target) == ("POST", path)
    assert (seen.headers["x-id"], seen.headers["content-type"]) == ("7", "application/json")
    assert seen.body == '{"a":[1,"é"]}'.encode()
    assert seen.headers["content-length"] == str(len(seen.body))


async def test_status_headers_and_body_come_back(port: Port):
    port.answer = Answer(418, {"X-Request-Id": "r1", "Content-Type": "text/plain"}, [b"a", b"b"])
    response = await port.transport.handle_async_request(post(port))

    assert (response.status_code, response.headers["x-request-id"]) == (418, "r1")
    assert await response.aread() == b"ab"
    with pytest.raises(httpx.HTTPStatusError):
        response.raise_for_status()


async def test_a_redirect_is_an_answer_and_is_not_followed(port: Port):
    port.answer = Answer(307, {"Location": "/elsewhere"})

    assert (await port.transport.handle_async_request(post(port))).status_code == 307
    assert len(port.seen) == 1


async def test_a_cookie_is_not_kept_for_the_next_call(port: Port):
    port.answer = Answer(200, {"Set-Cookie": "a=b"})
    for _ in range(2):
        await (await port.transport.handle_async_request(post(port))).aread()

    assert "cookie" not in port.seen[1].headers


@pytest.mark.parametrize("body", [b"", b"x", BIG])
async def test_a_body_of_any_size_arrives_whole_with_its_length(port: Port, body: bytes):
    await port.transport.handle_async_request(post(port, content=body))

    assert port.seen[0].body == body
    assert port.seen[0].headers["content-length"] == str(len(body))


async def test_a_streamed_body_arrives_whole(port: Port):
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"part "

    await port.transport.handle_async_request(post(port, content=parts()))
    await port.transport.handle_async_request(post(port, content=parts(), headers={"content-length": "15"}))

    assert [seen.body for seen in port.seen] == [b"part part part "] * 2


async def test_a_response_may_be_closed_unread_and_twice(port: Port):
    port.answer = Answer(chunks=[b"x" * 1000] * 100)
    response = await port.transport.handle_async_request(post(port))
    await response.aclose()
    await response.aclose()

    assert (await port.transport.handle_async_request(post(port))).status_code == 200


async def test_it_serves_as_the_transport_of_a_client(port: Port):
    port.answer = Answer(chunks=[b"{}"])
    async with AsyncClient(transport=port.transport, base_url=port.url, timeout=5) as client:
        assert (await client.get("/x")).json() == {}


# What the transport over aiohttp adds.


async def test_only_our_own_headers_are_sent_and_compression_is_not_asked_for(ours: Port):
    headers = {"Accept-Encoding": "gzip, br", "Host": "evil.example", "Authorization": TOKEN}
    await ours.transport.handle_async_request(post(ours, headers=headers))

    seen = ours.seen[0].headers
    assert sorted(seen) == ["accept-encoding", "authorization", "content-length", "host"]
    assert (seen["accept-encoding"], seen["host"]) == ("identity", ours.url.removeprefix("http://"))


async def test_a_compressed_body_is_read_all_the_same(ours: Port):
    packed = gzip.compress(b"hello " * 1000)
    ours.answer = Answer(headers={"Content-Encoding": "gzip"}, chunks=[packed[:7], packed[7:]])
    response = await ours.transport.handle_async_request(post(ours))

    assert await response.aread() == b"hello " * 1000
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize("chunks", [[b"x" * 600] * 4, [gzip.compress(bytes(50_000_000))]])
async def test_a_body_over_its_limit_ends_in_an_error_that_names_it_and_frees_the_slot(ours: Port, chunks: list[bytes]):
    headers = {"Content-Encoding": "gzip"} if len(chunks) == 1 else {}
    ours.answer = Answer(headers=headers, chunks=chunks)
    extensions = {MAX_BYTES: 2_000 if len(chunks) > 1 else 1_000_000}
    response = await ours.transport.handle_async_request(post(ours, extensions=extensions))

    with pytest.raises(ResponseTooLargeError, match=f"more than {extensions[MAX_BYTES]} bytes"):
        await response.aread()
    assert in_flight(ours) == 0


async def test_an_encoding_that_was_not_asked_for_is_refused_and_frees_the_slot(ours: Port):
    ours.answer = Answer(headers={"Content-Encoding": "br"}, chunks=[b"?"])

    with pytest.raises(EncodingRefusedError):
        await ours.transport.handle_async_request(post(ours))
    assert in_flight(ours) == 0


@pytest.mark.parametrize("header", ["Authorization", "Cookie", "X-Api-Key", "proxy-authorization"])
async def test_a_token_for_another_host_is_refused_before_anything_is_sent(header: str):
    async with over_aiohttp(egress=Egress(["https://router.huggingface.co"], elsewhere=True)) as port:
        https = port.url.replace("http:", "https:")
        with pytest.raises(EgressRefusedError) as refused:
            await port.transport.handle_async_request(Request("GET", https, headers={header: TOKEN}))

        assert "Canary" not in repr(refused.value)
        assert port.seen == []


async def test_a_name_that_leads_to_a_private_address_is_refused_after_the_lookup():
    async with over_aiohttp(egress=Egress([], elsewhere=True)) as port:
        where = "https://localhost"
        with pytest.raises(EgressRefusedError, match="not on the public internet"):
            await port.transport.handle_async_request(Request("GET", where))


async def test_no_slot_in_time_is_a_pool_timeout_and_nothing_is_sent():
    async with over_aiohttp(HttpLimits(max_in_flight=2)) as port:
        held = [await port.transport.handle_async_request(post(port)) for _ in range(2)]
        for extensions in ({"timeout": {"pool": 0.01}}, {DEADLINE: 0.01}):
            with pytest.raises(PoolTimeout, match="2 calls are in flight"):
                await port.transport.handle_async_request(post(port, extensions=extensions))
        assert len(port.seen) == 2

        await held[0].aclose()
        assert (await port.transport.handle_async_request(post(port))).status_code == 200


async def test_a_response_that_nobody_closed_gives_its_slot_back_when_it_is_collected(ours: Port):
    ours.answer = Answer(chunks=[b"x" * 1_000_000])
    response = await ours.transport.handle_async_request(post(ours))
    assert in_flight(ours) == 1

    del response
    assert in_flight(ours) == 0


async def test_a_body_read_to_its_end_gives_slot_and_connection_back(ours: Port):
    ours.answer = Answer(chunks=[b"abc"])
    for _ in range(3):
        assert await (await ours.transport.handle_async_request(post(ours))).aread() == b"abc"
        assert in_flight(ours) == 0

    ports = {len(pool) for pool in connector_pools(ours)}
    assert ports == {1}, "three calls shared one connection"


async def test_a_proxy_in_the_environment_is_not_used(ours: Port, monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert (await ours.transport.handle_async_request(post(ours))).status_code == 200


def test_one_transport_works_in_one_loop_after_another():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        transport = HttpTransport(Egress([url]))

        async def call() -> int:
            async with serve(Port(transport, url), listening.dup()), transport:
                return (await transport.handle_async_request(Request("GET", url))).status_code

        assert [asyncio.run(call()), asyncio.run(call())] == [200, 200]


def in_flight(port: Port) -> int:
    assert isinstance(port.transport, HttpTransport)
    return port.transport.in_flight


def connector_pools(port: Port) -> list[object]:
    assert isinstance(port.transport, HttpTransport)
    connector = port.transport._here().session.connector
    assert connector is not None
    return list(connector._conns.values())
