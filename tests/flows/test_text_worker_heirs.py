"""The text worker after a crash, a rebuild or a rebalance: no call that was noted, or may have been made, is lost."""

import sqlite3
from pathlib import Path

import httpx
import pytest
from worker_machine import LANE_ID, NoLog, handled, killed_while_calling, machine, never, opened
from worker_world import START, answer, assigned, candidate, result_of, world

from runtime.outcome import RetryAt
from runtime.ports import Delivery, Resumed
from schemas.failure import FailureKind

K = FailureKind


async def test_a_record_that_its_process_left_undone_and_reads_again_keeps_its_calls(tmp_path: Path) -> None:
    """Its partition was taken away while it rested, and came back: nothing in memory knows of it any more."""
    it = world(httpx.ReadTimeout("silence"), answer())
    async with machine(tmp_path) as start:
        intents = await start()
        lane = await opened(it, intents)
        assert isinstance(await handled(it, lane), RetryAt)
        again = await lane._app.open_lane(LANE_ID, NoLog(), Resumed(0, frozenset(), intents.custody))
        first = await handled(it, again)
        assert isinstance(first, RetryAt), "its second call waits its time"
        it.clock.turn_to(first.when)
        done = await again.handle(Delivery(assigned(), it.clock.now(), 2, first.memo))

    result = result_of(done)
    assert [(one.attempt, one.kind) for one in result.attempts] == [(1, K.TIMEOUT), (2, None)]
    assert result.cost_nanousd == 1_030


async def test_a_rebuild_does_not_forget_what_another_machine_may_have_called(tmp_path: Path) -> None:
    """The lane says in its first commit who keeps the notes from now on; whoever kept them before is in memory only."""
    it = world(answer(), max_in_flight=1)
    async with machine(tmp_path) as start:
        lane = await opened(it, await start(), custody="0123456789ab", end=9)
        first = result_of(await handled(it, lane, 5))
        resumed = Resumed(6, frozenset(), f"{lane._app.custody}+{lane.owed(6)}")
        again = await lane._app.open_lane(LANE_ID, NoLog(20), resumed)
        told = [[one.kind for one in result_of(await handled(it, again, at)).attempts] for at in (6, 7)]

    assert [one.kind for one in first.attempts] == [K.INTERRUPTED, None]
    assert told == [[K.INTERRUPTED, None], [None]]


async def test_what_somebody_else_has_called_meanwhile_is_told_from_what_was_known(tmp_path: Path) -> None:
    """A partition that went and came back: what this process remembers of a record is all, unless it was overtaken."""
    it = world(never, answer())
    async with machine(tmp_path) as start:
        lane = await opened(it, mine := await start())
        await killed_while_calling(it, await opened(it, theirs := await start()), 7)
        resumed = Resumed(0, frozenset(), theirs.custody)
        back = await lane._app.open_lane(LANE_ID, NoLog(9), resumed)
        assert [back.overtaken(at) for at in (6, 7, 8)] == [False, True, False]

        rebuilt = await lane._app.open_lane(LANE_ID, NoLog(9), resumed)
        assert not rebuilt.overtaken(7), "known since then: a rebuild repeats no call"

        resumed = Resumed(0, frozenset(), f"0123456789ab+{mine.custody}")
        moved = await lane._app.open_lane(LANE_ID, NoLog(9), resumed)
        assert [moved.overtaken(at) for at in (8, 9)] == [True, False], "another machine had it, up to the log's end"

        resumed = Resumed(0, frozenset(), f"{mine.custody}+0123456789ab")
        rebuilt = await lane._app.open_lane(LANE_ID, NoLog(20), resumed)
        assert not any(rebuilt.overtaken(at) for at in range(20))


async def test_what_may_have_been_called_elsewhere_is_never_more_than_the_job_may_spend(tmp_path: Path) -> None:
    """Two machines may have called. Neither begins a call that does not fit, so together they spent the ceiling at
    most: more than was reserved is not counted."""
    it = world(answer())
    async with machine(tmp_path) as start:
        lane = await opened(it, await start(), custody="0123456789ab+ba9876543210", end=9)
        result = result_of(await lane.handle(Delivery(assigned(max_cost_nanousd=1_400), START)))

    assert [(one.kind, one.ambiguous, one.cost_nanousd) for one in result.attempts] == [
        (K.INTERRUPTED, True, 1_000), (K.INTERRUPTED, True, 400)
    ]  # fmt: skip
    assert (result.status, result.cost_nanousd) == ("failed", 1_400)


async def test_a_call_that_nobody_here_knows_of_may_have_been_to_the_dearest_fallback(tmp_path: Path) -> None:
    """Another machine may have been refused by the first candidate, and have paid the second."""
    it = world(answer())
    asked = assigned(candidate(), candidate(model="acme/large", ceiling_nanousd=3_000), candidate(ceiling_nanousd=2))
    async with machine(tmp_path) as start:
        lane = await opened(it, await start(), custody="0123456789ab", end=9)
        result = result_of(await lane.handle(Delivery(asked, START)))

    told = [(one.model, one.kind, one.ambiguous, one.cost_nanousd) for one in result.attempts]
    assert told == [("acme/large", K.INTERRUPTED, True, 3_000), ("acme/chat", None, False, 30)]


async def test_a_crash_of_the_successor_does_not_hide_that_of_the_process_before(tmp_path: Path) -> None:
    """The first one died elsewhere, the second one here before it had begun anything, or with a call out."""
    it = world(never, answer(), max_in_flight=1)
    async with machine(tmp_path) as start:
        lane = await opened(it, await start(), custody="0123456789ab", end=9)
        named = f"{lane._app.custody}+{lane.owed(5)}"
        await killed_while_calling(it, lane, 5)
        lane = await opened(it, await start(), custody=named, base=5, end=9)
        results = [result_of(await handled(it, lane, at)) for at in (5, 6, 7)]

    assert named.endswith("+0123456789ab")
    told = [[one.kind for one in result.attempts] for result in results]
    assert told == [[K.INTERRUPTED, K.INTERRUPTED, None], [K.INTERRUPTED, None], [None]]
    assert [one.attempt for one in results[0].attempts] == [1, 2, 3]


async def test_a_journal_that_was_damaged_counts_as_one_that_nobody_can_read(tmp_path: Path) -> None:
    it = world(never, answer())
    async with machine(tmp_path) as start:
        await killed_while_calling(it, await opened(it, await start()))
        intents = await start()
        with sqlite3.connect(tmp_path / "intents.sqlite") as vandal:
            vandal.execute("DROP TABLE calls")
        vandal.close()
        result = result_of(await handled(it, await opened(it, intents)))

    assert [attempt.kind for attempt in result.attempts] == [K.INTERRUPTED, None]


async def test_a_lane_that_closes_owes_what_nobody_has_accounted_for(tmp_path: Path) -> None:
    """It was held for a moment only, and the records whose calls were out have not been read, or not been committed."""
    it = world(never, answer(), max_in_flight=1)
    async with machine(tmp_path) as start:
        await killed_while_calling(it, await opened(it, await start()))
        lane = await opened(it, intents := await start())
        assert lane.owed(0) == intents.custody
        done = await handled(it, lane)
        assert lane.owed(0) == intents.custody
        lane.committed(list(done.facts))
        assert lane.owed(0) == ""

        lane = await opened(it, await start(), custody="0123456789ab", base=8, end=10)
        assert lane.owed(0) == "0123456789ab"
        lane.committed(list((await handled(it, lane, 8)).facts))
        assert lane.owed(0) == "0123456789ab"
        lane.committed(list((await handled(it, lane, 9)).facts))
        assert lane.owed(0) == ""

        lane = await opened(it, await start(), custody="0123456789ab", base=10, end=10)
        assert lane.owed(10) == ""


async def test_after_a_fault_of_ours_the_calls_before_are_still_counted(tmp_path: Path) -> None:
    it = world(never, answer())
    async with machine(tmp_path) as start:
        await killed_while_calling(it, await opened(it, await start()))
        lane = await opened(it, await start())

        def broken() -> None:
            raise RuntimeError("a fault of ours")

        lane._app.steps._thrift.succeeded = lambda _: broken()
        delivery = Delivery(assigned(), it.clock.now())
        with pytest.raises(RuntimeError) as raised:
            await lane.handle(delivery)
        result = result_of(lane.fault(delivery, raised.value))

    assert result.error.kind == K.INTERNAL
    assert [one.kind for one in result.attempts] == [K.INTERRUPTED, None]
    assert result.cost_nanousd == 1_030
    assert lane._broken == {}, "what it was is not kept beyond that"
