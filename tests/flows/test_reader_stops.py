"""A reader that lets a consumer go: whatever becomes of its stop, no connection is left."""

import asyncio

import pytest
from aiokafka.errors import KafkaError

from runtime import reader


class Client:
    closed = False

    async def close(self) -> None:
        self.closed = True


class Consumer:
    """Of aiokafka's what `runtime.reader` touches; its client is closed last, as there."""

    def __init__(self, fails: BaseException | None) -> None:
        self._client, self._fails = Client(), fails

    async def stop(self) -> None:
        if self._fails is not None:
            raise self._fails
        await self._client.close()


async def test_a_stop_that_its_own_fetcher_cancels_closes_the_connections() -> None:
    consumer = Consumer(asyncio.CancelledError())
    await reader._stopped(consumer)  # type: ignore[arg-type]
    assert consumer._client.closed


async def test_a_stop_that_fails_closes_the_connections_and_tells() -> None:
    consumer = Consumer(KafkaError("no coordinator"))
    with pytest.raises(KafkaError, match="no coordinator"):
        await reader._stopped(consumer)  # type: ignore[arg-type]
    assert consumer._client.closed


async def test_one_that_stops_well_is_closed_and_tells_nothing() -> None:
    consumer = Consumer(None)
    await reader._stopped(consumer)  # type: ignore[arg-type]
    assert consumer._client.closed
