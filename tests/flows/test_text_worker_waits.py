"""The text worker while nothing is called: Retry-After, breakers, slots, drain."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from worker_world import (
    START,
    World,
    answer,
    assigned,
    candidate,
    failing,
    result_of,
    world,
)

from runtime.breaker import BreakerKey
from runtime.outcome import Abandoned, GiveUp, RetryAt
from runtime.ports import Delivery, Lease
from schemas import codec, headers
from schemas.failure import FailureKind

K = FailureKind


async def test_retry_after_is_waited_for_even_when_the_backoff_is_shorter() -> None:
    it = world(failing(429, {"error": "Rate limit reached"}, retry_after="2"), answer(), dice=0.0)
    result = result_of(await it.run(assigned()))

    assert result.status == "succeeded"
    assert it.clock.passed >= timedelta(seconds=2)
    assert result.attempts[1].waited_ms >= 2_000
    assert result.attempts[0].kind == K.RATE_LIMITED


async def test_a_retry_after_makes_the_next_job_wait_too() -> None:
    it = world(failing(429, {"error": "Rate limit reached"}, retry_after="2"), answer())
    outcome = await it.lane.handle(Delivery(assigned(), it.clock.now()))
    assert isinstance(outcome, RetryAt)

    second = asyncio.create_task(it.lane.handle(Delivery(assigned(offset=8), it.clock.now())))
    await asyncio.sleep(0)
    assert len(it.script.requests) == 1
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second


def a_key(it: World) -> BreakerKey:
    return BreakerKey("auto", "acme/chat")


async def test_every_attempt_counts_for_the_breaker_and_its_refusal_is_no_attempt() -> None:
    """Requirement A40, one process: open after 3, then the job waits for half-open and makes the one trial call."""
    it = world(failing(500), failing(500), failing(500), answer(), breaker=True)
    result = result_of(await it.run(assigned()))

    assert result.status == "succeeded"
    assert len(result.attempts) == 4
    assert it.clock.passed >= timedelta(seconds=300)
    assert K.BREAKER_OPEN in [wait.kind for wait in it.waits]
    assert it.breakers.views()[a_key(it)].state == "closed"


async def test_a_429_does_not_open_the_breaker() -> None:
    it = world(failing(429), breaker=True)
    result = result_of(await it.run(assigned()))

    assert len(result.attempts) == 6
    assert it.breakers.views()[a_key(it)].state == "closed"


async def test_an_open_breaker_sends_the_job_to_its_next_candidate() -> None:
    it = world(failing(500), failing(500), failing(500), answer(), breaker=True)
    result = result_of(await it.run(assigned(candidate(), candidate(model="acme/other"))))

    assert result.served.model == "acme/other"
    assert it.clock.passed < timedelta(seconds=10)


async def test_a_breaker_that_opened_is_told_of_in_json() -> None:
    it = world(failing(500), failing(500), failing(500), answer(), breaker=True)
    await it.run(assigned(candidate(), candidate(model="acme/other")))

    told = json.loads(json.dumps(it.app.describe()))

    assert told["breakers"][str(a_key(it))]["state"] == "open"


async def test_a_breaker_that_stays_open_until_the_deadline_ends_the_job() -> None:
    it = world(failing(500), breaker=True)
    done = await it.run(assigned(deadline=START + timedelta(seconds=60)))
    result = result_of(done)

    assert (result.status, result.error.kind, result.error.retryable) == ("failed", K.BREAKER_OPEN, True)
    assert len(result.attempts) == 3
    assert isinstance(done, GiveUp)


async def test_fifty_jobs_at_half_open_make_one_call() -> None:
    """Requirement A40: the provider sees one trial; when it succeeds, the others follow."""
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def held(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await gate.wait()
        return answer()

    it = world(failing(500), failing(500), failing(500), held, breaker=True, max_in_flight=100)
    short = assigned(candidate(max_in_flight=100), deadline=START + timedelta(seconds=60))
    await it.run(short)
    it.clock.turn(400)

    until = START + timedelta(hours=1)
    jobs = [
        asyncio.create_task(it.run(assigned(candidate(max_in_flight=100), offset=100 + n, deadline=until)))
        for n in range(50)
    ]
    await arrived.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(it.script.requests) == 4
    gate.set()
    results = [result_of(done) for done in await asyncio.gather(*jobs)]

    assert {result.status for result in results} == {"succeeded"}
    assert len(it.script.requests) == 3 + 50


async def test_waiting_for_a_slot_is_no_attempt_and_is_told_as_a_wait() -> None:
    it = world()
    key = a_key(it)
    busy = it.limits.slot(key, 1)
    await busy.acquire()
    job = asyncio.create_task(it.run(assigned(candidate(max_in_flight=1))))
    await asyncio.sleep(0)
    it.clock.turn(1.5)
    busy.release()
    done = await job
    result = result_of(done)

    assert len(result.attempts) == 1
    assert result.attempts[0].waited_ms == 1_500
    assert result.timing_ms["waiting"] == 1_500
    assert "wait slot" in [span.name for span in done.spans]
    assert it.limits.total_in_flight == 0


async def test_a_job_says_while_it_waits_that_it_may_be_cancelled_and_no_longer_once_it_calls() -> None:
    """What a draining engine goes by: who waits is left to the next owner, a call in flight ends."""
    gate = asyncio.Event()

    async def held(request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return answer()

    it = world(held)
    first = Delivery(assigned(candidate(max_in_flight=1)), it.clock.now())
    second = Delivery(assigned(candidate(max_in_flight=1), offset=8), it.clock.now())
    calling = asyncio.create_task(it.lane.handle(first))
    waiting = asyncio.create_task(it.lane.handle(second))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (first.lease.waiting, second.lease.waiting) == (False, True)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    assert result_of(await calling).status == "succeeded"
    assert len(it.script.requests) == 1
    assert it.limits.total_in_flight == 0


async def test_cancelling_a_call_frees_its_slot_and_goes_through() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    it = world(never)
    job = asyncio.create_task(it.run(assigned()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert it.limits.total_in_flight == 1
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert it.limits.total_in_flight == 0


async def test_a_partition_that_is_gone_is_not_paid_for() -> None:
    it = world()
    with pytest.raises(Abandoned):
        await it.lane.handle(Delivery(assigned(), it.clock.now(), lease=Lease(held=False)))
    assert it.script.requests == []
    assert it.limits.total_in_flight == 0


@pytest.mark.parametrize("was_called", [False, True])
async def test_a_slot_that_comes_free_while_the_partition_is_taken_away_is_called_with_by_nobody(
    was_called: bool,
) -> None:
    """Another's call ends in the seconds in which the process lets go: begun then, a call would be made twice. A job
    that has been through something keeps it: the partition may come back to this process."""
    it = world(failing(500), answer()) if was_called else world()
    delivery = Delivery(assigned(candidate(max_in_flight=1)), it.clock.now())
    if was_called:
        failed = await it.lane.handle(delivery)
        assert isinstance(failed, RetryAt)
        it.clock.turn_to(failed.when)
        delivery = replace(delivery, attempt=2, memo=failed.memo)
    busy = it.limits.slot(a_key(it), 1)
    await busy.acquire()
    waiting = asyncio.create_task(it.lane.handle(delivery))
    await asyncio.sleep(0)
    delivery.lease.leaving = True
    busy.release()

    if not was_called:
        with pytest.raises(Abandoned):
            await waiting
    else:
        rests = await waiting
        assert isinstance(rests, RetryAt)
        delivery.lease.leaving = False
        done = await it.lane.handle(replace(delivery, attempt=3, memo=rests.memo))
        assert len(result_of(done).attempts) == 2
    assert len(it.script.requests) == 2 * was_called
    assert it.limits.total_in_flight == 0


async def test_what_a_worker_says_of_itself_names_limits_breakers_and_its_journal() -> None:
    it = world(failing(500), failing(500), failing(500), breaker=True)
    await it.run(assigned(deadline=START + timedelta(seconds=60)))
    told = it.app.describe()

    assert told["breakers"]["auto/acme/chat"]["state"] == "open"
    assert told["breakers"]["auto/acme/chat"]["retry_at"] == pytest.approx(300, abs=60)
    assert set(told) == {"limits", "breakers", "intents", "attempts_failed", "jobs_ended"}


async def test_behind_an_open_breaker_a_hundred_a_second_leave_and_the_others_stay() -> None:
    """Who stays fills the window, and so pauses the partition; who leaves makes room for jobs of other models."""
    it = world(failing(500), failing(500), failing(500), answer(), breaker=True, max_in_flight=300)
    await it.run(assigned(deadline=START + timedelta(seconds=60)))
    until = START + timedelta(hours=1)
    deliveries = [Delivery(assigned(deadline=until, offset=100 + number), it.clock.now()) for number in range(300)]

    async def asked(delivery: Delivery) -> RetryAt:
        outcome = await it.lane.handle(delivery)
        assert isinstance(outcome, RetryAt)
        assert outcome.kind == K.BREAKER_OPEN
        return outcome

    def left(retries: list[RetryAt]) -> int:
        return sum(retry.when - it.clock.now() > timedelta(seconds=5) for retry in retries)

    first = [await asked(delivery) for delivery in deliveries]
    stay = [
        replace(delivery, memo=retry.memo)
        for delivery, retry in zip(deliveries, first, strict=True)
        if retry.when == it.clock.now() + timedelta(seconds=1)
    ]
    assert (left(first), len(stay)) == (100, 200)
    assert it.lane.postpone(stay[0], first[-1]) is None

    it.clock.turn(1)
    assert left([await asked(delivery) for delivery in stay]) == 100

    it.clock.turn(300)
    results = [result_of(await it.run(delivery.record)) for delivery in stay[100:]]
    assert {result.status for result in results} == {"succeeded"}
    assert {len(result.attempts) for result in results} == {1}


async def test_a_job_with_an_order_waits_in_its_place_for_the_breaker_and_takes_nobodys_leave() -> None:
    it = world(failing(500), failing(500), failing(500), answer(), breaker=True)
    await it.run(assigned(deadline=START + timedelta(seconds=60)))
    plain = assigned(deadline=START + timedelta(hours=1))
    ordered = replace(plain, headers=(*plain.headers, (headers.ORDERED, b"1")))
    opens = START + timedelta(seconds=300)
    for _ in range(150):
        outcome = await it.lane.handle(Delivery(ordered, it.clock.now()))
        assert isinstance(outcome, RetryAt)
        assert outcome.when >= opens
        assert it.lane.postpone(Delivery(ordered, it.clock.now()), outcome) is None

    outcome = await it.lane.handle(Delivery(plain, it.clock.now()))
    assert isinstance(outcome, RetryAt)
    assert outcome.when >= opens


async def test_a_job_for_which_there_is_no_memory_is_left_undone_and_not_set_aside(monkeypatch: pytest.MonkeyPatch):
    it = world(answer())

    def full(data: bytes) -> object:
        raise MemoryError

    with monkeypatch.context() as short:
        short.setattr(codec, "decode", full)
        with pytest.raises(Abandoned):
            await it.lane.handle(Delivery(assigned(), START))
    assert result_of(await it.lane.handle(Delivery(assigned(), START))).status == "succeeded"
