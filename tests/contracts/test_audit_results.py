"""The topic of the results against the ends that the audit tells of: each is the other's, and of the same bytes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from audit_world import NOON, RING, ROUTER, WORKER, Trail, deed

from console.audit import live
from console.audit.live import Live
from console.audit.verify import Report, verify
from runtime.ports import Record
from schemas import codec
from schemas.topics import AUDIT, CHECKPOINTS, RESULTS


class Topics:
    """Kafka's topics as a reader sees them; what is published while somebody looks comes at once."""

    def __init__(self, world: Trail) -> None:
        self.world = world
        self.results: list[tuple[int, bytes]] = []
        self.first = 0

    def add(self, value: bytes) -> None:
        self.results.append((self.results[-1][0] + 1 if self.results else 0, value))

    async def partitions(self, topic: str) -> int:
        return len(self.world.partitions) if topic == AUDIT.name else 1

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
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
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    """Three jobs with an end and a result each: two of a worker's, one that the router refused."""
    monkeypatch.setattr(live, "SETTLE_S", 0)
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


def looked(topics: Topics, meanwhile: Any = None) -> Report:
    """What the verifier says; `meanwhile` comes to pass between its first look and its second."""

    async def look() -> Report:
        source = Live(topics)  # type: ignore[arg-type]

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
