"""A router lane's money through its transactions, crashes and snapshots, without a broker."""

from pathlib import Path
from typing import Any

import pytest
from books_world import NOON, charge, entry, said
from router_world import World, chat

from runtime.ports import Outgoing, Record
from schemas.accounts import Budget
from schemas.ledger import CallMade, LedgerBatch
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import BUDGETS, DECISIONS, LEDGER, PRICES, REGISTRY, SNAPSHOTS, TEXT

EVERY = 100
"""Decisions between two snapshots: the least that the settings allow."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, snapshot_every=EVERY)
    budget = Budget(at=NOON, id="all", tenant="default", window="day", limit_nanousd=10**12)
    said(world.app.state.accounts, budget)
    return world


async def ends(world: World, assigned: list[Record]) -> None:
    """Workers end these jobs, each at half of what was reserved; the lane reads it."""
    entries = []
    for document in world.on(TEXT.name):
        told, id = document["assignment"], document["job"]["id"]
        if not any(id.encode() in (record.key or b"") for record in assigned):
            continue
        paid = charge(told["reserved"]["nanousd"] // 2)
        done = entry(id, paid)
        entries.append(done.model_copy(update={"tenant": "default", "decision_id": told["decision_id"]}))
    value = LedgerBatch(lane="w", entries=entries).encode()
    [record] = world.log.commit([Outgoing(LEDGER.name, b"", value, partition=world.partition)])
    world.app.pumps[world.partition].hear(record)


async def money(world: World) -> dict[str, Any]:
    """What /healthz tells of the open lane, but for where it was opened from."""
    told: dict[str, Any] = (await world.lane()).money()
    return {
        name: told[name] for name in ("open", "reserved_nanousd", "sequence", "unknown", "repeated", "lost_batches")
    }


def held(world: World) -> dict[str, Any]:
    """The budget as the last decision knew it."""
    document = world.on(DECISIONS.name)[-1]["decisions"][-1]
    [line] = document["reserve"]["budgets"]
    return dict(line)


async def test_a_lane_writes_a_snapshot_with_its_transaction_and_its_successor_goes_on_from_it(world: World):
    first = await world.run(*(world.job(chat(f"a{number}")) for number in range(EVERY)))
    assert [record.partition for record in first if record.topic == SNAPSHOTS.name] == [world.partition]
    assigned = [record for record in first if record.topic == TEXT.name]
    await ends(world, assigned[:40])
    await world.run(world.job(chat("b1")))
    before, line = await money(world), held(world)
    assert before["open"] == EVERY - 40 + 1
    assert line["spent_nanousd"] > 0 < line["reserved_nanousd"]

    await world.crash()

    assert await money(world) == before
    assert (await world.lane()).money()["snapshot"] is not None
    await world.run(world.job(chat("b2")))
    after = held(world)
    assert after["spent_nanousd"] == line["spent_nanousd"]
    one = world.on(TEXT.name)[-2]["assignment"]["reserved"]["nanousd"]
    assert after["reserved_nanousd"] == line["reserved_nanousd"] + one


async def test_what_a_lost_transaction_had_reserved_is_free_again(world: World):
    await world.run(world.job(chat("a1")))
    before = await money(world)
    for number in range(EVERY):
        await world.handle(world.job(chat(f"lost{number}")))
    assert (await money(world))["open"] == EVERY + 1

    await world.crash()

    assert await money(world) == before


async def test_batches_are_numbered_without_a_gap_and_snapshots_say_from_where_to_read_on(world: World):
    for turn in range(3):
        await world.run(*(world.job(chat(f"a{turn}-{number}")) for number in range(EVERY)))
    await world.crash()
    await world.run(world.job(chat("b1")))

    numbers = [document["sequence"] for document in world.on(DECISIONS.name)]
    assert numbers == list(range(1, len(numbers) + 1))
    places = [document["decisions_from"] for document in world.on(SNAPSHOTS.name)]
    assert len(places) == 3
    assert 0 == places[0] < places[1] < places[2], "a lane that is open for long is not read from its beginning"


async def test_a_record_about_budgets_that_cannot_be_taken_in_is_told_by_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.app.state.accounts.fold(Record(BUDGETS.name, 0, 0, None, b'{"event": {"kind": "budget"}}', (), 0))

    (told,) = world.app.describe()["refused"]

    assert (told["topic"], told["offset"]) == (BUDGETS.name, 0)
    assert "Field required" in told["reason"]


class Noted:
    """What the router was told of calls."""

    def __init__(self) -> None:
        self.paid: list[int] = []

    def note(self, task: str, key: tuple[str, str], *, paid_nanousd: int, **_: Any) -> None:
        self.paid.append(paid_nanousd)


def test_what_is_learnt_of_a_call_is_what_that_call_cost_and_no_other_one_at_the_same_place(tmp_path: Path) -> None:
    state = World(tmp_path).app.state
    state.observations = noted = Noted()  # type: ignore[assignment]
    kinds = ("overloaded", "timeout", None)
    calls = [CallMade(provider="groq", model="m/a", duration_ms=1, kind=kind) for kind in kinds]
    paid = [charge(900, ambiguous=True).model_copy(update={"attempt": 2}), charge(30).model_copy(update={"attempt": 3})]

    state.learn(entry("a1", *paid).model_copy(update={"calls": calls, "task": "chat-completion"}), {})

    assert noted.paid == [0, 900, 30]


async def test_an_assigned_job_that_no_topic_takes_gives_back_its_place_ahead_and_its_money(world: World):
    record = world.job(chat("a1"))
    done = await world.handle(record)
    lane = await world.lane()
    [before] = lane._admission.describe()["ahead"].values()
    assert (before["under_way"], lane.money()["open"]) == (1, 1)
    assert done.shrunk is not None

    done.shrunk(2_000_000)

    [after] = lane._admission.describe()["ahead"].values()
    assert (after["under_way"], lane.money()["open"], lane.money()["reserved_nanousd"]) == (0, 0, 0)


async def test_an_assignment_names_the_prices_and_the_registry_that_its_decision_was_made_from(world: World):
    """Its result says what it was priced by, and its worker waits until it has read as much of the registry."""
    await world.lane()
    state = world.app.state
    gone = {"kind": "admission", "at": NOON, "model": "nobodys/model", "state": "withdrawn"}
    value = RegistryRecord(event=REGISTRY_EVENTS.validate_python(gone)).encode()
    state.registry.fold(Record(REGISTRY.name, 0, 0, None, value, (), 0))
    for offset in range(3):
        state.prices.fold(Record(PRICES.name, 0, offset, None, None, (), 0))

    await world.run(world.job(chat("a1")))

    told = world.on(TEXT.name)[-1]["assignment"]
    versions = world.on(DECISIONS.name)[-1]["decisions"][-1]["versions"]
    assert (versions["registry"], versions["prices"]) == ("1", "3")
    assert (told["registry"], told["reserved"]["price_version"]) == (1, "3")
    assert told["reserved"]["policy"] == versions["policy"]
