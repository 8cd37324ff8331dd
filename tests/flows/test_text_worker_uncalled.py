"""The text worker says of each record whether a call may have been noted for it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from worker_world import answer, assigned, candidate, failing, world

from runtime.breaker import BreakerKey
from runtime.outcome import Abandoned, RetryAt
from runtime.ports import Delivery
from workers.ready import Readiness


async def test_a_job_says_that_nobody_was_called_for_it_until_its_first_call_is_noted() -> None:
    it = world(failing(429, {"error": "Rate limit reached"}, retry_after="1"), answer())
    busy = it.limits.slot(BreakerKey("auto", "acme/chat"), 1)
    await busy.acquire()
    delivery = Delivery(assigned(candidate(max_in_flight=1)), it.clock.now())
    assert not delivery.lease.uncalled, "who has not begun has said nothing"
    job = asyncio.create_task(it.lane.handle(delivery))
    await asyncio.sleep(0)
    assert delivery.lease.uncalled
    busy.release()

    rest = await job
    assert isinstance(rest, RetryAt)

    assert not delivery.lease.uncalled
    it.clock.turn(10)
    await it.lane.handle(replace(delivery, attempt=2, memo=rest.memo))
    assert not delivery.lease.uncalled


async def test_no_first_call_is_noted_once_its_partition_is_being_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last commit of its lane may be under way by then, and says that nobody was called for it."""
    it = world(answer())
    delivery, made = Delivery(assigned(), it.clock.now()), Readiness._made

    async def leaving(self: Readiness, *of: Any) -> Any:
        delivery.lease.leaving = True
        return await made(self, *of)

    monkeypatch.setattr(Readiness, "_made", leaving)
    with pytest.raises(Abandoned):
        await it.lane.handle(delivery)

    assert delivery.lease.uncalled
    assert (it.script.requests, it.limits.total_in_flight) == ([], 0)
