"""kill -9 and SIGTERM of router and worker in mid-work: nothing lost, nothing doubled, few calls repeated."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from system import PARTITIONS, System, chat, outgoing, read_all, settings_for, stub, until_distinct

from runtime.bus import Bus
from schemas.decision import DecisionBatch
from schemas.topics import DECISIONS, DLQ, RESULTS, TEXT, TOPICS

JOBS_IN = 2_000
IN_FLIGHT = 32


@pytest.fixture
def stub_url() -> Iterator[str]:
    with stub() as url:
        yield url


@pytest.fixture
async def system(broker, prefix, tmp_path: Path, stub_url: str) -> AsyncIterator[System]:
    settings, environment = settings_for(
        broker.bootstrap, prefix, tmp_path, stub_url, NOVIX_MAX_IN_FLIGHT=str(IN_FLIGHT)
    )
    system = System(settings, environment, stub_url)
    system.stub("/admin/behave", {"delay_ms": 60})
    yield system
    system.stop()


@pytest.fixture
async def bus(system: System) -> AsyncIterator[Bus]:
    async with Bus(system.settings) as bus:
        await bus.create_topics(TOPICS, partitions=PARTITIONS)
        yield bus


def jobs(count: int) -> list[dict]:
    return [chat(f"job-{number}", tenant=f"tenant-{number % 12}") for number in range(count)]


async def test_two_thousand_jobs_survive_kill_9_of_router_and_worker(system: System, bus: Bus):
    """Each id is published twice, so deduplication has to hold across the kills as well."""
    wanted = jobs(JOBS_IN)
    dice = random.Random(11)
    system.start()
    await bus.publish([outgoing(job) for job in wanted])
    kills = 0
    for victim in (system.worker, system.router, system.worker, system.router, system.worker):
        done = len({record.key for record in await read_all(bus, RESULTS.name)})
        await until_distinct(bus, min(JOBS_IN - 100, done + dice.randint(60, 250)))
        victim.kill()
        victim.start()
        kills += victim is system.worker
        if kills == 1:
            await bus.publish([outgoing(job) for job in wanted])
    results = await until_distinct(bus, JOBS_IN)
    system.stop()

    identities = Counter((document["tenant"], document["job_id"]) for document in map(_document, results))
    assert set(identities) == {(job["tenant"], job["id"]) for job in wanted}
    assert set(identities.values()) == {1}
    assert {document["status"] for document in map(_document, results)} == {"succeeded"}
    assert await read_all(bus, DLQ.name) == []
    assigned = Counter(record.key for record in await read_all(bus, TEXT.name))
    assert len(assigned) == JOBS_IN
    assert set(assigned.values()) == {1}
    decided = Counter(
        (decision.tenant, decision.job_id)
        for record in await read_all(bus, DECISIONS.name)
        for decision in DecisionBatch.model_validate_json(record.value or b"").decisions
    )
    assert set(decided.values()) == {1}
    # In flight, or finished and not yet committed, when a worker was killed: never more than its window each time.
    assert sum(system.calls().values()) <= JOBS_IN + kills * 4 * IN_FLIGHT


async def test_a_planned_restart_repeats_no_call(system: System, bus: Bus):
    wanted = jobs(600)
    system.start()
    await bus.publish([outgoing(job) for job in wanted])
    for goal, process in ((100, system.worker), (250, system.router), (400, system.worker)):
        await until_distinct(bus, goal)
        assert process.terminate() == 0
        process.start()
    results = await until_distinct(bus, len(wanted))
    system.stop()

    assert len(results) == len(wanted)
    assert set(system.calls().values()) == {1}


def _document(record) -> dict:
    return json.loads(record.value)
