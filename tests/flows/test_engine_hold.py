"""The lane engine, one claim at a time, in virtual time: records that an inline handler holds and ends later."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from engine_story import log_of, told
from sim_log import Faults, SimGroup, SimLog
from sim_world import Process, SimApp, SimHandler, World, offset_of, publish
from virtual_time import LoopClock, run

from runtime import progress
from runtime.outcome import Done, GiveUp, Hold, Outcome, RetryAt
from runtime.ports import Delivery
from schemas.failure import FailureKind


class Waiting:
    """An application that holds the records whose value `holds` says so, and forgets them when its lane closes."""

    def __init__(self, *held: bytes, everything: bool = False) -> None:
        self.app = SimApp(self.do, inline=True)
        self.held: dict[bytes, Delivery] = {}
        self.arrived: Counter[bytes] = Counter()
        self._of: dict[bytes, SimHandler] = {}
        self._lanes: list[SimHandler] = []
        self._holds = (lambda value: True) if everything else set(held).__contains__

    async def do(self, handler: SimHandler, delivery: Delivery) -> Outcome:
        value = delivery.record.value or b""
        if handler not in self._lanes:
            self._lanes.append(handler)
            self.held = {key: one for key, one in self.held.items() if not self._of[key].closed}
        self.arrived[value] += 1
        if not self._holds(value):
            return publish(delivery.record, facts=(value,))
        self.held[value], self._of[value] = delivery, handler
        return Hold()

    def end(self, value: bytes, done: Done | Exception | None = None) -> None:
        delivery = self.held.pop(value)
        delivery.lease.end(publish(delivery.record, facts=(value,)) if done is None else done)


def finished_of(log: SimLog, partition: int = 0) -> frozenset[int]:
    """The offsets above the committed one that the group's metadata calls finished."""
    position = log.positions[partition]
    return progress.decode(position.offset, position.metadata).finished


@told
async def test_a_held_record_holds_the_commit_back_but_not_its_neighbours():
    log, waiting = log_of(6), Waiting(b"0-1", b"0-4")
    world = World(log, waiting.app, window=2)
    await world.join()
    await world.until(lambda: len(log.results) == 4)

    assert (offset_of(log, 0), finished_of(log)) == (1, {2, 3, 5})
    waiting.end(b"0-1")
    await world.until(lambda: offset_of(log, 0) == 4)
    assert finished_of(log) == {5}
    waiting.end(b"0-4")
    await world.all_committed()

    assert log.results == Counter({b"0-%d" % n: 1 for n in range(6)})
    assert sorted(waiting.app.folded) == [b"0-%d" % n for n in range(6)], "facts go with their outcomes"
    await world.process.stop()
    assert log.wrong == []


@told
async def test_a_held_record_takes_no_place_in_the_window_and_its_bytes_until_it_ends():
    log, waiting = log_of(40), Waiting(everything=True)
    world = World(log, waiting.app, window=4)
    await world.join()
    await world.until(lambda: len(waiting.held) == 40)

    window = world.engine.window
    assert (window.used, window.on_hold) == (0, 40)
    assert window.used_bytes == sum(len(value) for value in waiting.held)
    for value in list(waiting.held):
        waiting.end(value)
    assert (window.used, window.on_hold, window.used_bytes) == (0, 0, 0)
    await world.all_committed()
    await world.process.stop()


@told
async def test_no_more_bytes_are_held_than_the_window_takes_and_reading_goes_on_when_some_are_free():
    log, waiting = log_of(40), Waiting(everything=True)
    world = World(log, waiting.app, window=4, window_bytes=30)
    await world.join()
    await asyncio.sleep(100)

    assert world.engine.window.used_bytes < 30 + 4 * len(b"0-39")
    assert len(waiting.held) < 20
    while sum(waiting.arrived.values()) < 40 or waiting.held:
        await world.until(lambda: bool(waiting.held))
        waiting.end(next(iter(waiting.held)))
    await world.all_committed()
    await world.process.stop()


@told
async def test_ten_newer_outcomes_are_committed_while_ten_thousand_records_are_held():
    log = log_of(10_010)
    waiting = Waiting(*(b"0-%d" % n for n in range(10_000)))
    world = World(log, waiting.app, window=500)
    await world.join()
    await world.until(lambda: len(log.results) == 10)

    assert offset_of(log, 0) == 0
    assert finished_of(log) == set(range(10_000, 10_010))
    for value in list(waiting.held)[::2]:
        waiting.end(value)
    await world.until(lambda: len(log.results) == 5_010)
    assert offset_of(log, 0) == 1, "every second one is open still"
    assert len(log.positions[0].metadata) <= progress.METADATA_LIMIT
    for value in list(waiting.held):
        waiting.end(value)
    await world.all_committed()
    await world.process.stop()
    assert log.wrong == []


@told
async def test_a_lane_stops_reading_at_its_window_above_the_lowest_held_record_and_goes_on_when_that_ends():
    log, waiting = log_of(progress.WINDOW + 2_000), Waiting(b"0-0")
    world = World(log, waiting.app, window=500)
    await world.join()
    await world.until(lambda: len(log.results) >= progress.WINDOW - 1)
    await asyncio.sleep(300)

    lane = world.engine.runners[0].lane
    assert lane is not None
    assert lane.full
    assert lane.tracker.received <= progress.WINDOW + 500
    assert world.engine.healthy, "who waits for a turn is not stuck"
    waiting.end(b"0-0")
    await world.all_committed()
    await world.process.stop()


@told
async def test_a_broker_of_little_metadata_commits_less_far_ahead_of_a_held_record_and_loses_nothing():
    log, waiting = log_of(600), Waiting(b"0-0", *(b"0-%d" % n for n in range(200, 600, 2)))
    log.metadata_limit = 130
    world = World(log, waiting.app, window=50)
    await world.join()
    await world.until(lambda: len(waiting.arrived) == 600)
    await asyncio.sleep(30)
    for value in list(waiting.held):
        await world.until(lambda value=value: value in waiting.held)  # type: ignore[misc]
        waiting.end(value)
    await world.until(lambda: len(log.results) == 600 or bool(waiting.held))
    while waiting.held:  # a lane that was rebuilt has read them again
        waiting.end(next(iter(waiting.held)))
        await asyncio.sleep(0.1)

    await world.all_committed()
    assert log.results == Counter({b"0-%d" % n: 1 for n in range(600)})
    await world.process.stop()


@told
async def test_a_held_record_may_be_ended_before_its_handler_has_answered():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        delivery.lease.end(publish(delivery.record))
        await asyncio.sleep(1)
        return Hold()

    log = log_of(3)
    world = World(log, SimApp(do, inline=True))
    await world.join()
    await world.all_committed()

    assert log.results == Counter([b"0-0", b"0-1", b"0-2"])
    await world.process.stop()


@told
async def test_a_record_is_ended_once_however_often_its_end_is_told():
    log, waiting = log_of(2), Waiting(b"0-0")
    world = World(log, waiting.app)
    await world.join()
    await world.until(lambda: bool(waiting.held))
    delivery = waiting.held[b"0-0"]
    delivery.lease.end(publish(delivery.record, b"first"))
    delivery.lease.end(publish(delivery.record, b"second"))
    await world.all_committed()
    delivery.lease.end(publish(delivery.record, b"third"))
    await asyncio.sleep(1)

    assert log.results == Counter([b"first", b"0-1"])
    await world.process.stop()


@told
async def test_a_held_record_that_ends_with_an_exception_ends_as_a_handler_that_raises():
    log, waiting = log_of(1), Waiting(b"0-0")
    world = World(log, waiting.app)
    await world.join()
    await world.until(lambda: bool(waiting.held))
    waiting.end(b"0-0", ZeroDivisionError("content"))
    await world.all_committed()

    letters = log.written["inference.dlq.v1"]
    assert (len(letters), log.results) == (1, Counter([b"0-0"]))
    assert not any(b"content" in value for _, value in letters[0].headers)
    await world.process.stop()


@told
async def test_an_end_that_is_no_end_is_refused_to_whoever_told_it_and_the_record_stays_held():
    log, waiting = log_of(1), Waiting(b"0-0")
    world = World(log, waiting.app)
    await world.join()
    await world.until(lambda: bool(waiting.held))
    lease = waiting.held[b"0-0"].lease
    for outcome in (Hold(), RetryAt(LoopClock().now(), FailureKind.TIMEOUT), None):
        with pytest.raises(TypeError, match="not with"):
            lease.end(outcome)

    waiting.end(b"0-0")
    await world.all_committed()
    await world.process.stop()


@told
async def test_who_may_not_hold_and_does_fails_as_a_handler_that_raises():
    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        return Hold()

    log = log_of(3)
    world = World(log, SimApp(do))
    await world.join()
    await world.all_committed()

    assert len(log.written["inference.dlq.v1"]) == 3
    await world.process.stop()
    assert (world.engine.window.used, world.engine.window.used_bytes) == (0, 0)


@told
async def test_an_outcome_that_is_too_large_is_made_smaller_after_a_hold_as_well():
    log, waiting = log_of(1), Waiting(b"0-0")
    world = World(log, waiting.app)
    await world.join()
    for _ in range(2):
        await world.until(lambda: bool(waiting.held))
        waiting.end(b"0-0", publish(waiting.held[b"0-0"].record, b"x" * 5_000))
        await asyncio.sleep(3)
    await world.all_committed()

    assert [value for value in log.results if len(value) > 1_000] == []
    assert len(log.written["inference.dlq.v1"]) == 1
    await world.process.stop()


# rebuilt, revoked, drained, killed


@told
async def test_a_rebuilt_lane_reads_again_what_it_held_and_the_old_lease_ends_nothing():
    log, waiting = log_of(4), Waiting(b"0-1", b"0-2")
    world = World(log, waiting.app)
    await world.join()
    await world.until(lambda: log.results.total() == 2)
    old = dict(waiting.held)
    log.faults.refused = 1.0
    log.faults.unopened = 1.0
    waiting.end(b"0-2")
    await asyncio.sleep(2)
    assert (world.engine.runners[0].lane, world.engine.window.on_hold) == (None, 0)
    log.faults = Faults()
    await world.until(lambda: waiting.arrived[b"0-1"] > 1 and b"0-2" in waiting.held)

    assert not old[b"0-1"].lease.held
    for delivery in old.values():
        delivery.lease.end(publish(delivery.record, b"of the old lane"))
    assert world.engine.window.on_hold == 2
    waiting.end(b"0-1")
    waiting.end(b"0-2")
    await world.all_committed()
    assert log.results == Counter([b"0-0", b"0-1", b"0-2", b"0-3"])
    await world.process.stop()


@told
async def test_a_held_record_goes_with_its_partition_and_nobody_waits_for_it():
    log = log_of(4)
    one, two, group = Waiting(b"0-1"), Waiting(), SimGroup(log)
    first, second = Process(log, group, one.app, "one"), Process(log, group, two.app, "two")
    await asyncio.sleep(0)
    await group.rebalance({"one": [0]})
    await asyncio.sleep(1)
    before = LoopClock().monotonic()
    await group.rebalance({"two": [0]})

    assert LoopClock().monotonic() - before < 1
    one.end(b"0-1", publish(one.held[b"0-1"].record, b"of the old owner"))
    await asyncio.sleep(5)
    assert (offset_of(log, 0), first.engine.window.used_bytes) == (4, 0)
    assert log.results == Counter([b"0-0", b"0-1", b"0-2", b"0-3"])
    await first.stop()
    await second.stop()
    assert log.wrong == []


@told
async def test_a_drain_does_not_wait_for_who_is_held_and_commits_who_ended():
    log, waiting = log_of(4), Waiting(b"0-0", b"0-2")
    world = World(log, waiting.app, drain_s=3_000)
    await world.join()
    await world.until(lambda: len(waiting.held) == 2)
    before = LoopClock().monotonic()
    waiting.end(b"0-2")
    await world.process.stop()

    assert LoopClock().monotonic() - before < 5
    assert log.results == Counter([b"0-1", b"0-2", b"0-3"])
    assert (offset_of(log, 0), finished_of(log)) == (0, {1, 2, 3})
    assert (world.engine.window.on_hold, world.engine.window.used_bytes) == (0, 0)


@pytest.mark.parametrize("how", ["drained", "revoked"])
def test_a_lane_is_let_go_at_once_although_held_records_go_on_ending(how: str):
    async def story() -> None:
        log, waiting = log_of(3_000), Waiting(everything=True)
        world = World(log, waiting.app, window=500, drain_s=3_000)
        await world.join()
        await world.until(lambda: len(waiting.held) == 3_000)

        async def end_one_after_the_other() -> None:
            for value in list(waiting.held):
                waiting.end(value)
                await asyncio.sleep(0.0003)

        ending = asyncio.create_task(end_one_after_the_other())
        await asyncio.sleep(0.2)
        before = LoopClock().monotonic()
        await (world.process.stop() if how == "drained" else world.group.rebalance({}))

        assert LoopClock().monotonic() - before < 0.5
        assert 0 < offset_of(log, 0) < 1_000
        assert log.results == Counter({b"0-%d" % n: 1 for n in range(offset_of(log, 0))})
        await ending
        await world.process.stop() if how == "revoked" else None
        assert (world.engine.window.on_hold, world.engine.window.used_bytes) == (0, 0)

    run(story())


@told
async def test_after_a_kill_what_was_held_is_handled_again_and_what_was_committed_is_not():
    log, waiting = log_of(4), Waiting(b"0-0", b"0-2")
    world = World(log, waiting.app)
    await world.join()
    await world.until(lambda: log.results.total() == 2)
    await world.process.kill()
    heir = Waiting()
    process = Process(log, world.group, heir.app, "one")
    await asyncio.sleep(0.01)
    await world.group.members["one"].take([0])
    await world.all_committed()

    assert heir.arrived == Counter([b"0-0", b"0-2"])
    assert log.results == Counter([b"0-0", b"0-1", b"0-2", b"0-3"])
    await process.stop()


@told
async def test_a_lane_in_which_all_wait_is_not_stuck_and_one_that_cannot_commit_their_ends_is():
    log, waiting = log_of(20), Waiting(everything=True)
    world = World(log, waiting.app, window=4, stuck_after=timedelta(seconds=60))
    await world.join()
    await asyncio.sleep(1_000)

    shown = world.engine.describe()["lanes"][0]  # type: ignore[index]
    assert (world.engine.healthy, shown["state"], shown["resting"]) == (True, "open", 20)
    log.faults.refused = 1.0
    for _ in range(1_500):
        for value in list(waiting.held):
            waiting.end(value, GiveUp(FailureKind.CANCELLED, "enough"))
        await asyncio.sleep(0.1)
    assert not world.engine.healthy
    log.faults = Faults()
    while offset_of(log, 0) < 20:
        for value in list(waiting.held):
            waiting.end(value)
        await asyncio.sleep(0.1)
    await world.process.stop()
