"""A tenant's rate: to 1 % over any minute, live, and whatever the clock does."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import rates
from router.rates import Rates
from router.terms import FREE, Terms

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MS = timedelta(milliseconds=1)


def terms(rate: int | None, tenant: str = "acme", tier: str = "standard") -> Terms:
    return Terms(tenant=tenant, tier=tier, requests_per_minute=rate)


def as_many_as_may(limit: Rates, of: Terms, now: datetime) -> int:
    """A tenant with more work than it may have done."""
    count = 0
    while limit.look(of, now).allowed:
        limit.take(of, now)
        count += 1
    return count


def busiest_minute(taken: list[datetime]) -> int:
    """The most in any half-open minute: it need only be looked for at the beginnings."""
    return max(bisect_left(taken, start + MINUTE) - index for index, start in enumerate(taken))


@pytest.mark.parametrize(("rate", "step_ms"), [(10_000, 1), (100_000, 250), (500_000, 500), (1, 400), (119, 250)])
def test_a_rate_holds_to_one_per_cent_over_any_minute(rate: int, step_ms: int):
    limit, of, taken = Rates(), terms(rate), []
    for step in range(90_000 // step_ms):
        now = NOON + step * step_ms * MS
        taken += [now] * as_many_as_may(limit, of, now)

    assert busiest_minute(taken) <= max(rate * 1.01, rate + 1)
    for second in range(1, 29):
        start = NOON + timedelta(seconds=second, milliseconds=7)
        assert bisect_left(taken, start + MINUTE) - bisect_left(taken, start) >= min(rate * 0.99, rate - 1)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 100_000_000),
    st.lists(st.tuples(st.integers(0, 30_000_000), st.integers(1, 40)), min_size=1, max_size=60),
)
def test_no_arrivals_pass_more_than_the_rate_and_a_burst_of_half_a_second(rate, arrivals):
    limit, of, now, taken = Rates(), terms(rate), NOON, []
    for after_us, wanted in arrivals:
        now += timedelta(microseconds=after_us)
        for _ in range(wanted):
            if limit.look(of, now).allowed:
                limit.take(of, now)
                taken.append(now)

    if taken:
        assert busiest_minute(taken) <= rate * (1 + 1 / 120) * (1 + 1e-3) + 1


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 100_000))
def test_who_is_refused_is_told_when_to_come_and_is_let_in_then_and_not_before(rate: int):
    limit, of = Rates(), terms(rate)
    as_many_as_may(limit, of, NOON)
    turn = limit.look(of, NOON)

    assert not turn.allowed
    assert turn.at is not None
    assert turn.limit == f"{rate} requests a minute (tier standard)"
    assert not limit.look(of, turn.at - timedelta(microseconds=1)).allowed
    assert limit.look(of, turn.at) is FREE


def test_half_a_seconds_worth_may_come_at_once_beside_one_job():
    assert [as_many_as_may(Rates(), terms(rate), NOON) for rate in (1, 60, 240, 10_000, 500_000)] == [
        1, 1, 3, 84, 4_167,
    ]  # fmt: skip


def test_another_tier_holds_from_the_next_look_on():
    limit, now, counts = Rates(), NOON, []
    for rate in (10_000, 500_000, 1, 100_000):
        as_many_as_may(limit, terms(rate), now)
        count = 0
        for _ in range(120):
            now += 500 * MS
            count += as_many_as_may(limit, terms(rate), now)
        counts.append(count)

    assert counts == [pytest.approx(rate, rel=0.01, abs=1) for rate in (10_000, 500_000, 1, 100_000)]


def test_no_limit_is_no_limit_and_remembers_nobody():
    limit = Rates()
    for _ in range(10_000):
        assert limit.look(terms(None), NOON) is FREE
        limit.take(terms(None), NOON)

    assert len(limit) == 0


@pytest.mark.parametrize("back_s", [0.001, 0.3, 5, 3_600, 40 * 365 * 86_400])
def test_a_clock_that_is_set_back_neither_opens_a_rate_nor_shuts_it(back_s: float):
    limit, of = Rates(), terms(10_000)
    as_many_as_may(limit, of, NOON)
    back = NOON - timedelta(seconds=back_s)

    assert as_many_as_may(limit, of, back) == 0, "what was taken is taken"
    opened = sum(as_many_as_may(limit, of, back + step * 10 * MS) for step in range(1, 6_001))
    assert opened == pytest.approx(10_000, rel=0.01)


def test_a_clock_that_is_set_back_by_less_than_a_second_costs_no_more_than_a_burst():
    """One a second: the next is allowed a second after the clock's new time, and not after its old one."""
    limit, of, before = Rates(), terms(60), NOON - timedelta(seconds=0.8)
    limit.take(of, NOON)

    assert limit.look(of, before).at == before + timedelta(seconds=1)


def test_a_clock_that_is_set_forward_opens_one_burst():
    limit, of = Rates(), terms(10_000)
    as_many_as_may(limit, of, NOON)

    assert as_many_as_may(limit, of, NOON + timedelta(days=400)) == 10_000 // 120 + 1


def test_one_tenants_rate_is_not_anothers():
    limit = Rates()
    as_many_as_may(limit, terms(100, "a"), NOON)

    assert limit.look(terms(100, "b"), NOON).allowed
    assert not limit.look(terms(100, "a"), NOON).allowed


def test_who_has_not_come_for_a_while_is_forgotten():
    limit = Rates()
    for number in range(1_000):
        limit.take(terms(6_000, str(number)), NOON + number * 10 * MS)
    limit.take(terms(6_000, "last"), NOON + MINUTE)

    assert len(limit) <= 52, "who came in the last half second"


def test_no_more_tenants_are_remembered_than_the_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rates, "MOST_TENANTS", 50)
    limit = Rates()
    for number in range(500):
        limit.take(terms(1, str(number)), NOON)

    assert len(limit) == 50
    assert not limit.look(terms(1, "499"), NOON).allowed
