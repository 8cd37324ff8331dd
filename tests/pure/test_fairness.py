"""What docs/fairness.md derives, measured in virtual time: a small tenant's wait beside a large one's 10,000 jobs."""

import pytest

from bench.fair_pipeline import Workers, bound_s, jobs, played
from router.ahead import Ahead

SETUPS = [
    Workers(64, 0.2), Workers(64, 1.0, spread=0.5), Workers(8, 0.2, spread=0.9), Workers(4, 10.0),
    Workers(16, 30.0, spread=0.5),
]  # fmt: skip


@pytest.mark.parametrize("workers", SETUPS, ids=lambda one: f"{one.slots}x{one.call_s:g}s")
@pytest.mark.parametrize("come", [0.02, 0.5])
def test_ten_jobs_beside_another_tenants_ten_thousand_wait_no_longer_than_the_bound(workers: Workers, come: float):
    large = min(10_000, int(workers.rate * max(32, 40 * workers.call_s)))
    arrivals = [(0.0, jobs("large", large)), (come * large / workers.rate + 0.3, jobs("small", 10))]
    stories = played(arrivals, workers, Ahead(), seed=3)

    waited = max(story.waited for story in stories.values() if story.waiter.tenant == "small")
    bound = bound_s(workers, fair_wait_s=1.0, own=10)
    assert waited <= bound
    assert bound < 10_000 / workers.rate, "what it says is less than the order of arrival would be"


def test_a_tenant_that_comes_often_waits_no_longer_the_tenth_time():
    workers = Workers(64, 0.2, spread=0.5)
    arrivals = [(0.0, jobs("large", 5_000))] + [(1.0 * n, jobs(f"small{n}", 10)) for n in range(1, 11)]
    stories = played(arrivals, workers, Ahead())

    bound = bound_s(workers, fair_wait_s=1.0, own=10)
    assert all(story.waited <= bound for story in stories.values() if story.waiter.tenant != "large")


def test_a_heavy_neighbour_counts_with_its_weight_and_cheap_jobs_with_their_number():
    workers = Workers(64, 0.2, spread=0.5)
    arrivals = [(0.0, jobs("large", 4_000, weight=10, cost=20_000)), (5.0, jobs("small", 10, cost=20_000))]
    stories = played(arrivals, workers, Ahead())

    waited = max(story.waited for story in stories.values() if story.waiter.tenant == "small")
    assert waited <= bound_s(workers, fair_wait_s=1.0, own=10, others=10, cost=20_000)


def test_nobody_is_idle_while_somebody_waits():
    """Two tenants, one of which has little: what it leaves is the other's."""
    workers = Workers(32, 0.5)
    stories = played([(0.0, jobs("a", 4_000)), (20.0, jobs("b", 40, weight=100))], workers, Ahead())

    assert max(story.called for story in stories.values()) <= 4_040 / workers.rate * 1.05
