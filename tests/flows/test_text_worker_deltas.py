"""A worker whose job asks for the pieces of its answer: numbered, provisional, and never in anybody's way."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_world import (
    PROMPT,
    TOKEN,
    World,
    answer,
    assigned,
    candidate,
    chat_input,
    delta,
    events,
    failing,
    result_of,
    world,
)

from runtime.ports import Outgoing
from schemas.delta import Delta
from schemas.failure import FailureKind
from workers.assigned import Assigned, read_assigned
from workers.deltas import LONGEST_CHARS, Deltas

K = FailureKind
REQUEST = httpx.Request("POST", "http://provider.test/v1/chat/completions")
ASKED = {"stream": True, "input": chat_input()}


class Topic:
    """Where deltas are published; `refuse` makes it fail."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.refuse = False

    async def __call__(self, records: list[Outgoing]) -> None:
        if self.refuse:
            raise ConnectionError("no broker")
        self.records += records

    @property
    def deltas(self) -> list[Delta]:
        return [Delta.model_validate_json(record.value or b"") for record in self.records]

    def text(self, attempt: int) -> str:
        return "".join(one.text for one in self.deltas if one.attempt == attempt)


@asynccontextmanager
async def streaming(*steps: Any, **settings: Any) -> AsyncIterator[tuple[World, Topic]]:
    topic = Topic()
    async with Deltas(topic) as deltas:
        yield world(*steps, shared={"deltas": deltas}, **settings), topic


def words(*texts: str) -> list[dict[str, Any]]:
    return [*(delta(text) for text in texts), delta(finish="stop")]


async def test_the_pieces_are_published_as_they_come_and_the_result_is_the_same_as_without() -> None:
    answer_in_pieces = words("The ", "gull ", "owes ", "nobody.")
    async with streaming(events(*answer_in_pieces)) as (it, topic):
        result = result_of(await it.run(assigned(job=ASKED)))
    alone = result_of(await world(events(*answer_in_pieces)).run(assigned(job={"input": chat_input(stream=True)})))
    body = json.loads(it.script.requests[0].content)

    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert topic.text(1) == "The gull owes nobody." == result.output["choices"][0]["message"]["content"]
    assert result.output == alone.output
    assert [one.number for one in topic.deltas] == list(range(len(topic.deltas)))
    assert {(one.tenant, one.job_id, one.attempt, one.model) for one in topic.deltas} == {
        ("acme", "a1", 1, "acme/chat")
    }


async def test_a_text_that_goes_on_is_told_in_pieces_too() -> None:
    """The stream of text-generation-inference: a token an event, the whole text and its count in the last."""
    at = candidate(dialect="hf-inference", provider="hf-inference", model="acme/gpt", provider_model="acme/gpt")
    tokens = ["The ", "gull ", "owes ", "nobody."]
    stream: list[dict[str, Any]] = [
        {"index": n, "token": {"id": n, "text": text, "logprob": -0.1, "special": False}, "generated_text": None}
        for n, text in enumerate(tokens)
    ]
    details = {"finish_reason": "length", "generated_tokens": 4, "seed": None}
    stream[-1] |= {"generated_text": "".join(tokens), "details": details}
    job = {"task": "text-generation", "input": {"inputs": "Once"}, "stream": True}
    async with streaming(events(*stream, done=False)) as (it, topic):
        result = result_of(await it.run(assigned(at, job=job)))

    assert result.status == "succeeded"
    assert json.loads(it.script.requests[0].content)["stream"] is True
    assert topic.text(1) == result.output["generated_text"] == "The gull owes nobody."


async def test_a_delta_is_keyed_like_the_result_and_carries_the_trace_on() -> None:
    async with streaming(events(*words("gull"))) as (it, topic):
        await it.run(assigned(job=ASKED))
    (record,) = topic.records
    headers = dict(record.headers)

    assert (record.topic, record.key) == ("inference.deltas.v1", b"acme/a1")
    assert headers["novix-identity"] == b"acme/a1/1"
    assert headers["traceparent"].split(b"-")[1] == b"0af7651916cd43dd8448eb211c80319c"
    assert topic.deltas[0].trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert PROMPT.encode() not in (record.value or b"")
    assert TOKEN.encode() not in (record.value or b"")


async def test_pieces_of_one_turn_of_the_loop_are_one_delta_and_those_of_another_are_another() -> None:
    more = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"".join(b"data: " + json.dumps(delta(text)).encode() + b"\n\n" for text in "abc")
        await more.wait()
        yield b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in words("d"))

    streamed = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body())
    async with streaming(streamed) as (it, topic):
        running = asyncio.create_task(it.run(assigned(job=ASKED)))
        while not topic.records:
            await asyncio.sleep(0)
        more.set()
        await running

    assert [(one.number, one.text) for one in topic.deltas] == [(0, "abc"), (1, "d")]


async def test_a_job_that_asks_for_no_deltas_has_none_although_it_is_streamed() -> None:
    async with streaming(events(*words("gull"))) as (it, topic):
        await it.run(assigned(job={"input": chat_input(stream=True)}))
    assert topic.records == []


async def test_after_the_first_delta_nobody_else_is_asked_and_each_attempt_counts_anew() -> None:
    cut = httpx.ReadError("reset", request=REQUEST)
    steps = [events(*words("The ", "gu")[:2], cut=cut), events(*words("The ", "gull"))]
    async with streaming(*steps) as (it, topic):
        record = assigned(candidate(), candidate(model="acme/other"), job=ASKED)
        result = result_of(await it.run(record))

    assert [attempt.model for attempt in result.attempts] == ["acme/chat"] * 2
    assert result.served.model == "acme/chat"
    assert topic.text(1) == "The gu"
    assert topic.text(2) == "The gull"
    for attempt in (1, 2):
        numbers = [one.number for one in topic.deltas if one.attempt == attempt]
        assert numbers == list(range(len(numbers)))


async def test_before_the_first_delta_the_next_candidate_is_asked() -> None:
    other = candidate(model="acme/other", provider_model="acme/other")
    async with streaming(failing(404), events(*words("gull"))) as (it, topic):
        result = result_of(await it.run(assigned(candidate(), other, job=ASKED)))

    assert result.served.model == "acme/other"
    assert [(one.attempt, one.model) for one in topic.deltas] == [(2, "acme/other")]


@pytest.mark.parametrize("status", [404, 410, 402, 403])
async def test_an_error_inside_a_stream_that_says_not_here_ends_the_job_once_a_delta_is_out(status: int) -> None:
    told = {"error": {"message": "not here", "code": status}}
    async with streaming(events(*words("The ")[:1], told)) as (it, topic):
        result = result_of(await it.run(assigned(candidate(), candidate(model="acme/other"), job=ASKED)))

    assert result.status == "failed"
    assert [attempt.model for attempt in result.attempts] == ["acme/chat"]
    assert topic.text(1) == "The "


async def test_an_answer_in_one_piece_has_no_deltas_and_is_an_answer() -> None:
    async with streaming(answer()) as (it, topic):
        result = result_of(await it.run(assigned(job=ASKED)))

    assert result.status == "succeeded"
    assert topic.records == []


async def test_a_task_that_does_not_stream_is_done_and_says_that_it_does_not() -> None:
    at = candidate(dialect="hf-inference", provider="hf-inference", model="acme/e5", provider_model="acme/e5")
    job = {"task": "feature-extraction", "input": {"inputs": "a text"}, "stream": True}
    async with streaming(answer([[0.5, 0.25]])) as (it, topic):
        result = result_of(await it.run(assigned(at, job=job, parameters={})))

    assert result.status == "succeeded"
    assert result.adapted["stream"] == {"asked": True, "given": False, "bound_by": "the task does not stream"}
    assert topic.records == []


async def test_a_broker_that_is_away_costs_deltas_and_nothing_else() -> None:
    async with streaming(events(*words("gull"))) as (it, topic):
        topic.refuse = True
        result = result_of(await it.run(assigned(job=ASKED)))
        deltas: Any = it.app.workshop.deltas
        with pytest.raises(ConnectionError):
            await deltas.flush()

    assert result.status == "succeeded"
    assert it.app.describe()["deltas"] == {"published": 0, "dropped": 1, "pending_chars": 0}


# The publisher


def a_job() -> Assigned:
    found = read_assigned(assigned(job=ASKED))
    assert isinstance(found, Assigned)
    return found


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=5), st.booleans()), max_size=60))
async def test_whatever_comes_when_the_pieces_of_each_attempt_are_all_there_once_and_in_order(
    told: list[tuple[int, str, bool]],
) -> None:
    topic, job = Topic(), a_job()
    deltas = Deltas(topic)
    streams = [deltas.of(job, candidate(), attempt) for attempt in range(3)]
    for attempt, text, flush in told:
        streams[attempt](text)
        if flush:
            await deltas.flush()
    await deltas.flush()

    for attempt in range(3):
        assert topic.text(attempt) == "".join(text for at, text, _ in told if at == attempt)
        numbers = [one.number for one in topic.deltas if one.attempt == attempt]
        assert numbers == list(range(len(numbers)))
    assert deltas.describe()["dropped"] == 0


async def test_what_is_dropped_is_counted_and_leaves_a_gap_in_the_numbers() -> None:
    topic = Topic()
    deltas = Deltas(topic, most_pending_chars=10)
    told = deltas.of(a_job(), candidate(), 1)
    for text in ("12345", "6789", "too long", "too long", "0"):
        told(text)
    await deltas.flush()

    assert [(one.number, one.text) for one in topic.deltas] == [(0, "123456789"), (2, "0")]
    assert deltas.describe() == {"published": 2, "dropped": 2, "pending_chars": 0}


async def test_a_long_piece_is_several_deltas() -> None:
    topic = Topic()
    deltas = Deltas(topic)
    deltas.of(a_job(), candidate(), 1)("x" * (LONGEST_CHARS + 1))
    await deltas.flush()

    assert [(one.number, len(one.text)) for one in topic.deltas] == [(0, LONGEST_CHARS), (1, 1)]


async def test_what_was_told_stands_on_the_topic_before_whoever_waits_for_it_goes_on() -> None:
    gate, written = asyncio.Event(), list[Outgoing]()

    async def publish(records: list[Outgoing]) -> None:
        await gate.wait()
        written.extend(records)

    async with Deltas(publish) as deltas:
        told = deltas.of(a_job(), candidate(), 1)
        told("Hel")
        waiting = asyncio.create_task(deltas.settled())
        await asyncio.sleep(0)
        assert not waiting.done()

        gate.set()
        await waiting
        assert [Delta.model_validate_json(one.value or b"").text for one in written] == ["Hel"]


async def test_nobody_waits_for_pieces_that_cannot_be_published() -> None:
    async def away(records: list[Outgoing]) -> None:
        raise ConnectionError

    async with Deltas(away) as deltas:
        deltas.of(a_job(), candidate(), 1)("Hel")
        await asyncio.wait_for(deltas.settled(), 0.9)


async def test_a_result_is_not_told_before_the_pieces_of_its_answer_are_published() -> None:
    class Slow(Topic):
        def __init__(self) -> None:
            super().__init__()
            self.goes_on = asyncio.Event()

        async def __call__(self, records: list[Outgoing]) -> None:
            if records:
                await self.goes_on.wait()
            await super().__call__(records)

    topic = Slow()
    async with Deltas(topic) as deltas:
        it = world(events(*words("gull")), shared={"deltas": deltas})
        job = asyncio.create_task(it.run(assigned(job=ASKED)))
        while not deltas.describe()["pending_chars"] and not job.done():
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not job.done()
        topic.goes_on.set()
        await job
        assert topic.text(1) == "gull"
