"""Rounds of the sync against the sandbox's Hub, with a stand-in for the topics: what is written, and what is not."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.sync import sync as syncing
from hub.sync.client import Asker, SourceDown
from hub.sync.store import Store
from hub.sync.sync import Report, Sync, Wish
from runtime.clock import SystemClock
from runtime.http import PRIVATE_NETWORKS, Egress, HttpTransport
from runtime.ports import Outgoing
from sandbox.hf.app import Options, create_app
from sandbox.hf.hub_rows import repository, row
from sandbox.hf.server import serving
from schemas.catalog import CatalogEntry, SourceState
from schemas.endpoints import EndpointSpec, EndpointState
from schemas.registry import Admission, Facts, RegistryRecord
from schemas.snapshot import CatalogueSnapshot
from schemas.topics import CATALOG, ENDPOINTS, OFFERS, REGISTRY, SOURCES

ROWS = 120
MODELS = Wish(kinds=("model",))
FULL = Wish(kinds=("model",), full=True)


class World:
    """A Hub, a store, and the topics as what was written to them."""

    def __init__(self, hub: httpx.AsyncClient, base: str, folder: Path, transport: HttpTransport) -> None:
        self.hub = hub
        self.base = base
        self.folder = folder
        self.transport = transport
        self.log: list[Outgoing] = []
        self.store = Store(folder / "hub")
        self.fails = False

    async def publish(self, records: list[Outgoing]) -> None:
        if self.fails and any(record.topic == CATALOG.name for record in records):
            raise ConnectionError
        self.log += records

    def sync(self, states: dict[str, SourceState] | None = None, **more: Any) -> Sync:
        addresses = {"hub": self.base, "router": None} | more
        return Sync(
            self.store, Asker(self.transport, SystemClock()), self.publish, SystemClock(),
            full_every=timedelta(days=1), states=states, **addresses,
        )  # fmt: skip

    @property
    def entries(self) -> dict[str, CatalogEntry]:
        """The catalogue as a reader of the topic folds it."""
        found: dict[str, CatalogEntry] = {}
        for record in self.log:
            if record.topic == CATALOG.name:
                key = (record.key or b"").decode()
                if record.value is None:
                    found.pop(key, None)
                else:
                    found[key] = CatalogEntry.model_validate_json(record.value)
        return found

    def read_back(self) -> Store:
        """A store that knows nothing but the topic."""
        fresh = Store(self.folder / "again")
        entries = {
            (one.key or b"").decode(): None if one.value is None else CatalogEntry.model_validate_json(one.value)
            for one in self.log
            if one.topic == CATALOG.name
        }
        fresh.read_back(entries.items())
        return fresh

    async def ask(self, way: str, **query: str) -> None:
        (await self.hub.post(f"/sandbox/hub/{way}", params=query)).raise_for_status()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    app = create_app(Options(state=tmp_path / "hf", hub_rows=ROWS))
    async with serving(app) as base, httpx.AsyncClient(base_url=base, timeout=30) as client:
        transport = HttpTransport(Egress([base, "http://127.0.0.1:9"], private=PRIVATE_NETWORKS))
        made = World(client, base, tmp_path, transport)
        try:
            yield made
        finally:
            await transport.aclose()
            made.store.close()


def dump(store: Store) -> list[tuple[Any, ...]]:
    return list(store._db.execute("SELECT key, hub_id, marks, formerly FROM entries ORDER BY key"))


def told(report: Report, source: str = "hub") -> SourceState:
    return next(state for state in report.states if state.source == source)


async def test_a_first_round_writes_every_row_and_a_second_nothing(world: World):
    sync = world.sync()
    first, second, full = await sync.round(), await sync.round(), await sync.round(Wish(full=True))

    assert first.written == len(world.entries) > ROWS
    assert {one.partition("/")[0] for one in world.entries} == {"model", "dataset", "space"}
    assert f"model/{repository(0, 7)}" in world.entries
    assert (second.written, full.written) == (0, 0)
    assert told(first).full
    assert not told(second).full
    assert told(first).state == "complete"


async def test_only_what_changed_is_written(world: World):
    sync = world.sync()
    await sync.round(MODELS)
    before = world.entries
    await world.ask("touch", n="9")
    report = await sync.round(MODELS)
    changed = {key for key, entry in world.entries.items() if before.get(key) != entry}

    assert report.written == len(changed) == 9
    for key in changed:
        since = {said.source: said.since for said in world.entries[key].said}
        old = {said.source: said.since for said in before[key].said}
        assert since["hub"] > old["hub"]
        assert {one: at for one, at in since.items() if one != "hub"} == {
            one: at for one, at in old.items() if one != "hub"
        }


async def test_what_is_gone_is_taken_away_by_a_full_reading_only(world: World):
    sync = world.sync()
    await sync.round(MODELS)
    await world.ask("delete", id=repository(0, 4))
    await sync.round(MODELS)
    assert f"model/{repository(0, 4)}" in world.entries

    report = await sync.round(FULL)

    assert told(report).gone == 1
    assert f"model/{repository(0, 4)}" not in world.entries
    assert (await sync.round(FULL)).written == 0


async def test_a_hub_that_tells_half_its_list_is_not_believed_at_once(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(syncing, "FEW", 5)
    monkeypatch.setattr(syncing, "SHARE", 0.1)
    sync = world.sync()
    await sync.round(MODELS)
    count = len(world.entries)
    for number in range(60):
        await world.ask("delete", id=repository(0, number))
    doubted = told(await sync.round(FULL))

    assert doubted.gone == 0
    assert "60" in doubted.error
    assert len(world.entries) == count
    assert told(await sync.round(FULL)).gone == 60
    assert len(world.entries) == count - 60


async def test_a_renamed_repository_keeps_its_history_under_its_new_name(world: World):
    sync = world.sync()
    await sync.round(MODELS)
    old = world.entries[f"model/{repository(0, 6)}"]
    await world.ask("rename", id=old.id, to="new/name")
    await sync.round(MODELS)
    await world.ask("rename", id="new/name", to="newer/name")
    await sync.round(MODELS)

    assert f"model/{old.id}" not in world.entries
    assert "model/new/name" not in world.entries
    fresh = world.entries["model/newer/name"]
    assert fresh.formerly == (old.id, "new/name")
    assert fresh.hub_id == old.hub_id
    assert (await sync.round(FULL)).written == 0
    assert world.entries["model/newer/name"].formerly == (old.id, "new/name")


async def test_another_repository_under_an_old_id_has_no_history(world: World):
    sync = world.sync()
    await sync.round(MODELS)
    name = repository(0, 6)
    await world.ask("rename", id=name, to="new/name")
    await sync.round(MODELS)
    change = {**row(0, 6), "_id": "f" * 24, "id": "new/name"}
    await world.hub.post("/sandbox/hub/change", params={"id": "new/name"}, json=change)
    await sync.round(FULL)

    assert world.entries["model/new/name"].hub_id == "f" * 24
    assert world.entries["model/new/name"].formerly == ()


async def test_hostile_rows_are_kept_out_with_a_reason_and_the_others_are_read(world: World):
    sync = world.sync()
    bad = [repository(0, number) for number in range(4)]
    for name, change in zip(
        bad, ({"id": "../x"}, {"id": None}, {"id": {"a": 1}}, {"tags": 5, "downloads": -1}), strict=True
    ):
        await world.hub.post("/sandbox/hub/change", params={"id": name}, json=change)
    state = told(await sync.round(MODELS))

    assert state.state == "complete"
    assert state.refused == {"bad_id": 2, "no_id": 1}
    assert (state.dropped["tags"], state.dropped["downloads"]) == (1, 1)
    assert f"model/{bad[3]}" in world.entries
    assert not {f"model/{name}" for name in bad[:3]} & world.entries.keys()
    assert f"model/{repository(0, 50)}" in world.entries


async def test_a_source_that_is_down_is_told_and_the_others_go_on(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hub.sync.client.FIRST_WAIT_S", 0.001)
    report = await world.sync(router="http://127.0.0.1:9").round(MODELS)

    assert told(report, "router").state == "failed"
    assert told(report, "router").error
    assert told(report).state == "complete"
    written = [SourceState.model_validate_json(one.value or b"") for one in world.log if one.topic == SOURCES.name]
    assert {(one.source, one.state) for one in written} >= {("router", "failed"), ("hub", "complete")}


async def test_a_reading_that_broke_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hub.sync.client.FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("hub.sync.walk.PAGE", 25)
    monkeypatch.setattr(syncing.walk.begin, "__kwdefaults__", {"page": 25})
    monkeypatch.setattr(syncing, "TELL_EVERY_S", 0.0)
    broken = {"match": {"path": "/api/models", "nth": 4}, "action": {"kind": "status", "status": 400}}
    (await world.hub.post("/admin/faults", json=broken)).raise_for_status()
    first = world.sync()
    state = told(await first.round(MODELS))
    assert state.state == "failed"
    assert state.rows == 75
    await world.hub.delete("/admin/faults")

    calls = len((await world.hub.get("/admin/log")).json()["calls"])
    again = told(await world.sync(states=dict(first.states)).round(MODELS))

    assert again.state == "complete"
    assert again.rows == len(world.entries)
    pages = [one for one in (await world.hub.get("/admin/log")).json()["calls"][calls:] if one["path"] == "/api/models"]
    assert len(pages) == -(-(again.rows - 75) // 25)
    assert (await world.sync(states=dict(first.states)).round(FULL)).written == 0


async def test_a_limit_of_the_hub_is_waited_out(world: World):
    limited = {"match": {"path": "/api/models", "first": 1}, "action": {"kind": "rate_limit", "retry_after": "1"}}
    (await world.hub.post("/admin/faults", json=limited)).raise_for_status()
    report = await world.sync().round(MODELS)

    assert told(report).state == "complete"
    assert 0.9 <= report.waited_s <= 3


async def test_what_the_router_and_the_hub_say_is_one_entry(world: World):
    sync = world.sync(router=world.base)
    await sync.round(MODELS)
    await sync.round(MODELS)
    entry = world.entries["model/HuggingFaceTB/SmolLM2-135M-Instruct"]

    assert {one.source for one in entry.served} == {"router", "mapping"}
    assert {said.source for said in entry.said} >= {"hub", "card", "mapping", "router"}
    assert entry.security is not None
    assert entry.security.scans_done is True
    assert entry.description
    assert next(one for one in entry.served if one.source == "router").input_nanousd_per_mtok


async def test_facts_of_what_is_offered_or_registered_go_to_the_registry_once(world: World):
    name = repository(0, 9)
    admitted = RegistryRecord(event=Admission(model=name, state="admitted", at=SystemClock().now()))
    world.store.take([(REGISTRY.name, "a\n0", admitted.encode(), 0)])
    sync = world.sync(router=world.base)
    await sync.round(MODELS)
    first = [
        RegistryRecord.model_validate_json(one.value or b"").event for one in world.log if one.topic == REGISTRY.name
    ]
    await sync.round(MODELS)
    again = [one for one in world.log if one.topic == REGISTRY.name]

    facts = {event.model: event for event in first if isinstance(event, Facts)}
    assert set(facts) == {name, "HuggingFaceTB/SmolLM2-135M-Instruct", "novix-sandbox/SmolLM2-135M-Instruct-large"}
    assert facts["HuggingFaceTB/SmolLM2-135M-Instruct"].license == "Apache-2.0"
    assert facts[name].security is not None
    assert facts[name].revision == row(0, 9)["sha"]
    assert len(again) == len(first)


async def test_a_scan_speaks_of_the_commit_that_was_scanned_and_of_no_later_one(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hub.sync.client.FIRST_WAIT_S", 0.001)
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    sync = world.sync(router=world.base)
    await sync.round(MODELS)
    before = world.entries[f"model/{name}"].security
    assert before is not None
    assert before.scans_done is True
    scan = {"scansDone": True, "filesWithIssues": [{"path": "x.bin", "level": "unsafe"}]}
    change = {"sha": "a" * 40, "securityRepoStatus": scan}
    await world.hub.post("/sandbox/hub/change", params={"id": name}, json=change)
    down = {"match": {"path": "/api/models/*"}, "action": {"kind": "status", "status": 500}}
    await world.hub.post("/admin/faults", json=down)
    await sync.round(MODELS)
    unknown = world.entries[f"model/{name}"]
    await world.hub.delete("/admin/faults")
    await sync.round(MODELS)
    found = world.entries[f"model/{name}"].security

    assert unknown.revision == "a" * 40
    assert unknown.security is None or unknown.security.scans_done is None
    assert found is not None
    assert found.level == "unsafe"
    facts = [
        RegistryRecord.model_validate_json(one.value or b"").event for one in world.log if one.topic == REGISTRY.name
    ]
    told_of = [one for one in facts if isinstance(one, Facts) and one.model == name]
    assert [one.security.level for one in told_of if one.security is not None] == ["safe", "unsafe"]


async def test_own_endpoints_and_offers_are_told_and_go_with_their_source(world: World):
    now = SystemClock().now()
    name = repository(0, 11)
    spec = EndpointSpec(
        namespace="acme", name="one", tenant="acme", model=name, task="text-generation", instance_type="t4"
    )
    running = EndpointState(spec=spec, status="running", ready=True, at=now, since=now)
    offers = [{"model": "own/local", "provider": "own", "tasks": ["fill-mask"], "local": True, "served": True}]
    told_ = CatalogueSnapshot(version="1", offers=offers, aliases={}, providers={}, at=now)
    sync = world.sync()
    await sync.round(MODELS)
    world.store.take([(ENDPOINTS.name, "acme/one", running.encode(), 0), (OFFERS.name, "1\n0", told_.encode(), 0)])
    await sync.sides()
    await sync.round(MODELS)

    entry = world.entries[f"model/{name}"]
    assert [one.status for one in entry.served if one.source == "endpoints"] == ["live"]
    assert entry.downloads == row(0, 11)["downloads"]
    assert world.entries["model/own/local"].served[0].source == "local"

    world.store.take([(ENDPOINTS.name, "acme/one", None, 1)])
    await sync.sides()
    await sync.round(FULL)
    left = world.entries[f"model/{name}"]
    assert not [one for one in left.served if one.source == "endpoints"]
    assert left.downloads == row(0, 11)["downloads"]


async def test_a_store_that_was_lost_is_read_back_from_the_topic_to_the_same(world: World):
    sync = world.sync(router=world.base)
    await sync.round()
    await world.ask("touch", n="20")
    await world.ask("rename", id=repository(0, 6), to="new/name")
    await world.ask("delete", id=repository(0, 4))
    await sync.round(FULL)
    fresh = world.read_back()
    try:
        assert dump(fresh) == dump(world.store)
        known, again = world.store.words(), fresh.words()
        assert known.keys() == again.keys()
        world.store.close()
        world.store = fresh
        report = await world.sync(sync.states, router=world.base).round(Wish(full=True))
        assert report.written == 0
    finally:
        world.store = fresh


async def test_what_was_not_written_is_not_noted(world: World):
    sync = world.sync()
    world.fails = True
    with pytest.raises(ConnectionError):
        await sync.round(MODELS)
    world.fails = False
    assert world.store.count("model") == len(world.entries) == 0
    await world.sync().round(MODELS)

    assert f"model/{repository(0, 7)}" in world.entries
    assert world.store.count("model") == len(world.entries)


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_changes_the_topic_says_what_the_hub_says(world: World, seed: int):
    """Touches, renames, deletions and full and incremental rounds in any order, then one full round."""
    dice = random.Random(seed)
    sync, names = world.sync(), [repository(0, number) for number in range(ROWS)]
    for step in range(14):
        way = dice.choice(("touch", "rename", "delete", "round", "full"))
        if way == "touch":
            await world.ask("touch", n=str(dice.randrange(1, 12)), seed=str(step))
        elif way == "round":
            await sync.round(MODELS)
        elif way == "full":
            await sync.round(FULL)
        else:
            name = names.pop(dice.randrange(len(names)))
            if way == "rename":
                names.append(f"renamed/{seed}-{step}")
                await world.ask("rename", id=name, to=names[-1])
            else:
                await world.ask("delete", id=name)
    await sync.round(FULL)
    rows: list[dict[str, Any]] = []
    url: str | None = "/api/models?limit=50&sort=createdAt&expand[]=downloads&expand[]=sha"
    while url:
        answer = await world.hub.get(url)
        rows += answer.json()
        url = answer.links.get("next", {}).get("url")

    said = {key.removeprefix("model/"): (one.revision, one.downloads) for key, one in world.entries.items()}
    assert said == {one["id"]: (one.get("sha"), one.get("downloads")) for one in rows}


async def test_a_page_that_is_no_list_is_a_source_that_is_down(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hub.sync.client.FIRST_WAIT_S", 0.001)
    junk = {"match": {"path": "/api/models", "first": 9}, "action": {"kind": "garbage", "size_bytes": 100}}
    (await world.hub.post("/admin/faults", json=junk)).raise_for_status()
    state = told(await world.sync().round(MODELS))

    assert state.state == "failed"
    assert "JSON" in state.error


async def test_a_pause_beyond_all_measure_is_not_waited(world: World):
    limited = {"match": {"path": "/api/models"}, "action": {"kind": "rate_limit", "retry_after": "86400"}}
    (await world.hub.post("/admin/faults", json=limited)).raise_for_status()

    with pytest.raises(SourceDown, match="86400"):
        await Asker(world.transport, SystemClock()).json(f"{world.base}/api/models")
