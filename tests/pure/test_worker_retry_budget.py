"""How many retries are made: properties."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.retry_budget import BINS, WINDOW_S, RetryBudget

steps = st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200)


@given(steps, st.floats(0, 2), st.integers(0, 20))
def test_a_retry_is_allowed_only_within_the_least_and_the_share_of_these_ten_seconds(
    course: list[tuple[bool, float]], share: float, least: int
) -> None:
    budget, now = RetryBudget(share, least), 1_000.0
    successes: list[float] = []
    retries: list[float] = []
    for succeeded, later in course:
        now += later
        if succeeded:
            budget.succeeded(now)
            successes.append(now)
            continue
        within = int(now * BINS / WINDOW_S) - BINS
        fresh = [len([at for at in one if int(at * BINS / WINDOW_S) > within]) for one in (successes, retries)]
        allowed = budget.take(now)
        assert allowed == (fresh[1] + 1 <= least + share * fresh[0])
        if allowed:
            retries.append(now)


def test_a_provider_that_always_fails_gets_the_least_and_no_more_until_ten_seconds_are_over() -> None:
    budget = RetryBudget(0.1, 10)
    assert [budget.take(5.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert not budget.take(14.9)
    assert budget.take(15.1)


def test_ten_successes_pay_for_one_retry() -> None:
    budget = RetryBudget(0.1, 0)
    for _ in range(9):
        budget.succeeded(0.0)
    assert not budget.take(0.0)
    budget.succeeded(0.0)
    assert [budget.take(0.0), budget.take(0.0)] == [True, False]


def test_without_a_bound_every_retry_is_made() -> None:
    budget = RetryBudget(1000.0, 0)
    assert all(budget.take(0.0) for _ in range(1_000))


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    budget = RetryBudget(0.1, 1)
    budget.succeeded(0.0)
    assert not budget.idle(9.0)
    assert budget.idle(11.0)
