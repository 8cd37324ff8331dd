"""A text worker and a dedicated endpoint that is not there: it waits without a call, a slot or an attempt."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from endpoints_world import spec_of
from endpoints_world import state_of as state_at_begin
from worker_world import START, World, answer, assigned, candidate, failing, result_of, world

from hub.endpoints.waiting import Waiting
from runtime.outcome import RetryAt
from runtime.ports import Delivery, Record
from runtime.telemetry import PROVIDER
from schemas import headers
from schemas.assignment import Candidate
from schemas.endpoints import EndpointState
from schemas.failure import FailureKind
from schemas.topics import RETRY_TIERS
from workers.sleeping import Sleeping

K = FailureKind
URL = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"


def state_of(status: str, **more: Any) -> EndpointState:
    told = {"at": START, "since": START, "url": URL, "cold_start_s": 180.0, **more}
    return state_at_begin(status, **told)


def endpoint(**change: Any) -> Candidate:
    return candidate(provider="endpoint.small", dialect="endpoint", base_url=URL, **change)


class Told:
    """What the worker is told of the endpoint."""

    def __init__(self, state: EndpointState) -> None:
        self.sleeping = Sleeping()
        self.tell(state)

    def tell(self, state: EndpointState) -> None:
        self.sleeping.fold(Record("novix.endpoints.v1", 0, 0, b"acme/small", state.encode(), (), 0))


def worker(told: Told, *steps: Any, **settings: Any) -> World:
    return world(*steps, shared={"sleeping": told.sleeping}, **settings)


async def test_a_job_waits_in_retry_topics_without_a_call_and_is_done_once_the_endpoint_serves() -> None:
    told = Told(state_of("scaledToZero"))
    it = worker(told, answer())
    process = it.lane.handle

    async def handled(delivery: Any) -> Any:
        if it.clock.passed > timedelta(seconds=200):
            told.tell(state_of("running", ready=True))
        elif it.clock.passed > timedelta(seconds=20):
            told.tell(state_of("initializing", starting_since=START + timedelta(seconds=20)))
        return await process(delivery)

    it.lane.handle = handled  # type: ignore[method-assign]
    result = result_of(await it.travel(assigned(endpoint())))

    assert result.status == "succeeded"
    assert len(it.script.requests) == len(result.attempts) == 1
    assert 4 <= len(it.left) <= 12
    assert [one.audit[-1].detail["bounces"] for one in it.left] == list(range(1, len(it.left) + 1))
    assert {one.records[0].topic for one in it.left} <= {topic.name for _, topic in RETRY_TIERS}
    assert {one.kind for one in it.waits} == {K.MODEL_LOADING}
    assert result.attempts[0].waited_ms >= 200_000


async def test_a_job_that_a_start_cannot_help_is_refused_at_once() -> None:
    it = worker(Told(state_of("scaledToZero")))
    result = result_of(await it.travel(assigned(endpoint(), deadline=START + timedelta(seconds=60))))

    assert (result.status, result.error and result.error.kind) == ("failed", K.TOO_SLOW)
    assert "starts in 180 s; 60 s are left" in (result.error.message if result.error else "")
    assert it.script.requests == it.left == []
    assert it.clock.passed == timedelta()


@pytest.mark.parametrize("status", ["scaledToZero", "paused", "failed"])
async def test_a_job_goes_to_its_next_candidate_when_the_endpoint_is_too_late_or_stopped(status: str) -> None:
    it = worker(Told(state_of(status)), answer())
    near = START + timedelta(seconds=60)
    result = result_of(await it.travel(assigned(endpoint(), candidate(), deadline=near)))

    assert result.status == "succeeded"
    assert result.served is not None
    assert result.served.provider == "auto"
    assert len(it.script.requests) == len(result.attempts) == 1


async def test_a_job_with_time_waits_rather_than_going_to_a_dearer_candidate() -> None:
    it = worker(told := Told(state_of("scaledToZero")), answer())
    first = await it.lane.handle(Delivery(assigned(endpoint(), candidate()), START))
    assert isinstance(first, RetryAt)
    assert first.kind == K.MODEL_LOADING
    told.tell(state_of("running", ready=True))
    result = result_of(await it.travel(assigned(endpoint(), candidate())))
    assert result.attempts[0].provider == "endpoint.small"


async def test_a_paused_endpoint_alone_ends_the_job_with_its_name() -> None:
    it = worker(Told(state_of("paused")))
    result = result_of(await it.travel(assigned(endpoint())))
    assert (result.error and result.error.kind) == K.NOT_FOUND
    assert "the endpoint acme/small is paused" in (result.error.message if result.error else "")
    assert it.script.requests == []


async def test_when_nobody_wakes_it_the_call_does_at_the_last_moment() -> None:
    it = worker(Told(state_of("scaledToZero")), answer())
    result = result_of(await it.travel(assigned(endpoint())))  # ten minutes, and no controller

    assert result.status == "succeeded"
    left = timedelta(minutes=10) - it.clock.passed
    assert timedelta(seconds=180) < left <= timedelta(seconds=216)
    assert int(it.script.requests[0].headers["x-scale-up-timeout"]) > 100


async def test_an_endpoint_that_no_topic_knows_is_called_as_it_always_was() -> None:
    it = worker(Told(state_of("scaledToZero", url="https://other")), failing(503), answer())
    result = result_of(await it.travel(assigned(endpoint())))
    assert result.status == "succeeded"
    assert len(it.script.requests) == 2


async def test_a_job_that_keeps_its_order_waits_where_it_is() -> None:
    told = Told(state_of("initializing", starting_since=START))
    it = worker(told, answer())
    process = it.lane.handle

    async def handled(delivery: Any) -> Any:
        if it.clock.passed > timedelta(seconds=100):
            told.tell(state_of("running", ready=True, spec=spec_of()))
        return await process(delivery)

    it.lane.handle = handled  # type: ignore[method-assign]
    record = assigned(endpoint())
    record = replace(record, key=b"acme/cart-7", headers=(*record.headers, (headers.ORDERED, b"1")))
    result = result_of(await it.travel(record))
    assert result.status == "succeeded"
    assert it.left == []


def taking(here: list[World], reply: httpx.Response) -> Any:
    """A call that takes two seconds."""

    def step(_: httpx.Request) -> httpx.Response:
        here[0].clock.turn_to(here[0].clock.now() + timedelta(seconds=2))
        return reply

    return step


async def test_what_is_told_of_its_calls_is_what_their_spans_tell() -> None:
    """Latency, availability and the number of calls: by results, as the controller folds them, and by spans."""
    folded, spans = Waiting(), list[Any]()
    for number, replies in enumerate(([answer()], [failing(503), answer()], [failing(400)])):
        here: list[World] = []
        here.append(worker(Told(state_of("running", ready=True)), *(taking(here, reply) for reply in replies)))
        done = await here[0].travel(assigned(endpoint(), job={"id": f"j{number}"}))
        folded.ended(Record("results", 0, number, b"", result_of(done).encode(), (), 0))
        spans += [one for one in done.spans if one.name == "POST"]  # type: ignore[union-attr]

    measured = folded.measured("small")
    good = [one for one in spans if one.error is None]
    assert (measured.attempts, measured.succeeded) == (len(spans), len(good)) == (4, 2)
    assert {one.attributes[PROVIDER] for one in spans} == {"endpoint.small"}
    took = sum((one.end - one.start for one in good), timedelta())
    assert timedelta(milliseconds=measured.call_ms) == took == timedelta(seconds=4)
    assert measured.latency_ms == 2_000
