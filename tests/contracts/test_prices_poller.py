"""The poller: what it asks, what it writes, and that no answer of anybody's troubles it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from price_world import NOON, catalogue, tokens
from pydantic import SecretStr

from router.catalogue import load
from router.prices.book import PriceBook
from router.prices.listing import NoListing
from router.prices.poller import AGAIN_S, MOST_BYTES, Poller, rows_of
from router.prices.rule import units_of
from runtime.http import HTTPError
from runtime.ports import Outgoing, Record
from runtime.settings import Settings
from sandbox.hf.app import Options, create_app
from sandbox.hf.engines import Engines
from sandbox.hf.scripted import ScriptedText
from sandbox.hf.server import serving
from schemas.prices import PriceEvent
from schemas.topics import PRICES

ROW = {"provider": "novita", "status": "live", "pricing": {"input": 0.5, "output": 2}}


def listed(*entries: dict[str, Any], model: str = "org/model") -> bytes:
    return json.dumps({"object": "list", "data": [{"id": model, "providers": list(entries)}]}).encode()


class Source:
    """`GET /v1/models` on loopback: answers what it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.body = listed(ROW)
        self.status = 200
        self.asked: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.headers))
        return web.Response(status=self.status, body=self.body, content_type="application/json")


class SteppedClock:
    """Sleeps until the test takes the next step."""

    def __init__(self) -> None:
        self.passed = timedelta()
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self._go = asyncio.Event()

    def now(self) -> datetime:
        return NOON + self.passed

    def monotonic(self) -> float:
        return self.passed.total_seconds()

    async def sleep(self, seconds: float) -> None:
        self._go.clear()
        self.slept.put_nowait(seconds)
        await self._go.wait()
        self.passed += timedelta(seconds=seconds)

    def step(self) -> None:
        self._go.set()


class Topic:
    """The topic of prices with one follower: what is written is folded at once."""

    def __init__(self) -> None:
        self.book = PriceBook()
        self.events: list[PriceEvent] = []
        self.broken = False
        self.at: Callable[[], datetime] = lambda: NOON

    async def publish(self, records: list[Outgoing]) -> None:
        if self.broken:
            raise ConnectionError
        for one in records:
            assert (one.topic, one.partition) == (PRICES.name, 0)
            self.events.append(PriceEvent.model_validate_json(one.value or b""))
            offset = int(self.book.version)
            ms = int(self.at().timestamp() * 1000)
            self.book.fold(Record(one.topic, 0, offset, one.key, one.value, one.headers, ms))


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    source, app = Source(), web.Application()
    app.router.add_get("/v1/models", source.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    source.url = str(site.name)
    yield source
    await runner.cleanup()


@pytest.fixture
async def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def topic(clock: SteppedClock) -> Topic:
    topic = Topic()
    topic.at = clock.now
    return topic


@pytest.fixture
def settings(source: Source, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path, hf_router_url=source.url, sandbox_url=source.url, hf_token=SecretStr("hf_" + "x" * 20)
    )


def poller(settings: Settings, topic: Topic, clock: SteppedClock, **more: Any) -> Poller:
    rows = more.pop("rows", catalogue(("novita", None)))
    return Poller(settings, topic.book, rows, clock=clock, publish=topic.publish, **more)


async def looked(clock: SteppedClock) -> float:
    """Wait for the end of a look; how long it waits for the next."""
    async with asyncio.timeout(10):
        return await clock.slept.get()


async def test_a_price_is_written_when_it_is_new_and_no_second_time(
    source: Source, settings: Settings, topic: Topic, clock: SteppedClock
) -> None:
    async with poller(settings, topic, clock):
        assert await looked(clock) == settings.prices_poll_s
        first = [event for event in topic.events if event.source == "router"]
        clock.step()
        await looked(clock)
        source.body = listed({**ROW, "pricing": {"input": 0.6, "output": 2}})
        clock.step()
        await looked(clock)
    told = [event for event in topic.events if event.source == "router"]
    assert len(source.asked) == 3
    assert (len(first), len(told)) == (1, 2)
    assert told[1].moved_ppm == 200_000
    assert units_of(told[1].price)[:2] == (600_000_000, 2_000_000_000)
    assert told[1].valid_from == NOON + timedelta(seconds=2 * settings.prices_poll_s)


def test_a_row_that_names_no_price_is_nothing_to_judge_by() -> None:
    """It would count as a price of zero, and hide what the tables know."""
    rows = catalogue(("novita", tokens(0, 0)), ("groq", tokens(1, 1)), ("together", None))
    assert rows_of(rows).keys() == {("groq", "org/model", "standard")}


async def test_no_credential_goes_to_a_public_list(
    source: Source, settings: Settings, topic: Topic, clock: SteppedClock
) -> None:
    async with poller(settings, topic, clock):
        await looked(clock)
    assert not {"authorization", "cookie"} & {name.lower() for name in source.asked[0]}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"), (200, b"[" * 100_000), (200, b'{"data": []}'), (500, listed(ROW)), (302, b""),
        (200, b" " * (MOST_BYTES + 1)),
    ],
    ids=["html", "nested", "empty", "error", "redirect", "huge"],
)  # fmt: skip
async def test_an_answer_that_is_no_list_leaves_every_price_as_it_was_and_is_asked_for_again_soon(
    source: Source, settings: Settings, topic: Topic, clock: SteppedClock, status: int, body: bytes
) -> None:
    async with poller(settings, topic, clock) as polls:
        await looked(clock)
        before, source.status, source.body = list(topic.events), status, body
        with pytest.raises((NoListing, HTTPError)):
            await polls.look()
        clock.step()
        assert await looked(clock) == AGAIN_S
        source.status, source.body = 200, listed({**ROW, "pricing": {"input": 0.6, "output": 2}})
        clock.step()
        assert await looked(clock) == settings.prices_poll_s
    assert topic.events[: len(before)] == before
    assert len(topic.events) == len(before) + 1


async def test_what_looks_wrong_is_held_and_the_old_price_stays(
    source: Source, settings: Settings, topic: Topic, clock: SteppedClock
) -> None:
    async with poller(settings, topic, clock) as polls:
        await looked(clock)
        wrong = [{"input": 500, "output": 2}, {"input": 0, "output": 0}, {"input": -1, "output": 2}]
        states = []
        for pricing in wrong:
            source.body = listed({**ROW, "pricing": pricing})
            states += [(event.state, event.reason) for event in await polls.look()]
    assert [state for state, _ in states] == ["held", "held", "held"]
    assert ["times" in states[0][1], "zero" in states[1][1], "negative" in states[2][1]] == [True, True, True]
    holds = topic.book.price_at("novita", "org/model", clock.now())
    assert holds is not None
    assert units_of(holds.price)[:2] == (500_000_000, 2_000_000_000)


async def test_a_price_is_withdrawn_once_two_looks_do_not_find_it(
    source: Source, settings: Settings, topic: Topic, clock: SteppedClock
) -> None:
    source.body = listed(ROW, {**ROW, "provider": "groq"})
    async with poller(settings, topic, clock) as polls:
        await looked(clock)
        source.body = listed(ROW)
        assert await polls.look() == []
        [gone] = await polls.look()
        assert await polls.look() == []
    assert (gone.provider, gone.price, gone.is_live) == ("groq", None, False)


async def test_what_a_look_finds_holds_again_where_somebody_elses_word_had_come_between(
    source: Source, settings: Settings, topic: Topic, clock: SteppedClock
) -> None:
    async with poller(settings, topic, clock) as polls:
        await looked(clock)
        other = PriceEvent(
            provider="novita", model="org/model", source="genai-prices", price=tokens(7, 7), is_live=True,
            valid_from=NOON + timedelta(minutes=1), seen_at=NOON + timedelta(minutes=1),
        )  # fmt: skip
        clock.passed = timedelta(minutes=1)
        await topic.publish([Outgoing(PRICES.name, b"k", other.encode(), partition=0)])
        clock.passed = timedelta(minutes=2)
        [again] = await polls.look()
    holds = topic.book.price_at("novita", "org/model", clock.now())
    assert again == holds
    assert units_of(again.price)[:2] == (500_000_000, 2_000_000_000)


async def test_two_routers_that_look_at_once_leave_the_prices_that_one_would(
    source: Source, settings: Settings, topic: Topic, clock: SteppedClock
) -> None:
    other = Topic()
    async with poller(settings, topic, clock), poller(settings, other, clock):
        await looked(clock)
        await looked(clock)
    alone = topic.book.price_at("novita", "org/model", NOON)
    await topic.publish([Outgoing(PRICES.name, b"k", event.encode(), partition=0) for event in other.events])
    assert topic.book.price_at("novita", "org/model", NOON) == alone


async def test_what_a_broker_did_not_take_is_written_when_it_is_back(
    source: Source, settings: Settings, topic: Topic, clock: SteppedClock
) -> None:
    topic.broken = True
    async with poller(settings, topic, clock):
        assert await looked(clock) == AGAIN_S
        topic.broken = False
        clock.step()
        await looked(clock)
    assert topic.book.price_at("novita", "org/model", clock.now()) is not None


async def test_tables_are_told_once_and_say_nothing_of_what_the_catalogue_prices(
    source: Source, tmp_path: Path, topic: Topic, clock: SteppedClock
) -> None:
    hosted = Settings(home=tmp_path, hf_router_url=source.url)
    rows = catalogue(("together", tokens(5, 5)), model="meta-llama/Llama-3.3-70B-Instruct")
    source.body = listed({**ROW, "pricing": {"input": 0.15, "output": 0.4}}, model="meta-llama/Llama-3.3-70B-Instruct")
    async with poller(hosted, topic, clock, rows=rows) as polls:
        await looked(clock)
        assert await polls.tell_tables() == []
    lists = topic.book.price_at("novita", "meta-llama/Llama-3.3-70B-Instruct", clock.now())
    assert lists is not None
    assert lists.source == "router", "what a table says does not come back where the live list says something else"
    sources = {(event.source, event.provider, event.model) for event in topic.events}
    assert ("genai-prices", "together", "meta-llama/Llama-3.3-70B-Instruct") not in sources
    assert ("genai-prices", "novita", "meta-llama/Llama-3.3-70B-Instruct") in sources
    assert ("endpoints", "endpoints", "aws/nvidia-l4/x1") in sources
    assert all(event.state == "accepted" for event in topic.events)


async def test_where_only_the_sandbox_is_served_no_table_of_hugging_faces_prices_is_told(
    settings: Settings, topic: Topic, clock: SteppedClock
) -> None:
    async with poller(settings, topic, clock):
        await looked(clock)
    assert {event.source for event in topic.events} == {"router", "endpoints"}


async def test_the_sandboxs_own_list_tells_what_its_catalogue_says(
    tmp_path: Path, topic: Topic, clock: SteppedClock
) -> None:
    """What its bill charges, too: a world that looks at its prices routes by the same ones."""
    app = create_app(Options(state=tmp_path / "hf"), engines=Engines(ScriptedText()))
    async with serving(app) as url:
        world = Settings(home=tmp_path, hf_router_url=url, sandbox_url=url)
        rows = load(world)
        async with Poller(world, topic.book, rows, clock=clock, publish=topic.publish):
            await looked(clock)
    chats = [one for one in rows.offers if one.base_url and one.tasks & {"chat-completion", "text-generation"}]
    priced = {(one.model, one.dialect): one for one in topic.book.priced(rows, clock.now()).offers}
    assert len({one.model for one in chats}) == 2
    for one in chats:
        now = priced[one.model, one.dialect]
        assert units_of(now.price) == units_of(one.price)
        assert now.price is not None
        assert now.price.source == "router /v1/models"


async def test_without_a_period_nothing_is_looked_at(
    source: Source, settings: Settings, topic: Topic, clock: SteppedClock
) -> None:
    async with poller(settings.model_copy(update={"prices_poll_s": 0}), topic, clock):
        await asyncio.sleep(0)
    assert (source.asked, topic.events) == ([], [])
