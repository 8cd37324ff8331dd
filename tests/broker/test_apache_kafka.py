"""The suite of what our adapters may believe of Kafka, on Apache Kafka."""

import log_suite
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from runtime.connection import client_options
from runtime.settings import resolve

SESSION_MS = 6_000


@pytest.mark.parametrize("claim", list(log_suite.CLAIMS))
async def test_on_apache_kafka(claim: str, broker, prefix: str) -> None:
    environment = {
        "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_TOPIC_PREFIX": prefix,
        "NOVIX_SESSION_TIMEOUT_MS": str(SESSION_MS), "NOVIX_HEARTBEAT_INTERVAL_MS": "500",
    }  # fmt: skip
    settings = resolve(environment, {}, {}).settings

    async def delete_records(topic: str, partition: int, before: int) -> None:
        admin = AIOKafkaAdminClient(**client_options(settings))
        await admin.start()
        await admin.delete_records({TopicPartition(settings.named(topic), partition): RecordsToDelete(before)})
        await admin.close()

    await log_suite.check(log_suite.World(settings, delete_records), claim)
