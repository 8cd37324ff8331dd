"""Dedicated endpoints without Kafka: the sandbox's management API, the controller, and a clock for both that is turned
by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.endpoints.api import Api
from hub.endpoints.controller import Controller, command_record
from runtime.outcome import GiveUp, Outcome, Publish
from runtime.ports import Delivery, Outgoing, Record
from sandbox.hf.app import Options, create_app
from sandbox.hf.endpoints.fleet import Fleet
from sandbox.hf.engines import Engines
from sandbox.hf.scripted import ScriptedText
from schemas.endpoints import EndpointCommand, EndpointQuota, EndpointSpec, EndpointState
from schemas.topics import ENDPOINT_COMMANDS, ENDPOINTS

BEGIN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
TOKEN = "hf_endpoints_canary"
URL = "http://sandbox.test"


def spec_of(name: str = "small", **more: Any) -> EndpointSpec:
    """An endpoint of the sandbox's chat model on an L4."""
    told = {
        "namespace": "acme", "name": name, "tenant": "default", "model": MODEL, "task": "text-generation",
        "accelerator": "gpu", "instance_type": "nvidia-l4", "instance_size": "x1",
    }  # fmt: skip
    return EndpointSpec.model_validate(told | more)


def state_of(status: str = "scaledToZero", spec: EndpointSpec | None = None, **more: Any) -> EndpointState:
    """Its state, told and changed at `BEGIN`."""
    told = {"spec": spec or spec_of(), "status": status, "at": BEGIN, "since": BEGIN}
    return EndpointState.model_validate(told | more)


def order(action: str, name: str = "small", order_id: str | None = None, **more: Any) -> EndpointCommand:
    """A person's order."""
    told = {
        "id": order_id or f"{action}-{name}", "action": action, "namespace": "acme", "name": name, "tenant": "default",
        "at": BEGIN, "by": "anna",
    }  # fmt: skip
    if action in ("create", "update"):
        told["spec"] = spec_of(name)
    return EndpointCommand.model_validate(told | more)


def record_of(outgoing: Outgoing, offset: int = 0, at: datetime = BEGIN) -> Record:
    """As it comes back from the log."""
    return Record(
        topic=outgoing.topic, partition=0, offset=offset, key=outgoing.key, value=outgoing.value, headers=(),
        timestamp_ms=int(at.timestamp() * 1_000),
    )  # fmt: skip


class Clock:
    """Turned by hand."""

    def __init__(self) -> None:
        self.at = BEGIN

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class World:
    """One sandbox and one controller."""

    url: str
    clock: Clock
    controller: Controller
    api: Api
    client: httpx.AsyncClient
    fleet: Fleet
    states: list[EndpointState] = field(default_factory=list)
    """Everything that was told, in order."""
    commands: list[EndpointCommand] = field(default_factory=list)
    """That the controller gave and that were not carried out yet."""
    offset: int = 0

    async def publish(self, records: list[Outgoing]) -> None:
        """Onto topics that the controller reads itself."""
        for outgoing in records:
            self.offset += 1
            if outgoing.topic == ENDPOINTS.name:
                self.controller.fold_state(record_of(outgoing, self.offset, self.clock.at))
                self.states.append(EndpointState.model_validate_json(outgoing.value or b""))
            elif outgoing.topic == ENDPOINT_COMMANDS.name:
                self.commands.append(EndpointCommand.model_validate_json(outgoing.value or b""))

    async def deliver(self, command: EndpointCommand, *, at: datetime | None = None, attempt: int = 1) -> Outcome:
        """One arrival of a command at the handler, and nothing of what it answers is kept."""
        record = record_of(command_record(command), self.offset, at or self.clock.at)
        return await self.controller.handle(Delivery(record, self.clock.at, attempt))

    async def carry_out(self, command: EndpointCommand) -> EndpointState:
        """Deliver a command, and commit what it answers."""
        outcome = await self.deliver(command)
        assert isinstance(outcome, Publish), outcome
        assert not isinstance(outcome, GiveUp)
        await self.publish(list(outcome.records))
        return self.states[-1]

    async def turn(self, seconds: float, *, every: float = 5.0) -> None:
        """Let time pass: the controller looks again and again, and its own commands are carried out."""
        end = self.clock.at + timedelta(seconds=seconds)
        while self.clock.at < end:
            self.clock.at += timedelta(seconds=min(every, (end - self.clock.at).total_seconds()))
            await self.look()

    async def look(self) -> None:
        await self.controller.look()
        given, self.commands = self.commands, []
        for command in given:
            await self.carry_out(command)

    async def until(self, status: str, within_s: float = 3_600) -> EndpointState:
        """Let time pass until the endpoint is so; a running one is ready as well."""
        end = self.clock.at + timedelta(seconds=within_s)
        while True:
            state = self.controller.states["acme/small"]
            if state.status == status and (status != "running" or state.ready):
                return state
            assert self.clock.at < end, state
            await self.turn(5)

    def quota(self, most: int = 5, nanousd_per_hour: int | None = None) -> None:
        """What everybody may have."""
        quota = EndpointQuota(most=most, nanousd_per_hour=nanousd_per_hour)
        self.controller.quotas["*"] = quota

    async def bill(self) -> dict[str, Any]:
        """The sandbox's own."""
        return (await self.client.get("/admin/endpoints/bill")).json()


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A sandbox whose clock is turned by hand, and a controller that nothing was told yet."""
    clock = Clock()
    app = create_app(Options(state=folder), engines=Engines(ScriptedText()), clock=clock.now)
    http = httpx.ASGITransport(app=app)  # no socket: a test looks thousands of times
    api = Api(URL, http, lambda: TOKEN)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=URL, headers=headers, transport=http) as client:
        made: list[World] = []

        async def publish(records: list[Outgoing]) -> None:
            await made[0].publish(records)

        controller = Controller(api, publish, clock)
        controller.owner = True
        fleet = next(route.endpoint.__self__.fleet for route in app.routes if route.path == "/v2/provider")
        made.append(World(URL, clock, controller, api, client, fleet))
        yield made[0]


Story = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    """Plays a story in a world where everybody may have endpoints."""

    def played(story: Story) -> None:
        async def run() -> None:
            async with world(tmp_path) as here:
                here.quota()
                await story(here)

        asyncio.run(run())

    return played
