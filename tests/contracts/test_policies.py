"""Every routing policy passes this one suite."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rulings import chat, job, ruled, view

from router.policies import DEFAULT, POLICIES, BadPolicy, Field, Policy, made
from runtime.settings import BadSettings, Settings

PARAMETERS: dict[str, dict[str, Any]] = {
    "pinned/1": {"order": [{"model": "b/b"}, {"model": "a/a", "provider": "groq"}, {"model": "a/a"}, {"model": "c/c"}]}
}
"""Of policies that have none by default."""
Row = tuple[str, str, str | None, int, int | None]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a/a", "b/b", "c/c"]), st.sampled_from(["auto", "groq"]),
        st.sampled_from(["small", "large", None]), st.integers(0, 10**15), st.none() | st.integers(0, 10**6),
    ),
    max_size=8,
).map(lambda rows: sorted(rows, key=lambda row: row[:2]))  # fmt: skip
COMPLEXITY = st.floats(0, 1)


def policy(name: str, **parameters: Any) -> Policy:
    return made(name, PARAMETERS.get(name, {}) | parameters)


def field(*rows: Row) -> Field:
    return Field(*[[row[at] for row in rows] for at in range(5)])


def models(of: Policy, complexity: float, *rows: Row) -> list[str]:
    asked = field(*rows)
    return [asked.models[at] for at in of.rank(asked, complexity)]


def test_the_default_is_one_of_them() -> None:
    assert DEFAULT in POLICIES


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_bears_the_name_it_is_listed_under(name: str) -> None:
    assert policy(name).name == name


@pytest.mark.parametrize("name", sorted(POLICIES))
@settings(deadline=None, max_examples=50)
@given(rows=ROWS, complexity=COMPLEXITY)
def test_a_ranking_has_each_offer_once_and_is_the_same_again(name: str, rows: list[Row], complexity: float) -> None:
    asked, of = field(*rows), policy(name)
    ranked = of.rank(asked, complexity)
    assert sorted(ranked) == list(range(len(rows)))
    assert of.rank(asked, complexity) == ranked
    if ranked:
        assert 1 <= of.alike(asked, ranked, complexity) <= len(ranked)


@pytest.mark.parametrize("name", sorted(POLICIES))
@settings(deadline=None, max_examples=50)
@given(complexity=COMPLEXITY)
def test_a_temperature_is_one_that_providers_take(name: str, complexity: float) -> None:
    temperature = policy(name).temperature(complexity)
    assert temperature is None or 0 <= temperature <= 2


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_an_unknown_parameter_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadPolicy, match=r"parameters\.chep_below") as refused:
        policy(name, chep_below=0.3)
    assert refused.value.where == ("parameters", "chep_below")


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("brief/1", {"cheap_below": 1.1}, "less than or equal to 1"),
        ("brief/1", {"cheap_below": float("nan")}, "finite"),
        ("brief/1", {"calm_above": -0.1}, "greater than or equal to 0"),
        ("brief/1", {"cheap_below": True}, "parameters.cheap_below: Input should be a valid number"),
        ("balanced/1", {"latency": "3"}, "parameters.latency: Input should be a valid number"),
        ("balanced/1", {"cost": 0, "latency": 0, "quality": 0}, "nothing would be preferred"),
        ("pinned/1", {"order": []}, "at least 1"),
        ("pinned/1", {"order": [{"provider": "groq"}]}, "parameters.order.0.model"),
        ("greenest/1", {}, "is none of: balanced/1, brief/1, cheapest/1, fastest/1, pinned/1"),
    ],
)
def test_an_impossible_rule_is_refused_with_its_reason(name: str, parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(BadPolicy, match=told):
        made(name, parameters)


def test_an_installation_whose_policy_is_none_does_not_start() -> None:
    with pytest.raises(BadSettings, match="NOVIX_POLICY"):
        view(policy="greenest/1")


LARGE, SMALL = ("l", "auto", "large", 1, None), ("s", "auto", "small", 9, None)


@pytest.mark.parametrize(("complexity", "first"), [(0.0, "s"), (0.399, "s"), (0.4, "l"), (1.0, "l")])
def test_brief_takes_the_small_tier_below_0_4(complexity: float, first: str) -> None:
    """A62."""
    assert models(policy("brief/1"), complexity, LARGE, SMALL)[0] == first


def test_brief_takes_its_threshold_from_rule_else_installation() -> None:
    assert models(made("brief/1", {}, cheap_below=0.7), 0.69, LARGE, SMALL)[0] == "s"
    assert models(made("brief/1", {"cheap_below": 0.0}, cheap_below=0.7), 0.0, LARGE, SMALL)[0] == "l"
    assert view(cheap_below=0.7).policy.cheap_below == 0.7  # type: ignore[attr-defined]
    assert Settings(home=Path("/nonexistent")).policy == DEFAULT


def test_brief_orders_a_tier_by_cost_then_by_name() -> None:
    rows: list[Row] = [
        ("a", "auto", "small", 5, None), ("b", "auto", "small", 5, None), ("c", "auto", "small", 4, None),
        ("z", "auto", None, 1, None),
    ]  # fmt: skip
    assert models(policy("brief/1"), 0.1, *rows) == ["c", "a", "b", "z"]


@pytest.mark.parametrize(("complexity", "temperature"), [(0.0, 0.8), (0.6, 0.8), (0.601, 0.5), (1.0, 0.5)])
def test_brief_is_calm_above_0_6(complexity: float, temperature: float) -> None:
    """A64."""
    assert policy("brief/1").temperature(complexity) == temperature


def test_cheapest_and_fastest_look_at_one_thing_each() -> None:
    rows: list[Row] = [("a", "x", "large", 3, 10), ("b", "x", "small", 2, None), ("c", "x", None, 9, 5)]
    assert models(policy("cheapest/1"), 0.9, *rows) == ["b", "a", "c"]
    assert models(policy("fastest/1"), 0.9, *rows) == ["c", "a", "b"]


def test_balanced_weighs_cost_time_and_quality() -> None:
    rows: list[Row] = [("a", "x", "large", 10, 10), ("b", "x", "small", 2, 1_000), ("c", "x", "small", 9, 5)]
    assert models(policy("balanced/1", latency=0, quality=0), 0.9, *rows)[0] == "b"
    assert models(policy("balanced/1", cost=0, quality=0), 0.9, *rows)[0] == "c"
    assert models(policy("balanced/1", cost=0, latency=0), 0.9, *rows)[0] == "a"
    assert (
        models(policy("balanced/1", quality=0.1), 0.0, *rows)[0]
        == models(policy("balanced/1", quality=100), 0.0, *rows)[0]
    ), "a prompt of no complexity needs no quality"


def test_pinned_asks_nobody_who_is_not_named() -> None:
    pins = [{"model": "b"}, {"model": "a", "provider": "groq"}]
    rows: list[Row] = [("a", "auto", None, 1, None), ("a", "groq", None, 2, None), ("b", "auto", None, 9, None)]
    assert field(*rows).models[policy("pinned/1", order=pins).rank(field(*rows), 0.1)[0]] == "b"
    assert policy("pinned/1", order=pins).rank(field(*rows), 0.1) == [2, 1]


def test_a_decision_heeds_the_policy_and_tells_whom_it_left_out() -> None:
    here = view()
    pinned = made("pinned/1", {"order": [{"model": "openai/gpt-oss-120b", "provider": "groq"}]})
    named = ruled(job(task_input=chat()), type(here)(here.catalogue, pinned, here.limits))
    assert [(one.model, one.provider) for one in named.candidates] == [("openai/gpt-oss-120b", "groq")]
    assert named.parameters["temperature"] == 0.7, "pinned has no opinion"
    assert any("pinned/1 names others" in one.detail for one in named.exclusions)
    nobody = made("pinned/1", {"order": [{"model": "no/such"}]})
    refused = ruled(job(task_input=chat()), type(here)(here.catalogue, nobody, here.limits))
    assert refused.kind == "no_candidate"
    assert "pinned/1 takes none" in (refused.message or "")
