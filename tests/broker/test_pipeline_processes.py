"""Processes that are started late, twice, by FastStream, or not again: the stranger's count stays the same."""

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from stranger import Stranger, installation
from system import WORKER, Process, chat

from runtime.audit import verify
from schemas.topics import AUDIT, DLQ, RESULTS

JOBS_IN = 240


@pytest.fixture
def novix(broker, tmp_path: Path) -> Iterator[Stranger]:
    """An installation whose processes the test starts."""
    with installation(
        broker.bootstrap, tmp_path, start=False, NOVIX_SESSION_TIMEOUT_MS="6000", NOVIX_HEARTBEAT_INTERVAL_MS="500"
    ) as stranger:
        yield stranger


def jobs(count: int) -> list[dict]:
    return [chat(f"job-{number}", f"tenant-{number % 9}") for number in range(count)]


def counted(novix: Stranger) -> Counter[tuple[str, str]]:
    """Results of each identity, once nothing is on its way."""
    novix.quiet()
    assert novix.read(DLQ.name) == []
    results = [found.json for found in novix.read(RESULTS.name)]
    assert {result["status"] for result in results} == {"succeeded"}
    return Counter((result["tenant"], result["job_id"]) for result in results)


def once(wanted: list[dict]) -> Counter[tuple[str, str]]:
    return Counter((job["tenant"], job["id"]) for job in wanted)


def test_keyless_jobs_survive_kill_9_of_router_and_worker_at_once(novix: Stranger):
    """Most are forwarded home, so that forwarding itself is cut off as well; every id is published twice."""
    wanted = jobs(JOBS_IN)
    novix.system.stub("/admin/behave", {"delay_ms": 50})
    novix.publish(*wanted[:100], key=b"", partitioner="random")  # before anybody is there to read them
    novix.system.start()
    novix.publish(*wanted, key=b"", partitioner="random")
    for goal in (60, 130):  # a job that is called while a third process dies is given up as the one that kills them
        novix.until(lambda results, goal=goal: len({found.key for found in results}) >= goal)
        novix.system.worker.kill()
        novix.system.router.kill()
        novix.system.start()

    assert counted(novix) == once(wanted)
    assert all(verify(found.value or b"") for found in novix.read(AUDIT.name))


def test_of_two_workers_one_dies_for_good_and_the_other_does_its_work(novix: Stranger):
    wanted = jobs(JOBS_IN)
    second = Process(WORKER, novix.system.environment, log=novix.folder / "second.log")
    novix.system.stub("/admin/behave", {"delay_ms": 50})
    novix.system.start()
    second.start()
    try:
        novix.run(chat("first", "tenant-0"))
        novix.publish(*wanted)
        novix.until(lambda results: len(results) >= 60)
        novix.system.worker.kill()

        assert counted(novix) == once([chat("first", "tenant-0"), *wanted])
    finally:
        second.stop()


def test_faststream_starts_and_stops_both_applications(novix: Stranger):
    for process, app in ((novix.system.router, "router.app:app"), (novix.system.worker, "workers.app:app")):
        process.arguments = ("-m", "faststream", "run", app)
    novix.system.start()
    tenant = f"team-{uuid.uuid4().hex[:8]}"
    novix.publish(*(chat(f"fast-{number}", tenant) for number in range(5)))

    assert Counter(result["status"] for result in novix.results_of(tenant)) == {"succeeded": 5}
    assert novix.system.worker.terminate() == 0
    assert novix.system.router.terminate() == 0


def test_a_router_without_topics_says_what_to_type(novix: Stranger):
    ended = novix.cli("router", expect=1, NOVIX_TOPIC_PREFIX=f"none-{uuid.uuid4().hex[:8]}.")

    assert "novix topics create" in ended.stderr
