"""Several services in one process: one that ends or fails ends the others, which drain."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runtime import service
from runtime.function import FunctionApplication
from runtime.outcome import Outcome
from runtime.ports import Delivery
from runtime.service import LaneService, Services
from runtime.settings import Settings
from runtime.shell import Service


class Part(Service):
    """Works until it is told to stop, or fails when it is told to; notes that it drained."""

    def __init__(self, *, well: bool = True) -> None:
        self.fail: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.drained = self.hurried = False
        self._well = well

    async def run(self, stop: asyncio.Event) -> None:
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({stopping, self.fail}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self.fail.done():
            if error := self.fail.result():
                raise error
            return
        await asyncio.sleep(0)
        self.drained = True

    def hurry(self) -> None:
        self.hurried = True

    def describe(self) -> dict[str, Any]:
        return {"well": self._well}

    @property
    def healthy(self) -> bool:
        return self._well


async def test_one_that_raises_has_the_others_drain_and_its_error_is_raised():
    failing, other = Part(), Part()
    running = asyncio.create_task(Services({"a": other, "b": failing}).run(asyncio.Event()))
    failing.fail.set_result(LookupError("no group"))

    with pytest.raises(LookupError, match="no group"):
        await running
    assert other.drained


async def test_one_that_ends_by_itself_ends_all():
    ending, other = Part(), Part()
    running = asyncio.create_task(Services({"a": ending, "b": other}).run(asyncio.Event()))
    ending.fail.set_result(None)

    await running
    assert other.drained


async def test_all_drain_when_the_process_is_told_to_stop():
    parts = {"a": Part(), "b": Part()}
    stop = asyncio.Event()
    running = asyncio.create_task(Services(parts).run(stop))
    stop.set()

    await running
    assert [part.drained for part in parts.values()] == [True, True]


async def test_they_are_well_together_and_told_of_by_name():
    parts = {"router": Part(), "retry-5s": Part(well=False)}
    services = Services(parts)
    services.hurry()

    assert services.describe() == {"router": {"well": True}, "retry-5s": {"well": False}}
    assert (services.healthy, services.ready) == (False, False)
    assert [part.hurried for part in parts.values()] == [True, True]


async def test_a_process_that_is_told_to_stop_while_it_starts_does_not_wait_for_its_resources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its partitions are known; then the broker goes away, and what it would read first does not come."""
    closed: list[str] = []

    @contextlib.asynccontextmanager
    async def open_at_once() -> AsyncIterator[None]:
        yield
        closed.append("the one that was open")

    @contextlib.asynccontextmanager
    async def never_open() -> AsyncIterator[None]:
        opening.set()
        await asyncio.Event().wait()
        yield

    class Reader:
        def __init__(self, settings: Settings) -> None: ...
        async def __aenter__(self) -> "Reader":
            return self

        async def __aexit__(self, *_: object) -> None:
            closed.append("reader")

        async def partitions(self, topic: str) -> int:
            return 1

    monkeypatch.setattr(service, "KafkaReader", Reader)
    opening, stop = asyncio.Event(), asyncio.Event()
    app = FunctionApplication("group", "topic", unasked)
    lanes = LaneService(Settings(home=tmp_path), app, window=1, resources=lambda: [open_at_once(), never_open()])
    running = asyncio.create_task(lanes.run(stop))
    await opening.wait()
    stop.set()

    async with asyncio.timeout(10):
        await running
    assert closed == ["the one that was open", "reader"]


async def test_what_services_share_is_opened_before_the_first_and_closed_after_the_last() -> None:
    story: list[str] = []

    class Told(Part):
        async def run(self, stop: asyncio.Event) -> None:
            story.append("begins")
            await super().run(stop)
            story.append("has drained")

    @contextlib.asynccontextmanager
    async def shared(name: str) -> AsyncIterator[None]:
        story.append(f"{name} opens")
        yield
        story.append(f"{name} closes")

    services = Services({"a": Told(), "b": Told()}, resources=lambda: [shared("http"), shared("store")])
    stop = asyncio.Event()
    running = asyncio.create_task(services.run(stop))
    while story.count("begins") < 2:
        await asyncio.sleep(0)
    stop.set()
    await running

    assert story[:4] == ["http opens", "store opens", "begins", "begins"]
    assert story[4:] == ["has drained", "has drained", "store closes", "http closes"]


async def test_a_process_that_is_told_to_stop_while_it_opens_what_it_shares_begins_nothing() -> None:
    opening, part = asyncio.Event(), Part()

    @contextlib.asynccontextmanager
    async def never() -> AsyncIterator[None]:
        opening.set()
        await asyncio.Event().wait()
        yield

    stop = asyncio.Event()
    running = asyncio.create_task(Services({"a": part}, resources=lambda: [never()]).run(stop))
    await opening.wait()
    stop.set()
    await running

    assert not part.drained


async def unasked(delivery: Delivery) -> Outcome:
    raise NotImplementedError
