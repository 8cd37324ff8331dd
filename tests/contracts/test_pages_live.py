"""The page Live: what it says of topics, groups, processes, providers and budgets, and of what it does not know."""

import pytest
from console_world import NOON
from live_world import HOSTILE, pages

from console.live.processes import ProcessNow
from console.live.rates import Rates
from console.live.reader import Brokers
from console.live.traffic import topics
from console.price_table import dollars_of
from router.catalogue import load
from runtime.ports import Outgoing
from runtime.settings import Settings
from runtime.survey import Group, Member, Survey
from schemas.breakers import BreakerState
from schemas.topics import BREAKERS, RESULTS, TEXT, worker_group

GROUP = worker_group("text")


@pytest.fixture
def world(tmp_path):
    with pages(tmp_path) as world:
        yield world


def process(name="worker", *, well=True, told=None, why=()):
    return ProcessNow(name, 42, "healthy", True, well, "http://127.0.0.1:9", 1, NOON.isoformat(), why, told or {})


def looked(told=(), members=("worker-a",)):
    """Brokers at the second of two looks, two seconds apart."""
    rates = Rates()
    rates.add(0.0, {(TEXT.name, 0): 10, (TEXT.name, 1): 5, (RESULTS.name, 0): 0})
    ends = {(TEXT.name, 0): 210, (TEXT.name, 1): 5, (RESULTS.name, 0): 90}
    rates.add(2.0, ends)
    known = tuple(Member(name, "127.0.0.1", ((TEXT.name, 0),)) for name in members)
    survey = Survey(ends, (Group(GROUP, "Stable", known, {(TEXT.name, 0): 10, (TEXT.name, 1): 4}),), 1)
    return Brokers(topics(survey, rates, {(TEXT.name, 1): 0}, told), survey.groups, 1, rates.over_s, ())


def test_each_topic_tells_rate_lag_in_flight_and_oldest_with_units_and_window(world):
    lanes = {"lanes": [{"lane": f"{GROUP}.{TEXT.name}.0", "state": "open", "open": 7, "oldest_s": 2.5}]}
    world.said.of_brokers = looked([lanes])

    seen = world.get("/live")

    assert seen.row(TEXT.name) == [TEXT.name, "2", "100.0", "-", "≤ 200", "7", "2.50 s", GROUP]
    assert seen.row(RESULTS.name)[4:] == ["-", "-", "-", "-"]
    assert "over the last 2 s" in seen.text
    assert "records/s" in seen.text


def test_one_topic_has_a_page_with_its_partitions(world):
    lanes = {"lanes": [{"lane": f"{GROUP}.{TEXT.name}.0", "state": "stuck", "reason": HOSTILE, "open": 7}]}
    world.said.of_brokers = looked([lanes])

    seen = world.get(f"/live/topics/{TEXT.name}")

    assert seen.row("stuck")[:6] == ["0", "210", "100.0", "≤ 200", "7", "-"]
    assert [" ".join(row[3].split()) for row in seen.rows if row[0] == "1"] == ["0"]
    assert seen.is_safe
    assert world.client.get("/live/topics/nothing").status_code == 404


def test_groups_tell_their_members(world):
    world.said.of_brokers = looked(members=(HOSTILE, "worker-b"))
    seen = world.get("/live")
    row = next(row for row in seen.rows if len(row) == 3 and GROUP in row[0])
    assert "Stable" in row[1]
    assert "worker-b at 127.0.0.1, 1 partitions" in " ".join(row[2].split())
    assert seen.is_safe


def test_without_brokers_it_says_so_and_shows_the_rest(world):
    world.said.fault = "Kafka gives no answer in time"
    world.said.of_processes = [process(), process("router", well=False, why=(f"lane x is stuck: {HOSTILE}",))]

    seen = world.get("/live")

    assert "Kafka gives no answer in time" in seen.text
    assert seen.row("worker")[1] == "well"
    assert seen.row("router")[1] == "ill"
    assert "is stuck" in seen.row("router")[-1]
    assert seen.is_safe
    assert "Kafka gives no answer in time" in world.get("/fragments/live/budgets").text
    assert "Kafka gives no answer" in world.get(f"/live/topics/{TEXT.name}").text


def test_breakers_are_those_of_their_topic_and_limits_those_of_the_processes(world):
    state = BreakerState(
        provider="groq", model="org/m", state="open", because="3 in a row", at=NOON, by="novix-worker-text/a"
    )
    other = state.model_copy(update={"model": "org/other", "state": "closed"})
    for one in (state.model_copy(update={"state": "closed"}), other, state):
        key = f"{one.provider}/{one.model}".encode()
        world.wrote(Outgoing(BREAKERS.name, key, one.model_dump_json().encode(), partition=0))
    limits = {"limits": {"groq/org/m": {"limit": 3, "cap": 8, "in_flight": 2, "waiting": 4, "limited": 17}}}
    world.said.of_processes = [process(told=limits)]

    seen = world.get("/live")

    assert seen.row("org/m")[:9] == ["groq", "org/m", "open", "2", "3", "8", "4", "17", "unknown"]
    assert seen.row("org/other")[2] == "closed"
    told = world.client.get("/api/live").json()
    assert {(row["model"], row["breaker"]) for row in told["providers"]} == {("org/m", "open"), ("org/other", "closed")}
    assert {row["state"] for row in world.index.breakers()} == {"open", "closed"}


def test_a_price_of_the_catalogue_is_shown_where_no_event_tells_one(world):
    offer = next(one for one in load(Settings()).offers if one.price is not None and one.price.is_known)
    view = {"limit": 1, "cap": 1, "in_flight": 0, "waiting": 0}
    world.said.of_processes = [process(told={"limits": {f"{offer.provider}/{offer.model}": view}})]
    assert world.get("/live").row(offer.model)[8] == dollars_of(offer.price) != "unknown"


def test_budgets_tell_limit_spent_reserved_left_and_window(world):
    world.said.of_budgets = [
        {"tenant": "acme", "id": HOSTILE, "holds_for": "", "present_window": "2026-11", "hard": True,
         "limit_with_transfers_nanousd": 5_000_000_000, "spent_nanousd": 1_000_000_001, "reserved_nanousd": 2,
         "available_nanousd": -3, "next_window": None}
    ]  # fmt: skip
    seen = world.get("/fragments/live/budgets")
    row = seen.row("acme")
    assert row[2] == "2026-11"
    assert row[4:] == ["$5.00", "$1.000000001", "$0.000000002", "-$0.000000003", "hard", "never"]
    assert seen.is_safe


def test_a_part_that_there_is_not_is_not_found(world):
    assert world.client.get("/fragments/live/secrets").status_code == 404
