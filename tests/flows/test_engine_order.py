"""The lane engine in virtual time: records that keep their place, and what waits behind them."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Hashable
from datetime import timedelta

from engine_story import log_of, told
from sim_log import Faults
from sim_world import SimApp, SimHandler, World, publish
from virtual_time import LoopClock

from runtime.outcome import Abandoned, Outcome, RetryAt
from runtime.ports import Delivery, Record
from schemas.failure import FailureKind


def of_two(record: Record) -> Hashable | None:
    """Even numbers are of one key, odd ones of another; each partition has its own."""
    return record.partition, record.offset % 2


class Strict:
    """A call that takes a while, and notes whether two of a key were ever under way at once, and in which order."""

    def __init__(self, seconds: float = 0.2) -> None:
        self.seconds = seconds
        self.under_way: Counter[Hashable] = Counter()
        self.overlaps = 0
        self.order: dict[Hashable, list[int]] = defaultdict(list)

    async def __call__(self, handler: SimHandler, delivery: Delivery) -> Outcome:
        key = of_two(delivery.record)
        self.under_way[key] += 1
        self.overlaps += self.under_way[key] > 1
        try:
            await asyncio.sleep(self.seconds)
            self.order[key].append(delivery.record.offset)
            return publish(delivery.record)
        finally:
            self.under_way[key] -= 1


@told
async def test_of_each_key_one_is_worked_on_at_a_time_in_the_order_of_the_offsets():
    log = log_of(40, 40)
    do = Strict()
    world = World(log, SimApp(do, order=of_two))
    await world.join()
    await world.all_committed()

    assert do.overlaps == 0
    assert all(offsets == sorted(offsets) for offsets in do.order.values())
    assert world.app.most_running == 4, "the keys go side by side"
    assert sum(log.results.values()) == len(log.results) == 80
    await world.process.stop()


@told
async def test_a_key_whose_head_rests_blocks_that_key_alone():
    log = log_of(20)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.record.offset == 0 and delivery.attempt == 1:
            return RetryAt(LoopClock().now() + timedelta(seconds=60), FailureKind.TIMEOUT)
        return publish(delivery.record)

    world = World(log, SimApp(do, order=of_two, postpones=True))
    await world.join()
    await asyncio.sleep(30)

    assert set(log.results) == {b"0-%d" % number for number in range(1, 20, 2)}
    assert world.app.postponed == [], "what keeps its place waits in memory, however long"
    await world.all_committed()
    assert [record.value for record in log.written["out"]][10:] == [b"0-%d" % number for number in range(0, 20, 2)]
    await world.process.stop()


@told
async def test_records_behind_a_key_take_no_place_of_the_window():
    log = log_of(30, 30)
    gate = asyncio.Event()

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.record.partition == 0:
            await gate.wait()
        return publish(delivery.record)

    world = World(log, SimApp(do, order=lambda record: "one" if record.partition == 0 else None), window=4)
    await world.join()
    await world.until(lambda: sum(log.results.values()) == 30, 30)

    assert world.engine.window.used == 1
    assert world.engine.backlog.waiting == 29
    gate.set()
    await world.all_committed()
    await world.process.stop()


@told
async def test_a_backlog_that_is_full_pauses_the_lanes_that_made_it_and_no_other():
    log = log_of(500, 30)
    gate = asyncio.Event()

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.record.partition == 0:
            await gate.wait()
        return publish(delivery.record)

    world = World(log, SimApp(do, order=lambda record: "one" if record.partition == 0 else None), window=4)
    await world.join()
    await asyncio.sleep(10)

    assert 40 <= world.engine.backlog.waiting < 40 + 4
    for number in range(30, 60):
        log.append(1, b"1-%d" % number)
    await world.until(lambda: sum(log.results.values()) == 60, 30)
    gate.set()
    await world.all_committed()
    assert sum(log.results.values()) == len(log.results) == 560
    assert (world.engine.backlog.waiting, world.engine.backlog.waiting_bytes) == (0, 0)
    await world.process.stop()


@told
async def test_order_holds_over_rebuilds_and_rebalances_and_no_call_is_repeated():
    log = log_of(60, 60, faults=Faults(refused=0.2, unanswered=0.1, undecided=0.1))
    do = Strict(0.5)
    world = World(log, SimApp(do, order=of_two))
    await world.join()
    for _ in range(4):
        await asyncio.sleep(3)
        await world.group.rebalance({"one": world.all})
    await world.all_committed(400)

    assert do.overlaps == 0
    assert all(offsets == sorted(offsets) for offsets in do.order.values())
    assert set(world.app.calls.values()) == {1}
    assert sum(log.results.values()) == len(log.results) == 120
    await world.process.stop()
    assert (world.engine.backlog.waiting, world.engine.backlog.waiting_bytes) == (0, 0)


@told
async def test_what_waits_behind_a_record_that_was_abandoned_does_not_overtake_it():
    log = log_of(10)
    begun: list[int] = []

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        begun.append(delivery.record.offset)
        await asyncio.sleep(0.1)
        if delivery.record.offset == 0 and handler.app.calls[delivery.record.value] == 1:
            raise Abandoned
        return publish(delivery.record)

    world = World(log, SimApp(do, order=lambda record: "one"))
    await world.join()
    await world.all_committed()

    assert begun == [0, *range(10)]
    await world.process.stop()


@told
async def test_a_drain_ends_what_is_under_way_and_leaves_what_waits_behind_it():
    log = log_of(10)
    do = Strict(2)
    world = World(log, SimApp(do, order=of_two))
    await world.join()
    await asyncio.sleep(1)

    await asyncio.wait_for(world.process.stop(), 10)

    assert log.results == Counter([b"0-0", b"0-1"])


@told
async def test_a_record_whose_order_cannot_be_told_is_handled_without_one():
    log = log_of(6)

    def broken(record: Record) -> Hashable | None:
        raise LookupError

    world = World(log, SimApp(order=broken))
    await world.join()
    await world.all_committed()

    assert sum(log.results.values()) == 6
    await world.process.stop()


@told
async def test_who_came_behind_a_record_that_is_handled_anew_is_handled_anew_behind_it():
    """Its outcome was known and not committed; meanwhile somebody else may have called for the one before it."""
    log = log_of(2)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        first = handler.app.calls[delivery.record.value] == 1
        await asyncio.sleep(0.5 if first else 3)
        return publish(delivery.record)

    world = World(log, SimApp(do, order=lambda record: "one"))
    await world.join()
    await world.until(lambda: world.app.running == 1)
    world.app.overtaken = lambda offset: offset == 0
    log.epochs["sim.inference.jobs.v1.0"] += 1  # fenced: its next commit fails
    await world.until(lambda: world.engine.runners[0].rebuilds == 1)
    await world.all_committed()

    assert dict(world.app.calls) == {b"0-0": 2, b"0-1": 2}
    assert [record.value for record in log.written["out"]] == [b"0-0", b"0-1"]
    await world.process.stop()
