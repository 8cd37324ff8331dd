"""The limit that learns, against simulated providers with a capacity that they tell nobody."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.learning import Learned, LearnedLimit

WORKERS = 64
REFUSES_IN_S = 0.02


@dataclass
class Ended:
    """One call as its worker saw it."""

    at: float
    outcome: str
    limit: int
    """After it was told."""


@dataclass
class World:
    """Workers that always have work, one learner between them, and a provider; all in simulated seconds.

    `capacity(now)`: calls at once beyond which the provider refuses. `latency(out, dice)`: seconds of an accepted
    call, when so many are out with it.
    """

    learner: LearnedLimit
    latency: Callable[[int, random.Random], float]
    capacity: Callable[[float], int] = lambda now: 10_000
    seed: int = 1
    now: float = 0.0
    out: int = 0
    resting: int = 0
    lag_s: float = 0.0
    ended: list[Ended] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self._events: list[tuple[float, int, str, float]] = []
        self._count = 0

    def run(self, until: float, workers: int = WORKERS) -> None:
        while True:
            while self.out < min(self.learner.limit, workers - self.resting):
                self._call()
            if not self._events or self._events[0][0] > until:
                self.now = until
                return
            self.now, _, kind, began = heapq.heappop(self._events)
            if kind == "rested":
                self.resting -= 1
                continue
            full = self.out >= self.learner.limit
            self.learner.told(kind, took_s=self.now - began, now=self.now, full=full, lag_s=self.lag_s)
            self.out -= 1
            self.ended.append(Ended(self.now, kind, self.learner.limit))
            if kind == "limited":
                self.resting += 1
                self._at(self.dice.uniform(0.1, 1.0), "rested")

    def _call(self) -> None:
        accepted = self.out < self.capacity(self.now)
        self.out += 1
        if accepted:
            self._at(self.latency(self.out, self.dice) + self.lag_s, "ok")
        else:
            self._at(REFUSES_IN_S, "limited")

    def _at(self, in_s: float, kind: str) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + in_s, self._count, kind, self.now))

    def between(self, start: float, end: float) -> list[Ended]:
        return [call for call in self.ended if start <= call.at < end]


def mean_limit(calls: list[Ended]) -> float:
    return sum(call.limit for call in calls) / len(calls)


def refused_share(calls: list[Ended]) -> float:
    return sum(call.outcome == "limited" for call in calls) / len(calls)


def about_a_second(out: int, dice: random.Random) -> float:
    return dice.uniform(0.6, 1.4)


STEPS = ((0, 20), (300, 5), (600, 40))
"""From that second on, the capacity."""
SETTLES_IN_S = 90


def stepping(now: float) -> int:
    return next(capacity for start, capacity in reversed(STEPS) if now >= start)


@pytest.mark.parametrize("seed", range(5))
def test_it_settles_at_a_hidden_capacity_and_follows_it_down_and_up(seed: int):
    world = World(LearnedLimit(WORKERS), about_a_second, stepping, seed)
    world.run(900)

    for start, capacity in STEPS:
        settled = world.between(start + SETTLES_IN_S, start + 300)
        assert mean_limit(settled) == pytest.approx(capacity, rel=0.2), capacity
        assert refused_share(settled) < 0.02, capacity


@pytest.mark.parametrize("seed", range(5))
def test_a_provider_that_slows_with_load_is_called_less_until_it_takes_at_most_about_twice_as_long(seed: int):
    """Twenty at once take a second each; beyond, it shares its time among them."""

    def shared(out: int, dice: random.Random) -> float:
        return max(1.0, out / 20) * dice.uniform(0.8, 1.2)

    world = World(LearnedLimit(WORKERS), shared, seed=seed)
    world.run(60, workers=10)
    world.run(660)

    settled = world.between(300, 660)
    assert 20 < mean_limit(settled) < 48
    assert len(settled) / 360 == pytest.approx(20, rel=0.1), "it answers as many a second as it can"


@pytest.mark.parametrize("seed", range(5))
def test_a_provider_that_was_slow_for_a_while_is_called_in_full_again(seed: int):
    slow = [False]

    def sometimes(out: int, dice: random.Random) -> float:
        return (max(1.0, out / 20) if slow[0] else 1.0) * dice.uniform(0.8, 1.2)

    world = World(LearnedLimit(WORKERS), sometimes, seed=seed)
    world.run(60)
    slow[0] = True
    world.run(200)
    assert world.learner.limit < 50
    slow[0] = False
    world.run(400)

    assert world.learner.limit == WORKERS


@pytest.mark.parametrize("seed", range(5))
def test_answers_that_differ_in_length_do_not_lower_the_limit(seed: int):
    """Lengths over two decades, whatever the load."""
    world = World(LearnedLimit(WORKERS), lambda out, dice: min(60.0, dice.lognormvariate(0.5, 1.0)), seed=seed)
    world.run(600)

    assert mean_limit(world.ended) > 0.95 * WORKERS


def test_answers_that_become_longer_for_good_cost_a_few_steps_that_are_taken_back():
    length = [1.0]
    world = World(LearnedLimit(WORKERS), lambda out, dice: length[0] * dice.uniform(0.8, 1.2))
    world.run(60)
    length[0] = 5.0
    world.run(400)

    assert min(call.limit for call in world.ended) >= 0.7 * WORKERS
    assert world.learner.limit == WORKERS


def test_longer_answers_of_which_the_first_were_the_longest_throttle_nobody():
    """What looks once as if calling less had helped is asked again a quarter further down."""
    length = [1.0]
    world = World(LearnedLimit(WORKERS), lambda out, dice: length[0] * dice.uniform(0.8, 1.2))
    world.run(60)
    length[0] = 4.0
    world.run(70)
    length[0] = 2.6
    world.run(600)

    assert min(call.limit for call in world.ended) >= 0.5 * WORKERS
    assert world.learner.limit == WORKERS


@pytest.mark.parametrize("cap", [2, 5])
def test_longer_answers_of_which_few_come_a_minute_throttle_nobody(cap: int):
    """The limit is not raised again before it is known whether lowering it did help."""
    length = [1.0]
    world = World(LearnedLimit(cap), lambda out, dice: length[0] * dice.uniform(0.8, 1.2))
    world.run(60)
    length[0] = 8.0
    world.run(3_000)

    assert {call.limit for call in world.between(1_500, 3_000)} == {cap}


def test_a_process_that_is_busy_itself_does_not_take_the_provider_for_slow():
    world = World(LearnedLimit(WORKERS), about_a_second)
    world.run(60)
    world.lag_s = 3.0
    world.run(300)

    assert {call.limit for call in world.ended} == {WORKERS}


def test_one_burst_of_refusals_counts_once():
    learner = LearnedLimit(64)
    for _ in range(40):
        learner.told("limited", took_s=1.0, now=100.0, full=True)

    assert learner.limit == 44
    learner.told("limited", took_s=0.5, now=100.4, full=True)
    assert learner.limit == 44, "it began before the limit was lowered"
    learner.told("limited", took_s=0.5, now=100.6, full=True)
    assert learner.limit == 30


def test_a_limit_that_nobody_uses_in_full_does_not_grow():
    learner = LearnedLimit(10)
    learner.told("limited", took_s=0.1, now=0.0, full=True)
    for second in range(1_000):
        learner.told("ok", took_s=0.5, now=1.0 + second, full=False)

    assert learner.limit == 7


def test_failures_that_say_nothing_about_load_change_nothing():
    learner = LearnedLimit(10)
    for second in range(100):
        learner.told("failed", took_s=30.0, now=float(second), full=True)

    assert learner.limit == 10


def test_a_new_cap_moves_what_has_learnt_nothing_and_bounds_what_has():
    learner = LearnedLimit(10)
    learner.bound(20)
    assert learner.limit == 20

    learner.told("limited", took_s=0.1, now=0.0, full=True)
    learner.bound(40)
    assert learner.limit == 14
    learner.bound(3)
    assert learner.limit == 3


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "ok", "ok", "limited", "failed", "cap"]),
        st.floats(0.0, 100.0),
        st.floats(0.0, 200.0),
        st.booleans(),
        st.integers(1, 100),
    ),
    max_size=300,
)


@given(EVENTS)
def test_the_limit_stays_between_one_and_the_cap_whatever_is_told(events):
    learner, now = LearnedLimit(10), 0.0
    for kind, passes_s, took_s, full, cap in events:
        now += passes_s
        if kind == "cap":
            learner.bound(cap)
        else:
            learner.told(kind, took_s=took_s, now=now, full=full)
        assert 1 <= learner.limit <= learner.cap


def test_keys_are_remembered_and_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runtime.learning.MOST_KEYS", 2)
    learned: Learned[str] = Learned()
    for key in ("a", "b", "a", "c"):
        learned.within(key, 5)

    assert list(learned.limits) == ["a", "c"]
