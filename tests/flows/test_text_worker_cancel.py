"""The text worker when somebody cancels a job: wherever it is, the job ends once, with what was paid for it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from worker_world import World, answer, assigned, candidate, failing, result_of, world

from runtime.breaker import BreakerKey
from runtime.outcome import Done, Outcome, Publish, RetryAt
from runtime.ports import Delivery, Lease, Record
from schemas.failure import FailureKind

K = FailureKind
KEY = BreakerKey("auto", "acme/chat")


def poked(it: World, record: Record, memo: object = None) -> tuple[Delivery, "asyncio.Task[Outcome]"]:
    """The job at its handler, whose task is cancelled when somebody interrupts the lease: what the engine does."""
    delivery = Delivery(record, it.clock.now(), memo=memo)
    task = asyncio.create_task(it.lane.handle(delivery))
    delivery.lease.poke = task.cancel
    return delivery, task


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def by_whom(done: Done) -> str:
    (entry,) = [entry for entry in done.audit if entry.action == "job.cancelled"]
    return str(entry.detail["by"])


async def test_a_job_that_was_cancelled_before_it_came_is_never_called() -> None:
    it = world()
    it.cancel(by="mira")
    done = await it.run(assigned())
    result = result_of(done)

    assert isinstance(done, Publish)
    assert (result.status, result.error.kind) == ("cancelled", K.CANCELLED)
    assert result.attempts == []
    assert it.script.requests == []
    assert by_whom(done) == "mira"


async def test_only_the_submission_that_is_named_is_cancelled() -> None:
    it = world()
    it.cancel(submission=2)
    it.cancel(tenant="other")
    it.cancel(job_id="a2")
    assert result_of(await it.run(assigned())).status == "succeeded"


async def test_a_running_call_is_broken_off_and_counts_with_its_ceiling() -> None:
    closed = asyncio.Event()

    async def never(request: httpx.Request) -> httpx.Response:
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()
        raise AssertionError

    it = world(never)
    _, task = poked(it, assigned(candidate(ceiling_nanousd=400)))
    await turns()
    it.clock.turn(3)
    it.cancel()
    done = await task

    assert isinstance(done, Publish)
    assert closed.is_set()
    result = result_of(done)
    assert (result.status, result.cost_nanousd, result.cost_source) == ("cancelled", 400, "estimated")
    (attempt,) = result.attempts
    assert (attempt.kind, attempt.ambiguous, attempt.duration_ms) == (K.CANCELLED, True, 3_000)
    assert [entry.action for entry in done.audit] == ["call.ambiguous", "job.cancelled"]
    assert done.audit[0].detail["ceiling_nanousd"] == 400
    assert it.limits.total_in_flight == 0
    assert task.cancelling() == 0


async def test_a_job_that_waits_for_a_slot_is_cancelled_there() -> None:
    it = world()
    busy = it.limits.slot(KEY, 1)
    await busy.acquire()
    delivery, task = poked(it, assigned(candidate(max_in_flight=1)))
    await turns()
    assert delivery.lease.waiting
    it.cancel()
    outcome = await task

    assert isinstance(outcome, Publish)
    assert result_of(outcome).status == "cancelled"
    assert not it.limits.waiting


async def test_a_job_at_rest_is_interrupted_and_ends_with_the_attempts_it_made() -> None:
    it = world(failing(503))
    delivery = Delivery(assigned(), it.clock.now())
    resting = await it.lane.handle(delivery)
    assert isinstance(resting, RetryAt)
    ended: list[bool] = []
    delivery.lease.poke = lambda: ended.append(True)
    it.cancel()
    assert ended == [True]
    outcome = await it.lane.handle(replace(delivery, attempt=2, memo=resting.memo))

    assert isinstance(outcome, Publish)
    result = result_of(outcome)
    assert result.status == "cancelled"
    assert [attempt.kind for attempt in result.attempts] == [K.OVERLOADED]
    assert len(it.script.requests) == 1


async def test_a_job_that_waited_in_a_retry_topic_is_cancelled_when_it_comes_back() -> None:
    it = world(failing(429, {"error": "Rate limit reached"}, retry_after="20"), answer())
    delivery = Delivery(assigned(), it.clock.now())
    retry = await it.lane.handle(delivery)
    assert isinstance(retry, RetryAt)
    left = it.lane.postpone(delivery, retry)
    assert left is not None
    it.cancel()
    assert not delivery.lease.interrupted  # it is in the retry topic: its lane there sends it back
    gone = left.records[0]
    outcome = await it.lane.handle(Delivery(replace(delivery.record, value=gone.value, offset=8), it.clock.now()))

    assert isinstance(outcome, Publish)
    result = result_of(outcome)
    assert (result.status, len(result.attempts)) == ("cancelled", 1)


async def test_a_result_that_is_settled_stands() -> None:
    it = world()
    delivery = Delivery(assigned(), it.clock.now())
    outcome = await it.lane.handle(delivery)
    it.cancel()

    assert isinstance(outcome, Publish)
    assert result_of(outcome).status == "succeeded"
    assert not delivery.lease.interrupted


async def test_who_is_cancelled_for_another_reason_does_not_end_as_cancelled() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    it = world(never)
    _, task = poked(it, assigned())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_job_that_somebody_else_got_while_it_rested_is_forgotten() -> None:
    """Whoever abandons a record at rest drops its lease: a thousand rebalances must not leave a thousand of them."""
    it = world(failing(503))
    for offset in range(50):
        outcome = await it.lane.handle(Delivery(assigned(offset=offset), it.clock.now(), lease=Lease()))
        assert isinstance(outcome, RetryAt)
    assert len(it.cancels._held) <= 1


async def test_a_cancelled_job_past_its_deadline_is_cancelled() -> None:
    it = world()
    it.cancel()
    result = result_of(await it.run(assigned(deadline=it.clock.now() - timedelta(seconds=1))))
    assert result.status == "cancelled"
