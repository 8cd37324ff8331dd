"""The lane engine on a simulated log in virtual time: works that come back, and transactions that fail."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest
from engine_story import after, log_of, told
from sim_log import Faults, SimError, SimLog
from sim_world import SimApp, SimHandler, World, publish
from virtual_time import NOON, run

from runtime.engine import REVOKE_WAIT_S
from runtime.outcome import Abandoned, Outcome, Publish, RetryAt
from runtime.parking import PARKED_S
from runtime.ports import Delivery, Outgoing, Position
from schemas.failure import FailureKind

# works


@told
async def test_a_work_that_is_abandoned_after_its_lane_came_back_is_begun_again():
    log = log_of(1)
    entered = asyncio.Event()

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if handler.app.calls[delivery.record.value] > 1:
            return publish(delivery.record)
        entered.set()
        while delivery.lease.held:
            await asyncio.sleep(0.01)
        await asyncio.sleep(3)  # it takes its time to clean up, and its lane is back by then
        raise Abandoned

    world = World(log, SimApp(do))
    await world.join()
    await entered.wait()

    await world.group.rebalance({"one": [0]})
    await world.all_committed()

    assert log.results == Counter([b"0-0"])
    await world.process.stop()


@told
async def test_a_handler_that_is_cancelled_from_inside_does_not_leave_its_record_open_for_ever():
    log = log_of(2)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.record.offset == 0 and handler.app.calls[delivery.record.value] == 1:
            raise asyncio.CancelledError
        return publish(delivery.record)

    world = World(log, SimApp(do))
    await world.join()
    await world.all_committed()
    await world.process.stop()


@told
async def test_a_work_that_waits_for_its_next_attempt_is_not_tried_again_while_its_partition_is_not_held():
    log = log_of(1)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        assert delivery.lease.held
        if delivery.attempt == 1:
            return RetryAt(NOON + timedelta(seconds=asyncio.get_running_loop().time() - 1_000 + 2), FailureKind.TIMEOUT)
        return publish(delivery.record)

    app = SimApp(do)
    world = World(log, app)
    await world.join()
    await asyncio.sleep(0.5)
    await world.group.rebalance({})
    await asyncio.sleep(10)
    assert app.calls == Counter({b"0-0": 1})

    await world.group.rebalance({"one": [0]})
    await world.all_committed()
    assert log.results == Counter([b"0-0"])
    await world.process.stop()


@pytest.mark.parametrize("overtaken", [False, True])
def test_a_call_that_outlasts_its_partitions_absence_counts_unless_somebody_else_has_called_meanwhile(overtaken: bool):
    async def story() -> None:
        log = log_of(1)
        app = SimApp(after(12))
        app.overtaken = lambda offset: overtaken and app.calls.total() == 1
        world = World(log, app)
        await world.join()
        await asyncio.sleep(0.5)
        await world.group.rebalance({})
        await world.group.rebalance({"one": [0]})
        await world.all_committed()

        assert app.calls == Counter({b"0-0": 1 + overtaken})
        assert log.results == Counter([b"0-0"])
        await world.process.stop()

    run(story())


# committing


@told
async def test_an_outcome_that_cannot_be_written_becomes_a_dead_letter_and_the_lane_goes_on():
    log = log_of(50)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(0.01)
        return publish(delivery.record, b"unsendable" if delivery.record.offset == 20 else None)

    world = World(log, SimApp(do))
    await world.join()
    await world.all_committed(300)

    assert log.results == Counter(b"0-%d" % n for n in range(50) if n != 20)
    assert [letter.value for letter in log.written["inference.dlq.v1"]] == [b"0-20"]
    await world.process.stop()


@pytest.mark.parametrize("inline", [False, True])
def test_facts_that_cannot_be_sealed_become_a_dead_letter_and_the_lane_goes_on(inline: bool):
    async def story() -> None:
        log = log_of(30)

        async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
            return publish(delivery.record, facts=(7,) if delivery.record.offset == 20 else (delivery.record.value,))

        world = World(log, SimApp(do, inline=inline))
        await world.join()
        await world.all_committed(300)

        assert log.results == Counter(b"0-%d" % n for n in range(30) if n != 20)
        assert [letter.value for letter in log.written["inference.dlq.v1"]] == [b"0-20"]
        await world.process.stop()

    run(story())


@pytest.mark.parametrize("inline", [False, True])
def test_a_smaller_outcome_that_is_refused_as_well_or_breaks_does_not_end_the_lane(inline: bool):
    async def story() -> None:
        log = log_of(9)

        def still_too_large(size: int) -> Publish:
            return Publish((Outgoing("out", None, b"y" * 5_000),))

        def broken(size: int) -> Publish:
            raise ZeroDivisionError

        async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
            shrunk = {3: still_too_large, 5: broken}.get(delivery.record.offset)
            return publish(delivery.record, b"x" * 5_000, shrunk=shrunk) if shrunk else publish(delivery.record)

        world = World(log, SimApp(do, inline=inline))
        await world.join()
        await world.all_committed(300)

        assert log.results == Counter(b"0-%d" % n for n in range(9) if n not in (3, 5))
        assert sorted(letter.value for letter in log.written["inference.dlq.v1"]) == [b"0-3", b"0-5"]
        await world.process.stop()

    run(story())


@told
async def test_a_lane_that_cannot_commit_tries_again_less_and_less_often():
    log = log_of(3, faults=Faults(refused=1.0))
    world = World(log, SimApp())
    await world.join()

    await asyncio.sleep(300)
    runner = world.engine.runners[0]
    assert 10 < runner.rebuilds < 90

    log.faults.refused = 0
    await world.all_committed(30)
    assert sum(log.results.values()) == 3
    await world.process.stop()


@told
async def test_commit_metadata_never_outgrows_what_the_broker_takes():
    """The lowest record is open for long; of 10,000 above it half are done, at random; many have a marker behind."""
    log = SimLog(random.Random(3), 1)
    for number in range(26_000):
        log.append(0, b"%d" % number, marker=number % 3 > 0)
    dice = random.Random(4)
    slow = {n for n in range(26_000) if dice.random() < 0.5} | {0}

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(400 if int(delivery.record.value or b"") in slow else 0.5)
        return publish(delivery.record)

    app = SimApp(do)
    world = World(log, app, window=10_000)
    await world.join()
    await asyncio.sleep(390)
    assert log.wrong == []
    longest = max(len(position.metadata) for position in log.positions.values())
    assert longest > 2_000, "the test reaches for the limit"

    await world.all_committed(4_000)
    assert (sum(log.results.values()), len(log.results)) == (26_000, 26_000)
    assert log.wrong == []
    await world.process.stop()


@told
async def test_a_broker_that_takes_less_metadata_than_kafkas_default_is_asked_for_less():
    log = log_of(4_000)
    log.metadata_limit = 300
    dice = random.Random(5)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(60 if dice.random() < 0.3 else 0.1)
        return publish(delivery.record)

    app = SimApp(do)
    world = World(log, app, window=3_000)
    await world.join()
    await world.all_committed(2_000)

    assert world.engine.runners[0].rebuilds > 0
    assert (sum(log.results.values()), len(log.results), set(app.calls.values())) == (4_000, 4_000, {1})
    await world.process.stop()


@told
async def test_a_broker_that_is_away_for_half_a_minute_costs_no_call():
    log = log_of(30, 30)
    app = SimApp(after(1))
    world = World(log, app)
    await world.join()
    await asyncio.sleep(2.2)
    log.down = True
    await asyncio.sleep(30)
    log.down = False

    await world.all_committed(120)

    assert sum(log.results.values()) == len(log.results) == 60
    assert set(app.calls.values()) == {1}
    await world.process.stop()


@told
async def test_a_position_that_cannot_be_told_is_asked_for_again_and_not_taken_for_a_first_start():
    log = log_of(10)
    world = World(log, SimApp())
    await world.join()
    await world.all_committed()
    committed, asked = world.process.member.committed, []

    async def not_yet(partition: int) -> Position | None:
        asked.append(partition)
        if len(asked) < 3:
            raise SimError("the coordinator is loading")
        return await committed(partition)

    world.process.member.committed = not_yet  # type: ignore[method-assign]
    await world.group.rebalance({"one": [0]})
    log.append(0, b"late")
    await world.all_committed()

    assert sum(log.results.values()) == len(log.results) == 11
    await world.process.stop()


@told
async def test_a_process_that_stops_has_given_back_every_place_of_its_window():
    log = log_of(60, 60, faults=Faults(refused=0.2, unanswered=0.1, undecided=0.1))
    world = World(log, SimApp(after(0.3)))
    await world.join()
    await asyncio.sleep(3)
    await world.group.rebalance({"one": world.all})
    await asyncio.sleep(2)

    await world.process.stop()

    assert (world.engine.window.used, world.engine.window.used_bytes) == (0, 0)
    assert PARKED_S > REVOKE_WAIT_S
