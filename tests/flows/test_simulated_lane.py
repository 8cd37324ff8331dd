"""One lane's transactions on a simulated Kafka whose network breaks connections under requests that arrive late."""

import asyncio
import contextlib

import pytest
from aiokafka.errors import KafkaError
from log_suite.ground import IN, LANE, OUT, World, outgoing, reading_position
from simulation.kafka import BrokerFaults, SimBroker
from simulation.kernel import Kernel
from simulation.network import NetworkFaults
from simulation.substitutes import substituted

import runtime.transaction
from runtime.ports import Position
from runtime.settings import resolve
from runtime.transaction import CommitTooSlow, LaneTransaction

ADDRESS = "127.0.0.1:9092"
SEEDS = 20
RECORDS = 25
NETWORKS = (
    NetworkFaults(orphaned=0.1, slow_s=1.0),
    NetworkFaults(slow=0.1, slow_s=6.0, lost=0.03, unanswered=0.05),
    NetworkFaults(orphaned=0.05, slow=0.05, slow_s=5.0, late_answer=0.05, silent=0.02),
)


async def written_by_a_lane(world: World) -> None:
    """Write each number with the offset behind it, as a lane does: after any error with a new producer, from where the
    group stands."""
    number = 0
    while number < RECORDS:
        transaction = None
        with contextlib.suppress(KafkaError, TimeoutError, CommitTooSlow):
            transaction = await LaneTransaction.open(world.settings, LANE)
            position = await reading_position(world)
            number = position.offset if position is not None else 0
            while number < RECORDS:
                await transaction.commit([outgoing(str(number))], LANE, Position(number + 1, ""))
                number += 1
                await asyncio.sleep(0.05)
        if transaction is not None:
            await transaction.close()


def torn(seed: int) -> str:
    """What is wrong after a schedule; nothing if it held."""
    kernel = Kernel(seed)
    broker = SimBroker(
        kernel, faults=BrokerFaults(stale_fetch=0.1), network_faults=NETWORKS[seed % len(NETWORKS)]
    )  # fmt: skip
    kernel.servers[ADDRESS] = broker
    settings = resolve({"NOVIX_KAFKA_BOOTSTRAP": ADDRESS}, {}, {}).settings
    for topic in (IN, OUT):
        broker.create_topic(settings.named(topic.name), 1)

    async def keeps_all(topic: str, partition: int, before: int) -> None:
        raise AssertionError

    with substituted(kernel):
        process = kernel.start("lane", lambda _: written_by_a_lane(World(settings, keeps_all)))
        kernel.run(lambda: process.ended is not None, 3_000)
        if isinstance(process.ended, BaseException):
            raise process.ended
        back = [complaint for complaint in kernel.complaints if "offset back" in complaint]
        written = [int(record.value or b"") for record in broker.raw((settings.named(OUT.name), 0))]
    return " ".join(back) or ("" if written == list(range(RECORDS)) else str(written))


def test_each_record_is_written_once_in_order_whatever_arrives_late() -> None:
    assert {seed: wrong for seed in range(SEEDS) if (wrong := torn(seed))} == {}


def test_a_lane_that_lets_its_client_ask_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka asks again in silence, after a break as after its own timeout: then the late one is another's end."""
    monkeypatch.setattr(runtime.transaction, "ONCE", ())
    assert any(torn(seed) for seed in range(SEEDS))
