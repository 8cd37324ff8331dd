"""Processes that may have few open files, or little memory: they work or wait, none crashes again and again, and
nothing is lost."""

import resource
from contextlib import suppress

import pytest
from ordeal import ordeal
from system import Process

FEW_FILES, MANY_FILES = 64, 1_024
LONG_PROMPT = "What do bees make? " * 10_000
"""Some 190 kB."""
HEADROOM = 24 * 1024 * 1024
"""Address space beyond what the process has when it has just begun to work."""


def limit(process: Process, what: int, soft: int) -> None:
    """Set one of the process's limits while it runs."""
    assert process.child is not None
    _, hard = resource.prlimit(process.child.pid, what)
    resource.prlimit(process.child.pid, what, (soft, hard))


def address_space(process: Process) -> int:
    """Bytes that it has now."""
    assert process.child is not None
    with open(f"/proc/{process.child.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def lacks_connections(process: Process) -> bool:
    """Whether it has said that a lane is opened anew, or that a topic can't be followed."""
    told = process.log.read_text()
    return "lane.rebuilt" in told or "follow.broken" in told


@pytest.mark.row(48)
def test_processes_of_64_open_files_work_or_wait_and_go_on_when_they_may_have_more(broker, tmp_path, proof):
    """A router needs more than that, a worker of one modality does not."""
    with ordeal(broker.bootstrap, tmp_path, start=False, proof=proof) as run:
        router, worker = run.system.router, run.system.worker
        for process in (router, worker):
            process.start()
            limit(process, resource.RLIMIT_NOFILE, FEW_FILES)
        run.publish(150)
        run.wait(lambda: lacks_connections(router), "part of the router that lacks a connection")
        assert router.running, "a crash loop instead of a wait"
        assert worker.running

        for process in (router, worker):
            limit(process, resource.RLIMIT_NOFILE, MANY_FILES)
        run.healed()
        run.recover()
        run.verdict()


@pytest.mark.long
@pytest.mark.row(48)
def test_a_worker_whose_memory_ends_loses_no_job_whether_it_works_on_or_dies(broker, tmp_path, proof):
    """Prompts of 190 kB, sixteen at once, in 24 MB of address space. Whoever supervises starts a dead worker again."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        worker, deaths = run.system.worker, 0
        run.publish(30)
        run.more(10)
        limit(worker, resource.RLIMIT_AS, address_space(worker) + HEADROOM)
        run.publish(120, text=LONG_PROMPT)
        for _ in range(4):
            with suppress(AssertionError):
                run.until(within_s=5)
                break
            if not worker.running:
                deaths += 1
                worker.start()
        if worker.running:
            limit(worker, resource.RLIMIT_AS, resource.RLIM_INFINITY)
        assert deaths <= 1, "a crash loop"
        run.healed()
        run.recover()
        short = worker.log.read_text().count("MemoryError")
        run.verdict(excused=True, note=f"died {deaths} times, told of MemoryError {short} times")
