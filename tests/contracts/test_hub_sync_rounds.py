"""Rounds of the sync against the sandbox's Hub, with a stand-in for the topics: what is written, and what is not."""

import pytest
from hub_rounds import FULL, MODELS, ROWS, World, told

from hub.sync import sync as syncing
from hub.sync.sync import Wish
from sandbox.hf.hub_rows import repository, row
from schemas.catalog import SourceState
from schemas.topics import SOURCES


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
