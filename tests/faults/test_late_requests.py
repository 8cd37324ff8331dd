"""A request whose connection breaks while it is under way, and that arrives late, between a lane and its broker."""

import asyncio
import contextlib

import pytest
from aiokafka.errors import KafkaError
from log_suite.ground import IN, LANE, OUT, World, lane, outgoing, reading_position, visible
from network import Network
from proxy import END_TXN, PRODUCE, TXN_OFFSET_COMMIT, Fault

from runtime.bus import Bus
from runtime.ports import Position
from runtime.settings import resolve
from runtime.transaction import LaneTransaction

LATE_S = 1.0


async def broken(met: int, key: int, network: Network, transaction: LaneTransaction) -> None:
    """Break the lane's connections, once the proxy holds the request. What it holds it delivers all the same."""
    while network.proxy.met[key] <= met:
        await asyncio.sleep(0.005)
    for connection in list(transaction._producer.client._conns.values()):
        connection.close()


@pytest.mark.parametrize("key", [END_TXN, TXN_OFFSET_COMMIT])
async def test_a_request_that_arrives_after_its_connection_broke_tears_no_later_transaction(
    key: int, network: Network, prefix: str
) -> None:
    """aiokafka asks again in silence, over a new connection, and goes on to the next transaction; the first request,
    late, then ends that one in its middle, or takes its offset back."""
    environment = {"NOVIX_KAFKA_BOOTSTRAP": network.bootstrap, "NOVIX_TOPIC_PREFIX": prefix}
    settings = resolve(environment, {}, {}).settings

    async def nothing(topic: str, partition: int, before: int) -> None:
        raise NotImplementedError

    world = World(settings, nothing)
    async with asyncio.timeout(60), Bus(settings) as bus:
        await bus.create_topics([IN, OUT], partitions=1)
        async with lane(world) as transaction:
            await transaction.commit([outgoing("0")], LANE, Position(1, ""))
            network.proxy.inject(Fault(key, times=1, delay_s=LATE_S))
            breaking = asyncio.create_task(broken(network.proxy.met[key], key, network, transaction))
            is_over = False
            for number in (1, 2):
                if number == 2:
                    network.proxy.inject(Fault(PRODUCE, times=1, delay_s=LATE_S * 1.5))
                with contextlib.suppress(KafkaError):
                    if not is_over:
                        is_over = True
                        await transaction.commit([outgoing(str(number))], LANE, Position(number + 1, ""))
                        is_over = False
            await breaking
        async with lane(world):
            position = await reading_position(world)
            assert position is not None
            assert await visible(bus) == [str(number) for number in range(position.offset)]
