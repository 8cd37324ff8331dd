"""Strangers' addresses: none leads inside, whatever names, redirects, lengths and encodings they come up with."""

import asyncio
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from own_certificate import certificate

from runtime.http import Fetched, Fetcher, FetchError, FetchRefused, FetchStatus, FetchTooLarge, FetchUnreachable
from runtime.http.fetch import MAX_REDIRECTS
from runtime.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = "X-Signature=canary"  # what signed addresses carry


@dataclass
class Names(AbstractResolver):
    """A name server in memory. What a name has changes with each question, until its last answer."""

    table: dict[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self.table[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            {"hostname": host, "host": one, "port": port, "family": socket.AF_INET, "proto": 0,
             "flags": socket.AI_NUMERICHOST}
            for one in found
        ]  # fmt: skip

    async def close(self) -> None:
        pass


@dataclass
class Server:
    port: int
    seen: list[web.Request]
    sni: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return await handler(request)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server = Server(runner.addresses[0][1], seen, [])
    if tls is not None:
        tls.sni_callback = lambda _, name, __: server.sni.append(name)  # type: ignore[assignment]
    try:
        yield server
    finally:
        await runner.cleanup()


async def picture(_: web.Request) -> web.Response:
    return web.Response(body=b"picture", content_type="image/png")


def leads_to(*places: str) -> Handler:
    """Redirects from `/` to the first place, from there to the next, and at last to the picture."""
    queue = list(places)

    async def handle(request: web.Request) -> web.Response:
        if not queue:
            return await picture(request)
        return web.Response(status=302, headers={"location": queue.pop(0), "set-cookie": "a=b; Path=/"})

    return handle


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example/cat.png", "https://images.example:8443/cat.png", "https://images.example:22/",
        "https://user:secret@images.example/", "https://user@images.example/", "ftp://images.example/x",
        "file:///etc/passwd", "gopher://images.example/", "//images.example/x", "images.example/x", "https://", "", " ",
        "https:///x", "https://images.example:99999/", "https://images.example\ud800/", "https://" + "a" * 9_000,
        "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f.0.0.1/", "https://0177.0.0.1/",
        "https://127.0.0.1./", "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data", "https://100.64.0.1/", "https://0.0.0.0/", "https://224.0.0.1/",
        "https://255.255.255.255/", "https://[::1]/", "https://[::]/", "https://[fe80::1]/", "https://[fe80::1%25lo]/",
        "https://[fd00::1]/", "https://[fec0::1]/", "https://[ff02::1]/", "https://[::ffff:127.0.0.1]/",
        "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::7f00:1]/", "https://[2002:7f00:1::]/",
        "https://[2001:0:7f00:1::]/", "https://[5f00::1]/", "https://１２７.０.０.１/", "https://localhost/",
    ],
)  # fmt: skip
async def test_an_address_that_is_no_public_https_one_is_refused_and_nobody_is_called(url: str):
    names = Names({"localhost": [["127.0.0.1"]], "0x7f.0.0.1": [["127.0.0.1"]], "127.0.0.1": [["127.0.0.1"]]})
    async with Fetcher(lookup=names) as fetcher:
        with pytest.raises(FetchRefused) as refused:
            await fetcher.get(url, max_bytes=1_000, total_s=5)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "inside",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fd00::1",
     "::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "fec0::1"],
)  # fmt: skip
@pytest.mark.parametrize("beside", [[], ["93.184.216.34"]])
async def test_a_name_with_one_address_inside_is_refused_however_many_public_ones_it_has(
    inside: str, beside: list[str]
):
    async with Fetcher(lookup=Names({"images.example": [[*beside, inside]]})) as fetcher:
        with pytest.raises(FetchRefused, match="not on the public internet"):
            await fetcher.get("https://images.example/cat.png", max_bytes=1_000, total_s=5)


async def test_the_connection_goes_to_the_address_that_was_checked_under_the_names_own_name():
    """The name server gives another address each time it is asked: it is asked once."""
    own, client = certificate("files.example")
    names = Names({"files.example": [["127.0.0.1"], ["10.0.0.1"]]})
    async with serving(picture, own) as server:
        origin = f"https://files.example:{server.port}"
        async with Fetcher([origin], private=["127.0.0.0/8"], tls=client, lookup=names) as fetcher:
            got = await fetcher.get(f"{origin}/a?{SECRET}#part", max_bytes=1_000, total_s=5)

    assert got == Fetched(b"picture", "image/png")
    assert names.asked == ["files.example"]
    assert server.sni == ["files.example"]
    assert (server.seen[0].host, server.seen[0].path_qs) == (f"files.example:{server.port}", f"/a?{SECRET}")
    assert sorted(name.lower() for name in server.seen[0].headers) == [
        "accept",
        "accept-encoding",
        "host",
        "user-agent",
    ]
    assert server.seen[0].headers["accept-encoding"] == "identity"


async def test_a_name_that_moves_inside_between_two_fetches_is_refused():
    own, client = certificate("files.example")
    names = Names({"files.example": [["127.0.0.1"], ["10.0.0.1"]]})
    async with serving(picture, own) as server:
        origin = f"https://files.example:{server.port}"
        for expected in (None, FetchRefused):
            async with Fetcher([origin], private=["127.0.0.0/8"], tls=client, lookup=names) as fetcher:
                if expected is None:
                    await fetcher.get(origin, max_bytes=1_000, total_s=5)
                else:
                    with pytest.raises(expected):
                        await fetcher.get(origin, max_bytes=1_000, total_s=5)


async def test_a_certificate_for_another_name_is_no_answer():
    own, client = certificate("other.example")
    async with serving(picture, own) as server:
        origin = f"https://files.example:{server.port}"
        names = Names({"files.example": [["127.0.0.1"]]})
        async with Fetcher([origin], private=["127.0.0.0/8"], tls=client, lookup=names) as fetcher:
            with pytest.raises(FetchUnreachable):
                await fetcher.get(origin, max_bytes=1_000, total_s=5)

    assert server.seen == []


async def test_the_operators_own_origin_may_be_plain_and_private_and_its_neighbours_may_not():
    async with serving(picture) as server, serving(picture) as neighbour, Fetcher([server.url]) as fetcher:
        assert (await fetcher.get(f"{server.url}/x", max_bytes=7, total_s=5)).data == b"picture"
        with pytest.raises(FetchRefused):
            await fetcher.get(f"{neighbour.url}/x", max_bytes=7, total_s=5)

    assert neighbour.seen == []


async def test_the_settings_name_the_operators_own_origins():
    async with serving(picture) as server:
        settings = Settings(sandbox_url=server.url, egress_hosts=" http://127.0.0.1:1 ")
        async with Fetcher.of(settings) as fetcher:
            assert (await fetcher.get(server.url, max_bytes=7, total_s=5)).media_type == "image/png"
            with pytest.raises(FetchUnreachable):
                await fetcher.get("http://127.0.0.1:1/", max_bytes=7, total_s=5)


@pytest.mark.parametrize(
    "place",
    ["https://169.254.169.254/latest", "http://images.example/", "https://[::1]/", "file:///etc/passwd", "",
     "https://inner.example/", "https://user:secret@images.example/", "//10.0.0.1/", "https://images.example:8080/",
     "https://127.1/"],
)  # fmt: skip
async def test_a_redirect_to_where_no_job_may_go_is_refused(place: str):
    names = Names({"inner.example": [["10.0.0.1"]]})
    async with serving(leads_to("/next", place)) as server, Fetcher([server.url], lookup=names) as fetcher:
        with pytest.raises(FetchRefused) as refused:
            await fetcher.get(server.url, max_bytes=1_000, total_s=5)

    assert len(server.seen) == 2
    assert "secret" not in str(refused.value)


async def test_three_redirects_are_followed_without_their_cookies_and_a_fourth_is_not():
    assert MAX_REDIRECTS == 3
    async with serving(leads_to("a", "/b?x=1", "../c")) as server, Fetcher([server.url]) as fetcher:
        assert (await fetcher.get(server.url, max_bytes=7, total_s=5)).data == b"picture"

        assert [request.path for request in server.seen] == ["/", "/a", "/b", "/c"]
        assert not any("cookie" in request.headers for request in server.seen)

    async with serving(leads_to("1", "2", "3", "4")) as server, Fetcher([server.url]) as fetcher:
        with pytest.raises(FetchUnreachable, match="more than 3 redirects"):
            await fetcher.get(server.url, max_bytes=7, total_s=5)

        assert len(server.seen) == 4


@pytest.mark.parametrize("status", [204, 206, 300, 304, 401, 404, 410, 429, 500])
async def test_any_status_but_200_is_told(status: int):
    async def refuses(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(refuses) as server, Fetcher([server.url]) as fetcher:
        with pytest.raises(FetchStatus, match=f"status {status}") as told:
            await fetcher.get(server.url, max_bytes=7, total_s=5)

    assert told.value.status == status


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(65_536))


async def zipped(_: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(bytes(10_000_000)), headers={"content-encoding": "gzip"})


async def told_too_long(_: web.Request) -> web.Response:
    return web.Response(body=bytes(1_001))


@pytest.mark.parametrize("handler", [endless, zipped, told_too_long])
async def test_more_bytes_than_were_asked_for_are_not_read(handler: Handler):
    async with serving(handler) as server, Fetcher([server.url]) as fetcher:
        with pytest.raises(FetchTooLarge, match="1000 bytes, which is the limit"):
            await fetcher.get(server.url, max_bytes=1_000, total_s=20)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nshort",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"[:-6],
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
)
async def test_a_server_that_lies_about_its_answer_gives_none(raw: bytes):
    async def lies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(lies, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Fetcher([url]) as fetcher:
        with pytest.raises(FetchError):
            await fetcher.get(url, max_bytes=1_000, total_s=5)


async def test_a_name_server_that_never_answers_holds_up_no_work_of_others(monkeypatch):
    """Twenty names hang, more than there are threads for anything: the loop's own threads are free all the same."""
    asked, go_on = threading.Semaphore(0), threading.Event()

    def hangs(*_, **__):
        asked.release()
        go_on.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    async with Fetcher() as fetcher:
        urls = [f"https://{number}.images.example/" for number in range(20)]
        fetches = [asyncio.ensure_future(fetcher.get(url, max_bytes=9, total_s=0.5)) for url in urls]
        assert await asyncio.to_thread(asked.acquire)
        told = await asyncio.gather(*fetches, return_exceptions=True)
        go_on.set()

    assert all(isinstance(one, FetchUnreachable) for one in told)


async def test_the_systems_own_lookup_is_asked_and_its_answer_checked():
    async with Fetcher() as fetcher:
        with pytest.raises(FetchRefused, match="not on the public internet"):
            await fetcher.get("https://localhost/", max_bytes=9, total_s=5)


async def test_an_answer_that_drips_ends_with_the_time_that_there_is_for_it():
    async def drips(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.02)

    async with serving(drips) as server, Fetcher([server.url]) as fetcher:
        with pytest.raises(FetchUnreachable):
            await fetcher.get(server.url, max_bytes=1_000_000, total_s=0.3)


async def test_redirects_that_hang_share_one_time():
    async def hangs(_: web.Request) -> web.Response:
        await asyncio.sleep(0.15)
        return web.Response(status=302, headers={"location": "/next"})

    async with serving(hangs) as server, Fetcher([server.url]) as fetcher:
        with pytest.raises(FetchUnreachable):
            await fetcher.get(server.url, max_bytes=1_000, total_s=0.2)


async def test_no_message_repeats_what_an_address_says_behind_its_host():
    async def refuses(request: web.Request) -> web.Response:
        return web.Response(status=403, text=request.path_qs)

    async with serving(refuses) as server, Fetcher([server.url]) as fetcher:
        for url in (f"{server.url}/a?{SECRET}", f"https://127.0.0.1/a?{SECRET}", f"http://127.0.0.1:1/a?{SECRET}"):
            with pytest.raises(FetchError) as told:
                await fetcher.get(url, max_bytes=1_000, total_s=5)
            assert "canary" not in repr(told.value)
            assert told.value.__cause__ is None


async def test_who_holds_the_bytes_is_told_as_they_come_and_may_keep_them_waiting():
    told: list[int] = []
    may_go_on = asyncio.Event()

    async def hold(size: int) -> None:
        told.append(size)
        await may_go_on.wait()

    async def long(_: web.Request) -> web.Response:
        return web.Response(body=bytes(300_000))

    async with serving(long) as server, Fetcher([server.url]) as fetcher:
        fetching = asyncio.ensure_future(fetcher.get(server.url, max_bytes=300_000, total_s=5, hold=hold))
        while not told:
            await asyncio.sleep(0)
        assert not fetching.done()
        may_go_on.set()

        assert len((await fetching).data) == told[-1] == 300_000
        assert told == sorted(told)
