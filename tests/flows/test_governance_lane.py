"""A router lane and its registry: who opens reads it to its end; one that is lost, cut or another stops it by name."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from router_world import START, MemoryLog, World, chat

from router import app
from router.catalogue import load
from router.governance import RegistryLost, catch_up, newest_version
from runtime.outcome import Hold, Publish, RetryAt
from runtime.ports import Delivery, LaneId, Lease, Outgoing, Record, Resumed
from schemas import codec
from schemas.accounts import AccountRecord, Budget
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import BUDGETS, DECISIONS, JOBS, REGISTRY, ROUTER_GROUP

SMALL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def word(state: str, model: str = SMALL, **more: Any) -> bytes:
    event = REGISTRY_EVENTS.validate_python({"kind": "admission", "at": START, "model": model, "state": state, **more})
    return RegistryRecord(event=event).encode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.log.counts[REGISTRY.name] = 1
    return made


def tell(world: World, state: str, **more: Any) -> Record:
    """A word on the topic; the follower brings it where `heard`."""
    heard = more.pop("heard", True)
    record = world.log.append(Outgoing(REGISTRY.name, None, word(state, **more), (), 0), 1)
    if heard:
        world.app.state.registry.fold(record)
    return record


def decisions(world: World) -> list[dict[str, Any]]:
    return [one for batch in world.on(DECISIONS.name) for one in batch["decisions"]]


async def again(world: World, home: Path, **counts: int) -> World:
    """Another process on the same log."""
    other = World(home, log=world.log, partition=world.partition)
    other.log.counts |= counts
    return other


async def test_a_lane_knows_all_that_was_said_before_it_opened_although_its_follower_is_behind(world: World) -> None:
    tell(world, "withdrawn", heard=False)
    await world.run(world.job(chat("a", model=SMALL)))
    [one] = decisions(world)
    assert (one["verdict"], one["kind"]) == ("rejected", "not_approved")
    assert one["versions"]["registry"] == "1"


async def test_a_lane_does_not_open_on_a_registry_that_ends_before_what_was_decided_from(
    world: World, tmp_path: Path
) -> None:
    tell(world, "withdrawn")
    tell(world, "admitted")
    for name in ("a", "b", "c"):
        await world.run(world.job(chat(name)))
    place = REGISTRY.name, 0
    kept, world.log.records[place] = world.log.records[place], []
    world.log.ends[place] = 0
    for counts in ({REGISTRY.name: 1}, {REGISTRY.name: 0}):
        other = await again(world, tmp_path / "other", **counts)
        with pytest.raises(RegistryLost, match=r"ends at 0.* version 2"):
            await other.lane()
    other.log.counts[REGISTRY.name] = 1
    world.log.records[place], world.log.ends[place] = kept, len(kept)
    await other.lane()


async def test_a_partition_that_decided_nothing_yet_opens_on_such_a_registry_neither(
    world: World, tmp_path: Path
) -> None:
    tell(world, "withdrawn")
    await world.run(world.job(chat("a")))
    world.log.records[REGISTRY.name, 0], world.log.ends[REGISTRY.name, 0] = [], 0
    other = World(tmp_path / "other", log=world.log, partition=1 - world.partition)
    other.log.counts[REGISTRY.name] = 1
    with pytest.raises(RegistryLost, match=f"decision of partition {world.partition} "):
        await other.lane()


async def test_a_running_router_opens_no_further_lane_on_such_a_registry_either(world: World) -> None:
    tell(world, "withdrawn")
    await world.run(world.job(chat("a")))
    world.log.records[REGISTRY.name, 0], world.log.ends[REGISTRY.name, 0] = [], 0
    await world.crash()
    with pytest.raises(RegistryLost):
        await world.lane()


@pytest.mark.parametrize("heard", [True, False], ids=["and-heard-here", "and-decided-from-elsewhere"])
async def test_a_word_that_is_said_while_a_lane_opens_is_not_taken_for_one_that_the_topic_has_lost(
    world: World, tmp_path: Path, heard: bool
) -> None:
    """It comes between the question for the topic's end and the looks at what is known and what was decided from."""
    tell(world, "withdrawn")
    await world.run(world.job(chat("a")))
    other = await again(world, tmp_path / "other")
    bounds, said = other.log.bounds, list[str]()

    async def meanwhile(topic: str, partition: int) -> tuple[int, int]:
        found = await bounds(topic, partition)
        if topic == REGISTRY.name and not said:
            said.append("admitted")
            tell(other, "admitted", heard=heard)
            if not heard:
                batch = {"sequence": 2, "decisions": [{"versions": {"registry": "2"}}]}
                value = codec.encode(batch)
                other.log.append(Outgoing(DECISIONS.name, None, value, (), world.partition), 1)
        return found

    other.log.bounds = meanwhile  # type: ignore[method-assign]
    await catch_up(other.app.state.registry, [world.partition], other.log)

    assert said


async def test_a_lane_does_not_open_on_a_registry_whose_beginning_was_deleted(world: World, tmp_path: Path) -> None:
    tell(world, "withdrawn")
    tell(world, "withdrawn", model="org/other")
    del world.log.records[REGISTRY.name, 0][0]
    other = await again(world, tmp_path / "other")
    with pytest.raises(RegistryLost, match="begins at offset 1"):
        await other.lane()


async def test_a_router_that_reads_another_registry_takes_nothing_in_and_says_so(world: World) -> None:
    tell(world, "withdrawn")
    await world.run(world.job(chat("a")))
    other = word("admitted", model="org/else")
    world.app.state.registry.fold(Record(REGISTRY.name, 0, 0, None, other, (), 1))
    lane = await world.lane()
    outcome = await lane.handle(Delivery(world.job(chat("b")), world.clock.now()))
    assert isinstance(outcome, RetryAt), "its record stays where it is"
    assert "the registry: offset 0" in world.app.describe()["dedup"][0]["blocked"]
    await world.crash()
    with pytest.raises(RegistryLost, match="another record"):
        await world.lane()


async def test_who_waits_in_such_a_router_goes_on_waiting(world: World) -> None:
    """Nothing is decided, and nothing is lost: the records are read again by who opens next."""
    budget = Budget(at=START, id="b", tenant="default", window="day", limit_nanousd=0)
    world.app.state.accounts.fold(
        world.log.append(Outgoing(BUDGETS.name, None, AccountRecord(event=budget).encode(), (), 0))
    )
    lane, ended = await world.lane(), list[object]()
    tell(world, "withdrawn")
    held = await lane.handle(
        Delivery(world.job(chat("a", deadline="2026-11-23T12:00:00Z")), START, lease=Lease(end=ended.append))
    )
    assert isinstance(held, Hold)
    world.app.state.registry.fold(Record(REGISTRY.name, 0, 0, None, word("admitted"), (), 1))
    world.clock.turn(90_000)
    world.app.pumps[world.partition].look()
    assert ended == []


async def test_a_new_installation_opens_without_a_registry(world: World) -> None:
    world.log.counts[REGISTRY.name] = 0
    outcome = await world.handle(world.job(chat("a")))
    assert isinstance(outcome, Publish)


async def test_the_newest_version_is_found_behind_any_number_of_marks() -> None:
    log = MemoryLog()
    assert await newest_version(0, log) == 0
    batch = b'{"lane":"l","sequence":1,"decisions":[{"versions":{"registry":"7"}},{"versions":{"registry":"9"}}]}'
    log.append(Outgoing(DECISIONS.name, None, b'{"decisions":[{"versions":{"registry":"3"}}]}', (), 0))
    log.append(Outgoing(DECISIONS.name, None, batch, (), 0))
    for _ in range(50):
        log.commit([])
        log.ends[DECISIONS.name, 0] += 1
    assert await newest_version(0, log) == 9
    for value in (b"no json", b'{"decisions":[{"versions":{}}]}', b'{"decisions":[{"versions":{"registry":"x"}}]}'):
        log.append(Outgoing(DECISIONS.name, None, value, (), 1))
        assert await newest_version(1, log) == 0


async def test_a_default_model_that_nobody_has_is_warned_of_when_the_router_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A25."""
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(app, "log", SimpleNamespace(warning=lambda event, *, warning: told.append((event, warning))))
    world = World(tmp_path, text_model="HuggingFaceH4/zephyr-7b-enterprise")
    async with app.Warned(world.settings, world.app.state, load(world.settings)):
        [(event, warning)] = told
    assert (event, "zephyr-7b" in warning.partition("near it:")[2]) == ("router.unknown_model", True)
    await world.run(world.job(chat("a")))
    assert decisions(world)[0]["verdict"] == "assigned", "the policy chooses"


async def test_an_opened_lane_has_not_forgotten_what_its_process_heard(world: World) -> None:
    tell(world, "withdrawn")
    lane = LaneId(ROUTER_GROUP, JOBS.name, world.partition)
    await world.app.open_lane(lane, world.log, Resumed(0))
    assert world.app.state.registry.version == "1"
    assert not world.app.state.registry.allowed(SMALL, "default").ok
