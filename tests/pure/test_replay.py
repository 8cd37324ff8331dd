"""A stored decision is made again byte for byte, and whatever was changed in it is found."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from past_world import BEGAN, PARTITIONS, PastWorld
from rulings import HARD, LARGE, SMALL

from router.arrival import Arrival
from router.feedback import Lessons, Observed
from router.history import History, Told
from router.purse import Line, Purse
from router.replay import NO_JOB, OLD, Difference, Replayed, batch_of, compared
from router.terms import Turn
from runtime.partitions import home_partition
from runtime.ports import Record
from schemas import codec
from schemas.topics import BUDGETS, DECISIONS, JOBS, OFFERS, POLICIES, PRICES

TENANTS = ("default", "acme", "globex")
ROUTERS = (
    {}, {"tenants": "closed", "cheap_below": 0.1}, {"policy": "cheapest/1", "default_max_tokens": 77},
    {"hf_router_url": "https://router.huggingface.co", "sandbox_url": "", "default_max_cost_nanousd": 3_000},
)  # fmt: skip
"""Settings of routers that follow each other on one log."""
POLICY = st.sampled_from(
    [("brief/1", {"cheap_below": 0.0}), ("brief/1", {"cheap_below": 0.9}), ("cheapest/1", {}), ("fastest/1", {})]
)
EVENTS = st.one_of(
    st.tuples(st.just("price"), st.sampled_from([SMALL, LARGE]), st.none() | st.integers(1, 10**9)),
    st.tuples(st.just("policy"), st.sampled_from([*TENANTS, "*"]), POLICY),
    st.tuples(st.just("tenant"), st.sampled_from(TENANTS), st.sampled_from([(), (SMALL,), (LARGE,)])),
    st.tuples(st.just("later"), st.integers(-90_000, 90_000), st.sampled_from(["accepted", "held", "refused"])),
    st.tuples(st.just("time"), st.integers(1, 100_000), st.none()),
    st.tuples(st.just("start"), st.sampled_from(ROUTERS), st.none()),
)
JOBS_OF = st.tuples(
    st.just("job"), st.sampled_from(TENANTS), st.sampled_from(["Hi", HARD, "Ünïcode \u2028 text"]),
    st.none() | st.integers(0, 10**7), st.none() | st.integers(0, 20_000), st.integers(-5_000, 5_000),
    st.none() | st.integers(0, 10**7),
)  # fmt: skip


def chat(number: int, tenant: str = "default", text: str = "Hi", **more: Any) -> dict[str, Any]:
    task_input = {"messages": [{"role": "user", "content": text}], **more.pop("input", {})}
    return {"id": f"j{number}", "tenant": tenant, "task": "chat-completion", "input": task_input, **more}


def happened(world: PastWorld, steps: list[tuple[Any, ...]]) -> None:
    """Tell a world what hypothesis thought of."""
    for number, step in enumerate(steps):
        match step:
            case ("price", model, each):
                told = None if each is None else {"output_nanousd_per_million_tokens": each}
                world.price("hf-inference", model, price=told)
            case ("policy", tenant, (name, parameters)):
                world.rule(kind="policy", tenant=tenant, policy=name, parameters=parameters)
            case ("tenant", tenant, models):
                world.account(kind="tenant", tenant=tenant, models=models)
            case ("later", seconds, state):
                told = {"input_nanousd_per_million_tokens": 10_000 + number}
                at = world.now + timedelta(seconds=seconds)
                world.price("hf-inference", SMALL, price=told, valid_from=at, state=state, source="router")
            case ("start", settings, _):
                world.start(**settings)
            case ("time", seconds, _):
                world.turn(seconds=seconds)
            case ("job", tenant, text, ceiling, tokens, ahead_ms, room):
                more = {} if ceiling is None else {"max_cost_nanousd": ceiling}
                asked = {} if tokens is None else {"max_tokens": tokens}
                purse = Purse() if room is None else Purse((Line("b", "2026-11", room, room // 3, room // 7),))
                stamp = int(world.now.timestamp() * 1000) + ahead_ms
                world.decide(chat(number, tenant, text, input=asked, **more), purse=purse, published_ms=stamp)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(EVENTS, JOBS_OF), max_size=25))
def test_every_decision_is_made_again_byte_for_byte(steps: list[tuple[Any, ...]]) -> None:
    """Prices, rules and accounts change between jobs, prices also by time alone; routers start anew with other settings
    and another catalogue; clocks of producers are ahead; budgets are short."""
    world = PastWorld()
    happened(world, steps)

    told = world.replayed()

    assert told.different == 0, told.differences
    assert not told.skipped
    assert told.same == told.decisions


def any_decision(**more: Any) -> tuple[Arrival, dict[str, Any], History]:
    """A job, its decision, and what it was made from."""
    world = PastWorld()
    line = Line("b", "2026-11", 10**9, 5, 7)
    arrival, _, fact = world.decide(chat(1, **more), purse=Purse((line,)), shut=frozenset({("hf-inference", SMALL)}))
    assert fact is not None
    return arrival, codec.decode(fact.encoded), world.history


ANY_DECISION = any_decision()


def busy() -> PastWorld:
    """A world with a handful of decisions of all kinds."""
    world = PastWorld()
    world.account(kind="tenant", tenant="acme", models=[SMALL])
    world.decide(chat(1))
    world.price("hf-inference", SMALL)
    world.decide(chat(2, text=HARD))
    world.rule(kind="policy", policy="cheapest/1")
    world.decide(chat(3, "acme"))
    world.decide(chat(4, max_cost_nanousd=1))
    world.decide(b'{"id": "j5", "task": "chat-completion", "schema": 9}')
    shut = frozenset({("hf-inference", SMALL)})
    world.decide(chat(6), shut=shut, turn=Turn(allowed=True, limit="100 requests a minute"))
    world.decide(chat(7), purse=Purse((Line("b", "total", 10**9, 5, 7), Line("c", "total", 10**8, 5, 7, hard=False))))
    return world


def test_decisions_of_all_kinds_are_the_same_again() -> None:
    told = busy().replayed()
    assert (told.decisions, told.same, told.different, dict(told.skipped)) == (7, 7, 0, {})


def mutated(world: PastWorld, number: int, *, without: tuple[str, ...] = (), **changes: Any) -> PastWorld:
    """One stored decision is another one."""
    rows = world.records[next(key for key in world.records if key[0] == DECISIONS.name)]
    document = json.loads(rows[number].value or b"")
    document["decisions"][0] |= changes
    for name in without:
        del document["decisions"][0][name]
    rows[number] = replace(rows[number], value=json.dumps(document, separators=(",", ":")).encode())
    return world


@pytest.mark.parametrize(
    "change",
    [
        {"complexity": 0.3999}, {"bound_by": "cap"}, {"max_cost_nanousd": 10_000_001}, {"candidates": []},
        {"tenant": "other"}, {"metadata": {"a": 1}}, {"trace_id": "0" * 32}, {"extra": None}, {"modality": "image"},
        {"parameters": {"max_tokens": 1024, "temperature": 0.8, "top_p": 0.951}}, {"submission": 2},
        {"kind": "internal"}, {"kind": "too_large"}, {"verdict": "cancelled"}, {"held": None}, {"versions": {}},
        {"submission": 0}, {"decided_at": "yesterday"}, {"decided_at": "9999-12-31T23:59:59Z"},
        {"policy": "cheapest/1"}, {"redriven_from": "0/1"}, {"held": {"published": "9999-12-31T23:59:59Z"}},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_decision_that_was_changed_in_the_log_is_found(change: dict[str, Any]) -> None:
    told = mutated(busy(), 0, **change).replayed()
    assert told.different == 1
    taken_over = {"submission", "tenant", "kind", "verdict", "decided_at"}  # what follows from them differs
    assert set(change) <= set(told.differences[0].fields) or set(change) & taken_over
    assert told.same == told.decisions - 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=30)
    | st.sampled_from(["2026-11-22T12:00:00", "0001-01-01T00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_is_put_into_a_stored_decision_it_is_never_taken_for_the_same(data: st.DataObject) -> None:
    arrival, stored, history = ANY_DECISION
    place = data.draw(st.sampled_from(sorted(stored)))
    inner = data.draw(st.sampled_from([None, *sorted(stored[place])])) if isinstance(stored[place], dict) else None
    value = data.draw(JSON)
    changed = {**stored, place: value if inner is None else {**stored[place], inner: value}}
    if codec.encode(changed) == codec.encode(stored):
        return
    told = compared(changed, codec.encode(changed), arrival, history)
    assert told is not None
    if isinstance(told, Difference) and inner is None and place not in ("decided_at", "versions", "held", "submission"):
        assert place in told.fields


def test_a_policy_that_the_rules_did_not_name_is_found() -> None:
    """Only a policy that this program has not is a reason to pass over."""
    world = busy()
    place = next(key for key in world.records if key[0] == DECISIONS.name)
    versions = json.loads(world.records[place][0].value or b"")["decisions"][0]["versions"]
    told = mutated(world, 0, versions={**versions, "policy": "cheapest/1"}).replayed()
    assert [one.fields for one in told.differences] == [("versions",)]
    told = mutated(world, 0, versions={**versions, "policy": "greenest/7"}).replayed()
    assert dict(told.skipped) == {"made by another policy than this program has": 1}
    default = versions["limits"].replace('"policy":"brief/1"', '"policy":"greenest/7"')
    told = mutated(world, 0, versions={**versions, "policy": "greenest/7", "limits": default}).replayed()
    assert dict(told.skipped) == {"made by another policy than this program has": 1}


def places(told: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every value in a document."""
    inner = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**62, 1.5, "", "x", "7", [], {}, [[]], "internal", "2026-11-22T12:00:00",
    "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59Z",
)  # fmt: skip


@pytest.mark.parametrize("timeout_s", [60, 0.0001], ids=["assigned", "expired"])
def test_an_odd_value_anywhere_in_a_stored_decision_stops_no_replay(timeout_s: float) -> None:
    """Every value, also inside of what is held, in the place of every other: an answer, and never an exception."""
    arrival, stored, history = any_decision(timeout_s=timeout_s)
    for path in places(stored):
        for odd in ODD:
            document = codec.decode(codec.encode(stored))
            inner = document
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = odd
            told = compared(document, codec.encode(document), arrival, history)
            if isinstance(told, str):
                assert path[0] == "versions", (path, odd, told)


def test_the_same_values_written_otherwise_are_a_difference_of_bytes() -> None:
    world = busy()
    place = next(key for key in world.records if key[0] == DECISIONS.name)
    first = world.records[place][0]
    world.records[place][0] = replace(first, value=json.dumps(json.loads(first.value or b"")).encode())
    told = world.replayed()
    assert [one.fields for one in told.differences] == [("bytes",)]


def test_a_price_that_was_changed_in_the_history_is_found() -> None:
    world = busy()
    prices = world.records[PRICES.name, 0]
    prices[0] = replace(prices[0], value=(prices[0].value or b"").replace(b"5000000", b"5000001"))
    assert world.replayed().different >= 1


def test_an_observed_breaker_that_is_taken_out_of_the_record_is_found() -> None:
    world = PastWorld()
    world.decide(chat(1), shut=frozenset({("hf-inference", SMALL)}))
    stored = json.loads(world.records[next(k for k in world.records if k[0] == DECISIONS.name)][0].value or b"")
    assert stored["decisions"][0]["held"], "the open breaker was looked at, so it is held"
    assert mutated(world, 0, held={}).replayed().different == 1


@pytest.mark.parametrize("draw", [0.0, 0.3, 1.0])
def test_what_was_observed_is_held_so_adaptive_decisions_are_made_again(draw: float) -> None:
    """Two of one tier, the cheaper of which fails half the time: what was seen turns their order."""
    world = PastWorld(hf_router_url="https://router.huggingface.co", sandbox_url="")
    world.rule(kind="policy", policy="cheapest/1")
    _, plain, _ = world.decide(chat(1))
    first, second = ((one.provider, one.model) for one in plain.candidates[:2])
    seen = {first: Observed(900_000, 5_000, 500_000, 1_900_000), second: Observed(900_000, 100, 0, 1_000_000)}
    _, learnt, fact = world.decide(chat(2), lessons=Lessons(seen, draw))
    assert fact is not None
    assert fact.document["held"]["lessons"]
    assert learnt.candidates != plain.candidates

    told = world.replayed()

    assert (told.same, told.different) == (2, 0), told


def test_what_cannot_be_made_again_is_counted_by_its_reason() -> None:
    world = busy()
    mutated(world, 1, without=("held", "versions"))
    told = world.replayed()
    assert dict(told.skipped) == {OLD: 1}
    assert told.same + sum(told.skipped.values()) == told.decisions

    lost = busy()
    home = next(key for key in lost.records if key[0] == JOBS.name)
    lost.records[home] = lost.records[home][2:]
    assert dict(lost.replayed().skipped) == {NO_JOB: 2}


def test_a_history_that_is_not_whole_is_told_and_never_guessed() -> None:
    world = busy()
    records = {topic: world.records.get((topic.name, 0), []) for topic in (PRICES, POLICIES, BUDGETS, OFFERS)}
    cut = History(Told((), records[POLICIES], records[BUDGETS], records[OFFERS]))
    told = world.replayed(cut)
    assert told.different == 0
    assert told.skipped["the history of prices ends before the decision's version"] == 6
    bare = world.replayed(History(Told(records[PRICES], records[POLICIES], records[BUDGETS], ())))
    assert set(bare.skipped) == {"the catalogue of this version was not told"}


def test_a_decision_of_another_scorer_is_named_as_such() -> None:
    world = busy()
    place = next(key for key in world.records if key[0] == DECISIONS.name)
    versions = json.loads(world.records[place][0].value or b"")["decisions"][0]["versions"]
    told = mutated(world, 0, versions={**versions, "scorer": "features/0"}).replayed()
    assert dict(told.skipped) == {"made by another scorer than this program has": 1}


def test_in_the_order_of_the_log_each_history_is_folded_once() -> None:
    world = PastWorld()
    for number in range(30):
        world.price("hf-inference", SMALL, price={"output_nanousd_per_million_tokens": 1_000 + number})
        world.rule(kind="policy", policy="brief/1", parameters={"cheap_below": number / 30})
        world.decide(chat(number, TENANTS[number % 3]))
        world.turn(minutes=1)
    history = world.history
    told = Replayed()
    arrivals = world.arrivals()
    rows = [one for (topic, _), some in world.records.items() if topic == DECISIONS.name for one in some]
    for record in sorted(rows, key=lambda one: one.timestamp_ms):
        for stored, stands in batch_of(record):
            told.note(compared(stored, stands, arrivals.take(stored), history))
    assert told.same == 30
    assert history.passes == 1


@pytest.mark.parametrize("value", [None, b"", b"[]", b"\xff", b'{"decisions": 5}', b'{"decisions": [1, null]}'])
def test_what_is_no_batch_gives_no_decision(value: bytes | None) -> None:
    assert list(batch_of(Record(DECISIONS.name, 0, 0, None, value, (), 0))) == []


def test_a_job_that_was_sent_home_is_found_there() -> None:
    """Its decision names where it entered; what it answers is the record at home."""
    world = PastWorld()
    origin = f"{(world_home(world) + 1) % PARTITIONS}/41/{int(BEGAN.timestamp() * 1000)}".encode()
    world.turn(seconds=3)
    _, _, fact = world.decide(chat(1), headers=(("novix-origin", origin),))
    assert fact is not None
    assert fact.document["received"]["offset"] == 41
    assert world.replayed().same == 1


def world_home(world: PastWorld) -> int:
    return home_partition("default", PARTITIONS)


def test_a_producers_clock_that_is_ahead_does_not_hinder() -> None:
    world = PastWorld()
    late = int((world.now + timedelta(hours=9)).timestamp() * 1000)
    _, _, fact = world.decide(chat(1), published_ms=late)
    assert fact is not None
    assert fact.document["held"]["published"] == BEGAN
    assert world.replayed().same == 1
