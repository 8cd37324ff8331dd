"""Planned stops: SIGTERM under load, during the start, and one worker after the other repeats no call; twice, some."""

import json
import signal

import pytest
from ordeal import ordeal


def opened(log) -> int:
    """Lanes that a process opened, by its log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return sum(line["event"] == "lane.opened" for line in lines)


@pytest.mark.row(4, 5)
def test_a_process_that_is_told_to_stop_ends_well_whenever_that_is_and_repeats_no_call(broker, tmp_path, proof):
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        router, worker = run.system.router, run.system.worker
        run.publish(400)
        for process in (worker, router):
            run.more(40)
            assert process.terminate() == 0
            process.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            for process in (worker, router):
                process.terminate()
                process.start()
                process.send(number)  # while Python itself is starting: there is nobody yet who could drain
                process.wait()
                process.start()
                run.wait(lambda process=process: process.health()[0] != 0, "process that answers")
                process.send(number)  # while it joins its group and its lanes open
                assert process.wait() == 0
                process.start()
        run.healed()
        run.recover()

        verdict = run.verdict()

    assert not verdict.repeated


@pytest.mark.long
@pytest.mark.row(5)
def test_a_process_that_is_told_twice_ends_at_once_and_repeats_and_lists_what_it_was_at(broker, tmp_path, proof):
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        run.publish(250)
        for process in (run.system.worker, run.system.router):
            run.more(40)
            process.send(signal.SIGTERM)
            process.send(signal.SIGTERM)
            assert process.wait() == 0
            process.start()
        run.healed()
        run.recover()

        run.verdict(excused=True)


@pytest.mark.long
@pytest.mark.row(6)
@pytest.mark.parametrize("crew", [3])
def test_workers_that_are_restarted_one_after_the_other_repeat_no_call_and_disturb_no_other(
    broker, tmp_path, proof, crew
):
    with ordeal(broker.bootstrap, tmp_path, crew=crew, proof=proof, NOVIX_MAX_IN_FLIGHT="6") as run:
        logs = [worker.log for worker in run.system.workers]
        run.healthy()
        run.publish(150)
        run.until()  # all three have joined, and whoever came first has let go of what is not its own
        before = [opened(log) for log in logs]
        run.publish(600)
        for worker in run.system.workers:
            run.more(60)
            assert worker.terminate() == 0
            worker.start()
            run.healthy([worker])
        run.healed()
        run.recover()
        run.verdict()

    assert [opened(log) - count for log, count in zip(logs, before, strict=True)] == [1] * crew
