"""What a collector has not taken is not acknowledged to Kafka: it is read again."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from audit_world import ROUTER, Trail, deed

from console.audit.batches import read_batch
from console.audit.hec import Refused, Stopped, events_of
from console.audit.sending import Sending
from console.batches import Arrived
from runtime.settings import Settings
from schemas.topics import AUDIT


class Collector:
    """Takes what it is given when it is told to."""

    def __init__(self) -> None:
        self.may_take = asyncio.Event()
        self.refuses: Exception | None = None
        self.events: list[bytes] = []

    async def deliver(self, events: Sequence[bytes], is_stopped: Callable[[], bool] = bool) -> None:
        await self.may_take.wait()
        if self.refuses is not None:
            raise self.refuses
        self.events += events


def arrived(*values: bytes | None) -> list[Arrived]:
    return [Arrived(AUDIT.name, 0, offset, 0, None, value) for offset, value in enumerate(values)]


def batches(count: int) -> list[bytes]:
    world = Trail(1)
    for number in range(count):
        world.write(ROUTER, deed("job.assigned", f"j{number}"))
    return [value or b"" for _, value in world.partitions[0]]


def sending(collector: Any) -> Sending:
    return Sending(Settings(), collector, "http://127.0.0.1:1", "")


async def test_a_batch_is_acknowledged_when_the_collector_has_it_and_not_before():
    collector = Collector()
    made = sending(collector)
    values = batches(3)
    taken = asyncio.create_task(made._take(arrived(*values)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not taken.done()

    collector.may_take.set()

    assert await taken
    assert collector.events == [event for value in values for event in events_of(read_batch(value))]
    assert made.records == 3


@pytest.mark.parametrize("why", [Stopped(), Refused("a wrong token")])
async def test_what_was_not_taken_is_read_again(why: Exception):
    collector = Collector()
    collector.may_take.set()
    collector.refuses = why
    made = sending(collector)

    assert not await made._take(arrived(*batches(2)))
    assert made.records == 0
    assert made.refused.done() == isinstance(why, Refused)


async def test_what_is_no_batch_is_counted_and_holds_nothing_back():
    collector = Collector()
    collector.may_take.set()
    made = sending(collector)
    [one] = batches(1)

    assert await made._take(arrived(b"nonsense", None, one))
    assert (made.spoilt, collector.events) == (2, events_of(read_batch(one)))
