"""The text worker's long waits: into a retry topic with all that a job has been through, and on from there."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from worker_machine import machine, never, opened
from worker_world import LANE, START, World, answer, assigned, candidate, failing, result_of, returned, world

from runtime.breaker import BreakerKey
from runtime.intents import IntentsUnavailable, NoIntents
from runtime.limits import Limits
from runtime.outcome import GiveUp, Publish, RetryAt
from runtime.ports import Delivery, Record
from schemas import headers
from schemas.assignment import AssignedJob
from schemas.failure import FailureKind
from workers.steps import CROWDED_WAIT

K = FailureKind
KEY = BreakerKey("auto", "acme/chat")


def slow_down(seconds: int) -> object:
    return failing(429, {"error": "Rate limit reached"}, retry_after=str(seconds))


def ordered(record: Record) -> Record:
    return replace(record, key=b"acme/cart-7", headers=(*record.headers, (headers.ORDERED, b"1")))


async def test_a_long_wait_leaves_with_the_job_and_what_it_has_been_through() -> None:
    it = world(failing(503), slow_down(20), answer())
    record = assigned()
    delivery = Delivery(record, it.clock.now())
    first = await it.lane.handle(delivery)
    assert isinstance(first, RetryAt)
    it.clock.turn_to(first.when)
    second = await it.lane.handle(replace(delivery, attempt=2, memo=first.memo))
    assert isinstance(second, RetryAt)
    left = it.lane.postpone(delivery, second)

    assert isinstance(left, Publish)
    (gone,) = left.records
    told = dict(gone.headers)
    assert (gone.topic, gone.key) == ("inference.retry.60s.v1", record.key)
    assert (told[headers.RETURN_TO], told[headers.ATTEMPT], told[headers.CAUSE]) == (
        b"inference.text.v1", b"2", b"rate_limited",
    )  # fmt: skip
    assert told["traceparent"] == dict(record.headers)["traceparent"]
    envelope = AssignedJob.model_validate_json(gone.value or b"")
    assert envelope.carried is not None
    assert [attempt.kind for attempt in envelope.carried.attempts] == [K.OVERLOADED, K.RATE_LIMITED]
    assert envelope.model_copy(update={"carried": None}) == AssignedJob.model_validate_json(record.value or b"")
    (entry,) = left.audit
    assert entry.action == "job.postponed"
    assert entry.detail["cause"] == K.RATE_LIMITED
    assert (entry.detail["calls"], entry.detail["tier"]) == (2, gone.topic)
    assert entry.detail["not_before"] == second.when.isoformat()
    assert [fact.attempts_failed for fact in left.facts] == [(K.OVERLOADED, K.RATE_LIMITED)]


async def test_a_job_goes_on_exactly_where_it_was_before_the_retry_topic() -> None:
    """Attempts once, costs summed, the time away told as a wait, and no more calls than without it."""
    it = world(failing(503), slow_down(20), failing(500), answer())
    done = await it.travel(assigned(), away=timedelta(seconds=7))
    result = result_of(done)

    assert len(it.left) == 1
    assert result.status == "succeeded"
    assert [attempt.attempt for attempt in result.attempts] == [1, 2, 3, 4]
    assert [attempt.kind for attempt in result.attempts] == [K.OVERLOADED, K.RATE_LIMITED, K.PROVIDER_ERROR, None]
    assert result.attempts[2].waited_ms == 27_000
    assert result.timing_ms["waiting"] == round(it.clock.passed.total_seconds() * 1000)
    assert result.timing_ms["total"] == result.timing_ms["waiting"] + 50
    assert (result.cost_nanousd, result.cost_source) == (30, "computed")
    assert [span.name for span in done.spans].count("POST") == 4
    assert [entry.action for entry in done.audit] == ["job.succeeded"]


async def test_calls_are_counted_over_memory_and_retry_topics_together() -> None:
    """Requirement A30: six in all, wherever the job waited between."""
    it = world(*[slow_down(20)] * 9)
    done = await it.travel(assigned())
    result = result_of(done)

    assert isinstance(done, GiveUp)
    assert result.error.kind == K.RATE_LIMITED
    assert len(it.script.requests) == len(result.attempts) == 6
    assert len(it.left) == 5


async def test_ambiguous_money_is_remembered_over_a_retry_topic() -> None:
    """Two silent calls at 400 of 1,000: no third, although the job was away between."""
    silence = httpx.ReadTimeout("silence")
    it = world(silence, slow_down(20), silence, answer())
    result = result_of(await it.travel(assigned(candidate(ceiling_nanousd=400), max_cost_nanousd=1_000)))

    assert len(it.left) == 1
    assert result.error.kind == K.PRICE_CEILING
    assert (result.cost_nanousd, result.cost_source) == (800, "estimated")
    assert [attempt.ambiguous for attempt in result.attempts] == [True, False, True]


async def test_a_wait_that_would_pass_the_deadline_ends_the_job_now() -> None:
    it = world(slow_down(20))
    result = result_of(await it.travel(assigned(deadline=START + timedelta(seconds=15))))

    assert result.error.kind == K.RATE_LIMITED
    assert it.left == []
    assert it.clock.now() < START + timedelta(seconds=15)


async def test_a_job_that_comes_back_after_its_deadline_expires_with_what_it_cost() -> None:
    it = world(failing(503), slow_down(20))
    done = await it.travel(assigned(deadline=START + timedelta(seconds=60)), away=timedelta(minutes=5))
    result = result_of(done)

    assert (result.status, result.error.kind) == ("expired", K.DEADLINE_PASSED)
    assert len(result.attempts) == 2
    assert len(it.script.requests) == 2


async def test_a_job_with_an_order_never_leaves() -> None:
    it = world(slow_down(20), answer())
    record = ordered(assigned())
    assert it.app.order_of(record) == record.key
    assert it.app.order_of(assigned()) is None
    result = result_of(await it.travel(record))

    assert result.status == "succeeded"
    assert it.left == []
    assert len(it.waits) == 1


async def test_a_field_that_only_a_newer_router_knows_travels_along() -> None:
    it = world(slow_down(20), answer())
    record = assigned()
    document = {**json.loads(record.value or b""), "from_a_newer_router": {"kept": True}}
    await it.travel(replace(record, value=json.dumps(document).encode()))
    (gone,) = it.left[0].records

    assert json.loads(gone.value or b"")["from_a_newer_router"] == {"kept": True}


async def test_a_job_that_has_grown_too_large_for_a_retry_topic_ends_instead() -> None:
    it = world(slow_down(20))
    delivery = Delivery(assigned(), it.clock.now())
    retry = await it.lane.handle(delivery)
    assert isinstance(retry, RetryAt)
    left = it.lane.postpone(delivery, retry)
    assert left is not None
    assert left.shrunk is not None
    result = result_of(left.shrunk(1_100_000))

    assert (result.status, result.error.kind) == ("failed", K.RATE_LIMITED)
    assert "1100000 bytes" in result.error.message
    assert len(result.attempts) == 1


# A drain


async def waiting_for_a_slot(it: World, memo: object = None) -> "tuple[Delivery, asyncio.Task[object]]":
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    delivery = Delivery(assigned(candidate(max_in_flight=1)), it.clock.now(), memo=memo)
    task: asyncio.Task[object] = asyncio.create_task(it.lane.handle(delivery))  # type: ignore[arg-type]
    while not delivery.lease.waiting:
        await asyncio.sleep(0)
    return delivery, task


async def test_in_a_drain_a_job_that_waits_takes_its_attempts_along() -> None:
    it = world(failing(503))
    first = await it.lane.handle(Delivery(assigned(candidate(max_in_flight=1)), it.clock.now()))
    assert isinstance(first, RetryAt)
    delivery, task = await waiting_for_a_slot(it, first.memo)
    delivery.lease.draining = True
    task.cancel()
    outcome = await task

    assert isinstance(outcome, RetryAt)
    assert outcome.when == it.clock.now()
    left = it.lane.postpone(delivery, outcome)
    assert left is not None
    envelope = AssignedJob.model_validate_json(left.records[0].value or b"")
    assert envelope.carried is not None
    assert len(envelope.carried.attempts) == 1


async def test_in_a_drain_a_job_that_nothing_has_happened_to_is_left_where_it_is() -> None:
    it = world()
    delivery, task = await waiting_for_a_slot(it)
    delivery.lease.draining = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_in_a_drain_a_job_that_rests_and_was_not_called_yet_is_left_where_it_is() -> None:
    """It rests because its call could not be noted; its next owner knows as much."""

    class Full(NoIntents):
        async def begin(self, *_: Any) -> None:
            raise IntentsUnavailable("the file of intents cannot be written: SQLITE_FULL")

    it = world(intents=Full())
    delivery = Delivery(assigned(), it.clock.now())
    rest = await it.lane.handle(delivery)
    assert isinstance(rest, RetryAt)
    delivery.lease.draining = True

    assert it.lane.postpone(delivery, rest) is None


async def test_a_second_call_that_is_cut_in_a_drain_is_not_taken_along_as_if_it_had_not_been_made(
    tmp_path: Path,
) -> None:
    """It may be charged: its note says that it was cut, for whoever has the record next."""
    it = world(failing(503), never)
    async with machine(tmp_path) as start:
        lane = await opened(it, intents := await start())
        first = await lane.handle(Delivery(assigned(), it.clock.now()))
        it.clock.turn_to(first.when)
        delivery = Delivery(assigned(), it.clock.now(), 2, first.memo)
        task = asyncio.create_task(lane.handle(delivery))
        while len(it.script.requests) < 2:
            await asyncio.sleep(0.001)
        delivery.lease.draining = True
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await intents.flush()
        left = await (await start()).left(LANE, 0, (), intents.custody)

    assert [json.loads(note.ended)["attempt"]["kind"] for note in left[7]] == [K.OVERLOADED, K.INTERRUPTED]


# No slot


def crowd(it: World) -> None:
    """The model has all the places in which jobs wait."""
    limits: Limits[BreakerKey] = Limits(1, waiting=0, clock=it.clock.monotonic)
    it.limits = limits
    it.lane = it.process(limits=limits)


async def test_a_job_for_which_there_is_no_room_to_wait_goes_away_for_five_seconds_and_that_is_no_attempt() -> None:
    it = world()
    crowd(it)
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    delivery = Delivery(assigned(), it.clock.now())
    outcome = await it.lane.handle(delivery)

    assert isinstance(outcome, RetryAt)
    assert (outcome.when - it.clock.now(), outcome.in_memory) == (CROWDED_WAIT, False)
    left = it.lane.postpone(delivery, outcome)
    assert left is not None
    assert left.records[0].topic == "inference.retry.5s.v1"
    busy.release()
    it.clock.turn(6)
    result = result_of(await it.travel(returned(left, delivery.record)))
    assert result.status == "succeeded"
    assert len(result.attempts) == 1
    assert result.attempts[0].waited_ms == 6_000


async def test_a_job_with_an_order_is_not_sent_away_for_want_of_room() -> None:
    it = world()
    crowd(it)
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    delivery = Delivery(ordered(assigned()), it.clock.now())
    task = asyncio.create_task(it.lane.handle(delivery))
    while not delivery.lease.waiting:
        await asyncio.sleep(0)
    busy.release()
    outcome = await task
    assert isinstance(outcome, Publish)


async def test_a_queue_that_moves_on_fast_is_no_crowd() -> None:
    """The model's calls take 100 ms: who waits behind one of them is not sent away for five seconds."""
    it = world(lambda _: (it.clock.turn(0.1), answer())[1])
    crowd(it)
    await it.run(assigned())
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    delivery = Delivery(assigned(offset=8), it.clock.now())
    task = asyncio.create_task(it.lane.handle(delivery))
    while not delivery.lease.waiting:
        await asyncio.sleep(0)
    busy.release()
    assert isinstance(await task, Publish)


async def test_without_room_and_without_time_for_another_try_the_job_expires() -> None:
    it = world()
    crowd(it)
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    outcome = await it.lane.handle(Delivery(assigned(deadline=START + timedelta(seconds=5)), it.clock.now()))

    assert isinstance(outcome, Publish)
    result = result_of(outcome)
    assert (result.status, result.error.kind) == ("expired", K.DEADLINE_PASSED)
    assert it.script.requests == []


# The retry budget


async def test_a_retry_without_budget_waits_in_the_sixty_second_topic_and_is_no_attempt() -> None:
    it = world(failing(503), answer(), retry_budget_least=0, retry_budget=0.0)
    delivery = Delivery(assigned(), it.clock.now())
    first = await it.lane.handle(delivery)
    assert isinstance(first, RetryAt)
    it.clock.turn_to(first.when)
    outcome = await it.lane.handle(replace(delivery, attempt=2, memo=first.memo))

    assert isinstance(outcome, RetryAt)
    assert (outcome.in_memory, outcome.kind) == (False, K.OVERLOADED)
    assert timedelta(seconds=30) <= outcome.when - it.clock.now() <= timedelta(seconds=60)
    left = it.lane.postpone(delivery, outcome)
    assert left is not None
    assert left.records[0].topic == "inference.retry.60s.v1"
    assert left.audit[-1].detail["wait"] == "budget"
    assert len(it.script.requests) == 1


async def test_a_retry_that_finds_no_room_to_wait_costs_no_budget() -> None:
    it = world(lambda _: (it.clock.turn(9), failing(503))[1], answer(), retry_budget_least=1, retry_budget=0.0)
    crowd(it)
    delivery = Delivery(assigned(), it.clock.now())
    first = await it.lane.handle(delivery)
    assert isinstance(first, RetryAt)
    it.clock.turn_to(first.when)
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    crowded = await it.lane.handle(replace(delivery, attempt=2, memo=first.memo))
    assert isinstance(crowded, RetryAt)
    assert crowded.when - it.clock.now() == CROWDED_WAIT
    busy.release()
    it.clock.turn_to(crowded.when)
    result = await it.lane.handle(replace(delivery, attempt=3, memo=crowded.memo))

    assert isinstance(result, Publish)
    assert result_of(result).status == "succeeded"


async def test_without_budget_until_the_deadline_the_job_ends_with_its_last_failure_and_says_why() -> None:
    it = world(failing(503), retry_budget_least=0, retry_budget=0.0)
    result = result_of(await it.travel(assigned(deadline=START + timedelta(seconds=100))))

    assert result.error.kind == K.OVERLOADED
    assert "retry budget of auto/acme/chat is used up" in result.error.message
    assert result.error.retryable
    assert len(result.attempts) == 1


async def test_a_storm_of_failures_makes_ten_retries_in_ten_seconds_and_not_five_a_job() -> None:
    it = world(failing(503), backoff_factor_s=0.001)
    outcomes = await asyncio.gather(*(it.travel(assigned(offset=at, deadline=START + timedelta(seconds=30)))
                                      for at in range(20)))  # fmt: skip

    assert {result_of(done).error.kind for done in outcomes} == {K.OVERLOADED}
    assert len(it.script.requests) == 20 + 10


async def test_a_first_call_to_the_next_candidate_is_no_retry() -> None:
    """One provider is out of credits: every job goes on to the other at once, however few succeed there."""
    it = world(failing(402), answer(), retry_budget_least=0, retry_budget=0.0)
    result = result_of(await it.travel(assigned(candidate(), candidate(model="acme/other"))))

    assert result.status == "succeeded"
    assert it.left == []
    assert [attempt.kind for attempt in result.attempts] == [K.PAYMENT_REQUIRED, None]


async def test_what_succeeds_pays_for_retries_and_a_first_call_needs_none() -> None:
    it = world(*[answer()] * 10, failing(503), answer(), retry_budget_least=0, retry_budget=0.1)
    for at in range(10):
        await it.run(assigned(offset=at))
    result = result_of(await it.travel(assigned(offset=10)))

    assert result.status == "succeeded"
    assert it.left == []
    assert [attempt.kind for attempt in result.attempts] == [K.OVERLOADED, None]
