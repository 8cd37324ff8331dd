"""The text worker: what a note says of a call is what the next process makes of it."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
from worker_machine import LANE_ID, NoLog, die, handled, killed_while_calling, machine, never, opened
from worker_world import START, answer, assigned, candidate, delta, events, failing, result_of, world

from runtime.outcome import RetryAt
from runtime.ports import Delivery, Record, Resumed
from schemas.assignment import Reserved
from schemas.failure import FailureKind

K = FailureKind


async def test_a_call_that_was_broken_off_is_no_death_of_its_process_which_ends_later(tmp_path: Path) -> None:
    """Each process breaks the call off at the end of its drain, writes that down, and is gone before the next begins.
    The fourth would give the job up if these had been three deaths."""
    it = world(never)
    async with machine(tmp_path) as start:
        for number in range(3):
            lane = await opened(it, await start())
            task = asyncio.create_task(handled(it, lane))
            while len(it.script.requests) <= number:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await lane._app.intents.flush()
            die(lane)
        it.script.steps = [answer()]
        result = result_of(await handled(it, await opened(it, await start())))

    assert (result.status, result.cost_nanousd) == ("succeeded", 3_030)
    assert [attempt.kind for attempt in result.attempts] == [*[K.INTERRUPTED] * 3, None]


async def test_after_a_crash_a_stream_is_begun_anew_by_the_model_that_had_begun_it(tmp_path: Path) -> None:
    """The first candidate is not to be had, the second one's pieces may be out: nobody else says how they go on."""
    it = world(failing(404), never)
    asked = assigned(candidate(), candidate(model="acme/large"), job={"stream": True})
    async with machine(tmp_path) as start:
        it.lane = await opened(it, await start())
        task = asyncio.create_task(it.run(asked))
        while len(it.script.requests) < 2:
            await asyncio.sleep(0.001)
        die(it.lane)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        it.script.steps = [answer()]
        it.lane = await opened(it, await start())
        result = result_of(await it.run(asked))

    assert [(one.model, one.kind) for one in result.attempts] == [
        ("acme/chat", K.NOT_FOUND), ("acme/large", K.INTERRUPTED), ("acme/large", None)
    ]  # fmt: skip


async def test_after_a_crash_a_stream_that_was_cut_goes_on_nowhere_else(tmp_path: Path) -> None:
    """Each candidate has one of the two calls; but pieces of the first one's answer are out."""
    it = world(events(delta("Hel"), cut=httpx.ReadError("cut")), answer(), max_retries=1)
    asked = assigned(candidate(), candidate(model="acme/large"), job={"stream": True})
    async with machine(tmp_path) as start:
        it.lane = await opened(it, await start())
        assert isinstance(await it.lane.handle(Delivery(asked, it.clock.now())), RetryAt)
        await it.lane._app.intents.flush()
        die(it.lane)
        it.lane = await opened(it, await start())
        result = result_of(await it.run(asked))

    told = [(one.model, one.kind, one.cost_nanousd) for one in result.attempts]
    assert told == [("acme/chat", K.STREAM_CUT, 1_000), ("acme/chat", None, 30)]


async def test_what_a_call_of_before_may_have_cost_is_taken_once_from_what_the_job_may_spend(tmp_path: Path) -> None:
    """It failed, and may be charged; the process ended before the next one, for which there is just enough left."""
    it = world(httpx.ReadTimeout("silence"), answer())
    asked = assigned(max_cost_nanousd=2_000)
    async with machine(tmp_path) as start:
        it.lane = await opened(it, await start())
        assert isinstance(await it.lane.handle(Delivery(asked, it.clock.now())), RetryAt)
        await it.lane._app.intents.flush()
        die(it.lane)
        it.lane = await opened(it, await start())
        result = result_of(await it.run(asked))

    assert (result.status, result.cost_nanousd) == ("succeeded", 1_030)
    assert [one.kind for one in result.attempts] == [K.TIMEOUT, None]


async def test_a_job_has_arrived_when_its_first_call_began_however_many_processes_have_called_since(
    tmp_path: Path,
) -> None:
    it = world(never)
    async with machine(tmp_path) as start:
        for _ in range(2):
            await killed_while_calling(it, await opened(it, await start()))
            it.clock.turn(10)
        it.script.steps = [answer()]
        result = result_of(await handled(it, await opened(it, await start())))

    assert result.timing_ms["routed"] == 30
    assert [one.started_at - START for one in result.attempts] == [timedelta(seconds=at) for at in (0, 10, 20)]


async def test_a_lane_owes_its_own_journal_up_to_the_record_whose_call_was_out_and_no_further(tmp_path: Path) -> None:
    it = world(never)
    async with machine(tmp_path) as start:
        await killed_while_calling(it, await opened(it, await start()), 7)
        lane = await opened(it, intents := await start())

    assert [lane.owed(base) for base in (6, 7, 8)] == [intents.custody, intents.custody, ""]


async def test_what_came_after_the_opening_was_called_by_nobody_elsewhere(tmp_path: Path) -> None:
    it = world(answer())
    async with machine(tmp_path) as start:
        lane = await opened(it, await start(), custody="0123456789ab", end=9)
        last, first = [result_of(await handled(it, lane, at)) for at in (8, 9)]

    assert [one.kind for one in last.attempts] == [K.INTERRUPTED, None]
    assert [one.kind for one in first.attempts] == [None]


async def test_a_machine_that_has_had_the_lane_again_may_have_called_again(tmp_path: Path) -> None:
    """What it may have called before is known here; what it may have called meanwhile is not."""
    it = world(answer())
    async with machine(tmp_path) as start:
        lane = await opened(it, mine := await start(), custody="0123456789ab", end=9)
        resumed = Resumed(0, frozenset(), f"0123456789ab+{mine.custody}")
        back = await lane._app.open_lane(LANE_ID, NoLog(12), resumed)

    assert [back.overtaken(at) for at in (8, 11, 12)] == [True, True, False]


async def test_of_several_calls_of_before_the_last_one_says_how_the_job_goes_on(tmp_path: Path) -> None:
    """The first was to be tried again, the second ended the job; its outcome was not committed."""
    it = world(failing(503), failing(400))
    async with machine(tmp_path) as start:
        it.lane = await opened(it, await start())
        await it.run(assigned())
        await it.lane._app.intents.flush()
        die(it.lane)
        it.lane = await opened(it, await start())
        result = result_of(await it.run(assigned()))

    assert len(it.script.requests) == 2
    assert (result.status, result.error and result.error.kind) == ("failed", K.REQUEST_REFUSED)
    assert [one.kind for one in result.attempts] == [K.OVERLOADED, K.REQUEST_REFUSED]


async def test_what_this_process_has_called_itself_overtakes_nobody(tmp_path: Path) -> None:
    """After a rebuild it remembers the call: a record that counted as overtaken would be called once more."""
    it = world(httpx.ReadTimeout("silence"))
    async with machine(tmp_path) as start:
        lane = await opened(it, mine := await start())
        assert isinstance(await handled(it, lane), RetryAt)
        rebuilt = await lane._app.open_lane(LANE_ID, NoLog(9), Resumed(0, frozenset(), mine.custody))

    assert not rebuilt.overtaken(7)


async def test_the_reservation_of_a_record_that_nobody_can_read_comes_back_unless_somebody_may_have_called(
    tmp_path: Path,
) -> None:
    """A record below the end that the log had at the opening may have been in another machine's hands."""
    it = world()
    reserved = Reserved(home=1, nanousd=5_000, price_version="7", policy="cheapest@1")
    async with machine(tmp_path) as start:
        lane = await opened(it, await start(), custody="0123456789ab", end=9)
        done = [await lane.handle(Delivery(unreadable(at, reserved), it.clock.now())) for at in (8, 9)]

    assert [one.kind for one in done] == [K.UNDECODABLE, K.UNDECODABLE]
    assert [[fact.settled.released_nanousd for fact in one.facts] for one in done] == [[], [5_000]]


def unreadable(offset: int, reserved: Reserved) -> Record:
    """An assigned job whose input is none, with what was reserved for it."""
    record = assigned(offset=offset, reserved=reserved)
    document = json.loads(record.value or b"")
    document["job"]["input"] = 5
    return replace(record, value=json.dumps(document).encode())
