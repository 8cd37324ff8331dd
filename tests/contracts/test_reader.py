"""A reader of topics, as far as it can be told without a broker: what it leaves behind."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from runtime.reader import KafkaReader
from runtime.settings import Settings


class Slow:
    """In aiokafka's place: takes its time to stop, and does so once."""

    def __init__(self) -> None:
        self.stopping, self.may_stop, self.stopped = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        """At once."""

    async def stop(self) -> None:
        self.stopping.set()
        await self.may_stop.wait()
        self.stopped.set()


async def test_a_consumer_that_is_being_stopped_is_stopped_to_the_end_although_its_reader_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
):
    """A question fails because the broker is away, and before its consumer is closed, the process lets go."""
    consumer, reader = Slow(), KafkaReader(Settings())
    monkeypatch.setattr(reader, "_consumer", lambda: consumer)

    async def ask() -> None:
        async with reader._questions():
            raise KafkaConnectionError

    asking = asyncio.create_task(ask())
    await consumer.stopping.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    consumer.may_stop.set()

    await asyncio.wait_for(consumer.stopped.wait(), 5)
