"""In-flight limits: never exceeded, fair by key and class, and nothing lost when callers are cancelled."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.limits import Limits, LimitView, NoSlotError
from runtime.waiting import Priority


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

    async def start(
        self, name: str, key: str, limit: int, deadline: float | None = None, priority: Priority = "normal"
    ) -> None:
        async def call() -> None:
            async with self.limits.slot(key, limit, deadline=deadline, priority=priority):
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
    async with callers_of(Limits(1, waiting=10)) as callers:
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
    async with callers_of(Limits(1, waiting=10)) as callers:
        for name in ("a1", "a2", "a3"):
            await callers.start(name, "a", 1)
        callers._done["a1"].set()
        await asyncio.sleep(0)  # a1 leaves its block: a2 is served but has not run yet
        callers.tasks["a2"].cancel()
        await settle()

        assert callers.started == ["a1", "a3"]


async def test_thousands_of_cancelled_callers_lose_no_slot():
    limits: Limits[str] = Limits(16, waiting=10_000)
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


async def test_a_slot_is_given_back_once_however_often_it_is_released():
    limits: Limits[str] = Limits(2)
    async with limits.slot("a", 2), limits.slot("a", 2) as slot:
        slot.release()
        slot.release()
        assert limits.in_flight == {"a": 1}
    assert (limits.total_in_flight, limits.in_flight) == (0, {})


async def refusal(limits: Limits[str], key: str, limit: int = 1, **how: Any) -> NoSlotError:
    with pytest.raises(NoSlotError) as refused:
        async with limits.slot(key, limit, **how):
            pytest.fail("the slot was taken")
    return refused.value


async def test_one_key_never_has_more_than_its_share_of_the_process():
    async with callers_of(Limits(10, share=0.75, waiting=100)) as callers:
        for number in range(12):
            await callers.start(f"a{number}", "a", 50)
        await callers.start("b", "b", 50)

        assert callers.limits.in_flight == {"a": 8, "b": 1}
        assert callers.limits.view()["a"] == LimitView(limit=8, cap=8, in_flight=8, waiting=4, held_until=None)


async def test_a_slow_model_with_many_jobs_leaves_places_for_the_others():
    async with callers_of(Limits(8, share=0.5)) as callers:
        for number in range(8):
            await callers.start(f"a{number}", "a", 8)
        assert callers.limits.waiting == {"a": 4}, "half of the eight places"

        refused = await refusal(callers.limits, "a", 8)
        assert (refused.because, refused.retry_at) == ("crowded", None)
        await callers.start("b", "b", 8)
        assert callers.started[-1] == "b"


async def test_a_class_has_its_share_of_the_places_and_the_patient_wait_beyond_it():
    async with callers_of(Limits(1, waiting=4)) as callers:
        for number, key in enumerate("abcd"):
            await callers.start(f"batch{number}", key, 1, priority="batch")
        assert callers.limits.waiting == {"b": 1, "c": 1}
        assert isinstance(callers.tasks["batch3"].exception(), NoSlotError)

        await callers.start("interactive", "e", 1, priority="interactive")
        patient = asyncio.create_task(callers.limits.slot("b", 1, patient=True).acquire())
        await settle()
        assert callers.limits.waiting == {"b": 2, "c": 1, "e": 1}
        patient.cancel()


async def test_whoever_may_not_be_turned_away_any_more_waits_after_all(monkeypatch: pytest.MonkeyPatch):
    """Moving a long backlog through a topic and back would cost more than its calls."""
    monkeypatch.setattr("runtime.limits.REFUSED_PER_S", 2.0)
    async with callers_of(Limits(1, waiting=2, clock=Clock())) as callers:
        for number in range(6):
            await callers.start(f"a{number}", "a", 1)

        assert callers.limits.waiting == {"a": 3}
        assert sum(task.done() for task in callers.tasks.values()) == 2


async def test_a_held_key_refuses_by_its_hold_before_it_is_called_crowded():
    clock = Clock()
    limits: Limits[str] = Limits(1, waiting=0, clock=clock)
    async with callers_of(limits):
        limits.hold("a", clock.now + 30)

        assert (await refusal(limits, "a", deadline=clock.now + 10)).because == "hold"
        assert (await refusal(limits, "a", deadline=clock.now + 60)).because == "crowded"


async def test_interactive_goes_before_normal_before_batch_over_all_models():
    async with callers_of(Limits(1, waiting=20)) as callers:
        await callers.start("first", "z", 1)
        await callers.start("batch", "a", 1, priority="batch")
        await callers.start("normal", "b", 1)
        await callers.start("interactive", "c", 1, priority="interactive")
        for name in ("first", "interactive", "normal"):
            await callers.finish(name)

        assert callers.started == ["first", "interactive", "normal", "batch"]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["interactive", "normal"]), min_size=12, max_size=20))
def test_a_batch_waiter_that_could_start_is_served_within_ten_grants(priorities: list[Priority]):
    async def flood() -> int:
        async with callers_of(Limits(1, waiting=200)) as callers:
            await callers.start("first", "z", 1)
            await callers.start("batch", "a", 1, priority="batch")
            for number, priority in enumerate(priorities):
                await callers.start(f"{number}", f"key {number % 3}", 1, priority=priority)
            while "batch" not in callers.started:
                await callers.finish(callers.started[-1])
            return callers.started.index("batch")

    assert asyncio.run(flood()) <= 10


async def test_what_is_told_of_calls_moves_the_limit_of_their_key_alone_and_refusals_are_counted():
    clock = Clock()
    limits: Limits[str] = Limits(10, learn=True, clock=clock)
    slots = [limits.slot("a", 10) for _ in range(10)]
    for slot in slots:
        await slot.acquire()
    for slot in slots[:5]:
        slot.tell("limited", 0.5)
        slot.tell("limited", 0.5)
        slot.release()

    assert limits.view()["a"] == LimitView(limit=7, cap=10, in_flight=5, waiting=0, held_until=None, limited=5)
    for slot in slots[5:]:
        slot.release()
    assert limits.view() == {"a": LimitView(limit=7, cap=10, in_flight=0, waiting=0, held_until=None, limited=5)}
    async with limits.slot("b", 10):
        assert limits.view()["b"].limit == 10


async def test_a_limit_that_grows_by_what_it_learns_serves_who_waits():
    clock = Clock()
    limits: Limits[str] = Limits(4, learn=True, waiting=20, clock=clock)
    slot = limits.slot("a", 4)
    for _ in range(4):  # down to one call at a time, refused at two
        await slot.acquire()
        slot.tell("limited", 0.0)
        slot.release()
        clock.now += 1
    assert limits.view()["a"].limit == 1

    async with callers_of(limits) as callers:
        clock.now += 100
        await slot.acquire()
        await callers.start("waits", "a", 4)
        assert callers.started == []
        slot.tell("ok", 0.5)
        await settle()
        assert callers.started == ["waits"]
        slot.release()


async def test_without_learning_nothing_that_is_told_matters():
    limits: Limits[str] = Limits(10)
    slot = limits.slot("a", 10)
    async with slot:
        slot.tell("limited", 0.1)
        assert limits.view()["a"].limit == 10
    slot.tell("limited", 0.1)


async def test_who_listens_hears_of_holds_that_grow_and_of_none_that_was_adopted():
    clock = Clock()
    limits: Limits[str] = Limits(10, clock=clock)
    heard: list[tuple[str, float]] = []
    forget = limits.on_hold(lambda key, until: heard.append((key, until)))
    limits.hold("a", clock.now + 10)
    limits.hold("a", clock.now + 5)
    limits.hold("b", clock.now + 10, tell=False)
    forget()
    limits.hold("a", clock.now + 20)

    assert heard == [("a", clock.now + 10)]


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_that_is_none_is_refused(share: float):
    with pytest.raises(ValueError, match="share"):
        Limits(1, share=share)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int):
    with pytest.raises(ValueError, match="at least 1"):
        Limits(limit)
    with pytest.raises(ValueError, match="at least 1"):
        Limits(1).slot("a", limit)
