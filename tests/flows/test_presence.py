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
from runtime.runner import LATE_COMMIT_S

LONGEST = timedelta(seconds=15)


class Group:
    """What the coordinator answers, and how often it was asked."""

    def __init__(self) -> None:
        self.knows_us = True
        self.is_silent = False
        self.asked = 0

    async def heartbeat(self) -> bool:
        self.asked += 1
        answer = self.knows_us  # it may lie there for long before it is read
        await asyncio.sleep(0.01)
        return answer

    def silent(self) -> bool:
        return self.is_silent


async def freeze(seconds: float) -> None:
    """Nothing of the process runs meanwhile."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.at += seconds


async def present(group: Group) -> tuple[Presence, "asyncio.Task[None]"]:
    presence = Presence(LoopClock(), group.heartbeat, group.silent, LONGEST)
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


def test_who_hears_nothing_from_its_group_for_a_session_is_not_sure_until_it_does() -> None:
    async def story() -> None:
        group = Group()
        presence, looking = await present(group)
        group.is_silent = True
        assert not presence.sure()
        await asyncio.sleep(30)
        assert not presence.sure()
        group.is_silent = False
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


def test_nothing_is_paid_for_while_a_commit_is_late_or_the_lane_is_built_again() -> None:
    """What comes of it could not be committed: it would be paid for once more."""
    looks: list[tuple[float, bool]] = []

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        while delivery.record.offset and not over.is_set():
            looks.append((asyncio.get_running_loop().time(), delivery.lease.sure()))
            await asyncio.sleep(0.1)
        return publish(delivery.record)

    async def story() -> None:
        log = log_of(2)
        it = World(log, SimApp(do))
        await it.join()
        await it.until(lambda: bool(looks))
        log.down = True  # the commit of the first record hangs for four seconds, then its lane is built again
        down_at = asyncio.get_running_loop().time()
        await asyncio.sleep(20)
        log.down = False
        await it.until(lambda: looks[-1][1])
        up_at = asyncio.get_running_loop().time()
        over.set()
        await it.all_committed()
        await it.process.stop()
        assert it.process.engine.runners == {}
        before = [sure for at, sure in looks if at < down_at + LATE_COMMIT_S - 0.2]
        meanwhile = [sure for at, sure in looks if down_at + LATE_COMMIT_S + 0.2 < at < down_at + 20]
        assert all(before)
        assert len(before) > 5
        assert not any(meanwhile)
        assert len(meanwhile) > 150
        assert up_at < down_at + 30

    over = asyncio.Event()
    run(story())


async def test_a_worker_that_is_not_sure_keeps_no_slot_waits_and_then_calls() -> None:
    it = world()
    answers: Iterator[bool] = iter([False] * 7)
    slots: list[int] = []

    def sure() -> bool:
        slots.append(it.limits.total_in_flight)
        return next(answers, True)

    outcome = await it.lane.handle(Delivery(assigned(), it.clock.now(), lease=Lease(sure=sure)))

    assert len(it.script.requests) == 1, outcome
    assert slots == [*[0] * (len(slots) - 1), 1], "asked with a slot only when the call is noted"
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


async def test_a_doubt_that_comes_while_the_call_is_noted_gives_the_slot_back() -> None:
    it = world()
    answers, slots = iter([True, False, False]), list[int]()

    def sure() -> bool:
        slots.append(it.limits.total_in_flight)
        return next(answers, True)

    await it.lane.handle(Delivery(assigned(), it.clock.now(), lease=Lease(sure=sure)))

    assert slots[:3] == [0, 1, 0], "in doubt when it is noted, it is asked again without a slot"
    assert len(it.script.requests) == 1
    assert it.limits.total_in_flight == 0
