"""A reader of topics, as far as it can be told without a broker: what it leaves behind."""

import asyncio
import contextlib
import gc
import weakref

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaConnectionError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from runtime import reader
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


class Stubborn:
    """A consumer as aiokafka's whose fetching task loses some cancellations: `wait_for` of CPython 3.11 does that."""

    def __init__(self, loses: int) -> None:
        self._fetcher = self
        self.loses, self.stopped = loses, False
        self._fetch_task = asyncio.ensure_future(self._fetch())

    async def _fetch(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.loses -= 1
                if self.loses < 0:
                    raise

    async def stop(self) -> None:
        self._fetch_task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._fetch_task
        self.stopped = True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "STOP_AGAIN_S", 0.01)


@pytest.mark.usefixtures("quick")
async def test_a_consumer_whose_task_loses_a_cancellation_is_asked_again():
    consumer = Stubborn(loses=2)
    await reader._stopped(consumer)
    assert consumer.stopped


@pytest.mark.usefixtures("quick")
async def test_whoever_reads_does_not_wait_for_ever_for_a_consumer_that_never_stops():
    consumer = Stubborn(loses=1_000)
    await reader._stopped(consumer)
    assert not consumer.stopped
    consumer.loses = 0
    consumer._fetch_task.cancel()


@pytest.mark.usefixtures("quick")
async def test_a_consumer_is_asked_again_although_its_reader_is_cancelled():
    consumer = Stubborn(loses=1)
    stopping = asyncio.ensure_future(reader._stopped(consumer))
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait({stopping})
    assert stopping.cancelled()
    await asyncio.wait_for(asyncio.wait({consumer._fetch_task}), 10)
    assert consumer._fetch_task.cancelled()


def test_what_was_fetched_and_not_read_to_its_end_is_freed_at_once_and_not_when_the_garbage_is_collected():
    """aiokafka's own holds itself: a megabyte for each reader that stopped before the end."""
    batch = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1_000_000)
    for offset in range(3):
        batch.append(offset, 0, b"key", b"value", [])
    aborted: list[tuple[int, int]] = []
    options = {"fetch_offset": 0, "key_deserializer": None, "value_deserializer": None}
    fetched = fetcher.PartitionRecords(
        TopicPartition("t", 0), MemoryRecords(bytes(batch.build())), aborted, **options, check_crcs=True,
        isolation_level=1,
    )  # fmt: skip
    read = next(fetched)
    gone = weakref.ref(fetched)
    gc.disable()
    try:
        del fetched
        assert gone() is None
    finally:
        gc.enable()
    assert (read.offset, read.value) == (0, b"value")
