"""Lanes on a broker that dies and among members that freeze, come and go: one result each, and the lanes go on."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import toy

from runtime.bus import Bus
from runtime.group import InstanceTaken
from runtime.outcome import Outcome
from runtime.ports import Delivery, Outgoing, Record
from runtime.settings import Settings, resolve
from sandbox.kafka.broker import LocalBroker
from schemas.topics import JOBS, RESULTS, TOPICS

PARTITIONS = 3
WITHIN_S = 60
SESSION_MS = 3_000


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A broker of this file's own: it is stopped and killed."""
    with LocalBroker(tmp_path_factory.mktemp("mortal")) as broker:
        yield broker


@pytest.fixture
def environment(mortal: LocalBroker, prefix: str, tmp_path: Path) -> dict[str, str]:
    return {
        "NOVIX_KAFKA_BOOTSTRAP": mortal.bootstrap, "NOVIX_TOPIC_PREFIX": prefix, "NOVIX_HOME": str(tmp_path),
        "NOVIX_SESSION_TIMEOUT_MS": str(SESSION_MS), "NOVIX_HEARTBEAT_INTERVAL_MS": "500",
    }  # fmt: skip


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return resolve(environment, {}, {}).settings


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    async with Bus(settings) as bus:
        await bus.create_topics(TOPICS, partitions=PARTITIONS)
        yield bus


async def publish(bus: Bus, count: int) -> Counter[bytes | None]:
    values = [f"job-{number}".encode() for number in range(count)]
    await bus.publish([Outgoing(JOBS.name, value, value) for value in values])
    return Counter(values)


class Results:
    """The results topic as a read_committed reader sees it, from the beginning on."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._next = dict.fromkeys(range(PARTITIONS), 0)
        self.records: list[Record] = []

    async def until(self, count: int) -> Counter[bytes | None]:
        """Read on until so many different ones are there, and then once more to the end, so that doubles show."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.seen) < count:
                await self._read()
                await asyncio.sleep(0.1)
        await self._read()
        return self.seen

    @property
    def seen(self) -> Counter[bytes | None]:
        return Counter(record.value for record in self.records)

    async def _read(self) -> None:
        reader = self._bus.reader()
        for partition, at in self._next.items():
            _, end = await reader.bounds(RESULTS.name, partition)
            self.records += [record async for record in reader.read(RESULTS.name, partition, at, end)]
            self._next[partition] = end


def process(environment: dict[str, str], instance: str) -> subprocess.Popen[bytes]:
    """A toy in a process of its own, under that instance id."""
    return subprocess.Popen(
        [sys.executable, toy.__file__], env={**os.environ, **environment, "NOVIX_INSTANCE_ID": instance}
    )


async def drained(bus: Bus) -> None:
    """Until the group has committed everything."""
    async with asyncio.timeout(WITHIN_S):
        while sum((await bus.lag(toy.GROUP, JOBS.name)).values()):
            await asyncio.sleep(0.1)


async def test_a_broker_that_is_stopped_and_killed_under_load_costs_no_job_and_no_call(mortal, settings, bus):
    handled: Counter[bytes | None] = Counter()

    async def count(delivery: Delivery) -> Outcome:
        handled[delivery.record.value] += 1
        return await toy.slow_echo(delivery)

    wanted = await publish(bus, 2_000)
    results = Results(bus)
    async with toy.Running(settings, toy.ToyApplication(count), window=8) as running:
        await results.until(100)
        await asyncio.to_thread(mortal.stop)
        await mortal.astart()
        await results.until(len(results.seen) + 200)
        await asyncio.to_thread(mortal.kill)
        await mortal.astart()
        seen = await results.until(2_000)
        await drained(bus)
        assert running.engine.healthy

    assert seen == wanted
    assert set(handled.values()) == {1}


async def test_a_broker_that_is_frozen_beyond_every_session_costs_no_job_and_doubles_nothing(mortal, settings, bus):
    wanted = await publish(bus, 800)
    results = Results(bus)
    async with toy.Running(settings, toy.ToyApplication(), window=8) as running:
        await results.until(100)
        mortal.freeze()
        await asyncio.sleep(SESSION_MS / 1_000 * 3)
        mortal.thaw()
        seen = await results.until(800)
        await drained(bus)
        assert running.engine.healthy

    assert seen == wanted


async def test_two_processes_with_one_instance_id_end_by_name_instead_of_putting_each_other_out_for_ever(
    environment, settings, bus
):
    wanted = await publish(bus, 1_000)
    results = Results(bus)
    twin = process(environment, "twin")
    try:
        await results.until(30)
        engine, reader = toy.engine(settings, toy.ToyApplication(), "twin", window=8)
        with pytest.raises(InstanceTaken, match="NOVIX_INSTANCE_ID"):
            await asyncio.wait_for(engine.run(asyncio.Event()), WITHIN_S)
        await reader.close()
    finally:
        twin.kill()
        twin.wait()
    async with toy.Running(settings, toy.ToyApplication(), "twin", window=8):
        seen = await results.until(1_000)
        await drained(bus)

    assert seen == wanted


async def test_a_member_that_is_frozen_beyond_its_session_and_thaws_doubles_nothing(environment, settings, bus):
    wanted = await publish(bus, 1_500)
    results = Results(bus)
    frozen = process(environment, "cold")
    try:
        await results.until(60)
        async with toy.Running(settings, toy.ToyApplication(), "warm", window=8):
            await results.until(len(results.seen) + 60)
            frozen.send_signal(signal.SIGSTOP)
            since = time.monotonic()
            while time.monotonic() - since < SESSION_MS / 1_000 * 2:
                await asyncio.sleep(0.2)
            frozen.send_signal(signal.SIGCONT)
            seen = await results.until(1_500)
            await drained(bus)
            frozen.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(frozen.wait, 30) == 0
    finally:
        frozen.kill()
        frozen.wait()

    assert seen == wanted


async def test_members_that_come_and_go_every_two_seconds_stop_nobody(settings, bus):
    wanted = await publish(bus, 3_000)
    results = Results(bus)
    async with toy.Running(settings, toy.ToyApplication(), "resident", window=8):
        for guest in range(4):
            async with toy.Running(settings, toy.ToyApplication(), f"guest-{guest}", window=4):
                await asyncio.sleep(2)
        seen = await results.until(3_000)
        await drained(bus)

    assert seen == wanted
