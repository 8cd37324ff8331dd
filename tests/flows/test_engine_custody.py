"""The lane engine in virtual time: who keeps the journal of the calls that are out, as the commit metadata tells."""

import asyncio
from datetime import timedelta
from typing import Any

from engine_story import after, log_of, told
from sim_log import SimError
from sim_world import Process, SimApp, SimHandler, World, publish
from virtual_time import LoopClock

from runtime import progress
from runtime.cadence import Cadence
from runtime.membership import PositionLost
from runtime.outcome import Outcome, RetryAt
from runtime.ports import Delivery, LaneId
from schemas.failure import FailureKind

MINE, OTHER = "a" * 12, "b" * 12


def custody_of(log, partition: int = 0) -> str:
    position = log.positions[partition]
    return progress.decode(position.offset, position.metadata).custody


@told
async def test_the_journal_is_named_before_the_first_record_flows():
    log = log_of(2)
    seen: list[str] = []

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        seen.append(custody_of(log))
        return publish(delivery.record)

    world = World(log, SimApp(do, custody=MINE))
    await world.join()
    await world.all_committed()

    assert seen == [MINE, MINE]
    assert custody_of(log) == MINE, "an idle lane that is open stays in its custody"
    await world.process.stop()


@told
async def test_after_a_clean_drain_no_call_is_out_and_no_journal_is_named():
    log = log_of(4, 0)
    world = World(log, SimApp(after(2), custody=MINE))
    await world.join()
    await asyncio.sleep(1)
    await asyncio.wait_for(world.process.stop(), 30)

    assert [custody_of(log, partition) for partition in (0, 1)] == ["", ""]
    assert log.results.total() == 4
    successor = Process(log, world.group, SimApp(custody=OTHER), "one")
    await world.join()
    await world.until(lambda: len(successor.app.resumed) == 2)
    assert [resumed.custody for resumed in successor.app.resumed] == ["", ""]
    await successor.stop()


@told
async def test_after_a_kill_the_successor_is_told_whose_journal_to_look_at():
    log = log_of(4)
    world = World(log, SimApp(after(20), custody=MINE))
    await world.join()
    await asyncio.sleep(1)
    await world.process.kill()

    successor = Process(log, world.group, SimApp(custody=OTHER), "one")
    await world.join()
    await world.until(lambda: log.results.total() == 4)

    assert [resumed.custody for resumed in successor.app.resumed] == [MINE]
    assert custody_of(log) == OTHER
    await successor.stop()


@told
async def test_a_successor_that_does_not_come_to_open_takes_no_custody():
    log = log_of(1)
    world = World(log, SimApp(after(20), custody=MINE))
    await world.join()
    await asyncio.sleep(1)
    await world.process.kill()
    app = SimApp(custody=OTHER)

    async def broken(lane: LaneId) -> None:
        raise SimError("its journal cannot be read")

    app.on_open = broken
    successor = Process(log, world.group, app, "one")
    await world.join()
    await asyncio.sleep(30)

    assert custody_of(log) == MINE
    assert {resumed.custody for resumed in app.resumed} == {MINE}
    await successor.stop()


@told
async def test_a_call_that_outlasts_its_partition_keeps_its_journal_named():
    log = log_of(2)
    world = World(log, SimApp(after(20), custody=MINE))
    await world.join()
    await asyncio.sleep(1)

    await world.group.rebalance({})

    assert custody_of(log) == MINE
    await world.process.kill()


@told
async def test_the_last_commit_of_a_lane_names_the_journal_of_a_call_that_goes_on():
    """One outcome is committed because the lane closes; the other call is parked."""
    log = log_of(3)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep((0.1, 1, 200)[delivery.record.offset])
        return publish(delivery.record)

    slow = Cadence(longest=timedelta(seconds=100), shortest=timedelta(seconds=100))
    world = World(log, SimApp(do, custody=MINE), cadence=slow)
    await world.join()
    await asyncio.sleep(2)
    assert log.results.total() == 1, "the second waits for its transaction"

    await world.group.rebalance({})

    assert (log.results.total(), custody_of(log)) == (2, MINE)
    await world.process.kill()


@told
async def test_a_record_that_was_attempted_and_left_undone_keeps_its_journal_named():
    """It keeps its place, so it cannot leave: what its calls came to stands in the journal alone."""
    log = log_of(1)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        wait = 0 if delivery.attempt == 1 else 4
        return RetryAt(LoopClock().now() + timedelta(seconds=wait), FailureKind.TIMEOUT)

    world = World(log, SimApp(do, custody=MINE, postpones=True, order=lambda record: "one"))
    await world.join()
    await asyncio.sleep(1)

    await asyncio.wait_for(world.process.stop(), 5)

    assert custody_of(log) == MINE


@told
async def test_a_record_that_is_left_undone_in_the_rest_after_its_first_attempt_keeps_its_journal_named():
    log = log_of(1)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        return RetryAt(LoopClock().now() + timedelta(seconds=4), FailureKind.TIMEOUT)

    world = World(log, SimApp(do, custody=MINE, postpones=True, order=lambda record: "one"))
    await world.join()
    await asyncio.sleep(1)

    await asyncio.wait_for(world.process.stop(), 5)

    assert custody_of(log) == MINE


@told
async def test_a_lane_whose_log_was_cut_commits_nothing_of_the_old_one_when_it_closes():
    """A broker that forgot records takes new ones at their offsets: whoever commits the old end skips these."""
    log = log_of(20)
    world = World(log, SimApp(custody=MINE))
    await world.join()
    await world.all_committed()
    older = log.positions[0]
    for number in range(20):
        log.append(0, b"forgotten-%d" % number)
    await world.all_committed()
    del log.input[0][20:]
    log.positions[0] = older
    poll, lost = world.process.member.poll, [PositionLost(0, 40)]

    async def poll_and_lose(wait_ms: int, most: int, only: Any = None) -> list[Any]:
        if lost:
            raise lost.pop()
        return await poll(wait_ms, most, only)

    world.process.member.poll = poll_and_lose  # type: ignore[method-assign]
    await world.until(lambda: bool(world.engine.runners[0].stopped))
    await asyncio.wait_for(world.process.stop(), 30)

    assert log.positions[0] == older


@told
async def test_what_predecessors_called_and_nobody_has_accounted_for_keeps_its_journal_named():
    """Its records were never read here: nothing of this process is out, and all the same somebody has to look."""
    log = log_of(1)
    bases: list[int] = []
    app = SimApp(custody=MINE)
    app.owed = lambda base: (bases.append(base), OTHER)[1]
    world = World(log, app)
    await world.join()
    await world.all_committed()
    assert custody_of(log) == f"{MINE}+{OTHER}", "a crash of this process must not hide that of the one before"

    await asyncio.wait_for(world.process.stop(), 5)

    assert custody_of(log) == OTHER
    assert (bases[0], bases[-1]) == (0, log.end(0))
