"""A process that was frozen pays for nothing until its group has said that its partitions are still its own."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from engine_story import log_of
from sim_world import SimApp, SimHandler, World, publish
from virtual_time import LoopClock, VirtualLoop, run
from worker_world import assigned, world

from runtime.outcome import Abandoned, Outcome
from runtime.ports import Delivery, Lease
from runtime.presence import Presence

LONGEST = timedelta(seconds=15)


class Group:
    """What the coordinator answers, and how often it was asked."""

    def __init__(self) -> None:
        self.knows_us = True
        self.asked = 0

    async def heartbeat(self) -> bool:
        self.asked += 1
        answer = self.knows_us  # it may lie there for long before it is read
        await asyncio.sleep(0.01)
        return answer


async def freeze(seconds: float) -> None:
    """Nothing of the process runs meanwhile."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.at += seconds


async def present(group: Group) -> tuple[Presence, "asyncio.Task[None]"]:
    presence = Presence(LoopClock(), group.heartbeat, LONGEST)
    looking = asyncio.create_task(presence.run())
    await asyncio.sleep(60)
    return presence, looking


def test_who_was_never_away_is_sure_and_asks_nobody() -> None:
    async def story() -> None:
        group = Group()
        presence, looking = await present(group)
        await freeze(11)
        assert presence.sure()
        await asyncio.sleep(60)
        assert presence.sure()
        assert group.asked == 0
        looking.cancel()

    run(story())


def test_who_was_frozen_is_not_sure_at_once_and_is_again_when_the_group_has_confirmed_it() -> None:
    async def story() -> None:
        group = Group()
        presence, looking = await present(group)
        await freeze(20)
        assert not presence.sure(), "before anything of ours has run"
        await asyncio.sleep(1)
        assert presence.sure()
        assert group.asked == 1
        looking.cancel()

    run(story())


def test_who_was_put_out_meanwhile_is_not_sure_until_the_group_assigns_anew() -> None:
    async def story() -> None:
        group = Group()
        group.knows_us = False
        presence, looking = await present(group)
        await freeze(50)
        presence.assigned()
        assert not presence.sure(), "an answer that lay there through the pause"
        await asyncio.sleep(5)
        assert not presence.sure()
        presence.assigned()
        assert presence.sure()
        looking.cancel()

    run(story())


def test_an_answer_that_was_asked_for_before_another_pause_confirms_nothing() -> None:
    async def story() -> None:
        group = Group()
        presence, looking = await present(group)
        await freeze(20)
        while not group.asked:
            await asyncio.sleep(0)
        group.knows_us = False
        await freeze(20)
        assert not presence.sure()
        await asyncio.sleep(5)
        assert not presence.sure()
        looking.cancel()

    run(story())


def test_the_lease_of_a_record_is_in_doubt_from_the_moment_at_which_its_process_thaws() -> None:
    sure: list[bool] = []

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        sure.append(delivery.lease.sure())
        await freeze(60)
        sure.append(delivery.lease.sure())
        return publish(delivery.record)

    async def story() -> None:
        it = World(log_of(1), SimApp(do))
        await it.join()
        await it.until(lambda: len(sure) == 2)
        await it.process.stop()

    run(story())
    assert sure == [True, False]


async def test_a_worker_that_is_not_sure_waits_and_then_calls() -> None:
    it = world()
    answers: Iterator[bool] = iter([False] * 7)

    outcome = await it.lane.handle(Delivery(assigned(), it.clock.now(), lease=Lease(sure=lambda: next(answers, True))))

    assert len(it.script.requests) == 1, outcome
    assert it.clock.passed >= timedelta(seconds=0.7)


async def test_a_worker_that_learns_meanwhile_that_the_record_is_not_its_own_has_not_called() -> None:
    it = world()
    lease = Lease()
    answers = iter([False] * 3)

    def sure() -> bool:
        if next(answers, None) is None:
            lease.held = False
        return False

    lease.sure = sure
    with pytest.raises(Abandoned):
        await it.lane.handle(Delivery(assigned(), it.clock.now(), lease=lease))
    assert it.script.requests == []
    assert it.limits.total_in_flight == 0
