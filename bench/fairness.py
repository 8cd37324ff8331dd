"""What a small tenant waits beside a large one; how shares, floor and rates hold. In virtual time, without Kafka."""

from collections import Counter
from datetime import timedelta

from bench.fair_pipeline import NOON, Workers, bound_s, jobs, played
from bench.figure import Figure
from router.ahead import Ahead
from router.rates import Rates
from router.terms import Terms

NAME = "fairness"
LARGE, SMALL = 10_000, 10
FAIR_WAIT_S = 1.0
SETUPS = (
    Workers(64, 0.2, spread=0.5),
    Workers(64, 1.0, spread=0.5),
    Workers(1_000, 1.0, spread=0.5),
    Workers(8, 0.2, spread=0.5),
    Workers(64, 30.0, spread=0.5),
    Workers(4, 10.0, spread=0.5),
)
RATES = (10_000, 100_000, 500_000)


def measure(*, quick: bool) -> list[Figure]:
    """Each setup with a small tenant that comes at the same time, and one that comes in the middle."""
    setups = SETUPS[:2] if quick else SETUPS
    return [figure for workers in setups for figure in beside(workers)] + shares() + [held(rate) for rate in RATES]


def beside(workers: Workers) -> list[Figure]:
    """A tenant's 10 jobs beside another's 10,000."""
    what = f"{workers.slots:,} slots, calls of {workers.call_s:g} s"
    alone = LARGE / workers.rate
    at_once, later = (small_wait(workers, at) for at in (0.0, alone / 2))
    bound = bound_s(workers, fair_wait_s=FAIR_WAIT_S, own=SMALL)
    note = f"the longest of its {SMALL}; in the order of arrival it would be {alone:,.0f} s"
    return [
        Figure(NAME, f"{what}: wait, come together", at_once, "s", f"at most {bound:,.1f}", note),
        Figure(NAME, f"{what}: wait, come in the middle", later, "s", f"at most {bound:,.1f}"),
        Figure(NAME, f"{what}: time for all over the ideal", makespan(workers) / alone, ""),
    ]


def small_wait(workers: Workers, at: float) -> float:
    """The longest wait of the small tenant, in seconds, if it comes `at` seconds after the large one."""
    stories = played([(0.0, jobs("large", LARGE)), (at, jobs("small", SMALL))], workers, _ahead())
    return max(story.waited for story in stories.values() if story.waiter.tenant == "small")


def makespan(workers: Workers) -> float:
    """Until the last of the large tenant's calls begins, in seconds."""
    return max(story.called for story in played([(0.0, jobs("large", LARGE))], workers, _ahead()).values())


def shares() -> list[Figure]:
    """What two tenants of weights 1 and 3 spend while both have work, and what batch has beside interactive."""
    one, three = jobs("one", 2_000, cost=130_000), jobs("three", 2_000, cost=70_000, weight=3)
    spent: Counter[str] = Counter()
    for story in list(played([(0.0, [*one, *three])], SETUPS[0], _ahead()).values())[:1_500]:
        spent[story.waiter.tenant] += story.waiter.cost_nanousd
    both = jobs("a", 2_000, priority="interactive") + jobs("b", 2_000, priority="batch")
    first = list(played([(0.0, both)], SETUPS[0], _ahead()).values())[:1_500]
    batch = sum(story.waiter.priority == "batch" for story in first) / len(first)
    return [
        Figure(NAME, "spent by weight 3 over weight 1", spent["three"] / spent["one"], "", "3"),
        Figure(NAME, "batch beside interactive", batch * 100, "% of the calls", "10"),
    ]


def held(rate: int) -> Figure:
    """How many of a tenant with more work than its rate pass in a minute."""
    limit, of, passed = Rates(), Terms(tenant="t", requests_per_minute=rate), 0
    for step in range(300):
        now = NOON + step * timedelta(milliseconds=250)
        while limit.look(of, now).allowed:
            limit.take(of, now)
            passed += step >= 60  # the minute that begins after 15 s
    return Figure(NAME, f"rate of {rate:,} a minute", passed, "in a minute", "to 1 %")


def _ahead() -> Ahead:
    return Ahead(fair_wait=timedelta(seconds=FAIR_WAIT_S))
