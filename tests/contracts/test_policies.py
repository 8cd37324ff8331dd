"""Every routing policy passes this one suite."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.policies import DEFAULT, POLICIES, Option, Policy
from runtime.settings import Settings

SETTINGS = Settings(home=Path("/nonexistent"))
OPTIONS = st.lists(
    st.tuples(
        st.sampled_from(["a/a", "b/b", "c/c"]), st.sampled_from(["auto", "groq"]),
        st.sampled_from(["small", "large", None]), st.integers(0, 10**9),
    ),
    max_size=8,
).map(lambda rows: [Option(index, *row) for index, row in enumerate(rows)])  # fmt: skip
COMPLEXITY = st.floats(0, 1)


@pytest.fixture(params=sorted(POLICIES))
def policy(request: pytest.FixtureRequest) -> Policy:
    return POLICIES[request.param](SETTINGS)


def brief(cheap_below: float = 0.4) -> Policy:
    return POLICIES["brief/1"](SETTINGS.model_copy(update={"cheap_below": cheap_below}))


def test_the_default_is_one_of_them() -> None:
    assert DEFAULT in POLICIES


def test_a_policy_bears_the_name_it_is_listed_under() -> None:
    assert {name: make(SETTINGS).name for name, make in POLICIES.items()} == {name: name for name in POLICIES}


@pytest.mark.parametrize("name", sorted(POLICIES))
@settings(deadline=None)
@given(options=OPTIONS, complexity=COMPLEXITY, order=st.randoms(use_true_random=False))
def test_a_ranking_neither_adds_nor_drops_and_forgets_the_order_it_was_given(
    name: str, options: list[Option], complexity: float, order: "object"
) -> None:
    policy = POLICIES[name](SETTINGS)
    ranked = policy.rank(options, complexity)
    assert sorted(ranked, key=lambda one: one.index) == options
    shuffled = list(options)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert policy.rank(shuffled, complexity) == ranked
    assert policy.rank(options, complexity) == ranked


@pytest.mark.parametrize("name", sorted(POLICIES))
@settings(deadline=None)
@given(complexity=COMPLEXITY)
def test_a_temperature_is_one_that_providers_take(name: str, complexity: float) -> None:
    temperature = POLICIES[name](SETTINGS).temperature(complexity)
    assert temperature is None or 0 <= temperature <= 2


@pytest.mark.parametrize(("complexity", "first"), [(0.0, "s"), (0.399, "s"), (0.4, "l"), (1.0, "l")])
def test_brief_takes_the_small_tier_below_0_4(complexity: float, first: str) -> None:
    options = [Option(0, "l", "auto", "large", 1), Option(1, "s", "auto", "small", 9)]
    assert brief().rank(options, complexity)[0].model == first


def test_brief_takes_its_threshold_from_the_settings() -> None:
    options = [Option(0, "l", "auto", "large", 1), Option(1, "s", "auto", "small", 9)]
    assert brief(0.7).rank(options, 0.69)[0].model == "s"
    assert brief(0.0).rank(options, 0.0)[0].model == "l"


def test_brief_orders_a_tier_by_cost_then_by_name() -> None:
    options = [
        Option(0, "b", "auto", "small", 5),
        Option(1, "a", "auto", "small", 5),
        Option(2, "c", "auto", "small", 4),
        Option(3, "z", "auto", None, 1),
    ]
    assert [one.model for one in brief().rank(options, 0.1)] == ["c", "a", "b", "z"]


@pytest.mark.parametrize(("complexity", "temperature"), [(0.0, 0.8), (0.6, 0.8), (0.601, 0.5), (1.0, 0.5)])
def test_brief_is_calm_above_0_6(complexity: float, temperature: float) -> None:
    assert brief().temperature(complexity) == temperature
