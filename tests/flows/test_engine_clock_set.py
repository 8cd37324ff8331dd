"""The lane engine in virtual time: the wall clock is set while records rest, and they leave for a retry topic."""

import asyncio
from datetime import timedelta

import pytest
from engine_story import log_of
from sim_world import SimApp, SimHandler, World
from virtual_time import LoopClock, run

from runtime.outcome import Outcome, RetryAt
from runtime.ports import Delivery
from schemas.failure import FailureKind

REST = timedelta(seconds=4)


async def rests(handler: SimHandler, delivery: Delivery) -> Outcome:
    return RetryAt(LoopClock().now() + REST, FailureKind.TIMEOUT, memo="one call")


@pytest.mark.parametrize("hours", [-1, 0, 1])
@pytest.mark.parametrize("drained", [False, True], ids=["taken-away", "drained"])
def test_what_leaves_waits_for_the_rest_of_its_time_whatever_the_wall_clock_says_by_then(
    monkeypatch: pytest.MonkeyPatch, hours: int, drained: bool
) -> None:
    """An hour more in a retry topic would outlast most deadlines; none at all, and the provider is asked too soon."""
    skew, left = [timedelta(0)], list[timedelta]()
    right, postpone = LoopClock.now, SimHandler.postpone
    monkeypatch.setattr(LoopClock, "now", lambda self: right(self) + skew[0])

    def noted(self: SimHandler, delivery: Delivery, retry: RetryAt) -> object:
        left.append(retry.when - LoopClock().now())
        return postpone(self, delivery, retry)

    monkeypatch.setattr(SimHandler, "postpone", noted)

    async def story() -> None:
        log = log_of(1)
        world = World(log, SimApp(rests, postpones=True))
        await world.join()
        await asyncio.sleep(1)
        skew[0] = timedelta(hours=hours)
        if drained:
            await asyncio.wait_for(world.process.stop(), 5)
        else:
            await world.group.rebalance({})
            await world.process.stop()
        assert log.positions[0].offset == 1

    run(story())

    assert len(left) == 1
    assert timedelta(seconds=2.5) < left[0] <= REST - timedelta(seconds=0.5)
