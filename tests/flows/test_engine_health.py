"""The lane engine in virtual time: a lane that is stuck, and lanes that only look so."""

import asyncio
import math
from datetime import timedelta

import pytest
from engine_story import after, log_of, told
from sim_world import SimApp, SimHandler, World, publish
from virtual_time import LoopClock

from runtime.cadence import Cadence
from runtime.membership import InstanceTaken, LeftBehind
from runtime.outcome import Outcome, RetryAt
from runtime.ports import Delivery, Record
from runtime.watch import PollStalled
from schemas.failure import FailureKind


def lane_of(world: World, partition: int = 0) -> dict:
    return world.engine.describe()["lanes"][partition]  # type: ignore[index,no-any-return]


def stuck_of(world: World) -> str | None:
    return world.engine.runners[0].pulse.stuck


@told
async def test_a_consumer_that_silently_hands_nothing_out_is_told_from_an_idle_one():
    log = log_of(3)
    world = World(log, SimApp())
    await world.join()
    await world.all_committed()
    await asyncio.sleep(300)
    assert (world.engine.healthy, lane_of(world)["lag"]) == (True, 0)

    world.process.member._take = lambda most, only: []  # type: ignore[method-assign]
    log.append(0, b"unseen")
    await asyncio.sleep(110)
    assert world.engine.healthy
    await asyncio.sleep(30)

    assert (world.engine.healthy, stuck_of(world), lane_of(world)["lag"]) == (False, "read", 1)
    assert "none was read" in str(lane_of(world)["reason"])
    del world.process.member._take  # type: ignore[attr-defined]
    await world.all_committed()
    await asyncio.sleep(5)
    assert (world.engine.healthy, lane_of(world)["state"], lane_of(world)["reason"]) == (True, "open", None)
    await world.process.stop()


@told
async def test_a_lane_whose_transactions_all_fail_is_stuck_in_committing():
    log = log_of(3)
    world = World(log, SimApp())
    await world.join()
    await world.all_committed()
    log.faults.refused = 1.0
    log.append(0, b"unwritten")
    await asyncio.sleep(150)

    assert (world.engine.healthy, stuck_of(world)) == (False, "commit")
    log.faults.refused = 0.0
    await world.all_committed()
    await asyncio.sleep(5)
    assert world.engine.healthy
    await world.process.stop()


@told
async def test_a_lane_that_cannot_write_where_it_begins_is_stuck_once_a_record_waits_for_it():
    log = log_of(0)
    world = World(log, SimApp())
    log.faults.refused = 1.0
    await world.join()
    await asyncio.sleep(150)
    assert (world.engine.healthy, lane_of(world)["state"]) == (True, "opening")

    log.append(0, b"unread")
    await asyncio.sleep(150)

    assert (world.engine.healthy, stuck_of(world), lane_of(world)["lag"]) == (False, "read", 1)
    log.faults.refused = 0.0
    await world.all_committed()
    await asyncio.sleep(5)
    assert world.engine.healthy
    await world.process.stop()


@told
async def test_a_handler_that_hangs_is_stuck_and_one_whose_record_rests_is_not():
    async def hang(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(1_000)
        return publish(delivery.record)

    async def rest(handler: SimHandler, delivery: Delivery) -> Outcome:
        if delivery.attempt == 1:
            return RetryAt(LoopClock().now() + timedelta(seconds=1_000), FailureKind.BREAKER_OPEN)
        return publish(delivery.record)

    hanging, resting = World(log_of(1), SimApp(hang)), World(log_of(50), SimApp(rest), window=4)
    await hanging.join()
    await resting.join()
    await asyncio.sleep(200)

    assert (hanging.engine.healthy, stuck_of(hanging)) == (False, "work")
    assert resting.engine.healthy, "its window is full of records that rest"
    told_of = lane_of(resting)
    assert (told_of["resting"], told_of["lag"], told_of["works"]) == (4, 50, 4)
    assert 190 < told_of["oldest_s"] < 201
    await asyncio.gather(hanging.process.kill(), resting.process.kill())


@told
async def test_a_long_call_is_not_stuck_while_records_of_its_lane_and_of_others_come_to_an_end():
    log = log_of(1, 1_000)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(400 if delivery.record.partition == 0 else 5)
        return publish(delivery.record)

    world = World(log, SimApp(do))
    await world.join()
    for _ in range(13):
        await asyncio.sleep(20)
        assert world.engine.healthy

    await world.process.kill()


@told
async def test_a_busy_lane_in_which_outcomes_always_wait_for_the_next_transaction_is_not_stuck():
    log = log_of(3_000)
    cadence = Cadence(longest=timedelta(seconds=4), shortest=timedelta(seconds=4))
    world = World(log, SimApp(after(1)), cadence=cadence)
    await world.join()
    for _ in range(15):
        await asyncio.sleep(10)
        assert (world.engine.healthy, world.engine.runners[0].pulse.quiet_s < 20) == (True, True)

    await world.process.kill()


@told
async def test_a_process_is_ready_once_its_lanes_are_open_and_until_it_drains():
    log = log_of(2)
    app = SimApp(after(2))
    gate = asyncio.Event()

    async def slow_open(lane: object) -> None:
        await gate.wait()

    app.on_open = slow_open
    world = World(log, app)
    assert not world.engine.ready
    await world.join()
    await asyncio.sleep(1)
    assert (world.engine.ready, world.engine.healthy) == (False, True)
    gate.set()
    await asyncio.sleep(1)
    assert world.engine.ready

    stopping = asyncio.create_task(world.process.stop())
    await asyncio.sleep(0.5)
    assert not world.engine.ready
    await stopping


async def hang(*_: object) -> Outcome:
    await asyncio.sleep(math.inf)
    raise AssertionError


async def ends_for_stalled_polls(world: World) -> None:
    running = world.process.task
    done, _ = await asyncio.wait([running], timeout=290)
    assert not done
    await asyncio.wait([running], timeout=60)
    with pytest.raises(PollStalled, match="no poll was begun for 300 s"):
        running.result()


@told
async def test_a_process_whose_poll_does_not_return_ends_so_that_it_is_started_again():
    world = World(log_of(3), SimApp())
    await world.join()
    await world.all_committed()
    world.process.member.poll = hang  # type: ignore[assignment,method-assign]
    await ends_for_stalled_polls(world)


@told
async def test_a_process_that_its_group_does_not_know_any_more_ends_soon_whatever_it_is_at():
    """Its partitions are somebody else's: what it still calls for can hardly be committed."""
    for kind in (LeftBehind, InstanceTaken):

        async def left(*_: object, kind: type[Exception] = kind) -> list[Record]:
            raise kind("for a minute")

        world = World(log_of(3), SimApp(hang), drain_s=600)
        await world.join()
        await world.until(lambda world=world: world.app.running == 3)  # type: ignore[misc]
        world.process.member.poll = left  # type: ignore[assignment,method-assign]
        done, _ = await asyncio.wait([world.process.task], timeout=20)
        assert done
        with pytest.raises(kind, match="for a minute"):
            world.process.task.result()


@told
async def test_a_process_whose_polling_waits_for_a_handler_that_hangs_ends_as_well():
    """Every round of an inline application waits for what it reads to be handled."""
    world = World(log_of(3), SimApp(hang, inline=True))
    await world.join()
    await ends_for_stalled_polls(world)


@told
async def test_a_lane_that_has_committed_since_it_failed_is_back_as_soon_as_after_its_first_failure():
    """Its pauses grow while nothing comes of it, and not over its life."""
    log = log_of(1)
    world = World(log, SimApp())
    await world.join()
    await world.all_committed()
    for number in range(1, 9):
        lane = world.engine.runners[0].lane
        assert lane is not None
        lane.fail(RuntimeError("broke"))
        began = LoopClock().monotonic()
        log.append(0, b"0-%d" % number)
        await world.all_committed()
        assert LoopClock().monotonic() - began < 1

    assert world.engine.runners[0].rebuilds == 8
    await world.process.stop()
