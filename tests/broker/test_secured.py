"""A lane behind SASL_SSL needs exactly four permissions, and fails by name without them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from runtime.bus import Bus
from runtime.ports import Outgoing
from runtime.settings import Settings, resolve
from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.config import Security
from schemas.topics import AUDIT, DLQ, JOBS, RESULTS, TOPICS

PREFIX = "safe."
COUNT = 40


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[LocalBroker]:
    broker = LocalBroker(tmp_path / "broker", security=Security({"admin": "admin-secret", "lane": "lane-secret"}))
    broker.start()
    yield broker
    broker.stop()


def settings_of(broker: LocalBroker, user: str) -> Settings:
    return resolve(
        {
            "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_TOPIC_PREFIX": PREFIX,
            "NOVIX_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "NOVIX_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "NOVIX_KAFKA_USERNAME": user, "NOVIX_KAFKA_PASSWORD": f"{user}-secret",
            "NOVIX_KAFKA_CA_FILE": str(broker.ca_path),
        }, {}, {},
    ).settings  # fmt: skip


def allow(broker: LocalBroker) -> None:
    """Topic in READ, topics out WRITE, group READ, transactional id WRITE: the last for all of the group's lanes."""
    literal, prefixed = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
    rules = [
        (ResourceType.TOPIC, PREFIX + JOBS.name, literal, AclOperation.READ),
        *((ResourceType.TOPIC, PREFIX + topic.name, literal, AclOperation.WRITE) for topic in (RESULTS, AUDIT, DLQ)),
        (ResourceType.GROUP, PREFIX + toy.GROUP, literal, AclOperation.READ),
        (ResourceType.TRANSACTIONAL_ID, f"{PREFIX}{toy.GROUP}.", prefixed, AclOperation.WRITE),
    ]
    admin = AdminClient(
        {
            "bootstrap.servers": broker.bootstrap, "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "admin", "sasl.password": "admin-secret", "ssl.ca.location": str(broker.ca_path),
        }
    )  # fmt: skip
    bindings = [
        AclBinding(kind, name, pattern, "User:lane", "*", operation, AclPermissionType.ALLOW)
        for kind, name, pattern, operation in rules
    ]
    for made in admin.create_acls(bindings).values():
        made.result(timeout=20)


async def test_a_lane_works_over_tls_and_scram_with_the_four_permissions(secured: LocalBroker):
    async with Bus(settings_of(secured, "admin")) as bus:
        await bus.create_topics(TOPICS, partitions=2)
        allow(secured)
        values = [f"job-{number}".encode() for number in range(COUNT)]
        await bus.publish([Outgoing(JOBS.name, value, value) for value in values])
        seen: list[bytes | None] = []
        async with toy.Running(settings_of(secured, "lane"), toy.ToyApplication()), asyncio.timeout(60):
            async for record in bus.follow(RESULTS.name, {0: 0, 1: 0}):
                seen.append(record.value)
                if len(seen) == COUNT:
                    break
        assert sorted(seen) == sorted(values)
        assert sum((await bus.lag(toy.GROUP, JOBS.name)).values()) == 0
