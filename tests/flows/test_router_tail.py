"""The ledger as the lanes of one process hear it: in order, each record once, whatever lanes come and go."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from router_world import World
from virtual_time import run

from router.tail import Tail
from runtime.ports import Record


class Ledger:
    """A reader of a log that grows. One read begins where it is asked to, and may be cut off."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self.reads = 0
        self.open = 0
        self.news = asyncio.Event()
        self.broken = False

    def grow(self, partition: int, count: int) -> None:
        self.ends[partition] = self.ends.get(partition, 0) + count
        self.news.set()

    async def follow(self, topic: str, starts: dict[int, int]) -> AsyncGenerator[Record, None]:
        self.reads += 1
        self.open += 1
        places = dict(starts)
        try:
            while True:
                await asyncio.sleep(0.05)
                if self.broken:
                    self.broken = False
                    raise ConnectionError
                for partition, place in places.items():
                    places[partition] = max(place, self.ends.get(partition, 0))
                    for offset in range(place, places[partition]):
                        yield Record(topic, partition, offset, None, None, (), 0)
        finally:
            await asyncio.sleep(0.1)  # a consumer takes a while to stop
            self.open -= 1

    async def partitions(self, topic: str) -> int:
        return 3

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, self.ends.get(partition, 0)

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        for offset in range(start, end):
            yield Record(topic, partition, offset, None, None, (), 0)


def test_each_lane_hears_each_record_once_in_order_while_others_come_and_go_and_the_broker_is_away() -> None:
    async def story() -> None:
        ledger, tail = Ledger(), Tail()
        heard: dict[int, list[int]] = {0: [], 1: []}
        ledger.grow(0, 5)
        tail.hear(ledger, 0, 2, lambda record: heard[0].append(record.offset))
        for turn in range(20):
            other = tail.hear(ledger, 1, ledger.ends.get(1, 0), lambda record: heard[1].append(record.offset))
            ledger.grow(0, 3)
            ledger.grow(1, 2)
            ledger.broken = turn % 4 == 0
            await asyncio.sleep(0.07 * turn)
            tail.leave(other)
        await asyncio.sleep(3)

        assert heard[0] == list(range(2, 65))
        assert heard[1] == sorted(set(heard[1]))
        assert ledger.open == 1

    run(story())


def test_a_lane_that_is_opened_anew_hears_everything_from_its_own_beginning_on() -> None:
    """The old read may be ahead of it, and goes on for a moment: what it brings is not for the new lane."""

    async def story() -> None:
        ledger, tail, heard = Ledger(), Tail(), list[int]()
        ledger.grow(0, 10)
        hearing = tail.hear(ledger, 0, 10, lambda _: None)
        await asyncio.sleep(0.1)
        ledger.grow(0, 100)

        def reopen(record: Record) -> None:
            """In the middle of a fetch."""
            if record.offset == 50:
                tail.leave(hearing)
                tail.hear(ledger, 0, 10, lambda record: heard.append(record.offset))

        hearing.give = reopen
        await asyncio.sleep(2)

        assert heard == list(range(10, 110))

    run(story())


def test_others_have_their_turn_between_the_records_of_one_fetch() -> None:
    async def story() -> None:
        ledger, tail, heard, turns = Ledger(), Tail(), list[int](), 0
        tail.hear(ledger, 0, 0, lambda record: heard.append(record.offset))
        ledger.grow(0, 500)
        while not heard:
            await asyncio.sleep(0)
        while len(heard) < 500:
            turns += 1
            await asyncio.sleep(0)

        assert turns >= 499

    run(story())


def test_nobody_reads_for_lanes_that_are_gone_and_whoever_raises_is_given_the_next() -> None:
    async def story() -> None:
        ledger, tail, heard = Ledger(), Tail(), list[int]()

        def raises(record: Record) -> None:
            heard.append(record.offset)
            raise ZeroDivisionError

        hearing = tail.hear(ledger, 0, 0, raises)
        ledger.grow(0, 3)
        await asyncio.sleep(10)
        assert heard == [0, 1, 2]

        tail.leave(hearing)
        await asyncio.sleep(1)
        assert ledger.open == 0
        assert tail._task is not None
        assert tail._task.done()
        tail.hear(ledger, 0, 3, lambda record: heard.append(record.offset))
        ledger.grow(0, 1)
        await asyncio.sleep(1)
        assert heard == [0, 1, 2, 3]

    run(story())


async def test_a_lane_that_closes_late_leaves_the_one_that_was_opened_in_its_place(tmp_path: Path) -> None:
    world = World(tmp_path)
    late = await world.lane()
    world._lane = None
    lane = await world.lane()

    await late.close()

    assert world.app.pumps[world.partition]._lane is lane
    assert len(world.app.describe()["money"]) == 1
    await lane.close()
    assert world.app.pumps == {}
