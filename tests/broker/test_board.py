"""The board on a real broker: what one process finds out about a provider, the others know within a second."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from runtime.board import Board
from runtime.breaker import BreakerKey, Breakers, Permit, Refusal
from runtime.bus import Bus
from runtime.limits import Limits
from runtime.settings import Settings, resolve
from schemas.breakers import BreakerState
from schemas.topics import BREAKERS

KEY = BreakerKey("together", "meta-llama/Llama-3.1-8B-Instruct")
OTHER = BreakerKey("groq", "qwen")
WITHIN_S = 30


@dataclass
class Process:
    """What a worker process has of this."""

    settings: Settings
    name: str
    breakers: Breakers = field(default_factory=lambda: Breakers(reset_timeout=timedelta(seconds=300)))
    limits: Limits[BreakerKey] = field(default_factory=lambda: Limits(8))

    def board(self) -> Board:
        return Board(self.settings, self.breakers, self.limits, self.name)

    def fail(self, key: BreakerKey = KEY) -> None:
        for _ in range(3):
            answer = self.breakers.admit(key)
            assert isinstance(answer, Permit)
            answer.failed("server_error")

    def refuses(self, key: BreakerKey = KEY) -> bool:
        answer = self.breakers.admit(key)
        if isinstance(answer, Permit):
            answer.neither()
        return isinstance(answer, Refusal)


async def until(happened: Callable[[], bool]) -> None:
    """Wait for what another process does: nothing tells us of it but the state itself."""
    async with asyncio.timeout(WITHIN_S):
        while not happened():
            await asyncio.sleep(0.01)


@pytest.fixture
def settings(broker, prefix: str) -> Settings:
    return resolve({"NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_TOPIC_PREFIX": prefix}, {}, {}).settings


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    async with Bus(settings) as bus:
        await bus.create_topics([BREAKERS], partitions=2)
        yield bus


async def published(bus: Bus) -> list[BreakerState]:
    reader = bus.reader()
    found = []
    for partition in range(await reader.partitions(BREAKERS.name)):
        async for record in reader.read(BREAKERS.name, partition, *await reader.bounds(BREAKERS.name, partition)):
            news = BreakerState.model_validate_json(record.value or b"")
            assert record.key == f"{news.provider}/{news.model}".encode()
            found.append(news)
    return sorted(found, key=lambda news: news.at)


async def test_a_breaker_that_opens_and_closes_in_one_process_does_so_in_the_other(settings: Settings, bus: Bus):
    one, other = Process(settings, "workers/1"), Process(settings, "workers/2")
    one.breakers = Breakers(reset_timeout=timedelta(seconds=1))
    async with one.board(), other.board():
        one.fail()
        await until(other.refuses)
        refusal = other.breakers.admit(KEY)
        assert isinstance(refusal, Refusal)
        assert refusal.retry_at > one.breakers.views()[KEY].retry_at
        assert other.breakers.views()[KEY].because == "3 failures in a row, the last: server_error"
        assert not other.refuses(OTHER)

        trial = await one.breakers.wait(KEY, deadline=float("inf"))
        assert isinstance(trial, Permit)
        trial.succeeded()
        await until(lambda: not other.refuses())

    assert [(news.state, news.by) for news in await published(bus)][-1] == ("closed", "workers/1")
    assert {news.by for news in await published(bus)} == {"workers/1"}, "nobody repeats what it heard"


async def test_a_retry_after_holds_the_calls_of_every_process(settings: Settings, bus: Bus):
    one, other = Process(settings, "workers/1"), Process(settings, "workers/2")
    async with one.board(), other.board():
        told = asyncio.get_running_loop().time() + 20
        one.limits.hold(KEY, told)
        await until(lambda: other.limits.held_until(KEY) is not None)

        assert other.limits.held_until(KEY) == pytest.approx(told, abs=1)
        assert other.limits.held_until(OTHER) is None
        assert not other.refuses()

    assert len(await published(bus)) == 1, "who hears of a hold does not tell it again"


async def test_a_process_that_starts_later_knows_it_before_its_first_call(settings: Settings, bus: Bus):
    one, later = Process(settings, "workers/1"), Process(settings, "workers/1")
    async with one.board():
        one.fail()
        one.limits.hold(OTHER, asyncio.get_running_loop().time() + 20)
        await until_published(bus, 2)

    async with later.board():
        assert later.refuses()
        assert later.limits.held_until(OTHER) is not None


async def until_published(bus: Bus, count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while len(await published(bus)) < count:
            await asyncio.sleep(0.05)


async def test_of_many_processes_one_makes_the_trial(settings: Settings, bus: Bus):
    processes = [Process(settings, f"workers/{n}", Breakers(reset_timeout=timedelta(seconds=1))) for n in range(4)]
    trials: list[str] = []

    async def work(process: Process) -> None:
        answer = await process.breakers.wait(KEY, deadline=float("inf"))
        assert isinstance(answer, Permit)
        if process.breakers.views()[KEY].state == "half-open":
            trials.append(process.name)
            await asyncio.sleep(0)
        answer.succeeded()

    async with AsyncExitStack() as stack:
        for process in processes:
            await stack.enter_async_context(process.board())
        processes[0].fail()
        await until(lambda: all(process.refuses() for process in processes))
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*map(work, processes))

    assert trials == ["workers/0"]


async def test_without_the_topic_everything_works_alone_and_is_told_once_it_is_there(settings: Settings):
    one = Process(settings, "workers/1")
    async with Bus(settings) as bus, one.board():
        one.fail()
        assert one.refuses()
        await bus.create_topics([BREAKERS], partitions=1)
        await until_published(bus, 1)


async def test_without_a_broker_everything_works_alone(unused_tcp_port: int):
    settings = resolve({"NOVIX_KAFKA_BOOTSTRAP": f"127.0.0.1:{unused_tcp_port}"}, {}, {}).settings
    one = Process(settings, "workers/1")
    async with asyncio.timeout(WITHIN_S), one.board():
        one.fail()
        assert one.refuses()
