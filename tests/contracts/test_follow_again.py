"""A follower of a topic, as far as it can be told without a broker: what it passes over, and another topic."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from runtime import follow
from runtime.follow import Follower
from runtime.ports import Record
from runtime.settings import Settings
from schemas.topics import CONTROL


class Topic:
    """One partition, read by as many as like; `broken` ends whoever reads on."""

    def __init__(self, *values: bytes) -> None:
        self.values = list(values)
        self.broken = asyncio.Event()

    def __call__(self, _: Settings) -> "Topic":
        return self

    async def __aenter__(self) -> "Topic":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing was opened."""

    async def close(self) -> None:
        """Nothing was opened."""

    async def partitions(self, _: str) -> int:
        return 1

    async def bounds(self, _: str, partition: int) -> tuple[int, int]:
        return 0, len(self.values)

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        for offset in range(start, end):
            yield Record(topic, partition, offset, None, self.values[offset], (), 0)

    async def follow(self, topic: str, starts: dict[int, int]) -> AsyncIterator[Record]:
        await self.broken.wait()
        self.broken.clear()
        if topic:
            raise ConnectionError
        yield Record(topic, 0, 0, None, None, (), 0)


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    made = Topic(b"one", b"two", b"three")
    monkeypatch.setattr(follow, "KafkaReader", made)
    monkeypatch.setattr(follow, "AGAIN_S", 0.0)
    return made


async def test_a_record_that_cannot_be_taken_is_passed_over_and_keeps_nobody_from_starting(topic: Topic):
    given: list[bytes | None] = []

    def fold(record: Record) -> None:
        if record.value == b"two":
            raise KeyError(record.value)
        given.append(record.value)

    async with Follower(Settings(), CONTROL, fold):
        assert given == [b"one", b"three"]


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(topic: Topic):
    """It ends before the place that was read up to: no log grows shorter."""
    given: list[bytes | None] = []
    async with Follower(Settings(), CONTROL, lambda record: given.append(record.value)):
        topic.values = [b"another"]
        topic.broken.set()
        for _ in range(1_000):
            await asyncio.sleep(0)

    assert given == [b"one", b"two", b"three", b"another"]
