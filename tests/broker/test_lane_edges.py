"""What only a real broker tells of a lane's edges: markers, deleted records, and commit metadata that is too long."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import toy
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from runtime.bus import Bus
from runtime.connection import client_options
from runtime.outcome import Outcome
from runtime.ports import Delivery, LaneId, Outgoing, Position, RecordTooLarge
from runtime.progress import METADATA_LIMIT, MetadataTooLarge
from runtime.settings import Settings, resolve
from runtime.transaction import LaneTransaction
from schemas.topics import JOBS, RESULTS, TOPICS

WITHIN_S = 40


@pytest.fixture
def settings(broker, prefix) -> Settings:
    environment = {
        "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_TOPIC_PREFIX": prefix,
        "NOVIX_SESSION_TIMEOUT_MS": "6000", "NOVIX_HEARTBEAT_INTERVAL_MS": "500",
    }  # fmt: skip
    return resolve(environment, {}, {}).settings


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    async with Bus(settings) as bus:
        await bus.create_topics(TOPICS, partitions=2)
        yield bus


async def test_a_lane_commits_past_the_markers_of_its_producers_transactions(settings, bus):
    """Each job is written in a transaction of its own, as the router does: its marker takes the last offset."""
    other = LaneId("other", RESULTS.name, 0)
    transaction = await LaneTransaction.open(settings, other)
    for number in range(5):
        job = Outgoing(JOBS.name, b"key", b"job-%d" % number, partition=0)
        await transaction.commit([job], other, Position(number, ""))
    await transaction.close()

    async with toy.Running(settings, toy.ToyApplication()), asyncio.timeout(WITHIN_S):
        while (await bus.lag(toy.GROUP, JOBS.name))[0]:
            await asyncio.sleep(0.1)

    first, end = await bus.reader().bounds(JOBS.name, 0)
    assert (first, end) == (0, 10)


async def test_a_lane_whose_unread_records_are_deleted_stops_by_name_and_the_other_goes_on(settings, bus):
    gate = asyncio.Event()

    async def held(delivery: Delivery) -> Outcome:
        if delivery.record.partition == 0:
            await gate.wait()
        return toy.echo(delivery)

    # More than one fetch of a partition brings, so that the lane has to come back for the rest.
    await bus.publish([Outgoing(JOBS.name, b"k", b"job-%d" % n + b"." * 4_000, partition=0) for n in range(300)])
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    async with toy.Running(settings, toy.ToyApplication(held), window=4) as running, asyncio.timeout(WITHIN_S):
        while running.engine.window.used < 4:
            await asyncio.sleep(0.05)
        await admin.delete_records({TopicPartition(settings.named(JOBS.name), 0): RecordsToDelete(299)})
        await bus.publish([Outgoing(JOBS.name, b"k", b"other-%d" % n, partition=1) for n in range(20)])
        gate.set()
        while not running.engine.runners[0].stopped or (await bus.lag(toy.GROUP, JOBS.name))[1]:
            await asyncio.sleep(0.1)
        assert "PositionLost" in (running.engine.runners[0].stopped or "")
        assert not running.engine.healthy
        assert running.engine.runners[1].stopped is None
    await admin.close()


async def test_commit_metadata_that_the_broker_refuses_is_told_by_name(settings, bus):
    lane = LaneId(toy.GROUP, JOBS.name, 0)
    job = Outgoing(RESULTS.name, b"k", b"result")
    transaction = await LaneTransaction.open(settings, lane)
    with pytest.raises(MetadataTooLarge):
        await transaction.commit([job], lane, Position(1, "x" * (METADATA_LIMIT + 1)))
    await transaction.close()

    successor = await LaneTransaction.open(settings, lane)
    await successor.commit([job], lane, Position(1, "x" * METADATA_LIMIT))
    await successor.close()


async def test_a_batch_that_is_refused_as_a_whole_is_nobodys_fault_and_a_record_alone_is(settings, bus):
    """The topic takes 20,000 bytes a batch: thirty small records are too large together, and none of them is."""
    topic = NewTopic(settings.named("small"), 1, 1, topic_configs={"max.message.bytes": "20000"})
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    await admin.create_topics([topic])
    await admin.close()
    lane = LaneId("other", RESULTS.name, 0)
    small = [Outgoing("small", b"key", os.urandom(1_000)) for _ in range(30)]
    told: list[tuple[int, int]] = []
    for records in ([Outgoing("small", b"key", os.urandom(30_000))], small):
        transaction = await LaneTransaction.open(settings, lane)
        with pytest.raises(RecordTooLarge) as refused:
            await transaction.commit(records, lane, Position(0, ""))
        told.append((refused.value.index, refused.value.size_bytes))
        await transaction.close()

    assert told == [(0, 30_000), (-1, 0)]
