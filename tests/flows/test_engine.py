"""The lane engine, one claim at a time, on a simulated log in virtual time: closing, draining, reading."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from engine_story import after, log_of, told
from sim_log import Faults, SimError
from sim_world import Process, SimApp, SimHandler, World, offset_of, publish

from runtime.cadence import Cadence
from runtime.membership import PositionLost
from runtime.outcome import Outcome
from runtime.ports import Delivery, LaneId

# closing and draining


@told
async def test_a_lane_that_closes_while_outcomes_wait_commits_them_and_lets_go():
    log = log_of(3)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(1 if delivery.record.offset else 0.3)
        return publish(delivery.record)

    world = World(log, SimApp(do), cadence=Cadence(longest=timedelta(seconds=2), shortest=timedelta(seconds=2)))
    await world.join()
    await asyncio.sleep(1.5)
    assert log.results == Counter([b"0-0"]), "the others wait for their transaction"

    await asyncio.wait_for(world.group.rebalance({}), 20)

    assert log.results == Counter([b"0-0", b"0-1", b"0-2"])
    await world.process.stop()
    assert log.wrong == []


@told
async def test_outcomes_that_come_while_the_last_transaction_is_out_are_committed_before_the_lane_closes():
    log = log_of(3)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(1 if delivery.record.offset else 0.3)
        return publish(delivery.record)

    world = World(log, SimApp(do))
    await world.join()
    await asyncio.sleep(0.2)
    log.down = True  # the first outcome's transaction begins, and is not answered
    await asyncio.sleep(1)
    closing = asyncio.create_task(world.group.rebalance({}))
    await asyncio.sleep(0.5)
    log.down = False

    await asyncio.wait_for(closing, 20)

    assert log.results == Counter([b"0-0", b"0-1", b"0-2"])
    await world.process.stop()


@told
async def test_a_process_that_is_stopped_while_an_inline_handler_waits_ends():
    log = log_of(2)
    world = World(log, SimApp(after(300), inline=True), drain_s=5)
    await world.join()
    await asyncio.sleep(1)

    await asyncio.wait_for(world.process.stop(), 30)

    assert log.results == Counter()


@told
async def test_a_rebalance_in_the_middle_of_a_drain_neither_hangs_nor_repeats_a_call():
    log = log_of(4, 4)
    app = SimApp(after(10))
    world = World(log, app)
    await world.join()
    await asyncio.sleep(1)
    stopping = asyncio.create_task(world.process.stop())
    await asyncio.sleep(1)

    await asyncio.wait_for(world.group.rebalance({"one": world.all}), 30)
    await asyncio.wait_for(stopping, 60)

    assert sum(log.results.values()) == len(log.results) == 8
    assert set(app.calls.values()) == {1}


@told
async def test_partitions_that_are_assigned_when_the_drain_is_over_are_not_opened():
    log = log_of(2)
    world = World(log, SimApp())
    await world.join()
    await world.all_committed()
    log.faults.slow = 1.0
    stopping = asyncio.create_task(world.process.stop())
    rebalance = asyncio.create_task(world.group.rebalance({"one": world.all}))

    await asyncio.wait_for(asyncio.gather(stopping, rebalance), 60)

    assert not world.engine.runners


@told
async def test_a_drain_reads_no_further_records():
    log = log_of(2)
    app = SimApp(after(10))
    world = World(log, app, drain_s=30)
    await world.join()
    await asyncio.sleep(1)
    stopping = asyncio.create_task(world.process.stop())
    await asyncio.sleep(0.5)
    for number in range(500):
        log.append(0, b"later-%d" % number)
    await asyncio.sleep(5)

    lane = world.engine.runners[0].lane
    assert lane is not None
    assert lane.tracker.open <= 20

    await asyncio.wait_for(stopping, 60)
    assert (offset_of(log, 0), len(log.results)) == (2, 2)


@told
async def test_a_lane_that_takes_for_ever_to_open_closes_at_once():
    log = log_of(2)
    app = SimApp()
    app.on_open = lambda lane: asyncio.sleep(10_000)
    world = World(log, app)
    await world.join()
    await asyncio.sleep(1)

    await asyncio.wait_for(world.process.stop(), 10)


@told
async def test_a_handler_that_fails_to_close_stops_neither_its_lane_nor_the_process():
    log = log_of(20, faults=Faults(refused=0.5))
    app = SimApp(after(0.05))

    async def broken() -> None:
        raise ZeroDivisionError

    app.on_close = broken
    world = World(log, app)
    await world.join()
    await world.all_committed()

    await asyncio.wait_for(world.process.stop(), 30)

    assert sum(log.results.values()) == len(log.results) == 20


@told
async def test_a_handler_that_never_ends_closing_does_not_hold_its_partition():
    log = log_of(2)
    app = SimApp()
    app.on_close = lambda: asyncio.sleep(10_000)
    world = World(log, app)
    await world.join()
    await world.all_committed()

    await asyncio.wait_for(world.group.rebalance({}), 20)
    await asyncio.wait_for(world.process.stop(), 20)


# reading


@told
async def test_a_position_out_of_the_logs_range_stops_its_lane_by_name_and_no_other():
    log = log_of(40, 40)
    world = World(log, SimApp(after(1)), window=4)
    await world.join()
    await asyncio.sleep(0.5)
    log.first[0] = 30

    await world.until(lambda: offset_of(log, 1) == 40)

    assert "out of the log's range" in (world.engine.runners[0].stopped or "")
    assert not world.engine.healthy
    read = offset_of(log, 0)
    assert log.results == Counter([b"0-%d" % n for n in range(read)] + [b"1-%d" % n for n in range(40)])
    await asyncio.wait_for(world.process.stop(), 30)
    assert log.wrong == []


@told
async def test_a_poll_that_fails_ends_the_process_after_what_was_called_is_committed():
    log = log_of(4)
    app = SimApp(after(5))
    world = World(log, app)
    await world.join()
    await asyncio.sleep(1)
    world.process.member.fault = SimError("the group is not to be had")

    with pytest.raises(SimError):
        await asyncio.wait_for(world.process.task, 60)

    assert sum(log.results.values()) == 4
    assert set(app.calls.values()) == {1}


@told
async def test_a_full_process_that_shows_life_loses_no_record():
    """It polls with every partition paused; one that is resumed meanwhile may still hand out a record."""
    log = log_of(1)
    app = SimApp(after(100))
    world = World(log, app, window=1)
    await world.join()
    await asyncio.sleep(1)
    poll = world.process.member.poll

    async def poll_and_resume(wait_ms: int, most: int, only: Any = None) -> list[Any]:
        if wait_ms == 0:
            world.process.member.resume(0)
        return await poll(wait_ms, most, only)

    world.process.member.poll = poll_and_resume  # type: ignore[method-assign]
    log.append(0, b"late")
    await world.all_committed(400)

    assert log.results == Counter([b"0-0", b"late"])
    await world.process.stop()


@told
async def test_a_full_process_that_hears_of_a_lost_position_while_it_shows_life_reads_the_others_on():
    log = log_of(0, 3)
    world = World(log, SimApp(after(40)), window=1)
    await world.join()
    await asyncio.sleep(1)
    poll, lost = world.process.member.poll, [PositionLost(0, 5)]

    async def poll_and_lose(wait_ms: int, most: int, only: Any = None) -> list[Any]:
        if wait_ms == 0 and lost:
            raise lost.pop()
        return await poll(wait_ms, most, only)

    world.process.member.poll = poll_and_lose  # type: ignore[method-assign]
    await world.until(lambda: sum(log.results.values()) == 3, 400)

    assert world.engine.runners[0].stopped
    await world.process.stop()


@told
async def test_works_that_wait_to_be_read_again_do_not_open_the_window_to_other_lanes():
    log = log_of(400, 400, 400, 400, 400, 400)
    app = SimApp(after(30))
    world = World(log, app, window=10)
    await world.join()
    await asyncio.sleep(1)
    opening = asyncio.Event()

    async def slow_open(lane: LaneId) -> None:
        await opening.wait()

    lane = world.engine.runners[0].lane
    assert lane is not None
    log.epochs[str(lane.id)] += 1  # fenced: its next commit fails
    app.on_open = slow_open
    await asyncio.sleep(60)
    opening.set()
    await asyncio.sleep(60)

    assert app.most_running <= 10 + 100, "at most one poll beyond the window"
    assert world.engine.window.used <= 10 + 100
    await world.process.kill()


@told
async def test_a_settled_outcome_does_not_wait_for_a_full_window_after_a_rebuild():
    """Its commit failed; it has to be read again, but the process is full and waits for room."""
    log = log_of(1)

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(1 if delivery.record.offset == 0 else 100)
        return publish(delivery.record)

    world = World(log, SimApp(do), window=3)
    await world.join()
    await asyncio.sleep(0.5)
    log.faults.refused = 1.0
    for name in (b"a", b"b", b"c"):
        log.append(0, name)
    await asyncio.sleep(1)
    log.faults.refused = 0.0

    await world.until(lambda: log.results[b"0-0"] == 1, 15)

    await world.process.kill()


@told
async def test_markers_at_the_end_of_a_partition_are_committed_past():
    """Else, once the records before them are deleted, the committed offset would lie before the log's first."""
    log = log_of(3)
    world = World(log, SimApp(after(0.1)))
    await world.join()
    await world.all_committed()
    for _ in range(4):
        log.mark(0)
    log.tell()

    await world.all_committed(10)

    commits = log.commits
    await asyncio.sleep(60)
    assert log.commits == commits, "once, and no more"
    await world.process.stop()


@told
async def test_a_partition_that_is_new_is_read_from_its_beginning():
    log = log_of(5)
    world = World(log, SimApp())
    await world.join()
    await world.all_committed()
    log.input.append([])
    log.first.append(0)
    log.append(1, b"new")

    await world.group.rebalance({"one": [0, 1]})
    await world.until(lambda: log.results[b"new"] == 1)

    assert sum(log.results.values()) == 6
    await world.process.stop()


@told
async def test_another_record_at_an_offset_that_is_in_flight_is_not_answered_with_the_first_ones_outcome():
    """The log was cut and written anew while a call was out (an unclean election)."""
    log = log_of(2)
    world = World(log, SimApp(after(20)))
    await world.join()
    await asyncio.sleep(1)
    log.input[0].clear()
    log.append(0, b"other")
    log.append(0, b"another")

    await world.group.rebalance({"one": [0]})
    await world.all_committed()

    assert log.results == Counter([b"other", b"another"])
    assert world.engine.runners[0].unadopted == set(), "whoever is waited for is read for, however full the window is"
    await world.process.stop()


@told
async def test_records_that_were_read_before_their_lane_was_rebuilt_are_read_again_by_the_new_one():
    """Sixteen were polled at once and are handled one after the other; after the second the lane is rebuilt."""
    log = log_of(16)
    app = SimApp(after(0.5), inline=True)
    world = World(log, app)
    await world.join()
    await asyncio.sleep(0.8)
    log.epochs["sim.inference.jobs.v1.0"] += 1  # fenced: its next commit fails

    await world.all_committed()

    assert world.engine.runners[0].rebuilds == 1
    assert log.results == Counter(b"0-%d" % n for n in range(16))
    await world.process.stop()


@told
async def test_a_member_that_was_thrown_out_does_not_fence_its_successor():
    """It was frozen, and learns of nothing; its next commit is refused, and its heartbeats are of an old generation."""
    log = log_of(200)
    app = SimApp(after(0.5))
    world = World(log, app, window=4)
    successor = Process(log, world.group, app, "two")
    await world.join()
    await asyncio.sleep(1)
    opened = log.epochs["sim.inference.jobs.v1.0"]
    await world.group.rebalance({"two": [0]}, frozen={"one"})

    await asyncio.sleep(30)

    assert world.engine.runners[0].rebuilds == 1
    assert log.epochs["sim.inference.jobs.v1.0"] == opened + 1, "the successor's own opening"
    await world.all_committed()
    await asyncio.gather(world.process.stop(), successor.stop())
    assert sum(log.results.values()) == len(log.results) == 200
