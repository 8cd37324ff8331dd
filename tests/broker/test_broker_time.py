"""Whose time counts: what held on a day that is over is not changed by a record that dates itself back."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from console.governing import registry
from runtime.bus import Bus
from runtime.ports import Outgoing
from runtime.registry import Verdict
from runtime.settings import Settings
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import BROKER, BUDGETS, REGISTRY, STAMPED_BY

MODEL = "acme/chat"
DAY = timedelta(days=1)


def settings(broker) -> Settings:
    return Settings(kafka_bootstrap=broker.bootstrap, topic_prefix=f"{uuid.uuid4().hex[:8]}.")


def word(state: str, at: datetime) -> Outgoing:
    """As somebody writes it whose clock, or whose intention, is that of `at`."""
    event = REGISTRY_EVENTS.validate_python({"kind": "admission", "at": at, "model": MODEL, "state": state})
    stamp = int(at.timestamp() * 1_000)
    return Outgoing(REGISTRY.name, MODEL.encode(), RegistryRecord(event=event).encode(), (), 0, stamp)


async def verdict(bus: Bus, at: datetime) -> Verdict:
    found, _ = await registry(bus, at)
    return found.allowed(MODEL, "anybody")


async def stamped_now(bus: Bus, now: datetime) -> bool:
    """Whether the newest record has the broker's time."""
    _, records = await registry(bus)
    return bool(records) and records[-1].timestamp_ms > (now - DAY).timestamp() * 1_000


async def test_a_word_that_dates_itself_back_changes_no_past(broker) -> None:
    now = datetime.now(UTC)
    async with Bus(settings(broker)) as bus:
        assert {one.done for one in await bus.create_topics([REGISTRY, BUDGETS], partitions=3)} == {"created"}
        await bus.publish([word("withdrawn", now - 30 * DAY)])
        assert (await verdict(bus, now - DAY)).ok, "it was not withdrawn yet"
        assert not (await verdict(bus, now + DAY)).ok
        assert {one.done for one in await bus.create_topics([REGISTRY, BUDGETS], partitions=3)} == {"kept"}


async def test_a_topic_with_its_writers_times_is_given_the_brokers_and_keeps_what_else_was_set(broker) -> None:
    mine, now = settings(broker), datetime.now(UTC)
    name = mine.named(REGISTRY.name)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        own = {"cleanup.policy": "delete", "retention.ms": "-1", "segment.bytes": "7340032"}
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=own)])
        async with Bus(mine) as bus:
            [first] = await bus.create_topics([REGISTRY], partitions=1)
            [second] = await bus.create_topics([REGISTRY], partitions=1)
            assert (first.done, second.done) == ("stamped", "kept")
            [told] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
            values = {one[0]: one[1] for one in told.resources[0][4]}
            assert {**values, **own, STAMPED_BY: BROKER} == values
            async with asyncio.timeout(30):
                while not await stamped_now(bus, now):
                    await bus.publish([word("admitted", now - 30 * DAY)])
            await bus.publish([word("withdrawn", now - 30 * DAY)])
            assert (await verdict(bus, now - DAY)).ok
            assert not (await verdict(bus, now + DAY)).ok
    finally:
        await admin.close()
