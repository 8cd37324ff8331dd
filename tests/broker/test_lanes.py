"""The lane engine on a real broker: each record ends in exactly one committed result, whatever happens."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import toy

from runtime import audit, progress
from runtime.bus import Bus
from runtime.outcome import GiveUp, Outcome, Publish
from runtime.ports import Delivery, LaneId, Outgoing
from runtime.reader import KafkaReader
from runtime.settings import Settings, resolve
from runtime.transaction import LaneTransaction
from schemas import headers
from schemas.audit import AuditBatch
from schemas.failure import FailureKind
from schemas.topics import AUDIT, DLQ, JOBS, RESULTS, TOPICS

PARTITIONS = 3
JOURNAL = "0123456789ab"
WITHIN_S = 60


def settings_for(broker, prefix: str, **more: str) -> Settings:
    return resolve(
        {
            "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_TOPIC_PREFIX": prefix,
            "NOVIX_SESSION_TIMEOUT_MS": "6000", "NOVIX_HEARTBEAT_INTERVAL_MS": "500", **more,
        }, {}, {},
    ).settings  # fmt: skip


@pytest.fixture
async def bus(broker, prefix) -> AsyncIterator[Bus]:
    settings = settings_for(broker, prefix)
    async with Bus(settings) as bus:
        await bus.create_topics(TOPICS, partitions=PARTITIONS)
        yield bus


async def publish(bus: Bus, count: int, start: int = 0) -> set[bytes]:
    values = [f"job-{number}".encode() for number in range(start, start + count)]
    await bus.publish([Outgoing(JOBS.name, value, value) for value in values])
    return set(values)


async def read(bus: Bus, topic: str) -> list:
    reader = bus.reader()
    found = []
    for partition in range(PARTITIONS):
        first, end = await reader.bounds(topic, partition)
        found += [record async for record in reader.read(topic, partition, first, end)]
    return found


async def until(bus: Bus, topic: str, count: int, enough: Callable[[list], int] = len) -> list:
    """Follow a topic until `enough` of it has come; then one more look at the whole, so that duplicates show."""
    seen: list = []
    async with asyncio.timeout(WITHIN_S):
        async for record in bus.follow(topic, dict.fromkeys(range(PARTITIONS), 0)):
            seen.append(record)
            if enough(seen) >= count:
                break
    return await read(bus, topic)


async def committed(settings: Settings) -> list[progress.Progress]:
    """What each lane has committed beside its offset."""
    member = toy.GroupMember(settings, toy.GROUP, JOBS.name, "looker")
    await member._admin.start()
    positions = [await member.committed(partition) for partition in range(PARTITIONS)]
    await member._admin.close()
    return [progress.decode(position.offset, position.metadata) for position in positions if position is not None]


def distinct(records: list) -> int:
    return len({record.value for record in records})


async def test_each_record_has_one_result_and_the_audit_chain_holds(broker, prefix, bus):
    wanted = await publish(bus, 600)
    settings = settings_for(broker, prefix)
    async with toy.Running(settings, toy.ToyApplication(custody=JOURNAL)):
        results = await until(bus, RESULTS.name, 600)
        assert {known.custody for known in await committed(settings)} == {JOURNAL}

    assert Counter(record.value for record in results) == Counter(wanted)
    assert sum((await bus.lag(toy.GROUP, JOBS.name)).values()) == 0
    heads: dict[str, tuple[int, str]] = {}
    entries = 0
    for record in await read(bus, AUDIT.name):
        batch = AuditBatch.model_validate_json(record.value)
        sequence, head = heads.get(batch.lane, (0, progress.GENESIS))
        assert (batch.sequence, batch.previous) == (sequence + 1, head)
        assert audit.verify(batch)
        heads[batch.lane] = batch.sequence, batch.hash
        entries += sum(one.action != "lane.taken" for one in batch.entries)
    assert entries == 600
    for partition, known in enumerate(await committed(settings)):
        assert (known.sequence, known.head) == heads[str(LaneId(toy.GROUP, JOBS.name, partition))]
        assert known.custody == "", "it was closed, and no call is out"


async def test_a_killed_process_loses_and_doubles_nothing(broker, prefix, bus, tmp_path: Path):
    """kill -9 five times at random progress; each successor is back at once, by its file lock, under the same id."""
    wanted: set[bytes] = set()
    environment = {
        **os.environ, "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_TOPIC_PREFIX": prefix,
        "NOVIX_HOME": str(tmp_path),
        "NOVIX_SESSION_TIMEOUT_MS": "45000",
    }  # fmt: skip
    dice = random.Random(7)

    def start() -> subprocess.Popen:
        return subprocess.Popen([sys.executable, toy.__file__], env=environment)

    process = start()
    try:
        for _ in range(5):
            goal = distinct(await read(bus, RESULTS.name)) + dice.randint(40, 200)
            wanted |= await publish(bus, 300, start=len(wanted))  # more than the goal, however far the last ones are
            await until(bus, RESULTS.name, goal, distinct)
            process.kill()
            process.wait()
            process = start()
        wanted |= await publish(bus, 100, start=1500)  # so that the last one has something to do, and is up
        results = await until(bus, RESULTS.name, 1600, distinct)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()
        process.wait()
    assert Counter(record.value for record in results) == Counter(wanted)
    assert sum((await bus.lag(toy.GROUP, JOBS.name)).values()) == 0


async def test_a_fenced_lane_is_rebuilt_and_calls_nothing_again(broker, prefix, bus):
    """Somebody else initialises the lanes' producers in mid-work: the member still holds its partitions and goes on."""
    handled: Counter[bytes] = Counter()

    async def count(delivery: Delivery) -> Outcome:
        handled[delivery.record.value] += 1
        return await toy.slow_echo(delivery)

    settings = settings_for(broker, prefix)
    wanted = await publish(bus, 400)
    async with toy.Running(settings, toy.ToyApplication(count)) as running:
        await until(bus, RESULTS.name, 60)
        for partition in range(PARTITIONS):
            intruder = await LaneTransaction.open(settings, LaneId(toy.GROUP, JOBS.name, partition))
            await intruder.close()
        wanted |= await publish(bus, 200, start=400)
        results = await until(bus, RESULTS.name, 600, distinct)
        assert sum(runner.rebuilds for runner in running.engine.runners.values()) >= 1

    assert Counter(record.value for record in results) == Counter(wanted)
    assert set(handled.values()) == {1}


async def test_a_result_too_large_for_its_topic_ends_otherwise_and_the_lane_goes_on(broker, prefix, bus):
    async def bloat(delivery: Delivery) -> Outcome:
        if delivery.record.value != b"job-5":
            return toy.echo(delivery)
        small = GiveUp(FailureKind.OUTPUT_TOO_LARGE, "too large")
        return Publish((Outgoing(RESULTS.name, b"k", b"x" * 3_000_000),), shrunk=lambda size: small)

    wanted = await publish(bus, 30)
    async with toy.Running(settings_for(broker, prefix), toy.ToyApplication(bloat)):
        results = await until(bus, RESULTS.name, 29, distinct)
        letters = await until(bus, DLQ.name, 1)

    assert {record.value for record in results} == wanted - {b"job-5"}
    assert [letter.value for letter in letters] == [b"job-5"]
    assert headers.first(letters[0].headers, headers.DLQ_MESSAGE) == "output_too_large: too large"


async def test_a_handler_that_breaks_makes_a_dead_letter_with_the_original_record(broker, prefix, bus):
    async def broken(delivery: Delivery) -> Outcome:
        if delivery.record.value == b"job-3":
            raise ZeroDivisionError("with a secret in it")
        return toy.echo(delivery)

    await publish(bus, 10)
    async with toy.Running(settings_for(broker, prefix), toy.ToyApplication(broken)):
        await until(bus, RESULTS.name, 9, distinct)
        (letter,) = await until(bus, DLQ.name, 1)

    assert (letter.key, letter.value) == (b"job-3", b"job-3")
    assert headers.first(letter.headers, headers.DLQ_TOPIC) == JOBS.name
    assert headers.first(letter.headers, headers.DLQ_EXCEPTION) == "ZeroDivisionError"
    assert b"secret" not in b"".join(value for _, value in letter.headers)


async def test_a_lane_whose_offset_vanished_stops_and_does_not_start_over(broker, prefix, bus):
    settings = settings_for(broker, prefix)
    await publish(bus, 60)
    async with toy.Running(settings, toy.ToyApplication()):
        await until(bus, RESULTS.name, 60)
    other = settings.model_copy(update={"topic_prefix": prefix})
    async with KafkaReader(other) as reader:
        ends = {partition: (await reader.bounds(RESULTS.name, partition))[1] for partition in range(PARTITIONS)}

    class Forgetful(toy.GroupMember):
        """Its group's offsets have expired."""

        async def committed(self, partition: int) -> None:
            return None

    running = toy.Running(settings, toy.ToyApplication())
    running.engine._member = Forgetful(settings, toy.GROUP, JOBS.name, "toy-1")
    async with running, asyncio.timeout(WITHIN_S):
        while not all(runner.stopped for runner in running.engine.runners.values()) or not running.engine.runners:
            await asyncio.sleep(0.05)
        assert not running.engine.healthy
        assert "committed offset is gone" in running.engine.runners[0].stopped
    async with KafkaReader(other) as reader:
        assert ends == {p: (await reader.bounds(RESULTS.name, p))[1] for p in range(PARTITIONS)}
