"""A backlog that was there before the processes: what they hold in memory does not grow with it."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from ordeal import Ordeal, ordeal
from stranger import Found
from system import PARTITIONS, Process, chat
from verdict import Billed, Evidence, Verdict, chains_whole, deeds_told, each_once, judge, lost_and_doubled

from runtime.progress import WINDOW
from schemas.topics import AUDIT, JOBS, RESULTS, TEXT, TOPICS

IN_FLIGHT = "128"
PIECE = 20_000
WORKER_MB = 200
"""The most that it may have, by the kernel's count (VmHWM)."""
WAITING_KB = 6
"""Of a router, for each job that waits in it for its turn; 5.0 were measured when 45,000 waited."""
ROUTER_MB = 130 + PARTITIONS * WINDOW * WAITING_KB / 1000
"""A router reads so far ahead in each of its lanes, to choose among jobs; however many lie behind."""
SIZES = [(50_000, 600), pytest.param(1_000_000, 15_000, marks=pytest.mark.long)]
"""Jobs that wait, and how many of them are awaited."""


def most_mb(process: Process) -> float:
    """The most memory that a process ever had."""
    assert process.child is not None
    with open(f"/proc/{process.child.pid}/status", encoding="ascii") as file:
        found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
    assert found is not None
    return int(found[1]) / 1024


def jobs(count: int) -> Iterator[list[dict]]:
    """So many jobs of twelve tenants, in pieces."""
    for first in range(0, count, PIECE):
        yield [chat(f"job-{at}", tenant=f"tenant-{at % 12}") for at in range(first, min(first + PIECE, count))]


def behind(originals: list[Found], count: int) -> Iterator[list[tuple[bytes, bytes, list[tuple[str, bytes]]]]]:
    """What a router wrote for a few jobs, again and again under other ids: routing a million takes too long."""
    for first in range(0, count, PIECE):
        piece = []
        for at in range(first, min(first + PIECE, count)):
            one = originals[at % len(originals)]
            value = (one.value or b"").replace(b'"id": "job-', b'"id": "copy-%d-' % at, 1)
            assert value != one.value
            piece.append((b"%d" % at, value, one.headers))
        yield piece


def watched(run: Ordeal, limits: dict[str, float], ended: int, *, filling: str = "") -> list[str]:
    """Wait until so many have ended. What is wrong with the memory: the most that a process had by then is under its
    limit, and little more than when the first half had ended, unless it is still `filling` what it may hold."""
    processes = [one for one in run.system.processes if one.name in limits]
    run.stranger.until(lambda results: len(results) >= ended // 2, within_s=600)
    half = {process.name: most_mb(process) for process in processes}
    run.stranger.until(lambda results: len(results) >= ended, within_s=600)
    whole = {process.name: most_mb(process) for process in processes}
    told = [f"{name}: {whole[name]:.0f} MB, {half[name]:.0f} MB at half" for name in limits]
    return [
        *(line for line, name in zip(told, limits, strict=True) if whole[name] > limits[name]),
        *(line for line, name in zip(told, limits, strict=True) if name != filling and whole[name] > 1.2 * half[name]),
    ]


@pytest.mark.row(42)
@pytest.mark.parametrize(("count", "ended"), SIZES)
def test_a_backlog_of_jobs_does_not_show_in_the_memory_of_router_and_worker(broker, tmp_path, proof, count, ended):
    with ordeal(broker.bootstrap, tmp_path, start=False, NOVIX_MAX_IN_FLIGHT=IN_FLIGHT) as run:
        for piece in jobs(count):
            run.stranger.publish(*piece)
        run.system.start()
        filling = "" if ended > PARTITIONS * WINDOW // 10 else "router"
        grown = watched(run, {"router": ROUTER_MB, "worker": WORKER_MB}, ended, filling=filling)
        for process in (run.system.router, run.system.worker):
            assert process.terminate() == 0
        records = run.stranger.read(*(topic.name for topic in TOPICS if topic is not JOBS))
        results = [found.json for found in records if found.topic == RESULTS.name]
        verdict = judge(
            Evidence(
                wanted={(one["tenant"], one["job_id"], one["submission"]) for one in results},
                records=records,
                calls=[trace for trace, _ in run.system.stub("/admin/calls")],
                bill=[Billed(*row) for row in run.system.stub("/admin/bill")],
                samples=run.samples,
                may_repeat=0,
            )
        )
        verdict.complaints.extend(grown)
        # Of those that still wait nothing was looked at: they are told of, and not counted.
        proof.judged(verdict, jobs=len(results), note=f"stopped when so many of {count:,} that waited had ended")

    assert not verdict.complaints, str(verdict)


@pytest.mark.long
@pytest.mark.row(42)
@pytest.mark.parametrize(("count", "ended"), SIZES)
def test_a_backlog_of_assigned_jobs_does_not_show_in_the_memory_of_a_worker(broker, tmp_path, proof, count, ended):
    """A router assigns little more than the workers can do; here it has assigned everything."""
    with ordeal(broker.bootstrap, tmp_path, start=False, NOVIX_MAX_IN_FLIGHT=IN_FLIGHT) as run:
        router, worker = run.system.router.start(), run.system.worker
        run.publish(24)
        run.wait(lambda: len(run.stranger.read(TEXT.name)) == len(run.wanted), "assigned jobs")
        assert router.terminate() == 0
        for piece in behind(run.stranger.read(TEXT.name), count):
            run.stranger.write(piece, topic=TEXT.name)
        worker.start()
        grown = watched(run, {"worker": WORKER_MB}, ended)
        assert worker.terminate() == 0
        records = run.stranger.read(RESULTS.name, AUDIT.name)
        results = [found.json for found in records if found.topic == RESULTS.name]
        asked = {(one["tenant"], one["job_id"], one["submission"]) for one in results}
        audit = [found for found in records if found.topic == AUDIT.name]
        complaints = [*each_once(asked, results), *chains_whole(audit, {}), *deeds_told(results, audit), *grown]
        verdict = Verdict(complaints, Counter(), Counter(), *lost_and_doubled(asked, results))
        proof.judged(verdict, jobs=len(results), note=f"stopped when so many of {count:,} that waited had ended")

    assert not verdict.complaints, str(verdict)
