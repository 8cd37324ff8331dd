"""Learning within guard rails: an order is changed among what is alike, and nothing else, and the same again."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rulings import NOW, catalogue_of, chat, job, offer, ruled, view

from bench.adaptive import run
from router.feedback import (
    EXPLORED,
    HALF_LIFE,
    MOST_TOLD,
    NO_LESSONS,
    Lessons,
    Observations,
    Observed,
    draw_of,
    reranked,
)
from router.terms import Terms
from router.view import View

KEYS = [("p", f"m{at}") for at in range(6)]
OBSERVED = st.builds(
    Observed, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**9)
)


@given(
    st.permutations(range(6)), st.integers(1, 6), st.lists(st.integers(0, 10**12), min_size=6, max_size=6),
    st.dictionaries(st.sampled_from(KEYS), OBSERVED), st.floats(0, 1), st.sampled_from([0, 100, 10**6]),
)  # fmt: skip
def test_only_the_order_of_what_is_alike_changes(
    ranked: list[int], alike: int, costs: list[int], seen: dict[tuple[str, str], Observed], draw: float, worth: int
) -> None:
    def order() -> list[int]:
        return reranked(ranked, alike, KEYS, costs, [None] * 6, Lessons(seen, draw), nanousd_per_ms=worth)

    assert sorted(order()[:alike]) == sorted(ranked[:alike])
    assert order()[alike:] == ranked[alike:]
    assert order() == order()


def lessons(draw: float = 1.0, **seen: tuple[int, int, int]) -> Lessons:
    """Of each model: calls, milliseconds, failures in a million."""
    told = {
        ("acme", f"{name}/{name}"): Observed(calls * 1_000, ms, ppm, 10**6) for name, (calls, ms, ppm) in seen.items()
    }
    return Lessons(told, draw)


ROWS = catalogue_of(
    offer("a/a", price=10**8), offer("b/b", price=11 * 10**7), offer("c/c", price=10**9, tier="large"),
    offer("d/d", price=12 * 10**7, licence="x"),
)  # fmt: skip
PLAIN = view(ROWS)


def models(lessons: Lessons, **terms: Any) -> list[str]:
    there = View(PLAIN.catalogue, PLAIN.policy, PLAIN.limits, Terms(**terms)).at(lessons=lessons)
    return [one.model for one in ruled(job(task_input=chat()), there).candidates]


def test_what_fails_or_is_slow_goes_behind_what_is_alike_to_it() -> None:
    assert models(NO_LESSONS) == ["a/a", "b/b", "d/d"]
    assert models(lessons(a=(50, 500, 800_000), b=(50, 500, 0))) == ["b/b", "d/d", "a/a"]
    assert models(lessons(a=(50, 90_000, 0)))[0] == "b/b"
    assert models(lessons(c=(50, 1, 0)))[0] == "a/a", "another tier is not alike"


def test_one_bad_call_among_few_changes_little() -> None:
    assert models(lessons(a=(1, 2_000, 0))) == models(NO_LESSONS)


def test_nobody_who_is_excluded_comes_back() -> None:
    learnt = lessons(draw=0.0, a=(50, 500, 800_000), b=(50, 500, 0))
    assert models(learnt, models=frozenset({"a/a"})) == ["a/a"]


def test_a_bounded_share_of_jobs_tries_what_is_known_least() -> None:
    tried = lessons(draw=EXPLORED / 2, a=(50, 500, 0), b=(3, 500, 0), d=(20, 500, 0))
    assert models(tried)[0] == "b/b"
    assert models(Lessons(tried.seen, EXPLORED))[0] == "a/a"
    failing = lessons(draw=0.0, a=(50, 500, 0), b=(3, 500, 900_000), d=(20, 500, 0))
    assert models(failing)[0] == "a/a", "what fails is not tried for its own sake"
    draws = [draw_of(str(number)) for number in range(4_000)]
    assert 0 <= min(draws) <= max(draws) < 1
    assert 0.02 < sum(draw < EXPLORED for draw in draws) / len(draws) < 0.04


def test_an_observation_counts_half_after_its_half_life_and_is_forgotten_at_last() -> None:
    seen = Observations()
    seen.note("t", KEYS[0], wait_ms=100, is_good=True, paid_nanousd=30, expected_nanousd=20, at=NOW)
    seen.note("t", KEYS[0], wait_ms=400, is_good=False, paid_nanousd=0, expected_nanousd=20, at=NOW + HALF_LIFE)
    told = seen.lessons("t", "d", NOW + HALF_LIFE).seen[KEYS[0]]
    assert told == Observed(1_500, 300, 666_667, 1_166_667)
    assert seen.lessons("t", "d", NOW + 2 * HALF_LIFE).seen[KEYS[0]].calls_milli == 750
    assert not seen.lessons("t", "d", NOW + 20 * HALF_LIFE).seen
    assert not seen.lessons("other", "d", NOW).seen


def test_a_decision_knows_the_offers_that_are_called_most_and_no_more_than_it_can_hold() -> None:
    seen = Observations()
    for number in range(2 * MOST_TOLD):
        for _ in range(1 + number % 3):
            seen.note("t", ("p", str(number)), wait_ms=1, is_good=True, paid_nanousd=1, expected_nanousd=1, at=NOW)
    told = seen.lessons("t", "d", NOW + timedelta(seconds=1)).seen
    assert len(told) == MOST_TOLD
    assert min(one.calls_milli for one in told.values()) >= 1_990


def test_on_a_seeded_workload_learning_regrets_less() -> None:
    """A68: three worlds together, of which every run is the same again."""
    static = [run(seed, 300, learns=False) for seed in (1, 2, 3)]
    learnt = [run(seed, 300, learns=True) for seed in (1, 2, 3)]
    assert learnt[0] == run(1, 300, learns=True)
    assert all(one.away == 0 for one in static)
    assert sum(one.regret for one in learnt) < 0.5 * sum(one.regret for one in static)
