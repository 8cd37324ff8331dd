"""What a server may do to the process behind the HTTP port: never hold it up, never fill its memory."""

import asyncio
import gzip
import inspect
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import pytest

from runtime.clock import SystemClock
from runtime.http import DEADLINE, MAX_BYTES, Egress, HttpLimits, HttpTransport, Request
from runtime.http.guard import MAX_ANSWERS, GuardedHandler
from schemas import codec
from schemas.assignment import Candidate, Price
from schemas.failure import FailureKind
from workers.access import Access
from workers.body import MAX_VALUES, Reading
from workers.call import HEAVY_BYTES, Called, Caller, Errand
from workers.errors import ProviderError
from workers.exchange import Answer, Ask, Reply
from workers.modalities import TASKS, answered
from workers.providers import PROVIDERS
from workers.providers.common import call_headers
from workers.room import AnswerRoom
from workers.sending import Bounds

INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
MAX_RESPONSE_BYTES = 33_554_432


class Server:
    """Says the same to everybody who asks."""

    def __init__(self) -> None:
        self.url = ""
        self.says = OK

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or b"0"))
                writer.write(self.says)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield made
    listening.close()


@pytest.fixture
async def http(server: Server) -> AsyncIterator[HttpTransport]:
    async with HttpTransport(Egress([server.url]), limits=HttpLimits(deadline_s=30)) as transport:
        yield transport


async def get(http: HttpTransport, url: str, **extensions: Any) -> bytes:
    return await (await http.handle_async_request(Request("GET", url, extensions=extensions))).aread()


async def test_some_interim_answers_before_the_answer_are_passed_over(server: Server, http: HttpTransport):
    server.says = INTERIM * (MAX_ANSWERS - 1) + OK

    assert await get(http, server.url) == b"ok"
    assert await get(http, server.url) == b"ok", "counted for each request anew"


async def test_interim_answers_without_end_end_the_call_and_are_not_kept(server: Server, http: HttpTransport):
    """Not by the deadline: a turn of the loop reads 8 MB of them, and parsing those holds up everybody else for 2 s."""
    server.says = INTERIM * 100_000

    with pytest.raises(httpx.RemoteProtocolError):
        await get(http, server.url, **{DEADLINE: 600.0})
    assert http.in_flight == 0


def test_aiohttp_still_makes_its_connections_where_ours_are_put_in():
    """Private in aiohttp. When this fails, find the new way, or interim answers are unbounded again."""
    assert "self._factory" in inspect.getsource(aiohttp.TCPConnector)
    assert "self.feed_data((message" in inspect.getsource(GuardedHandler.__mro__[1].data_received)


async def test_a_body_that_unfolds_lets_others_have_their_turns(server: Server, http: HttpTransport):
    """One chunk of some kB stands for 24 MB: others run while it is undone, not only when it is over."""
    packed = gzip.compress(bytes(24 * 1024 * 1024))
    server.says = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
    response = await http.handle_async_request(Request("GET", server.url, extensions={MAX_BYTES: 2**25}))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(others())
    assert len(await response.aread()) == 24 * 1024 * 1024
    beside.cancel()
    assert turns > 16


# The call of a worker.


def completion(text: str, **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    return json.dumps({"id": "x", "model": "m", "created": 1, "choices": [choice], "usage": usage}).encode()


def answers(*body: bytes, kind: str = "application/json") -> httpx.MockTransport:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in body:
            yield piece

    return httpx.MockTransport(lambda _: httpx.Response(200, headers={"content-type": kind}, content=pieces()))


async def called(
    http: httpx.AsyncBaseTransport, *, stream: bool = False, room: AnswerRoom | None = None, left_s: float = 30.0
) -> Called:
    candidate = Candidate(
        model="m", provider="auto", provider_model="m", dialect="hf-router", base_url="http://127.0.0.1",
        price=Price(source="x", as_of="x"), max_in_flight=1, estimate_nanousd=1, ceiling_nanousd=1,
    )  # fmt: skip
    job_input = {"messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    ask: Ask = TASKS["chat-completion"].ask(job_input, {"max_tokens": 16}, candidate)
    dialect = PROVIDERS["hf-router"]
    call = dialect.request(ask, candidate, call_headers("t", "j", ""))
    bounds = Bounds(3, 3, left_s, MAX_RESPONSE_BYTES)
    caller = Caller(http, SystemClock(), room)
    with caller.room.share() as share:
        return await caller(Errand(call, ask, Access(candidate, dialect, None), bounds), share)


async def test_a_heavy_answer_is_read_in_a_thread_and_a_light_one_is_not(monkeypatch: pytest.MonkeyPatch):
    on_the_loop: list[bool] = []

    def watched(ask: Ask, reply: Reply) -> Answer:
        on_the_loop.append(threading.current_thread() is threading.main_thread())
        return answered(ask, reply)

    monkeypatch.setattr("workers.call.answered", watched)
    await called(answers(completion("x" * 500)))
    await called(answers(completion("x" * (HEAVY_BYTES + 1))))

    assert on_the_loop == [True, False]


async def test_a_large_answer_that_fits_a_record_is_an_answer_like_any_other():
    text = "\u00e9" * 400_000  # as JSON twice and a half what it is as UTF-8
    got = await called(answers(completion(text)))

    assert got.answer.output["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize(
    "flood", [b"[]," * 20_000, b"0," * 30_000, b'{"a":[]},' * 7_000], ids=["lists", "numbers", "objects"]
)
async def test_an_answer_of_too_many_values_is_refused_before_it_is_decoded(flood: bytes):
    """Small on the wire and large in memory; decoding them would hold up everybody else."""
    with pytest.raises(ProviderError) as caught:
        await called(answers(b"[", *[flood] * 60))

    assert caught.value.kind is FailureKind.RESPONSE_TOO_LARGE
    assert str(MAX_VALUES) in caught.value.message or str(codec.MAX_CONTAINERS) in caught.value.message


@pytest.mark.parametrize("declared", ["image/png", "application/json", ""])
async def test_a_picture_is_counted_by_its_bytes_alone_whatever_it_is_declared_to_be(declared: str):
    """Half of its bytes look like commas and brackets; it is one value all the same, and no JSON."""
    share, clock = AnswerRoom(MAX_RESPONSE_BYTES, MAX_RESPONSE_BYTES).share(), SystemClock()
    picture = b"\x89PNG\r\n\x1a\n" + b"[,{," * 1_000_000
    response = await answers(picture[:100], picture[100:], kind=declared).handle_async_request(
        Request("GET", "http://x")
    )
    read = await Reading(clock, share, max_bytes=MAX_RESPONSE_BYTES, left_s=30).whole(response)

    assert read == picture


async def test_a_flood_of_values_that_calls_itself_a_picture_is_refused_all_the_same():
    with pytest.raises(ProviderError) as caught:
        await called(answers(b" [", *[b"0," * 30_000] * 60, kind="image/png"))

    assert caught.value.kind is FailureKind.RESPONSE_TOO_LARGE


async def test_a_stream_is_counted_by_what_is_kept_of_it_and_not_by_what_came():
    """Half a megabyte on the wire, of which some kB are kept: it asks for no room that another one has."""
    room = AnswerRoom(MAX_RESPONSE_BYTES, MAX_RESPONSE_BYTES)
    chunk = {"id": "x" * 500, "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    events = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in [*[chunk] * 800, last]]
    with room.share() as other:
        await other.grow(MAX_RESPONSE_BYTES)
        got = await called(answers(*events, kind="text/event-stream"), stream=True, room=room, left_s=5)

    assert got.answer.output["choices"][0]["message"]["content"] == "a" * 800


async def test_log_probabilities_of_a_stream_are_counted_for_what_they_become():
    room = AnswerRoom(MAX_RESPONSE_BYTES, MAX_RESPONSE_BYTES)
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [{"token": "a"}] * 1_000}}]}
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n"] * 20
    with room.share() as other:
        await other.grow(MAX_RESPONSE_BYTES)
        with pytest.raises(ProviderError) as caught:
            await called(answers(*events, kind="text/event-stream"), stream=True, room=room, left_s=0.2)

    assert (caught.value.kind, caught.value.emitted) == (FailureKind.DEADLINE_PASSED, True)


async def test_an_answer_for_which_there_is_no_memory_waits_and_at_its_deadline_says_so():
    room = AnswerRoom(MAX_RESPONSE_BYTES, MAX_RESPONSE_BYTES)
    body = completion("x" * 100_000)
    with room.share() as other:
        await other.grow(MAX_RESPONSE_BYTES)
        with pytest.raises(ProviderError) as caught:
            await called(answers(body), room=room, left_s=0.1)
        waiting = asyncio.ensure_future(called(answers(body), room=room))
        await asyncio.sleep(0)
    assert (await waiting).size == len(body)

    assert (caught.value.kind, caught.value.emitted) == (FailureKind.DEADLINE_PASSED, True)
    assert str(len(body)) in caught.value.message
    assert room.held == 0
