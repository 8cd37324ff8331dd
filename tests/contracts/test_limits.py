"""In-flight limits: never exceeded, fair, and nothing lost when callers are cancelled."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from runtime.limits import Limits, NoSlotError


@dataclass
class Clock:
    """Turned by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


class Callers:
    """Starts callers that hold their slot until told, and notes the order in which they got it."""

    def __init__(self, limits: Limits[str]) -> None:
        self.limits = limits
        self.started: list[str] = []
        self._done: dict[str, asyncio.Event] = {}
        self.running: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str, key: str, limit: int, deadline: float | None = None) -> None:
        async def call() -> None:
            async with self.limits.slot(key, limit, deadline=deadline):
                self.started.append(name)
                self.running[name].set()
                await self._done[name].wait()

        self._done[name] = asyncio.Event()
        self.running[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(call())
        await settle()

    async def finish(self, name: str) -> None:
        self._done[name].set()
        await settle()


@asynccontextmanager
async def callers_of(limits: Limits[str]) -> AsyncIterator[Callers]:
    callers = Callers(limits)
    yield callers
    for task in callers.tasks.values():
        task.cancel()
    await asyncio.gather(*callers.tasks.values(), return_exceptions=True)
    assert limits.total_in_flight == 0
    assert limits.waiting == {}


async def test_a_waiter_for_a_full_model_does_not_block_the_others():
    async with callers_of(Limits(10)) as callers:
        await callers.start("a1", "a", 1)
        await callers.start("a2", "a", 1)
        await callers.start("b1", "b", 1)

        assert callers.started == ["a1", "b1"]
        assert callers.limits.in_flight == {"a": 1, "b": 1}
        assert callers.limits.waiting == {"a": 1}


async def test_who_came_first_is_served_first_over_all_models():
    async with callers_of(Limits(1)) as callers:
        for name in ("a1", "b1", "a2", "c1"):
            await callers.start(name, name[0], 5)
        for name in ("a1", "b1", "a2"):
            await callers.finish(name)

        assert callers.started == ["a1", "b1", "a2", "c1"]


async def test_the_global_limit_bounds_all_models_together():
    async with callers_of(Limits(2)) as callers:
        for name in ("a1", "b1", "c1"):
            await callers.start(name, name[0], 5)

        assert callers.started == ["a1", "b1"]


async def test_a_newer_limit_holds_for_those_who_wait_already():
    async with callers_of(Limits(10)) as callers:
        for name in ("a1", "a2", "a3"):
            await callers.start(name, "a", 1)
        await callers.start("a4", "a", 3)
        assert callers.started == ["a1", "a2", "a3"]

        await callers.start("a5", "a", 1)
        await callers.finish("a1")
        await callers.finish("a2")
        assert callers.started == ["a1", "a2", "a3"], "a smaller limit takes effect as slots come back"


async def test_a_wait_ends_at_the_deadline_with_a_refusal_and_leaves_no_trace():
    async with callers_of(Limits(10)) as callers:
        await callers.start("a1", "a", 1)

        with pytest.raises(NoSlotError) as refused:
            async with callers.limits.slot("a", 1, deadline=asyncio.get_running_loop().time() + 0.01):
                pytest.fail("the slot was taken")

        assert (refused.value.because, refused.value.retry_at) == ("deadline", None)
        assert callers.limits.waiting == {}
        await callers.finish("a1")
        await callers.start("a2", "a", 1)
        assert callers.started == ["a1", "a2"]


async def test_a_free_slot_is_given_even_to_a_late_caller_but_nobody_waits_past_a_deadline():
    clock = Clock()
    async with callers_of(Limits(10, clock=clock)) as callers:
        await callers.start("a1", "a", 1, deadline=clock.now - 1)
        await callers.start("a2", "a", 1, deadline=clock.now - 1)

        assert callers.started == ["a1"]
        assert isinstance(callers.tasks["a2"].exception(), NoSlotError)


async def test_a_hold_stops_a_model_until_its_time_and_no_other():
    clock = Clock()
    limits: Limits[str] = Limits(10, clock=clock)
    async with callers_of(limits) as callers:
        limits.hold("a", clock.now + 0.01)
        limits.hold("a", clock.now + 0.005)
        await callers.start("a1", "a", 1)
        await callers.start("b1", "b", 1)
        assert callers.started == ["b1"]
        assert limits.held_until("a") == clock.now + 0.01

        clock.now += 0.01
        await callers.running["a1"].wait()
        assert limits.held_until("a") is None


async def test_who_cannot_wait_for_the_end_of_a_hold_is_told_at_once_when_it_ends():
    clock = Clock()
    limits: Limits[str] = Limits(10, clock=clock)
    async with callers_of(limits) as callers:
        await callers.start("a1", "a", 1)
        await callers.start("waiting", "a", 1, deadline=clock.now + 10)
        limits.hold("a", clock.now + 30)
        await callers.start("coming", "a", 1, deadline=clock.now + 20)

        for name in ("waiting", "coming"):
            refused = callers.tasks[name].exception()
            assert isinstance(refused, NoSlotError)
            assert (refused.because, refused.retry_at) == ("hold", clock.now + 30)


async def test_a_caller_cancelled_in_the_turn_in_which_it_is_served_passes_the_slot_on():
    async with callers_of(Limits(1)) as callers:
        for name in ("a1", "a2", "a3"):
            await callers.start(name, "a", 1)
        callers._done["a1"].set()
        await asyncio.sleep(0)  # a1 leaves its block: a2 is served but has not run yet
        callers.tasks["a2"].cancel()
        await settle()

        assert callers.started == ["a1", "a3"]


async def test_thousands_of_cancelled_callers_lose_no_slot():
    limits: Limits[str] = Limits(16)
    dice = random.Random(7)
    peak = 0

    async def call(key: str) -> None:
        nonlocal peak
        async with limits.slot(key, 6):
            peak = max(peak, limits.total_in_flight)
            assert limits.in_flight[key] <= 6
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)

    tasks = [asyncio.create_task(call(dice.choice("abcd"))) for _ in range(3_000)]
    while pending := [task for task in tasks if not task.done()]:
        for task in dice.sample(pending, min(40, len(pending))):
            task.cancel()
        await asyncio.sleep(0)

    assert peak == 16
    assert (limits.total_in_flight, limits.in_flight, limits.waiting) == (0, {}, {})
    assert limits._lanes == {}, "keys that nobody uses take no memory"


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int):
    with pytest.raises(ValueError, match="at least 1"):
        Limits(limit)
    with pytest.raises(ValueError, match="at least 1"):
        Limits(1).slot("a", limit)
