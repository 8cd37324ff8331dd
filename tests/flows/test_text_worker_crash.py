"""The text worker after a crash: which calls were out is known, they are counted, and who kills processes is found."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from worker_machine import LANE_ID, NoLog, die, handled, killed_while_calling, machine, never, opened
from worker_world import LANE, START, answer, assigned, candidate, failing, result_of, world

from runtime.intents import IntentsUnavailable, NoIntents
from runtime.outcome import GiveUp, Publish, RetryAt
from runtime.ports import Delivery, Resumed
from schemas.failure import FailureKind

K = FailureKind


async def test_a_call_that_was_out_when_its_process_died_is_listed_and_counted_with_its_ceiling(tmp_path: Path) -> None:
    it = world(never, answer())
    async with machine(tmp_path) as start:
        await killed_while_calling(it, await opened(it, await start()))
        done = await handled(it, await opened(it, await start()))

    assert isinstance(done, Publish)
    result = result_of(done)
    assert result.status == "succeeded"
    first, second = result.attempts
    assert (first.kind, first.ambiguous, first.cost_nanousd) == (K.INTERRUPTED, True, 1_000)
    assert (second.attempt, second.kind) == (2, None)
    assert (result.cost_nanousd, result.cost_source) == (1_030, "estimated")
    entry = done.audit[0]
    assert (entry.action, entry.job_id, entry.submission) == ("call.ambiguous", "a1", 1)
    assert (entry.detail["attempt"], entry.detail["ceiling_nanousd"]) == (1, 1_000)
    assert [fact.offset for fact in done.facts] == [7]


async def test_an_interrupted_call_counts_against_the_money(tmp_path: Path) -> None:
    it = world(never, answer())
    async with machine(tmp_path) as start:
        await killed_while_calling(it, await opened(it, await start()))
        done = await handled(it, await opened(it, await start()), max_cost_nanousd=1_999)

    result = result_of(done)
    assert result.error.kind == K.PRICE_CEILING
    assert result.cost_nanousd == 1_000
    assert len(it.script.requests) == 1


async def test_calls_that_failed_before_the_crash_count_as_retries_and_the_next_waits_its_time(tmp_path: Path) -> None:
    it = world(failing(503), failing(503), answer())
    async with machine(tmp_path) as start:
        lane = await opened(it, await start())
        first = await handled(it, lane)
        assert isinstance(first, RetryAt)
        delivery = Delivery(assigned(), it.clock.now(), 2, first.memo)
        assert isinstance(await lane.handle(delivery), RetryAt)
        await lane._app.intents.flush()
        lane = await opened(it, await start())
        delivery = Delivery(assigned(), it.clock.now())
        resting = await lane.handle(delivery)
        assert isinstance(resting, RetryAt)
        assert len(it.script.requests) == 2
        assert resting.when > it.clock.now()
        it.clock.turn_to(resting.when)
        done = await lane.handle(replace(delivery, attempt=2, memo=resting.memo))

    result = result_of(done)
    assert [attempt.kind for attempt in result.attempts] == [K.OVERLOADED, K.OVERLOADED, None]
    assert result.cost_nanousd == 30


async def test_six_calls_are_six_calls_whoever_made_them(tmp_path: Path) -> None:
    it = world(failing(503))
    async with machine(tmp_path) as start:
        for _ in range(6):
            lane = await opened(it, await start())
            delivery = Delivery(assigned(), it.clock.now())
            outcome = await lane.handle(delivery)
            if isinstance(outcome, RetryAt) and len(it.script.requests) < 6:
                it.clock.turn(60)
                outcome = await lane.handle(replace(delivery, attempt=2, memo=outcome.memo))
            await lane._app.intents.flush()
        assert isinstance(outcome, GiveUp)
        done = await handled(it, await opened(it, await start()))

    assert len(it.script.requests) == 6
    result = result_of(done)
    assert result.error.kind == K.OVERLOADED
    assert len(result.attempts) == 6


async def test_an_answer_that_was_not_committed_is_paid_for_twice_and_both_are_told(tmp_path: Path) -> None:
    it = world(answer())
    async with machine(tmp_path) as start:
        lane = await opened(it, await start())
        assert isinstance(await handled(it, lane), Publish)
        await lane._app.intents.flush()
        done = await handled(it, await opened(it, await start()))

    result = result_of(done)
    assert [(one.kind, one.ambiguous, one.cost_nanousd) for one in result.attempts] == [
        (K.INTERRUPTED, False, 30), (None, False, 30),
    ]  # fmt: skip
    assert (result.cost_nanousd, result.cost_source) == (60, "computed")
    assert [entry.action for entry in done.audit] == ["call.repeated", "job.succeeded"]


async def test_what_is_committed_is_forgotten(tmp_path: Path) -> None:
    it = world(answer())
    async with machine(tmp_path) as start:
        lane = await opened(it, await start())
        done = await handled(it, lane)
        lane.committed(list(done.facts))
        await lane._app.intents.flush()
        result = result_of(await handled(it, await opened(it, await start())))

    assert len(result.attempts) == 1


async def test_a_rebuild_of_the_same_process_recalls_nothing_of_its_own(tmp_path: Path) -> None:
    it = world(failing(503), answer())
    async with machine(tmp_path) as start:
        lane = await opened(it, await start())
        delivery = Delivery(assigned(), it.clock.now())
        resting = await lane.handle(delivery)
        await lane._app.intents.flush()
        again = await lane._app.open_lane(LANE_ID, NoLog(), Resumed(0, frozenset(), lane._app.custody))
        assert isinstance(resting, RetryAt)
        it.clock.turn_to(resting.when)
        done = await again.handle(replace(delivery, attempt=2, memo=resting.memo))

    assert [attempt.kind for attempt in result_of(done).attempts] == [K.OVERLOADED, None]


async def test_calls_of_a_clean_predecessor_are_not_suspected(tmp_path: Path) -> None:
    """Empty custody: whoever had the lane last closed it with nothing out, or it is another log."""
    it = world(never, answer())
    async with machine(tmp_path) as start:
        await killed_while_calling(it, await opened(it, await start()))
        result = result_of(await handled(it, await opened(it, await start(), custody="")))
        assert len(result.attempts) == 1
        result = result_of(await handled(it, await opened(it, await start())))
        assert len(result.attempts) == 2  # the successor's own answer, not committed; the first note is gone


async def test_after_a_crash_on_another_machine_a_window_of_records_counts_as_called_once(tmp_path: Path) -> None:
    it = world(answer(), max_in_flight=1)
    async with machine(tmp_path) as start:
        lane = await opened(it, await start(), custody="0123456789ab", end=9)
        results = [result_of(await handled(it, lane, offset)) for offset in (5, 6, 7, 8, 9)]
        told = [[attempt.kind for attempt in result.attempts] for result in results]
        await lane._app.intents.flush()
        lane = await opened(it, await start(), custody="0123456789ab", end=6)
        late = result_of(await handled(it, lane, 6))

    assert told == [[K.INTERRUPTED, None], [K.INTERRUPTED, None], [None], [None], [None]]
    assert results[0].attempts[0].cost_nanousd == 1_000
    assert late.attempts[0].ambiguous is False  # its own note of before; what came after the opening is nobody else's


async def test_without_its_note_no_call_is_made_and_the_job_waits(tmp_path: Path) -> None:
    class Full(NoIntents):
        custody = "0123456789ab"

        async def begin(self, *_: Any) -> None:
            raise IntentsUnavailable("the file of intents cannot be written: SQLITE_FULL")

    it = world(intents=Full())
    outcome = await it.lane.handle(Delivery(assigned(), it.clock.now()))
    assert isinstance(outcome, RetryAt)
    assert (outcome.when - it.clock.now(), outcome.in_memory) == (timedelta(seconds=1), True)
    result = result_of(await it.run(assigned(deadline=START + timedelta(seconds=5))))

    assert (result.status, result.error.kind) == ("failed", K.INTERNAL)
    assert "SQLITE_FULL" in result.error.message
    assert it.script.requests == []
    assert it.limits.total_in_flight == 0


# Who kills processes


async def test_a_job_that_kills_its_process_again_and_again_is_given_up_after_it_did_so_alone(tmp_path: Path) -> None:
    it = world(never)
    async with machine(tmp_path) as start:
        for _ in range(3):
            await killed_while_calling(it, await opened(it, await start()))
        done = await handled(it, await opened(it, await start()))

    assert isinstance(done, GiveUp)
    result = result_of(done)
    assert (done.kind, result.error.kind, result.status) == (K.CRASHED, K.CRASHED, "failed")
    assert [attempt.kind for attempt in result.attempts] == [K.INTERRUPTED] * 3
    assert len(it.script.requests) == 3


async def test_suspects_are_called_one_at_a_time_and_an_innocent_beside_them_is_not_blamed(tmp_path: Path) -> None:
    """Two jobs were out at two deaths. The third process calls them one after the other; the second one was not out
    when the first killed it, and so it is served by the fourth."""
    it = world(never)
    async with machine(tmp_path) as start:
        for _ in range(2):
            lane, calls = await opened(it, await start()), len(it.script.requests)
            both = [asyncio.create_task(handled(it, lane, offset)) for offset in (7, 8)]
            while len(it.script.requests) < calls + 2:
                await asyncio.sleep(0.001)
            die(lane)
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

        lane, calls = await opened(it, await start()), len(it.script.requests)
        deliveries = [Delivery(assigned(offset=offset), it.clock.now()) for offset in (7, 8)]
        both = [asyncio.create_task(lane.handle(delivery)) for delivery in deliveries]
        while len(it.script.requests) == calls:
            await asyncio.sleep(0.001)
        assert [delivery.lease.waiting for delivery in deliveries] == [False, True]
        assert len(it.script.requests) == calls + 1
        die(lane)
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)

        it.script.steps = [answer()]
        lane = await opened(it, await start())
        guilty, innocent = await handled(it, lane, 7), await handled(it, lane, 8)

    assert isinstance(guilty, GiveUp)
    assert guilty.kind == K.CRASHED
    assert result_of(innocent).status == "succeeded"


async def test_a_job_whose_calls_are_cut_by_rebalances_and_drains_is_never_blamed(tmp_path: Path) -> None:
    """The partition goes round among processes that live, and each breaks its call off at last."""
    it = world(never)
    async with machine(tmp_path) as start:
        tasks = []
        for number in range(4):
            lane = await opened(it, await start())
            tasks.append(asyncio.create_task(handled(it, lane)))
            while len(it.script.requests) <= number:
                await asyncio.sleep(0.001)
            if number % 2:
                tasks[-1].cancel()
                await asyncio.gather(tasks[-1], return_exceptions=True)
                await lane._app.intents.flush()
        it.script.steps = [answer()]
        result = result_of(await handled(it, await opened(it, await start())))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert result.status == "succeeded"
    assert [attempt.kind for attempt in result.attempts] == [*[K.INTERRUPTED] * 4, None]
    assert result.cost_nanousd == 4_030


async def test_suspects_do_not_hold_up_the_others(tmp_path: Path) -> None:
    it = world(never)
    async with machine(tmp_path) as start:
        for _ in range(2):
            await killed_while_calling(it, await opened(it, await start()))
        lane = await opened(it, await start())
        suspect = asyncio.create_task(handled(it, lane, 7))
        while len(it.script.requests) < 3:
            await asyncio.sleep(0.001)
        it.script.steps = [answer()]
        assert result_of(await handled(it, lane, 9)).status == "succeeded"
        suspect.cancel()
        await asyncio.gather(suspect, return_exceptions=True)


async def test_a_call_that_was_cancelled_by_its_user_leaves_no_open_note(tmp_path: Path) -> None:
    it = world(never)
    async with machine(tmp_path) as start:
        intents = await start()
        lane = await opened(it, intents)
        delivery = Delivery(assigned(candidate()), it.clock.now())
        task = asyncio.create_task(lane.handle(delivery))
        delivery.lease.poke = task.cancel
        while not it.script.requests:
            await asyncio.sleep(0.001)
        it.cancel()
        done = await task
        lane.committed(list(done.facts))
        await lane._app.intents.flush()
        left = await (await start()).left(LANE, 0, (), intents.custody)

    assert result_of(done).status == "cancelled"
    assert left == {}
