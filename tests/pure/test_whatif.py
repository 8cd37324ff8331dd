"""History under other rules: what it would have cost, who would have been refused, and what was paid too much."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from past_world import PastWorld
from rulings import HARD, LARGE, SMALL

from router.decide import decide
from router.policies import made
from router.purse import Line, Purse
from router.replay import batch_of, seen_again
from router.whatif.past import Observed, Past, ended_of, repriced, used_of
from router.whatif.regret import RegretStudy, regret_of
from router.whatif.roi import Cost, returns, together
from router.whatif.savings import SavingsStudy
from router.whatif.study import Alternative, Report, Study
from router.whatif.tune import grid, proposal
from schemas.assignment import Price
from schemas.policies import ValueEvent
from schemas.topics import DECISIONS
from schemas.units import UNITS
from workers.cost import charge

PRICES = st.builds(
    lambda told: Price.model_validate({"source": "x", "as_of": "2026-11-22", **told}),
    st.dictionaries(st.sampled_from([unit.price for unit in UNITS]), st.integers(1, 10**9)),
)
USAGES = st.dictionaries(st.sampled_from([unit.name for unit in UNITS]), st.integers(0, 10**6))


def chat(number: int, text: str = "Hi", **more: Any) -> dict[str, Any]:
    task_input = {"messages": [{"role": "user", "content": text}], **more.pop("input", {})}
    return {"id": f"j{number}", "task": "chat-completion", "input": task_input, **more}


def pasts(world: PastWorld) -> list[Past]:
    """Every decision of a world with its job and its result."""
    arrivals, ended, found = world.arrivals(), world.ended, []
    for (topic, _), rows in world.records.items():
        for record in rows if topic == DECISIONS.name else ():
            for stored, _ in batch_of(record):
                arrival = arrivals.take(stored)
                assert arrival is not None
                found.append(Past(stored, arrival, ended.get(arrival.decision_id)))
    return found


def lived(count: int = 60, seed: int = 7, **settings: Any) -> PastWorld:
    """A world with jobs easy and hard, done and paid for at their first candidate's price."""
    world, dice = PastWorld(**settings), random.Random(seed)
    for number in range(count):
        arrival, ruling, _ = world.decide(chat(number, dice.choice(["Hi", HARD])))
        usage = {"input_tokens": dice.randint(5, 50), "output_tokens": dice.randint(10, 400), "calls": 1}
        usage["compute_ms"] = usage["output_tokens"] * 20
        ms = 200 if ruling.candidates[0].model == SMALL else 900
        world.served(arrival, ruling, usage=usage, ms=ms, paid=repriced(ruling.candidates[0].price, usage))
        world.turn(seconds=1)
    return world


def studied(world: PastWorld, *alternatives: Alternative) -> dict[str, Report]:
    study = Study(world.history, alternatives, Observed(world.ended.values()))
    for past in pasts(world):
        study.note(past)
    assert not study.skipped
    return study.reports


@given(PRICES, USAGES)
def test_units_cost_afterwards_what_the_bill_would_have_said(price: Price, usage: dict[str, int]) -> None:
    told = {unit.name: usage.get(unit.name, 0) for unit in UNITS}
    assert repriced(price, told) == charge(told, price).nanousd


def test_under_the_same_rules_nothing_would_have_changed() -> None:
    world = lived()
    whole = studied(world, Alternative("same"))["same"].whole
    assert whole.jobs == whole.fates["same"] == 60
    assert whole.saved_nanousd == 0
    assert whole.paid_nanousd == sum(one["cost_nanousd"] for one in world.results.values())


def test_a_policy_that_takes_the_small_model_always_saves_what_the_large_one_cost_more() -> None:
    world = lived()
    always = made("brief/1", {"cheap_below": 1.0})
    whole = studied(world, Alternative("small", lambda _, __: always))["small"].whole

    then = lived_under(always)

    assert whole.fates["moved"] > 10
    assert whole.would_nanousd == then
    assert whole.saved_nanousd == whole.paid_nanousd - then
    assert whole.faster == whole.fates["moved"]
    assert whole.slower == 0


def lived_under(policy: Any) -> int:
    """What the same jobs with the same tokens cost when they are really decided under another policy."""
    world, total = lived(), 0
    for past in pasts(world):
        case, view = seen_again(past.stored, past.arrival, world.history)
        assert case.job is not None
        ruling = decide(case.job, replace(view, policy=policy), published=case.arrival.published, now=case.decided_at)
        assert past.ended is not None
        assert past.ended.used is not None
        total += repriced(ruling.candidates[0].price, past.ended.used.usage)
    return total


def test_other_prices_alone_reprice_the_same_choice() -> None:
    world = lived()
    dear = Price.model_validate({"source": "x", "as_of": "2026-11-22", "output_nanousd_per_million_tokens": 10**9})
    both = {("hf-inference", model): dear for model in (SMALL, LARGE)}
    whole = studied(world, Alternative("dear", prices=both))["dear"].whole
    tokens = sum(one["usage"]["output_tokens"] for one in world.results.values())
    assert whole.would_nanousd == pytest.approx(tokens * 1_000, abs=60)


def test_jobs_that_a_policy_leaves_nobody_for_are_told_as_refused() -> None:
    world = lived()
    free = Price.model_validate({"source": "x", "as_of": "2026-11-22", "nanousd_per_call": 10**12})
    both = {("hf-inference", model): free for model in (SMALL, LARGE)}
    whole = studied(world, Alternative("too dear", prices=both))["too dear"].whole
    assert whole.fates["refused"] == 60
    assert whole.reasons == {"price_ceiling": 60}
    assert whole.would_nanousd == 0


def test_what_an_alternative_would_have_saved_is_there_for_the_jobs_behind_it() -> None:
    """A budget that let some jobs pass lets more pass where each costs less: then as now the same window."""
    world = PastWorld()
    _, ruling, _ = world.decide(chat(99, HARD, input={"max_tokens": 64}))
    spent, limit = 0, 4 * ruling.candidates[0].ceiling_nanousd
    for number in range(40):
        line = Line("b", "2026-11", limit, spent, 0)
        arrival, ruling, fact = world.decide(chat(number, HARD, input={"max_tokens": 64}), purse=Purse((line,)))
        assert fact is not None
        if ruling.verdict != "assigned":
            continue
        usage = {"input_tokens": 40, "output_tokens": 60, "calls": 1, "compute_ms": 500}
        paid = repriced(ruling.candidates[0].price, usage)
        world.served(arrival, ruling, usage=usage, ms=100, paid=paid)
        spent += paid
    was = sum(past.stored["verdict"] == "assigned" for past in pasts(world))

    always = made("brief/1", {"cheap_below": 1.0})
    whole = studied(world, Alternative("small", lambda _, __: always))["small"].whole

    assert 1 < was < 40
    assert whole.fates["taken"] > 0
    assert whole.fates["never"] < 40 - was


def test_a_threshold_is_proposed_that_meets_a_budget_and_gives_up_least() -> None:
    reports = studied(lived(), *grid("brief/1", 10))
    costs = {float(name): report.whole.would_nanousd for name, report in reports.items()}
    assert sorted(costs.values(), reverse=True) == [costs[value] for value in sorted(costs)], "dearer below"

    half = (max(costs.values()) + min(costs.values())) // 2
    told = proposal(reports, half)
    assert told.chosen is not None
    assert told.chosen.tally.would_nanousd <= half
    assert all(cost <= told.chosen.tally.would_nanousd or cost > half for cost in costs.values())
    assert proposal(reports, min(costs.values()) - 1).chosen is None
    assert proposal(reports, 10**15).chosen is not None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(10**6, 10**9), min_size=2, max_size=2))
def test_regret_is_what_trying_every_offer_finds(seed: int, prices: list[int]) -> None:
    world = PastWorld()
    for model, each in zip((SMALL, LARGE), prices, strict=True):
        world.price("hf-inference", model, price={"output_nanousd_per_million_tokens": each})
    dice = random.Random(seed)
    arrival, ruling, _ = world.decide(chat(1, dice.choice(["Hi", HARD]), max_cost_nanousd=dice.choice([10**6, 10**9])))
    if not ruling.candidates:
        return
    usage = {"input_tokens": 9, "output_tokens": dice.randint(1, 16), "calls": 1, "compute_ms": 40}
    world.served(arrival, ruling, usage=usage, ms=1, paid=repriced(ruling.candidates[0].price, usage))
    [past] = pasts(world)

    told = regret_of(past, world.history)

    case, view = seen_again(past.stored, past.arrival, world.history)
    assert case.job is not None
    tried = []
    for offer in view.catalogue.offers:
        alone = replace(view.catalogue, offers=(offer,))
        one = decide(case.job, replace(view, catalogue=alone), published=case.arrival.published, now=case.decided_at)
        tried += [repriced(first.price, usage) for first in one.candidates[:1]]
    assert told is not None
    assert told.cheapest_nanousd == min(tried)
    assert told.regret_nanousd == told.paid_nanousd - min(tried) >= 0


def test_regret_adds_up_by_tenant_and_by_model() -> None:
    world = lived()
    study = RegretStudy(world.history)
    for past in pasts(world):
        study.note(past)
    assert study.whole.jobs == 60
    assert study.whole.regret_nanousd > 0
    assert sum(one.regret_nanousd for one in study.by_model.values()) == study.whole.regret_nanousd
    assert study.by_tenant["default"].regret_nanousd == study.whole.regret_nanousd
    assert study.by_model[LARGE, "hf-inference"].dearer > 0


def test_a_job_without_a_result_has_no_regret_and_is_counted() -> None:
    world = PastWorld()
    world.decide(chat(1))
    study = RegretStudy(world.history)
    for past in pasts(world):
        study.note(past)
    assert study.whole.jobs == 0
    assert study.skipped.total() == 1


def test_advice_saves_what_its_replay_says_and_without_data_there_is_none() -> None:
    world = lived()
    study = SavingsStudy(world.history, Observed(world.ended.values()))
    assert study.advice() == []
    for past in pasts(world):
        study.note(past)
    lines = {one.advice: one for one in study.advice()}
    repeats = lines["answer repeats from what was answered before"]
    assert repeats.jobs == 58, "two inputs, sixty jobs"
    firsts = {past.stored["complexity"]: past for past in reversed(pasts(world))}
    kept = sum(past.ended.cost_nanousd for past in firsts.values() if past.ended)
    assert repeats.saved_nanousd == sum(one["cost_nanousd"] for one in world.results.values()) - kept
    always = studied(world, Alternative("c", lambda _, __: made("cheapest/1", {})))["c"].whole
    assert lines["use policy cheapest/1"].saved_nanousd == always.saved_nanousd
    assert [one.saved_nanousd for one in study.advice()] == sorted(
        (one.saved_nanousd for one in study.advice()), reverse=True
    )


def test_the_batch_tier_is_advised_where_it_has_a_price_and_a_day_is_left() -> None:
    world = PastWorld()
    half = {"service_tier": "batch", "price": {"output_nanousd_per_million_tokens": 1, "service_tier": "batch"}}
    world.price("hf-inference", SMALL, **half)
    for number, timeout_s in enumerate((60, 3 * 86_400)):
        arrival, ruling, _ = world.decide(chat(number, timeout_s=timeout_s))
        usage = {"input_tokens": 1, "output_tokens": 100}
        world.served(arrival, ruling, usage=usage, ms=1, paid=5_000_000)
    study = SavingsStudy(world.history, Observed())
    for past in pasts(world):
        study.note(past)
    batch = next(one for one in study.advice() if "batch" in one.advice)
    assert (batch.jobs, batch.saved_nanousd) == (1, 4_999_999)


def test_a_result_tells_what_was_used_and_what_was_lost_on_the_way() -> None:
    attempts = [{"cost_nanousd": 7, "duration_ms": 5}, {"cost_nanousd": 30, "duration_ms": 12}]
    served = {"model": "m", "provider": "p"}
    told = used_of({"status": "succeeded", "served": served, "cost_nanousd": 37, "attempts": attempts, "usage": {}})
    assert told is not None
    assert (told.paid_nanousd, told.lost_nanousd, told.whole_nanousd, told.called_ms) == (30, 7, 37, 12)
    assert used_of({"status": "failed"}) is None
    assert ended_of({"status": "succeeded", "served": {"model": "m"}}) is None, "no lane writes that"


def value(nanousd: int, **of: Any) -> ValueEvent:
    return ValueEvent.model_validate({"at": "2026-11-22T12:00:00Z", "tenant": "acme", "value_nanousd": nanousd, **of})


def test_return_is_value_less_cost_over_cost() -> None:
    costs = [Cost("acme", "a", 100, {"project": "x"}), Cost("acme", "b", 300, {"project": "x"}), Cost("o", "a", 9, {})]
    lines = returns([value(150, job_id="a"), value(1_200, tag=("project", "x")), value(1, job_id="gone")], costs)
    assert [(one.jobs, one.cost_nanousd, one.roi) for one in lines] == [(1, 100, 0.5), (2, 400, 2.0), (0, 0, None)]
    whole = together(lines)
    assert whole is not None
    assert (whole.value_nanousd, whole.cost_nanousd, whole.roi) == (1_350, 500, 1.7)


def test_without_value_events_there_is_no_return_to_tell() -> None:
    assert returns([], [Cost("acme", "a", 100, {})]) == []
    assert together([]) is None


def test_repeated_beginnings_of_prompts_are_priced_as_a_provider_that_keeps_them_would() -> None:
    """Within five minutes, at the same model, from 4,096 bytes on."""
    world = PastWorld()
    price = {"input_nanousd_per_million_tokens": 1_000_000, "cached_input_nanousd_per_million_tokens": 100_000}
    world.price("hf-inference", SMALL, price=price)
    for number, minutes in enumerate((0, 1, 9)):
        world.turn(minutes=minutes)
        told = [{"role": "system", "content": "rule " * 1_200}, {"role": "user", "content": str(number)}]
        job = {"id": f"j{number}", "task": "chat-completion", "input": {"messages": told}, "max_cost_nanousd": 10**9}
        arrival, ruling, _ = world.decide(job)
        assert ruling.candidates[0].model == SMALL
        usage = {"input_tokens": 1_600, "output_tokens": 1}
        world.served(arrival, ruling, usage=usage, ms=1, paid=repriced(ruling.candidates[0].price, usage))
    study = SavingsStudy(world.history, Observed())
    for past in pasts(world):
        study.note(past)
    kept = next(one for one in study.advice() if "beginnings" in one.advice)
    assert kept.jobs == 1, "the first had none before it, the third came too late"
    assert 1_000 <= kept.saved_nanousd <= 1_600 * 900_000 // 1_000_000


@pytest.mark.parametrize(("used", "advised"), [(50, True), (2_100, False)])
def test_asking_for_too_many_tokens_frees_reservations_and_saves_nothing(used: int, *, advised: bool) -> None:
    world = PastWorld()
    for number in range(20):
        arrival, ruling, _ = world.decide(chat(number, input={"max_tokens": 4_000}, max_cost_nanousd=10**9))
        world.served(arrival, ruling, usage={"input_tokens": 9, "output_tokens": used}, ms=1, paid=100)
    study = SavingsStudy(world.history, Observed())
    for past in pasts(world):
        study.note(past)

    lines = [one for one in study.advice() if "tokens" in one.advice]

    assert bool(lines) == advised
    for line in lines:
        assert (line.jobs, line.saved_nanousd) == (20, 0)
        assert line.freed_nanousd > 0
        assert "ask chat-completion for 100 tokens" in line.advice
