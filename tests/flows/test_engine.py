"""The lane engine, one claim at a time, on a simulated log in virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
import structlog
from sim_log import Faults, SimError, SimLog
from sim_world import SimApp, SimHandler, World, offset_of, publish
from virtual_time import NOON, run

from runtime import engine as engines
from runtime.cadence import Cadence
from runtime.outcome import Abandoned, Outcome, Publish, RetryAt
from runtime.ports import Delivery, LaneId, Outgoing, Position
from schemas.failure import FailureKind


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


Story = Callable[[], Coroutine[Any, Any, None]]


def told(story: Story) -> Callable[[], None]:
    """A test in virtual time."""

    def test() -> None:
        run(story())

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


def log_of(*counts: int, faults: Faults | None = None, seed: int = 1) -> SimLog:
    log = SimLog(random.Random(seed), len(counts), faults)
    for partition, count in enumerate(counts):
        for number in range(count):
            log.append(partition, b"%d-%d" % (partition, number))
    return log


def after(seconds: float) -> Any:
    """A call that takes that long."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(seconds)
        return publish(delivery.record)

    return do


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
    await world.process.stop()


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
    assert engines.PARKED_S > engines.REVOKE_WAIT_S
