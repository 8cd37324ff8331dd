"""Which of its consumers a reader keeps, and which it lets go, as far as it can be told without a broker."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from runtime.reader import KafkaReader
from runtime.settings import Settings


class Consumer:
    """In aiokafka's place: a partition with three records, from offset 4 on."""

    def __init__(self) -> None:
        self.stopped = False
        self.at = 0

    async def start(self) -> None:
        """At once."""

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, _: Any) -> None:
        """It is."""

    def unsubscribe(self) -> None:
        """It is not any more."""

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.at = offset

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[str, list[Any]]:
        offsets, self.at = range(self.at, 7), 7
        empty: dict[str, Any] = {"partition": 0, "key": None, "value": None, "headers": (), "timestamp": 0}
        return {"all": [SimpleNamespace(offset=offset, **empty) for offset in offsets]}

    async def beginning_offsets(self, sources: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(sources, 4)

    async def end_offsets(self, sources: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(sources, 7)

    async def offsets_for_times(self, sources: dict[TopicPartition, int]) -> dict[TopicPartition, None]:
        return dict.fromkeys(sources)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Consumer]:
    """The consumers that readers have made."""
    consumers: list[Consumer] = []

    def consumer(*_: object) -> Consumer:
        consumers.append(Consumer())
        return consumers[-1]

    monkeypatch.setattr(KafkaReader, "_consumer", consumer)
    return consumers


async def test_a_consumer_that_has_read_to_the_end_reads_for_the_next_and_one_that_has_not_is_let_go(
    made: list[Consumer],
):
    """Left in the middle it may be connected by half, or fetch what nobody asked for."""
    reader = KafkaReader(Settings())
    assert [record.offset async for record in reader.read("topic", 0, 4, 6)] == [4, 5]
    reading = reader.read("topic", 0, 5, 7)
    assert (await anext(reading)).offset == 5
    assert len(made) == 1
    await reading.aclose()  # type: ignore[attr-defined]
    assert made[0].stopped

    assert [record.offset async for record in reader.read("topic", 0, 4, 7)] == [4, 5, 6]
    assert len(made) == 2
    await reader.close()
    assert made[1].stopped


async def test_where_nothing_was_written_since_an_instant_one_reads_on_at_the_end(made: list[Consumer]):
    reader = KafkaReader(Settings())
    assert await reader.since("topic", 0, 1_700_000_000_000) == 7
    await reader.close()


@pytest.mark.parametrize("error", [KafkaConnectionError, asyncio.CancelledError])
async def test_a_consumer_that_did_not_answer_is_replaced_and_stopped_when_its_last_asker_has_left(
    made: list[Consumer], error: type[BaseException]
):
    """Who asked ran out of time, or the broker is away: the next question goes to another one."""
    reader = KafkaReader(Settings())
    async with contextlib.AsyncExitStack() as patient:
        assert await patient.enter_async_context(reader._questions()) is made[0]
        with pytest.raises(error):
            async with reader._questions():
                raise error
        assert await reader.bounds("topic", 0) == (4, 7)
        assert (len(made), made[0].stopped) == (2, False), "somebody still waits for its answer"
    assert made[0].stopped
    await reader.close()
    assert made[1].stopped
