"""What our own writing of a request and our own slots must hold to."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from runtime.http import ByteStream, Egress, HttpTransport, LocalProtocolError, Request
from runtime.http.exchange import fields_of, head
from runtime.http.slots import Slots

WITHIN_S = 5.0


@asynccontextmanager
async def answering(first: list[bytes], idle: asyncio.Event) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server whose connections answer with `first[0]`, and the first one, once `idle` is set, says the rest."""
    heads: list[bytes] = []
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        mine = connections[-1]
        try:
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(first[0])
                if mine == 0 and len(first) > 1:
                    await idle.wait()
                    writer.write(first[1])
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    server.close()


def said(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text)


async def test_what_a_server_says_unasked_on_an_idle_connection_answers_no_later_call():
    """aiohttp alone would give it to the next job that takes the connection."""
    idle = asyncio.Event()
    async with answering([said(b"mine"), said(b"nobody's")], idle) as (url, heads):
        async with HttpTransport(Egress([url])) as transport:
            assert await body(transport, url) == b"mine"
            idle.set()
            connector = transport._here().connector
            ((connection, _),) = next(iter(connector._conns.values()))
            async with asyncio.timeout(WITHIN_S):
                while not connection.should_close:
                    await asyncio.sleep(0)

            assert await body(transport, url) == b"mine"
        assert len(heads) == 2


async def body(transport: HttpTransport, url: str, **parts: object) -> bytes:
    response = await transport.handle_async_request(Request("POST", url, **parts))  # type: ignore[arg-type]
    return await response.aread()


@pytest.mark.parametrize("text", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_field_that_would_begin_another_is_refused_and_nothing_is_sent(text: str):
    async with answering([said(b"ok")], asyncio.Event()) as (url, heads):
        async with HttpTransport(Egress([url])) as transport:
            with pytest.raises(LocalProtocolError):
                await body(transport, url, headers={"x-trace": text})

            assert transport.in_flight == 0
        assert heads == []


async def test_a_length_that_lies_is_written_as_it_is():
    async with answering([said(b"ok")], asyncio.Event()) as (url, heads):
        async with HttpTransport(Egress([url])) as transport:
            request = Request("POST", url, headers={"content-length": "99"}, stream=ByteStream(b""))
            await (await transport.handle_async_request(request)).aread()
        assert heads[0].lower().count(b"content-length") == 1
        assert b"Content-Length: 0\r\n" in heads[0]


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(
    st.lists(st.tuples(st.from_regex("[A-Za-z-]{1,12}", fullmatch=True), TEXT), max_size=8), st.none() | st.integers(0)
)
def test_a_head_is_read_again_as_it_was_meant(fields: list[tuple[str, str]], length: int | None):
    given_fields = [(name.encode(), text.strip().encode()) for name, text in fields]
    written = head("POST", URL("http://a.example:81/b?c=%20d", encoded=True), b"a.example:81", given_fields, length)

    line, *lines = written.removesuffix(b"\r\n\r\n").split(b"\r\n")
    read = httpx.Headers([tuple(one.split(b": ", 1)) for one in lines])

    assert line == b"POST /b?c=%20d HTTP/1.1"
    expected = [(b"Host", b"a.example:81"), *given_fields]
    assert read.raw == [*expected, *([] if length is None else [(b"Content-Length", b"%d" % length)])]


@given(st.lists(st.tuples(st.from_regex("[A-Za-z-]{1,12}", fullmatch=True).map(str.encode), st.binary(max_size=9))))
def test_headers_made_the_short_way_are_what_httpx_makes_of_them(raw: list[tuple[bytes, bytes]]):
    """It sets a private list. When this fails, go back to `httpx.Headers(raw)`."""
    made, expected = fields_of(raw), httpx.Headers(raw)

    assert made.raw == expected.raw == httpx.Response(200, headers=made).headers.raw
    assert made.encoding == expected.encoding
    assert list(made.multi_items()) == list(expected.multi_items())
    assert all(made[name] == expected[name] for name in expected)


async def test_slots_are_given_in_turn_and_a_full_host_holds_nobody_else_up():
    slots, order = Slots(3, 2), []

    async def one(host: str, name: str) -> None:
        await slots.take(host, WITHIN_S)
        order.append(name)

    for name in ("a1", "a2"):
        await one("a", name)
    waiting = [asyncio.create_task(one(host, name)) for host, name in (("a", "a3"), ("b", "b1"), ("b", "b2"))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["a1", "a2", "b1"], "a3 waits for its host, b2 for any slot"

    slots.give("a")
    await asyncio.gather(waiting[0], waiting[1])
    assert order[-1] == "a3"
    slots.give("b")
    await waiting[2]
    assert (slots.taken, order[-1]) == (3, "b2")


async def test_no_slot_in_time_is_a_timeout_that_leaves_nothing_behind():
    slots = Slots(1, 1)
    await slots.take("a", 0)
    with pytest.raises(TimeoutError):
        await slots.take("a", 0.001)

    slots.give("a")
    await slots.take("a", 0)
    assert slots.taken == 1


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_is_cancelled_no_slot_is_lost_and_none_is_given_twice(seed: int):
    dice, slots, holding = random.Random(seed), Slots(4, 3), 0

    async def hold(host: str) -> None:
        nonlocal holding
        await slots.take(host, dice.choice([0.0, 0.0005, WITHIN_S]))
        holding += 1
        assert holding <= 4
        try:
            await asyncio.sleep(dice.random() * 0.002)
        finally:
            holding -= 1
            slots.give(host)

    tasks = [asyncio.create_task(hold(dice.choice("abc"))) for _ in range(200)]
    for _ in range(60):
        await asyncio.sleep(0.0005)
        dice.choice(tasks).cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(one) for one in ended} <= {type(None), TimeoutError, asyncio.CancelledError}
    assert (slots.taken, holding) == (0, 0)
