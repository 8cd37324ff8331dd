"""Following a topic on a real broker: everything from the beginning, through growth and restarts, and nothing left."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from runtime import follow
from runtime.bus import Bus
from runtime.follow import Follower
from runtime.ports import Outgoing, Record
from runtime.settings import Settings, resolve
from sandbox.kafka.broker import LocalBroker
from schemas.topics import CONTROL

WITHIN_S = 60


def settings_for(bootstrap: str, prefix: str) -> Settings:
    return resolve({"NOVIX_KAFKA_BOOTSTRAP": bootstrap, "NOVIX_TOPIC_PREFIX": prefix}, {}, {}).settings


@pytest.fixture
async def bus(broker, prefix: str) -> AsyncIterator[Bus]:
    async with Bus(settings_for(broker.bootstrap, prefix)) as bus:
        yield bus


class Seen:
    """A fold: the values in the order in which they came."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self._more = asyncio.Event()

    def __call__(self, record: Record) -> None:
        self.values.append(record.value)
        self._more.set()
        if record.value == b"poison":
            raise ValueError

    async def until(self, *values: bytes) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not {*values} <= {*self.values}:
                self._more.clear()
                await self._more.wait()


async def write(bus: Bus, *values: bytes, partition: int = 0) -> None:
    await bus.publish([Outgoing(CONTROL.name, b"key", value, partition=partition) for value in values])


async def test_from_an_instant_on_only_what_was_written_since_is_given(broker, prefix: str, bus: Bus):
    await bus.create_topics([CONTROL], partitions=2)
    now = datetime.now(UTC)
    for hours, value in ((3, b"old"), (1, b"new")):
        at_ms = int((now - timedelta(hours=hours)).timestamp() * 1_000)
        await bus.publish([Outgoing(CONTROL.name, b"key", value, partition=0, timestamp_ms=at_ms)])
    seen = Seen()

    async with Follower(settings_for(broker.bootstrap, prefix), CONTROL, seen, since=now - timedelta(hours=2)):
        assert seen.values == [b"new"]
        await write(bus, b"newer")
        await write(bus, b"elsewhere", partition=1)
        await seen.until(b"newer", b"elsewhere")
    assert b"old" not in seen.values


async def test_what_is_there_is_known_on_entry_and_what_comes_is_given_in_order(broker, prefix: str, bus: Bus):
    await bus.create_topics([CONTROL], partitions=2)
    await write(bus, b"1", b"2")
    await write(bus, b"other", partition=1)
    seen = Seen()

    async with Follower(settings_for(broker.bootstrap, prefix), CONTROL, seen):
        assert sorted(seen.values) == [b"1", b"2", b"other"]
        await write(bus, b"poison", b"3", b"4")
        await seen.until(b"4")

    assert [value for value in seen.values if value != b"other"] == [b"1", b"2", b"poison", b"3", b"4"]


async def test_a_topic_that_comes_later_and_partitions_that_are_added_are_followed(
    broker, prefix: str, bus: Bus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(follow, "GROWTH_S", 0.2)
    seen = Seen()
    async with Follower(settings_for(broker.bootstrap, prefix), CONTROL, seen):
        assert seen.values == []
        await bus.create_topics([CONTROL], partitions=1)
        await write(bus, b"first")
        await seen.until(b"first")
        await bus.create_topics([CONTROL], partitions=3)
        async with Bus(settings_for(broker.bootstrap, prefix)) as knowing:  # the other knows one partition
            for partition in range(3):
                await write(knowing, b"on %d" % partition, partition=partition)
        await seen.until(b"on 0", b"on 1", b"on 2")

    assert len(seen.values) == 4


async def test_a_topic_that_is_deleted_and_made_anew_is_followed_from_its_new_beginning(
    broker, prefix: str, bus: Bus, monkeypatch: pytest.MonkeyPatch
):
    """Shorter and with fewer partitions than the one that was read: the old places in it mean nothing."""
    monkeypatch.setattr(follow, "GROWTH_S", 0.2)
    await bus.create_topics([CONTROL], partitions=2)
    await write(bus, b"1", b"2", b"3")
    await write(bus, b"other", partition=1)
    seen, settings = Seen(), settings_for(broker.bootstrap, prefix)
    async with Follower(settings, CONTROL, seen):
        await write(bus, b"4")
        await seen.until(b"4")
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        await admin.delete_topics([settings.named(CONTROL.name)])
        await admin.close()
        async with Bus(settings) as knowing:
            await knowing.create_topics([CONTROL], partitions=1)
            await write(knowing, b"new")
        await seen.until(b"new")

    assert len(seen.values) == 6


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A broker of this file's own: it is stopped and started again."""
    with LocalBroker(tmp_path_factory.mktemp("mortal")) as broker:
        yield broker


async def test_a_broker_that_goes_and_comes_back_is_followed_on_and_nothing_is_left(mortal: LocalBroker, prefix: str):
    settings, seen = settings_for(mortal.bootstrap, prefix), Seen()
    before = asyncio.all_tasks()
    async with Bus(settings) as bus:
        await bus.create_topics([CONTROL], partitions=2)
        await write(bus, b"before")
    async with Follower(settings, CONTROL, seen):
        await asyncio.to_thread(mortal.stop)
        await mortal.astart()
        async with Bus(settings) as bus:
            await write(bus, b"after", partition=1)
        await seen.until(b"before", b"after")

    left = asyncio.all_tasks() - before  # closed connections take a few turns of the loop to end
    assert not left or (await asyncio.wait(left, timeout=WITHIN_S))[1] == set()
