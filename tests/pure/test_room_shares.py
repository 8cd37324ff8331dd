"""Shares of the waiting room: by weight and cost, nobody starved, nobody idle while somebody may begin."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.room import Waiter, WaitingRoom
from router.rounds import LEAST_NANOUSD, QUANTUM_NANOUSD, price_of
from runtime.ports import Delivery, Record
from runtime.waiting import FLOOR, PRIORITIES, Priority

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DELIVERY = Delivery(Record("inference.jobs.v1", 0, 0, None, None, (), 0), NOON)


def job(tenant: str, number: int, cost: int = 50_000, weight: int = 1, priority: Priority = "normal") -> Waiter:
    return Waiter(
        DELIVERY,
        tenant,
        priority,
        f"{tenant}/{number}",
        "",
        NOON + timedelta(hours=1),
        cost_nanousd=cost,
        weight=weight,
    )


def turns(room: WaitingRoom, number: int = 10**6) -> list[Waiter]:
    """The next so many."""
    found: list[Waiter] = []
    while len(found) < number and (waiter := room.next(NOON)) is not None:
        found.append(waiter)
    return found


COSTS = st.lists(st.integers(0, 3_000_000), min_size=1, max_size=60)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 20), COSTS), min_size=2, max_size=6))
def test_while_all_have_work_what_they_spend_is_by_weight_to_one_visit_and_one_job(tenants):
    """Shreedhar and Varghese, theorem 2: over any time in which two of them always have work."""
    room, weights = WaitingRoom(), {}
    for name, (weight, costs) in zip("abcdef", tenants, strict=False):
        weights[name] = weight
        for number, cost in enumerate(costs):
            room.enter(job(name, number, cost, weight))
    left = {name: len(costs) for name, (_, costs) in zip("abcdef", tenants, strict=False)}
    dearest = max(LEAST_NANOUSD, *(cost for _, costs in tenants for cost in costs))
    spent: Counter[str] = Counter()
    while all(left.values()):
        waiter = room.next(NOON)
        assert waiter is not None
        spent[waiter.tenant] += price_of(waiter)
        left[waiter.tenant] -= 1
        shares = [spent[name] / weights[name] for name in left]
        assert max(shares) - min(shares) <= QUANTUM_NANOUSD + 2 * dearest / min(weights.values())


def test_weights_of_one_and_three_have_shares_of_one_and_three_within_one_quantum():
    room, spent = WaitingRoom(), Counter[str]()
    for number in range(3_000):
        room.enter(job("one", number, 40_000))
        room.enter(job("three", number, 40_000, weight=3))
    for waiter in turns(room, 3_000):
        spent[waiter.tenant] += waiter.cost_nanousd
        assert abs(spent["three"] - 3 * spent["one"]) <= 3 * (QUANTUM_NANOUSD + 40_000)

    assert spent["three"] / spent["one"] == pytest.approx(3, rel=0.01)


def test_the_weight_that_was_told_last_holds():
    room = WaitingRoom()
    for number in range(1_000):
        room.enter(job("a", number))
        room.enter(job("b", number))
    turns(room, 100)
    room.enter(job("b", 1_000, weight=4))

    assert Counter(one.tenant for one in turns(room, 500))["b"] == pytest.approx(400, abs=10)


def test_a_dear_job_waits_until_the_others_have_spent_as_much_and_no_longer():
    room = WaitingRoom()
    room.enter(job("dear", 0, 5_000_000))
    for number in range(1_000):
        room.enter(job("cheap", number, 50_000))
    order = [one.tenant for one in turns(room)]

    assert 5_000_000 / 50_000 - 4 <= order.index("dear") <= 5_000_000 / 50_000 + 4


def test_jobs_that_cost_nothing_have_turns_and_starve_nobody():
    room = WaitingRoom()
    for number in range(1_000):
        room.enter(job("free", number, 0))
    for number in range(10):
        room.enter(job("paid", number, 100_000))
    order = [one.tenant for one in turns(room, 150)]

    assert order.count("paid") == 10
    visit = QUANTUM_NANOUSD // LEAST_NANOUSD
    assert all("paid" in order[start : start + visit + 1] for start in range(0, 9 * visit, visit))


def test_who_comes_late_has_its_next_turn_within_one_visit_of_each_other():
    room, others = WaitingRoom(), 20
    for other in range(others):
        for number in range(500):
            room.enter(job(f"o{other}", number, 10_000))
    turns(room, 1_234)
    room.enter(job("late", 0, 10_000))

    visit = QUANTUM_NANOUSD // 10_000
    assert "late" in [one.tenant for one in turns(room, others * visit + 1)]


def test_what_a_tenant_was_not_able_to_spend_is_no_credit():
    """One that was kept back while others worked does not have all turns afterwards."""
    room = WaitingRoom()
    for number in range(2_000):
        room.enter(job("kept", number, 100_000))
        room.enter(job("other", number, 100_000))
    for _ in range(1_000):
        room.next(NOON, lambda one: one.tenant != "kept")

    assert Counter(one.tenant for one in turns(room, 100))["other"] >= 49


def test_strict_priority_goes_before_every_share_down_to_the_floor():
    room = WaitingRoom()
    for number in range(500):
        room.enter(job("large", number, priority="interactive"))
        room.enter(job("small", number, priority="batch", weight=1_000))
    order = [one.tenant for one in turns(room, 300)]

    assert order.count("small") == 300 // FLOOR
    assert all("small" in order[start : start + FLOOR] for start in range(300 - FLOOR))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(PRIORITIES), st.integers(0, 10**9), st.integers(1, 9)),
        max_size=100,
    ),
    st.sets(st.sampled_from("abcd")),
)
def test_somebody_begins_as_long_as_anybody_may_and_everybody_does_in_the_end(waiters, kept_back):
    room = WaitingRoom()
    for number, (tenant, priority, cost, weight) in enumerate(waiters):
        room.enter(job(tenant, number, cost, weight, priority))
    may_begin = sum(tenant not in kept_back for tenant, *_ in waiters)

    began = 0
    while room.next(NOON, lambda one: one.tenant not in kept_back) is not None:
        began += 1
    assert began == may_begin
    assert len(turns(room)) == len(waiters) - may_begin


def test_prices_of_any_size_take_two_rounds_at_most():
    """A hundred tenants with jobs of a hundred dollars: no round is gone through for each quantum."""
    room, asked = WaitingRoom(), 0
    for tenant in range(100):
        room.enter(job(str(tenant), 0, 10**11))

    def may(waiter: Waiter) -> bool:
        nonlocal asked
        asked += 1
        return True

    assert room.next(NOON, may) is not None
    assert asked <= 201
