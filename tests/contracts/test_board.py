"""The board without a broker: what it makes of records, and what it thinks worth telling."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from breaker_world import KEY, fail, is_open

from runtime.board import Board
from runtime.breaker import Breakers
from runtime.ending import end
from runtime.limits import Limits
from runtime.ports import Outgoing, Record
from runtime.settings import resolve
from schemas.breakers import BreakerState
from schemas.topics import BREAKERS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Clock:
    """It stands still."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 1_000.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class World:
    """A board that is not connected, with what it applies news to."""

    def __init__(self) -> None:
        clock = Clock()
        self.breakers = Breakers(clock=clock.monotonic, now=clock.now)
        self.limits: Limits = Limits(8, clock=clock.monotonic)
        settings = resolve({"NOVIX_BACKOFF_MAX_S": "60"}, {}, {}).settings
        self.board = Board(settings, self.breakers, self.limits, "workers/1", clock=clock)

    def hear(self, value: bytes | None) -> None:
        self.board.hear(Record(BREAKERS.name, 0, 0, b"key", value, (), 0))

    def told(self, state: str = "closed", **more) -> None:
        self.hear(
            BreakerState(provider=KEY.provider, model=KEY.model, state=state, at=NOW, by="other", **more).encode()
        )


@pytest.fixture
async def world() -> World:
    return World()


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", json.dumps({"state": "open"}).encode()])
async def test_what_is_no_news_is_passed_over(world: World, value: bytes | None):
    world.hear(value)

    assert not is_open(world.breakers)


async def test_a_hold_of_another_process_is_taken_over_but_for_no_longer_than_we_would_wait(world: World):
    world.told(held_until=NOW + timedelta(seconds=20))
    assert world.limits.held_until(KEY) == 1_020.0

    world.told(held_until=NOW + timedelta(days=3))
    assert world.limits.held_until(KEY) == 1_060.0

    world.told(held_until=NOW + timedelta(seconds=5))
    assert world.limits.held_until(KEY) == 1_060.0, "holds only grow"


async def test_news_that_come_twice_or_too_late_change_nothing(world: World):
    opened = {"retry_at": NOW + timedelta(seconds=300), "since": NOW - timedelta(seconds=2)}
    world.told("open", **opened)
    world.told("closed", since=NOW - timedelta(seconds=1))
    world.told("open", **opened)

    assert not is_open(world.breakers)


async def test_a_hold_is_told_with_the_breakers_state_and_one_that_hardly_grows_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(world.board, "_listen", asyncio.Event().wait)
    monkeypatch.setattr(world.board, "_publish", asyncio.Event().wait)
    world.board._known.set()
    async with world.board:
        world.limits.hold(KEY, 1_030.0)
        fail(world.breakers)
        assert list(world.board._pending) == [KEY]

        record = world.board._record(KEY)
        news = BreakerState.model_validate_json(record.value or b"")
        assert record.key == b"together/llama"
        assert (news.state, news.held_until, news.by) == ("open", NOW + timedelta(seconds=30), "workers/1")

        world.board._pending.clear()
        world.limits.hold(KEY, 1_030.1)
        assert not world.board._pending
        world.limits.hold(KEY, 1_031.0)
        assert list(world.board._pending) == [KEY]

    world.board._pending.clear()
    world.limits.hold(KEY, 1_050.0)
    assert not world.board._pending, "closed, it listens no more"


async def test_what_waits_to_be_told_is_bounded_and_the_oldest_goes(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runtime.board.MOST_PENDING", 2)
    for name in ("a", "b", "a", "c"):
        world.board._tell(KEY._replace(model=name))

    assert [key.model for key in world.board._pending] == ["a", "c"]


class Bus:
    """A broker that is away for the first record."""

    def __init__(self, partitions: int = 1) -> None:
        self.told: list[Outgoing] = []
        self.tries = 0
        self.count = partitions

    def reader(self) -> "Bus":
        return self

    async def partitions(self, _: str) -> int:
        return self.count

    async def publish(self, records: list[Outgoing]) -> None:
        self.tries += 1
        if self.tries == 1:
            raise ConnectionError
        self.told += records


async def test_what_the_broker_did_not_take_is_told_again_as_it_stands_then(world: World):
    bus: Any = Bus()
    world.board._tell(KEY)
    with pytest.raises(ConnectionError):
        await world.board._publish_on(bus)
    assert list(world.board._pending) == [KEY]

    fail(world.breakers)
    telling = asyncio.create_task(world.board._publish_on(bus))
    for _ in range(10):
        await asyncio.sleep(0)
    await end(telling)
    (record,) = bus.told
    assert BreakerState.model_validate_json(record.value or b"").state == "open"


async def test_while_there_is_no_topic_what_is_to_be_told_waits(world: World):
    bus: Any = Bus(partitions=0)
    world.board._tell(KEY)
    with pytest.raises(LookupError):
        await world.board._publish_on(bus)
    assert (list(world.board._pending), bus.tries) == ([KEY], 0)
    assert world.board._to_tell.is_set()
