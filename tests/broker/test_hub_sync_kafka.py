"""The sync on a real Kafka: what it writes, side topics acknowledged by hand, a lost store, a topic made anew."""

import asyncio
import json
import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from console.cli import app
from console.exits import Exit
from hub.app import Syncing, Taken, hub_of, only_one, syncing
from hub.sync.opening import TopicsMissing, folder_of
from hub.sync.sides import GROUP
from hub.sync.sync import Wish
from runtime.bus import Bus
from runtime.clock import SystemClock
from runtime.ports import Outgoing
from runtime.settings import Settings, resolve
from sandbox.hf.app import Options, create_app
from sandbox.hf.hub_rows import repository
from sandbox.hf.server import serving
from schemas.catalog import CatalogEntry
from schemas.endpoints import EndpointSpec, EndpointState
from schemas.topics import CATALOG, ENDPOINTS, OFFERS, REGISTRY, SOURCES

pytestmark = pytest.mark.broker
NEEDED = (CATALOG, SOURCES, OFFERS, REGISTRY, ENDPOINTS)
ROWS = 60


@dataclass
class Place:
    """An installation of its own on the session's broker, with a Hub of its own."""

    settings: Settings
    bus: Bus
    hub: httpx.AsyncClient

    async def topics(self) -> None:
        await self.bus.create_topics(NEEDED, partitions=2)

    async def entries(self) -> dict[str, CatalogEntry]:
        """The catalogue as its topic says."""
        found: dict[str, CatalogEntry] = {}
        reader = self.bus.reader()
        for partition in range(await reader.partitions(CATALOG.name)):
            first, end = await reader.bounds(CATALOG.name, partition)
            async for record in reader.read(CATALOG.name, partition, first, end):
                key = (record.key or b"").decode()
                found.pop(key, None)
                if record.value is not None:
                    found[key] = CatalogEntry.model_validate_json(record.value)
        return found


@pytest.fixture
async def place(broker: Any, tmp_path: Path) -> AsyncIterator[Place]:
    served = create_app(Options(state=tmp_path / "hf", hub_rows=ROWS))
    async with serving(served) as base, httpx.AsyncClient(base_url=base, timeout=30) as client:
        told = {
            "NOVIX_HOME": str(tmp_path / "home"), "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_HUB_SYNC_S": "0.5",
            "NOVIX_TOPIC_PREFIX": f"hub-{uuid.uuid4().hex[:8]}.", "NOVIX_HF_ROUTER_URL": base,
            "NOVIX_HF_HUB_URL": base, "NOVIX_SANDBOX_URL": base,
        }  # fmt: skip
        settings = resolve(told, {}, {}).settings
        async with Bus(settings) as bus:
            yield Place(settings, bus, client)


async def until(holds: Any, within_s: float = 30.0) -> None:
    """Wait for what another task brings about."""
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.1)


def endpoint(name: str, model: str) -> Outgoing:
    now = SystemClock().now()
    spec = EndpointSpec(namespace="acme", name=name, tenant="acme", model=model, task="fill-mask", instance_type="t4")
    state = EndpointState(spec=spec, status="running", ready=True, at=now, since=now)
    return Outgoing(ENDPOINTS.name, spec.key.encode(), state.encode(), partition=0)


async def test_a_lost_store_is_read_back_and_nothing_is_written_twice(place: Place):
    await place.topics()
    async with syncing(place.settings, place.bus, SystemClock()) as sync:
        first = await sync.round()
    before = await place.entries()
    shutil.rmtree(folder_of(place.settings.home))

    async with syncing(place.settings, place.bus, SystemClock()) as sync:
        again = await sync.round(Wish(full=True))

    assert first.written >= ROWS
    assert again.written == 0
    assert await place.entries() == before


async def test_a_topic_that_was_made_anew_is_filled_anew(place: Place):
    await place.topics()
    async with syncing(place.settings, place.bus, SystemClock()) as sync:
        await sync.round()
    count = len(await place.entries())
    other = place.settings.model_copy(update={"topic_prefix": f"hub-{uuid.uuid4().hex[:8]}."})
    async with Bus(other) as bus:
        await bus.create_topics(NEEDED, partitions=2)
        async with syncing(other, bus, SystemClock()) as sync:
            report = await sync.round()

    assert report.written >= count


async def test_without_its_topics_it_says_what_makes_them(place: Place):
    with pytest.raises(TopicsMissing, match="novix topics create"):
        async with syncing(place.settings, place.bus, SystemClock()):
            pass


async def test_the_process_follows_hub_and_side_topics_and_acknowledges_what_it_has(place: Place):
    await place.topics()
    service, stop = Syncing(place.settings, SystemClock()), asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    try:

        async def synced() -> bool:
            return service.ready

        await until(synced)
        model = repository(0, 5)
        await place.bus.publish([endpoint("one", model)])
        await place.hub.post("/sandbox/hub/touch?n=7&seed=3")

        async def told() -> bool:
            entry = (await place.entries()).get(f"model/{model}")
            return entry is not None and any(one.source == "endpoints" for one in entry.served)

        await until(told)
        assert service.healthy
        assert service.describe()["sources"]["hub/model"]["state"] == "complete"
        with pytest.raises(Taken), only_one(folder_of(place.settings.home)):
            pass
        groups = [group.name for group in await place.bus.groups() if group.name.startswith(GROUP)]
        assert len(groups) == 1

        async def acknowledged() -> bool:
            return sum((await place.bus.lag(groups[0], ENDPOINTS.name)).values()) == 0

        await until(acknowledged)
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)


def test_the_real_hub_is_read_only_where_somebody_says_so():
    plain = resolve({}, {}, {}).settings
    local = resolve({"NOVIX_SANDBOX_URL": "http://x:1", "NOVIX_HF_HUB_URL": "http://x:1"}, {}, {}).settings

    assert hub_of(plain) is None
    assert hub_of(local) == "http://x:1"
    assert hub_of(resolve({"NOVIX_HUB_SYNC": "on"}, {}, {}).settings) == "https://huggingface.co"
    assert hub_of(local.model_copy(update={"hub_sync": "off"})) is None
    assert hub_of(plain.model_copy(update={"hub_url": "https://mirror.test"})) == "https://mirror.test"


def novix(*arguments: str) -> tuple[int, Any]:
    """A command of the command line, and what it says as JSON."""
    done = CliRunner().invoke(app, ["hub", *arguments, "--json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout.strip() else done.stderr


async def test_the_commands_sync_here_or_ask_the_process_that_is_at_it(place: Place, monkeypatch: pytest.MonkeyPatch):
    await place.topics()
    settings = place.settings.model_copy(update={"hub_sync_s": 600.0})
    for field in ("home", "kafka_bootstrap", "topic_prefix", "hf_router_url", "hf_hub_url", "sandbox_url"):
        monkeypatch.setenv(f"NOVIX_{field.upper()}", str(getattr(settings, field)))

    nothing, _ = await asyncio.to_thread(novix, "status")
    strange, _ = await asyncio.to_thread(novix, "sync", "--kind", "poem")
    some, few = await asyncio.to_thread(novix, "sync", "--kind", "model", "--limit", "10")
    after, _ = await asyncio.to_thread(novix, "status")
    code, first = await asyncio.to_thread(novix, "sync")
    assert (nothing, strange, some, code) == (Exit.NOT_MET, Exit.USAGE, Exit.OK, Exit.OK)
    assert [state["rows"] for state in few["sources"] if state["source"] == "hub"] == [10]
    assert after == Exit.OK
    assert {state["state"] for state in first["sources"]} == {"complete"}

    service, stop = Syncing(settings, SystemClock()), asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    try:

        async def synced() -> bool:
            return service.ready

        await until(synced)
        await place.hub.post("/sandbox/hub/touch?n=5&seed=9")
        code, asked = await asyncio.to_thread(novix, "sync", "--kind", "model", "--timeout", "30")
        assert code == Exit.OK
        assert asked["written"] == 5
        assert {state["kind"] for state in asked["sources"]} == {"model"}
        assert not list(folder_of(settings.home).glob("answer-*"))
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)
    code, told = await asyncio.to_thread(novix, "status")
    assert code == Exit.OK
    assert {(state["source"], state["kind"]) for state in told["sources"]} >= {("hub", "space"), ("router", "model")}
