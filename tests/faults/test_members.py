"""Members of a group that freeze, come and go, or bear one name: one result each, and the lanes go on."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from ordeal import CALL_MS, IN_FLIGHT, PER_FREEZE, SESSION, Ordeal, ordeal
from system import PARTITIONS, WORKER

GROUP, TOPIC = "novix-worker-text", "inference.text.v1"
MINUTE_S = 60
"""Of a call: far more than who loses a partition waits for its calls."""


@contextmanager
def guests(run: Ordeal, *, wait_s: float = 0) -> Iterator[list[tuple[int, int]]]:
    """Somebody joins the workers' group, does nothing for two seconds, and leaves; again and again: two seconds later,
    or once the worker has had all partitions back, for which `wait_s` is waited at most.

    Yields for each visit how many partitions it took away, and how many calls were out when it had them.
    """
    over, visits = threading.Event(), []

    async def visit() -> None:
        guest = AIOKafkaConsumer(
            run.stranger.named(TOPIC), bootstrap_servers=run.stranger.bootstrap, group_id=run.stranger.named(GROUP),
            partition_assignment_strategy=[StickyPartitionAssignor], enable_auto_commit=False,
        )  # fmt: skip
        await guest.start()
        await asyncio.sleep(2)
        visits.append((len(guest.assignment()), run.system.stub("/admin/state")["in_flight"]))
        await guest.stop()

    def come_and_go() -> None:
        while not over.is_set():
            asyncio.run(visit())
            until = time.monotonic() + wait_s
            over.wait(2)
            while len(run.system.worker.lanes()) < PARTITIONS and time.monotonic() < until:
                over.wait(0.2)

    coming = threading.Thread(target=come_and_go)
    coming.start()
    try:
        yield visits
    finally:
        over.set()
        coming.join()


@pytest.mark.long
@pytest.mark.row(7, 8)
def test_a_member_that_comes_and_goes_every_two_seconds_repeats_no_call_of_four(broker, tmp_path, proof):
    """Partitions are revoked and given back to the same worker; letting go of them waits for its calls in flight."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        run.system.stub("/admin/behave", {"delay_ms": 4_000})
        run.publish(IN_FLIGHT * 2)
        run.calls_out(IN_FLIGHT // 2)
        with guests(run) as visits:
            run.until()
        run.healed()
        run.recover()
        verdict = run.verdict()

    assert any(taken for taken, _ in visits), "no guest took a partition: the test shows nothing"
    assert not verdict.repeated


@pytest.mark.long
@pytest.mark.row(7, 8)
def test_calls_of_a_minute_outlast_a_member_that_comes_and_goes_and_none_is_made_again(broker, tmp_path, proof):
    """Nobody waits so long for a call: it is parked when its partition goes, and adopted when that is back within a
    minute. From one guest to the next a partition might go for longer."""
    patient = {"NOVIX_READ_TIMEOUT_S": "120", "NOVIX_BREAKER": "false"}
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **patient) as run:
        run.system.stub("/admin/behave", {"delay_ms": MINUTE_S * 1_000})
        run.publish(IN_FLIGHT)
        run.calls_out(IN_FLIGHT // 2)
        with guests(run, wait_s=MINUTE_S / 2) as visits:
            run.until(within_s=6 * MINUTE_S)
        run.system.stub("/admin/behave", {"delay_ms": CALL_MS})
        run.healed()
        run.recover()
        met = sum(taken > 0 and out > 0 for taken, out in visits)
        verdict = run.verdict(note=f"{len(visits)} visits, of which {met} took partitions with calls out")

    assert met >= 2, "nothing was parked: the test shows nothing"
    assert not verdict.repeated


@pytest.mark.row(3)
def test_a_worker_that_is_frozen_beyond_its_session_and_thaws_after_its_successor_came_doubles_nothing(
    broker, tmp_path, proof
):
    with ordeal(broker.bootstrap, tmp_path, crew=2, proof=proof, **SESSION) as run:
        cold, warm = run.system.workers
        run.healthy()
        run.publish(700)
        run.more(60)
        cold.freeze()
        run.wait(lambda: len(warm.lanes()) == 3, "worker that has all the lanes")
        run.more(60)
        cold.thaw()
        run.healed()
        run.recover()

        verdict = run.verdict(excused=True, zombies=PER_FREEZE)

    assert verdict.repeated, "the freeze met no call: the test shows nothing"


@pytest.mark.long
@pytest.mark.row(10)
def test_two_workers_with_one_instance_id_end_by_name_and_the_work_goes_on(broker, tmp_path, proof):
    with ordeal(broker.bootstrap, tmp_path, start=False, proof=proof, **SESSION) as run:
        run.system.router.start()
        twins = [run.system.process(WORKER, f"twin-{number}", instance="twin") for number in range(2)]
        run.system.workers = twins
        for twin in twins:
            twin.start()
        run.publish(600)
        run.wait(lambda: not all(twin.running for twin in twins), "twin that ends", 60)
        ended = next(twin for twin in twins if not twin.running)
        assert ended.wait() == 1
        assert "NOVIX_INSTANCE_ID" in ended.log.read_text()

        other = next(twin for twin in twins if twin is not ended)
        run.system.workers = [other]
        run.healed()
        for _ in range(10):  # it may be put out as well, and only later: whoever supervises it starts it again
            if not other.running:
                other.start()
            with contextlib.suppress(AssertionError):
                run.until(within_s=15)
                break
        run.verdict(may_repeat=None, zombies=None)


@pytest.mark.row(9)
@pytest.mark.parametrize("crew", [PARTITIONS + 1, pytest.param(10, marks=pytest.mark.long)])
def test_members_beyond_the_partitions_are_healthy_and_take_over_when_the_others_die(broker, tmp_path, proof, crew):
    with ordeal(broker.bootstrap, tmp_path, crew=crew, proof=proof, **SESSION) as run:
        run.healthy()
        run.publish(150)
        run.until()
        working = [worker for worker in run.system.workers if worker.lanes()]
        idle = [worker for worker in run.system.workers if worker not in working]
        assert len(idle) >= crew - PARTITIONS
        run.healthy(idle)
        run.publish(150)
        run.more(20)
        for worker in working:
            worker.kill()
        run.healed()
        run.recover()
        run.wait(lambda: sum(len(worker.lanes()) for worker in idle) == PARTITIONS, "lanes of who was idle")
        run.verdict(excused=True)
