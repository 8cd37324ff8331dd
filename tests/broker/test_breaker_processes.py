"""An open breaker on the whole system: what the other worker knows of it, and what becomes of a long backlog."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from stranger import Found, installation
from system import MODEL, PARTITIONS, Process, chat

from runtime.partitions import partition_of
from runtime.waiting import REFUSED_PER_S
from schemas.topics import BREAKERS, RETRY_TIERS, TEXT

SICK = "google/gemma-4-31B-it"
FAILURES = 3
AT_ONCE = 50
BACKLOG = 2_000
OPEN_S = 10
IN_MEMORY_S = 5
WINDOW = 128
WITHIN_S = 60


def until(reached: Callable[[], bool]) -> None:
    """Wait for what another process finds out and tells only who asks."""
    end = time.monotonic() + WITHIN_S
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


def breaker(worker: Process) -> str:
    """What a worker says of the sick model's breaker."""
    views = worker.health()[1].get("breakers", {})
    return next((view["state"] for key, view in views.items() if key.endswith(SICK)), "unknown")


def held(worker: Process) -> set[int]:
    """The partitions whose lanes are open in this worker."""
    return {int(lane["lane"].rpartition(".")[2]) for lane in worker.lanes() if lane["state"] == "open"}


def shared_out(first: Process, second: Process) -> bool:
    """Whether both hold some, and together all."""
    return bool(held(first) and held(second)) and sorted([*held(first), *held(second)]) == list(range(PARTITIONS))


def ids_for(partitions: set[int], tenant: str) -> Iterator[str]:
    """Job ids whose assigned records come to these partitions of the text topic."""
    return (
        f"job-{number}"
        for number in itertools.count()
        if partition_of(f"{tenant}/job-{number}".encode(), PARTITIONS) in partitions
    )


def test_the_other_worker_knows_an_open_breaker_and_of_fifty_jobs_at_half_open_one_is_tried(
    broker, tmp_path: Path, tenant: str
):
    with installation(
        broker.bootstrap, tmp_path, crew=2, NOVIX_MAX_RETRIES="0", NOVIX_BREAKER_RESET_S="4",
        NOVIX_HEARTBEAT_INTERVAL_MS="300",
    ) as novix:  # fmt: skip
        first, second = novix.system.workers
        until(lambda: shared_out(first, second))
        novix.system.stub("/admin/behave", {"model": SICK, "status": 503, "delay_ms": 300})

        fails = itertools.islice(ids_for(held(first), tenant), FAILURES)
        results = [novix.run(chat(job_id, tenant, model=SICK)) for job_id in fails]
        assert {result["error"]["kind"] for result in results} == {"overloaded"}
        until(lambda: {breaker(first), breaker(second)} <= {"open", "half-open"})

        waiting = [f"waits-{number}" for number in range(AT_ONCE)]
        novix.publish(*(chat(job_id, tenant, model=SICK) for job_id in waiting))
        [trial] = ended(novix.until(lambda results: bool(ended(results))))
        assert trial.json["error"]["kind"] == "overloaded"
        assert sum(novix.system.calls().values()) == FAILURES + 1

        novix.system.stub("/admin/behave", {"model": SICK, "status": 200})
        results = [found.json for found in ended(novix.until(lambda results: len(ended(results)) == AT_ONCE))]
        assert Counter(result["status"] for result in results) == {"succeeded": AT_ONCE - 1, "failed": 1}
        opened = {found.json["by"] for found in novix.read(BREAKERS.name) if found.json["state"] == "open"}
        assert len(opened) == 1, "one found it out; the other heard of it"


def ended(results: list[Found]) -> list[Found]:
    """The results of the jobs that waited."""
    return [found for found in results if b"/waits-" in (found.key or b"")]


def test_a_backlog_behind_an_open_breaker_waits_in_the_router_and_is_done_when_it_closes(
    broker, tmp_path: Path, tenant: str
):
    """Of two thousand jobs only the first are given to the worker and written elsewhere: other models' jobs get by."""
    with installation(
        broker.bootstrap, tmp_path, NOVIX_MAX_RETRIES="0", NOVIX_BREAKER_RESET_S=str(OPEN_S),
        NOVIX_RETRY_IN_MEMORY_S=str(IN_MEMORY_S), NOVIX_MAX_IN_FLIGHT=str(WINDOW // 2),
    ) as novix:  # fmt: skip
        worker = novix.system.worker
        novix.system.stub("/admin/behave", {"model": SICK, "status": 503})
        for number in range(FAILURES):
            novix.run(chat(f"fails-{number}", tenant, model=SICK))
        assert breaker(worker) == "open"
        novix.system.stub("/admin/behave", {"model": SICK, "status": 200})

        jobs = [chat(f"waits-{number}", tenant, model=SICK) for number in range(BACKLOG)]
        novix.publish(*jobs[:200], chat("other", tenant, model=MODEL), *jobs[200:])
        other = novix.result("other", tenant)
        results = ended(novix.until(lambda results: len(ended(results)) == BACKLOG))

        assert {found.json["status"] for found in results} == {"succeeded"}
        assert other["completed_at"] < min(found.json["completed_at"] for found in results)
        assert novix.system.calls() == Counter(
            [
                f"{tenant}/other",
                *(f"{tenant}/fails-{n}" for n in range(FAILURES)),
                *(f"{tenant}/{j['id']}" for j in jobs),
            ]
        )
        moved = len(novix.read(*(tier.name for _, tier in RETRY_TIERS)))
        assert 0 < moved <= REFUSED_PER_S * (1 + OPEN_S - IN_MEMORY_S)
        assert len(novix.read(TEXT.name)) == BACKLOG + FAILURES + 1 + moved
