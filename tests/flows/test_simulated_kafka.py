"""The suite of what our adapters may believe of Kafka, on the simulated Kafka: where it differs, it is wrong."""

import asyncio

import log_suite
import pytest
from simulation.kafka import SimBroker
from simulation.kernel import Kernel
from simulation.substitutes import substituted

from runtime.settings import resolve

ADDRESS = "127.0.0.1:9092"
WITHIN_S = 120.0


def run(claim: str, seed: int) -> list[str]:
    """Check one claim in a process of a simulated world. Returns what the world complains of."""
    kernel = Kernel(seed)
    broker = SimBroker(kernel)
    kernel.servers[ADDRESS] = broker
    environment = {
        "NOVIX_KAFKA_BOOTSTRAP": ADDRESS, "NOVIX_SESSION_TIMEOUT_MS": "6000", "NOVIX_HEARTBEAT_INTERVAL_MS": "500",
    }  # fmt: skip
    settings = resolve(environment, {}, {}).settings

    async def delete_records(topic: str, partition: int, before: int) -> None:
        broker.delete_records(settings.named(topic), partition, before)

    async def main(_: asyncio.Event) -> None:
        await log_suite.check(log_suite.World(settings, delete_records), claim)

    with substituted(kernel):
        process = kernel.start("suite", main)
        kernel.run(lambda: process.ended is not None, WITHIN_S)
        if isinstance(process.ended, BaseException):
            raise process.ended
        return kernel.complaints


@pytest.mark.parametrize("claim", list(log_suite.CLAIMS))
def test_on_the_simulated_kafka(claim: str) -> None:
    complaints = run(claim, 1)
    assert [one for one in complaints if "metadata of" not in one] == []
