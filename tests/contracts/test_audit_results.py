"""The topic of the results against the ends that the audit tells of: each is the other's, and of the same bytes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from audit_world import NOON, RING, ROUTER, WORKER, Trail, deed

from console.audit.live import Live
from console.audit.verify import Report, verify
from runtime.clock import SystemClock
from runtime.ports import Record
from schemas import codec
from schemas.topics import AUDIT, CHECKPOINTS, RESULTS


class Topics:
    """Kafka's topics as a reader sees them; what is published while somebody looks comes at once."""

    def __init__(self, world: Trail) -> None:
        self.world = world
        self.results: list[tuple[int, bytes]] = []
        self.first = 0
        self.hidden: dict[str, list[int]] = {}
        """By topic, what an open transaction hides of it at one look after the other; the last for ever."""

    def add(self, value: bytes) -> None:
        self.results.append((self.results[-1][0] + 1 if self.results else 0, value))

    async def partitions(self, topic: str) -> int:
        return len(self.world.partitions) if topic == AUDIT.name else 1

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        hidden = self.hidden.get(topic, [0])
        first, end = self._written(topic, partition)
        return first, max(first, end - (hidden.pop(0) if len(hidden) > 1 else hidden[0]))

    async def log_end(self, topic: str, partition: int) -> int:
        return self._written(topic, partition)[1]

    def _written(self, topic: str, partition: int) -> tuple[int, int]:
        if topic == RESULTS.name:
            return self.first, self.results[-1][0] + 1
        return (0, 2 * len(self.world.signed)) if topic == CHECKPOINTS.name else self.world.audit_bounds[partition]

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        rows: dict[str, Any] = {RESULTS.name: self.results, CHECKPOINTS.name: self.world.signed}
        for offset, value in rows.get(topic, self.world.partitions[partition]):
            if start <= offset < end:
                yield Record(topic, partition, offset, None, value, (), round(NOON.timestamp() * 1_000) + 3_600_000)


def result(job: str, **more: Any) -> bytes:
    """As a worker writes it, in a few fields."""
    return codec.encode({"tenant": "acme", "job_id": job, "submission": 1, "completed_at": NOON, **more})


@pytest.fixture
def topics() -> Topics:
    """Three jobs with an end and a result each: two of a worker's, one that the router refused."""
    world = Trail()
    made = Topics(world)
    for job in ("a", "b"):
        value = result(job)
        world.write(ROUTER, deed("job.assigned", job))
        world.write(WORKER, deed("job.succeeded", job, result_sha256=hashlib.sha256(value).hexdigest()))
        made.add(value)
    world.write(ROUTER, deed("job.rejected", "refused"))
    made.add(result("refused", status="rejected"))
    world.checkpoint()
    return made


class Hurried(SystemClock):
    """Whoever sleeps wakes at once, later."""

    def __init__(self) -> None:
        self._slept_s = 0.0

    def monotonic(self) -> float:
        return self._slept_s

    async def sleep(self, seconds: float) -> None:
        self._slept_s += seconds


def looked(topics: Topics, meanwhile: Any = None) -> Report:
    """What the verifier says; `meanwhile` comes to pass between its first look and its second."""

    async def look() -> Report:
        source = Live(topics, Hurried())  # type: ignore[arg-type]

        async def heads() -> dict[str, tuple[int, str]]:
            if meanwhile is not None:
                meanwhile()
            return dict(topics.world._chains)

        await source.open(heads)
        return await verify(source, RING, results=source, committed=source.committed)

    return asyncio.run(look())


def said(report: Report) -> list[str]:
    return [f"{one.kind}: {one.message}" for one in report.problems]


def test_results_and_ends_are_each_others(topics: Topics):
    report = looked(topics)

    assert (said(report), report.results, report.committed) == ([], 3, 2)


def test_a_result_without_an_end_is_named(topics: Topics):
    topics.add(result("ghost"))

    [told] = said(looked(topics))
    assert told == "incomplete: the job acme/ghost has a result, and the audit tells of no end"


@pytest.mark.parametrize(("index", "job"), [(0, "a"), (2, "refused")])
def test_an_end_without_a_result_is_named(topics: Topics, index: int, job: str):
    del topics.results[index]

    report = looked(topics)

    assert said(report) == [f"incomplete: the job acme/{job} has ended and has no result on {RESULTS.name}"]


def test_another_result_than_the_one_that_the_audit_names_by_its_digest_is_told(topics: Topics):
    topics.results[1] = (1, result("b", output="another"))

    [problem] = looked(topics).problems

    assert (problem.kind, str(problem.place)) == ("changed", f"{RESULTS.name}/0/1")


def test_a_second_result_is_told(topics: Topics):
    topics.add(topics.results[0][1])

    assert said(looked(topics)) == [f"incomplete: the job acme/a has 2 results: {RESULTS.name}/0/0, {RESULTS.name}/0/3"]


@pytest.mark.parametrize("value", [b"", b"nonsense", b"[]", b"{}"])
def test_what_is_no_result_is_told(topics: Topics, value: bytes):
    topics.add(value)

    assert said(looked(topics)) == ["changed: it is no result"]


def test_a_job_that_ends_while_somebody_looks_is_no_problem_whichever_is_seen_first(topics: Topics):
    def both() -> None:
        topics.world.write(ROUTER, deed("job.rejected", "late"))
        topics.add(result("late"))

    report = looked(topics, meanwhile=both)
    assert said(report) == []
    topics.add(result("later, and the audit's part was not looked at"))

    late = looked(topics, meanwhile=lambda: topics.add(result("latest")))
    assert said(late) == [
        "incomplete: the job acme/later, and the audit's part was not looked at has a result, "
        "and the audit tells of no end"
    ]


def test_results_that_retention_has_deleted_are_not_missed(topics: Topics):
    """The oldest that is left is an hour younger than those ends."""
    del topics.results[:3]
    topics.first = 3
    topics.results.append((3, result("new")))
    topics.world.write(ROUTER, deed("job.rejected", "new", NOON + timedelta(hours=1)))
    topics.world.checkpoint()

    assert said(looked(topics)) == []


@pytest.mark.parametrize("topic", [AUDIT.name, RESULTS.name])
def test_what_an_open_transaction_hides_for_a_while_is_waited_for(topics: Topics, topic: str):
    topics.hidden[topic] = [2, 2, 2, 2, 2, 0]

    report = looked(topics)

    assert (said(report), report.notes, report.results, report.committed) == ([], [], 3, 2)


@pytest.mark.parametrize("topic", [AUDIT.name, RESULTS.name])
def test_nobody_is_blamed_for_what_a_hanging_transaction_hides(topics: Topics, topic: str):
    topics.world.write(ROUTER, deed("job.rejected", "newest"))
    topics.world.write(WORKER, deed("worker.started", "none"))
    topics.add(result("newest", status="rejected"))
    topics.hidden[topic] = [2 if topic == AUDIT.name else 1]

    report = looked(topics)

    assert said(report) == []
    assert any(
        f"a transaction that is open for over 15 s hides {topics.hidden[topic][0]} offsets of {topic}/0" in note
        for note in report.notes
    )
