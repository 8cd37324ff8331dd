"""What other sources say, what is read back, and what stays true after any changes."""

import random
from typing import Any

import pytest
from hub_rounds import FULL, MODELS, ROWS, World, dump, told

from hub.sync.client import Asker, SourceDown
from hub.sync.sync import Wish
from runtime.clock import SystemClock
from sandbox.hf.hub_rows import repository, row
from schemas.endpoints import EndpointSpec, EndpointState
from schemas.registry import Admission, Facts, RegistryRecord
from schemas.snapshot import CatalogueSnapshot
from schemas.topics import ENDPOINTS, OFFERS, REGISTRY


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


async def test_a_renamed_repository_is_told_to_the_registry_with_its_former_names(world: World):
    """Else a word on one of its names would be none on the other."""
    sync = world.sync()
    await sync.round(MODELS)
    old = repository(0, 9)
    withdrawn = RegistryRecord(event=Admission(model=old, state="withdrawn", at=SystemClock().now()))
    world.store.take([(REGISTRY.name, "a\n0", withdrawn.encode(), 0)])
    await world.ask("rename", id=old, to="new/name")
    await sync.round(MODELS)
    await sync.round(MODELS)
    facts = [
        event
        for one in world.log
        if one.topic == REGISTRY.name
        and isinstance(event := RegistryRecord.model_validate_json(one.value or b"").event, Facts)
    ]
    assert [(one.model, one.formerly) for one in facts] == [("new/name", (old,))]


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
