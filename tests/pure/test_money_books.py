"""A lane's money, claim by claim: what counts, where, once, and what is listed."""

import random
from datetime import timedelta
from typing import Any

import pytest
from books_world import NOON, TENANT, World, budget, charge, decision, entry, job, said

from router.money import ended, tenant
from router.money.reports import MOST_LISTED
from router.money.watchdog import why_open
from router.purse import NO_PURSE
from schemas.accounts import Tenant, Transfer
from schemas.decision import Reserve


def test_a_tenant_without_budgets_has_an_empty_purse_and_its_money_is_counted_all_the_same():
    world = World()
    world.decide()
    world.end(entry("a1", charge(40)))
    assert world.books.purse(job(), NOON) is NO_PURSE

    said(world.accounts, budget("all", window="month"))
    assert world.held() == (40, 0), "a budget made in the middle of a month counts what that month had spent before"


def test_what_is_reserved_is_not_available_until_its_job_ends():
    world = World(budget("all", 1_000))

    world.decide("a1", 300)
    assert (world.line().available_nanousd, world.held()) == (700, (0, 300))
    assert world.end(entry("a1", charge(120))) == ["d-a1"]
    assert (world.line().available_nanousd, world.held()) == (880, (120, 0))
    world.decide("a2", 300)
    assert world.end(entry("a2")) == ["d-a2"]
    assert world.held() == (120, 0)


def test_the_reserve_may_be_told_as_the_contract_or_as_its_json():
    world = World(budget("all"))

    world.books.reserve({**decision(world.accounts, "a1"), "reserve": Reserve(nanousd=70)})

    assert world.held() == (0, 70)


def test_what_was_noted_is_taken_back_by_another_decision_of_the_same_submission():
    world = World(budget("all"))
    world.books.reserve(decision(world.accounts, "a1", 300))

    world.books.reserve(decision(world.accounts, "a1", 200))
    assert world.held() == (0, 200)
    world.books.reserve(decision(world.accounts, "a1", None, verdict="rejected"))
    assert world.held() == (0, 0)
    assert world.books.open_jobs(NOON) == []


def test_a_budget_holds_for_those_it_names():
    world = World(
        budget("team", team="red"), budget("key", key_id="k1"), budget("tag", tag=("n", "5")), budget("all"),
    )  # fmt: skip

    def lines(**asker: Any) -> list[str]:
        return [line.id for line in world.books.purse(job(**asker), NOON).lines]

    assert lines() == ["all"]
    assert lines(team="red") == ["all", "team"]
    assert lines(team="blue", key_id="k1") == ["all", "key"]
    assert lines(metadata={"n": 5}) == ["all", "tag"], "a label's value is compared as text"
    assert lines(metadata={"n": "5", "m": 1}, team="red") == ["all", "tag", "team"]
    world.decide("a1", 100, team="red", metadata={"n": 5})
    world.end(entry("a1", charge(30)))
    assert [world.held(id, team="red", key_id="k1", metadata={"n": 5}) for id in ("team", "key", "tag", "all")] == [
        (30, 0), (0, 0), (30, 0), (30, 0)
    ]  # fmt: skip


def test_a_budget_of_a_provider_counts_what_may_be_spent_there_until_it_is_known_where_it_was():
    world = World(budget("groq", provider="groq"), budget("other", provider="together"), budget("m", model="m/b"))
    world.decide("a1", 100, places=(("m/a", "groq"), ("m/b", "together")))
    assert [world.held(id) for id in ("groq", "other", "m")] == [(0, 100), (0, 100), (0, 100)]

    world.end(entry("a1", charge(20, ("m/a", "groq")), charge(35, ("m/a", "together"))))
    assert [world.held(id) for id in ("groq", "other", "m")] == [(20, 0), (35, 0), (0, 0)]


def test_a_settle_counts_in_the_windows_of_its_decision_however_late_it_comes():
    world = World(*(budget(kind, window=kind) for kind in ("hour", "day", "month", "total")))
    before = NOON.replace(day=30, hour=23, minute=59)
    after = before + timedelta(minutes=2)
    world.decide("a1", 100, decided_at=before)
    world.end(entry("a1", charge(60), at=after + timedelta(hours=5)))

    assert [world.held(kind, before) for kind in ("hour", "day", "month", "total")] == [(60, 0)] * 4
    assert [world.held(kind, after) for kind in ("hour", "day", "month", "total")] == [(0, 0)] * 3 + [(60, 0)]
    assert [world.line(kind, after).window for kind in ("hour", "day", "month", "total")] == [
        "2026-12-01T00", "2026-12-01", "2026-12", "total"
    ]  # fmt: skip
    midnight = after.replace(minute=0)
    assert [world.line(kind, before).resets_at for kind in ("hour", "day", "month", "total")] == [midnight] * 3 + [None]
    assert [world.line(kind, after).resets_at for kind in ("hour", "day", "month", "total")] == [
        midnight + timedelta(hours=1), midnight + timedelta(days=1), midnight + timedelta(days=31), None
    ]  # fmt: skip


def test_a_budget_that_is_changed_while_jobs_are_open_counts_as_if_it_had_always_been_so():
    world = World(budget("all", 1_000))
    world.decide("a1", 400)
    world.decide("a2", 100)
    world.end(entry("a2", charge(90)))

    said(world.accounts, budget("all", 50))
    assert (world.held(), world.line().available_nanousd) == ((90, 400), 0)
    assert [(one.budget, one.limit_nanousd, one.spent_nanousd, one.reserved_nanousd) for one in
            world.books.overdrawn(NOON)] == [("all", 50, 90, 400)]  # fmt: skip
    said(world.accounts, budget("all", 50, removed=True))
    assert world.books.purse(job(), NOON) is NO_PURSE
    said(world.accounts, budget("all", 2_000, window="hour"))
    assert (world.held(), world.books.overdrawn(NOON)) == ((90, 400), [])
    world.end(entry("a1", charge(10)))
    assert world.held() == (100, 0)


def test_a_budget_that_lives_of_transfers_is_overdrawn_beyond_what_was_handed_over():
    world = World(budget("grant", 0, funded=True))
    handed = {"at": NOON, "organisation": "org", "tenant": TENANT, "budget": "grant"}
    said(world.accounts, Transfer(id="t1", nanousd=300, **handed))
    world.decide("a1", 300)
    assert world.books.overdrawn(NOON) == []

    said(world.accounts, Transfer(id="t2", nanousd=-100, **handed))

    assert [(one.budget, one.limit_nanousd) for one in world.books.overdrawn(NOON)] == [("grant", 200)]


def test_a_budget_that_is_soft_is_shown_and_binds_nothing():
    world = World(budget("soft", 10, hard=False))
    world.decide("a1", 100)

    purse = world.books.purse(job(), NOON)

    assert [(line.id, line.hard, line.reserved_nanousd) for line in purse.lines] == [("soft", False, 100)]
    assert purse.room_nanousd is None
    assert world.books.overdrawn(NOON) == []


def test_a_label_counts_in_decisions_that_knew_a_budget_of_it():
    world = World()
    world.decide("a1", metadata={"env": "prod"})
    world.end(entry("a1", charge(50)))

    said(world.accounts, budget("prod", tag=("env", "prod")))
    world.decide("a2", metadata={"env": "prod"})
    world.end(entry("a2", charge(7)))

    assert world.held("prod", metadata={"env": "prod"}) == (7, 0)
    world.books = world.reopened()
    assert world.held("prod", metadata={"env": "prod"}) == (7, 0), "the same, folded again"


def test_another_zone_holds_for_what_is_decided_from_then_on():
    world = World(Tenant(at=NOON, tenant=TENANT, time_zone="Asia/Tokyo"), budget("all", window="hour"))
    world.decide("a1")
    assert world.line().window == "2026-11-22T21"

    said(world.accounts, Tenant(at=NOON, tenant=TENANT, time_zone="UTC"))
    world.end(entry("a1", charge(30)))

    assert (world.line().window, world.held()) == ("2026-11-22T12", (0, 0))
    said(world.accounts, Tenant(at=NOON, tenant=TENANT, time_zone="Asia/Tokyo"))
    assert world.held() == (30, 0)


@pytest.mark.parametrize(("how", "counts"), [("ceiling", 90), ("estimate", 30), ("nothing", 0)])
def test_what_may_have_been_paid_counts_as_its_tenant_says_and_is_listed(how: str, counts: int):
    world = World(Tenant.model_validate({"at": NOON, "tenant": TENANT, "ambiguous": how}), budget("all"))
    world.decide("a1")

    world.end(entry("a1", charge(90, ambiguous=True), charge(4)))

    assert world.held() == (counts + 4, 0)
    [told] = world.books.reports.ambiguous_charges
    assert (told["decision_id"], told["nanousd"], told["provider"]) == ("d-a1", 90, "groq")
    assert world.books.describe()["ambiguous_nanousd"] == 90


def test_what_may_have_been_paid_counts_as_its_tenant_said_when_the_job_was_decided():
    world = World(Tenant(at=NOON, tenant=TENANT, ambiguous="nothing"), budget("all"))
    world.decide("a1")
    said(world.accounts, Tenant(at=NOON, tenant=TENANT, ambiguous="ceiling"))
    world.decide("a2")

    world.end(entry("a1", charge(60, ambiguous=True)), entry("a2", charge(90, ambiguous=True)))

    assert world.held() == (90, 0)


def test_an_estimate_is_never_more_than_the_charge_and_is_of_the_place_that_was_called():
    world = World(Tenant(at=NOON, tenant=TENANT, ambiguous="estimate"), budget("all"))
    world.decide("a1")

    world.end(entry("a1", charge(20, ambiguous=True), charge(50, ("m/x", "elsewhere"), ambiguous=True)))

    assert world.held() == (20 + 50, 0)


def test_a_charge_above_the_reserve_counts_in_full_and_is_listed():
    world = World(budget("all", 200))
    world.decide("a1", 200)

    world.end(entry("a1", charge(350)))

    assert (world.held(), world.line().available_nanousd) == ((350, 0), 0)
    [told] = world.books.reports.overcharges
    assert (told["reserved_nanousd"], told["cost_nanousd"], told["charges"][0]["provider"]) == (200, 350, "groq")
    assert [one.budget for one in world.books.overdrawn(NOON)] == ["all"]


def test_what_a_job_cost_beyond_its_charges_counts_for_its_tenant():
    world = World(budget("all"), budget("groq", provider="groq"))
    world.decide("a1")

    world.end(entry("a1", charge(30), rest=12))

    assert (world.held("all"), world.held("groq")) == ((42, 0), (30, 0))


def test_an_end_that_is_told_again_counts_nothing():
    world = World(budget("all"))
    world.decide("a1")
    world.end(entry("a1", charge(30)))

    assert world.end(entry("a1", charge(30))) == []
    assert world.end(entry("a1", charge(80)), entry("a1")) == []

    assert (world.held(), world.books.reports.repeated) == ((30, 0), 3)


def test_the_cost_of_a_job_that_an_operator_had_released_counts_once_where_it_was_reserved():
    world = World(budget("team", team="red"))
    world.decide("a1", team="red")
    assert world.end(entry("a1", by="ops")) == ["d-a1"]
    assert world.held("team", team="red") == (0, 0)

    assert world.end(entry("a1", charge(60), at=NOON + timedelta(days=3))) == []
    world.end(entry("a1", charge(60)))

    assert world.held("team", team="red") == (60, 0)
    assert (world.books.reports.late, world.books.reports.repeated) == (1, 1)


def test_a_release_that_is_told_again_is_no_late_cost():
    world = World(budget("all"))
    world.decide("a1")

    assert world.end(entry("a1"), entry("a1")) == ["d-a1"]

    assert (world.held(), world.books.reports.late, world.books.reports.repeated) == ((0, 0), 0, 1)


def test_the_cost_of_a_job_that_nobody_knows_counts_once_at_its_time_for_tenant_and_provider():
    world = World(budget("all"), budget("groq", provider="groq"), budget("team", team="red"))

    assert world.end(entry("a9", charge(60)), entry("a9", charge(60))) == []

    assert [world.held(id, team="red") for id in ("all", "groq", "team")] == [(60, 0), (60, 0), (0, 0)]
    assert (world.books.reports.unknown, world.books.reports.repeated) == (1, 1)


def test_a_release_of_a_job_that_nobody_knows_hides_no_cost_that_comes_after_it():
    world = World(budget("all"))

    world.end(entry("a9", by="ops"), entry("a9", charge(60)))

    assert world.held() == (60, 0)


@pytest.mark.parametrize("opened_again", [False, True])
@pytest.mark.parametrize(("bound", "asked"), [(50_000, 3), (3, 1_000_000)])
def test_ends_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch, bound: int, asked: int, opened_again: bool):
    monkeypatch.setattr(ended, "MOST_ENDED", bound)
    world = World(budget("all"), most_ended=asked)
    for number in range(5):
        world.decide(f"a{number}")
        world.end(entry(f"a{number}", charge(10)))
    if opened_again:
        world.books = world.reopened()

    world.end(entry("a4", charge(10)), entry("a0", charge(10)))

    assert world.held() == (60, 0), "a0 had been forgotten: too much is counted rather than too little"


def test_old_windows_are_dropped_by_their_order_of_coming_and_not_by_the_clock():
    """A clock that once said 2099 costs no window that is in use."""
    world = World(budget("hour", window="hour"), budget("day", window="day"))
    world.decide("a0")
    world.decide("a1", decided_at=NOON.replace(year=2099))
    world.end(entry("a0", charge(5)), entry("a1", charge(7)))
    assert (world.held("hour"), world.held("day")) == ((5, 0), (5, 0))

    for hour in range(1, tenant.KEPT["hour"] + 1):
        world.decide(f"b{hour}", decided_at=NOON + timedelta(hours=hour))
    money = world.books._tenants[TENANT]
    assert len(money.sums) <= sum(tenant.KEPT.values())
    assert (world.held("hour"), world.held("day")) == ((0, 0), (5, 1_100))


def test_a_cost_in_a_window_that_is_not_kept_any_more_takes_no_other_windows_place():
    world = World(budget("hour", window="hour"))
    for hour in range(tenant.KEPT["hour"] + 1):
        world.decide(f"a{hour}", decided_at=NOON + timedelta(hours=hour))
        if hour:
            world.end(entry(f"a{hour}", charge(10)))

    world.end(entry("a0", charge(90)))

    assert world.held("hour") == (0, 0)
    assert world.held("hour", at=NOON + timedelta(hours=1)) == (10, 0)


def test_teams_beyond_the_bound_count_for_their_tenant_and_where_a_budget_names_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tenant, "MOST_PAYERS", 3)
    world = World(budget("all"), budget("named", team="t9"))
    for number in range(10):
        world.decide(f"a{number}", 10, team=f"t{number}", key_id=f"k{number}")
        world.end(entry(f"a{number}", charge(3)))

    assert world.held("all") == (30, 0)
    assert world.held("named", team="t9") == (3, 0)
    said(world.accounts, budget("early", team="t0"), budget("late", team="t7"))
    assert (world.held("early", team="t0"), world.held("late", team="t7")) == ((3, 0), (0, 0))
    world.books = world.reopened()
    assert (world.held("early", team="t0"), world.held("late", team="t7")) == ((3, 0), (0, 0)), "the same, folded again"


# who watches


def test_the_watchdog_lists_what_is_open_and_why():
    world = World()
    world.decide("a1", 10, deadline=NOON + timedelta(minutes=30))
    world.decide("a2", 20, decided_at=NOON - timedelta(hours=1), deadline=NOON - timedelta(minutes=3))
    world.decide("a3", 30, decided_at=NOON - timedelta(hours=2), deadline=NOON - timedelta(hours=1))
    world.books.reserve(decision(world.accounts, "a4", 40))

    told = world.books.open_jobs(NOON)

    assert [(one.identity, one.nanousd, one.why.split(":")[0]) for one in told] == [
        ("acme/a3", 30, "leaked"), ("acme/a2", 20, "late"), ("acme/a1", 10, "running"), ("acme/a4", 40, "noted")
    ]  # fmt: skip
    assert [one.age for one in told][:2] == [timedelta(hours=2), timedelta(hours=1)]
    assert "its deadline passed 3600 s ago" in told[0].why


def test_a_clock_that_was_set_back_makes_nothing_leak():
    assert why_open(NOON, NOON + timedelta(minutes=10), NOON - timedelta(days=9)).startswith("running")
    assert why_open(NOON, None, NOON - timedelta(days=9)) == "running: decided 0 s ago, without a deadline"


def test_lists_are_bounded_and_counts_are_not(monkeypatch: pytest.MonkeyPatch):
    world = World()
    batch_of = [entry(f"x{number}", charge(1, ambiguous=True)) for number in range(MOST_LISTED + 5)]
    world.end(*batch_of)

    assert len(world.books.reports.ambiguous_charges) == MOST_LISTED
    assert world.books.describe()["ambiguous"] == MOST_LISTED + 5


def test_a_budget_is_used_up_to_what_one_job_may_cost():
    """A thousand jobs at once: each takes its upper bound, and what it does not spend comes back for the others."""
    world = World(budget("all", 1_000_000))
    dice, running, number, bound = random.Random(6), [], 0, 4_000
    while running or world.line().available_nanousd >= bound:
        while len(running) < 1_000 and world.line().available_nanousd >= bound:
            number += 1
            world.decide(f"a{number}", bound)
            running.append(f"a{number}")
        done = running.pop(dice.randrange(len(running)))
        world.end(entry(done, charge(dice.randrange(1, bound))) if dice.random() < 0.9 else entry(done))
        assert sum(world.held()) <= 1_000_000

    assert 1_000_000 - bound < world.held()[0] <= 1_000_000
