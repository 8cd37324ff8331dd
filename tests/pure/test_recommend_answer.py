"""The whole answer: nobody who breaks a condition, scores that add up, a reason for everybody, the same bytes twice."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.recommend.constraints import merged, request_ceiling, within
from hub.recommend.recommend import recommend
from hub.recommend.score import UNKNOWN
from schemas.catalog import CatalogEntry, Security, Serving
from schemas.recommendation import (
    Constraints,
    ModelRecommendation,
    RecommendationContext,
    TaskDescription,
)
from tests.support.shelf_search import AT, ListSearch, Measurements, entry, served

DOLLAR = 1_000_000_000


def ask(
    entries: list[CatalogEntry], sentence: str = "classify text", known: Measurements | None = None, **context: Any
) -> ModelRecommendation:
    given = {"constraints": Constraints(**context.pop("constraints", {})), **context}
    return recommend(
        TaskDescription(sentence=sentence),
        RecommendationContext(at=AT, **given),
        search=ListSearch(entries),
        known=known or Measurements(),
    )


def models(found: ModelRecommendation) -> list[str]:
    return [one.model for one in found.recommendations]


def reasons(found: ModelRecommendation, model: str) -> dict[str, str]:
    [out] = [one for one in found.reasoning.excluded if one.model == model]
    return {why.name: why.value for why in out.reasons}


_LICENSES = st.sampled_from([None, "MIT", "Apache-2.0", "GPL-3.0-only", "CC-BY-NC-4.0"])
_OFFERS = st.lists(
    st.builds(
        Serving,
        provider=st.sampled_from(["groq", "together", "nscale"]),
        status=st.sampled_from(["live", "error"]),
        regions=st.sampled_from([(), ("eu-west-1",), ("us-east-1",), ("de",)]),
        input_nanousd_per_mtok=st.sampled_from([None, 0, DOLLAR // 10, DOLLAR]),
        output_nanousd_per_mtok=st.sampled_from([None, 0, DOLLAR // 10, DOLLAR]),
        tools=st.sampled_from([None, True, False]),
    ),
    max_size=3,
).map(tuple)


@st.composite
def entries(draw: st.DrawFn) -> list[CatalogEntry]:
    return [
        entry(
            f"org{number % 3}/model-{number}",
            license=(license_ := draw(_LICENSES)),
            license_raw=license_,
            parameters=draw(st.sampled_from([None, 10**8, 7 * 10**9])),
            languages=draw(st.sampled_from([(), ("en",), ("de",), ("en", "de"), ("multilingual",)])),
            gated=draw(st.sampled_from([None, "no", "manual"])),
            disabled=draw(st.sampled_from([None, False, True])),
            downloads=draw(st.sampled_from([None, 5, 50_000])),
            served=draw(_OFFERS),
            security=draw(st.sampled_from([None, Security(level="safe", custom_code=False), Security(level="unsafe")])),
        )
        for number in range(draw(st.integers(0, 6)))
    ]


_CONSTRAINTS = st.fixed_dictionaries(
    {},
    optional={
        "licenses": st.sampled_from([("MIT",), ("Apache-2.0", "MIT")]),
        "denied_licenses": st.sampled_from([("GPL",), ("non-commercial",)]),
        "commercial": st.booleans(),
        "max_parameters": st.sampled_from([10**8, 10**9]),
        "max_nanousd_per_mtok": st.sampled_from([0, DOLLAR // 2]),
        "regions": st.sampled_from([("eu",), ("us",)]),
        "providers": st.sampled_from([("groq",), ("together", "nscale")]),
        "denied_providers": st.sampled_from([("groq",)]),
        "served": st.just(True),
        "gated": st.just(False),
        "approved": st.booleans(),
        "safe": st.booleans(),
        "tools": st.booleans(),
        "min_downloads": st.just(1_000),
        "denied_authors": st.just(("org1",)),
    },
)


def violates(one: CatalogEntry, asked: dict[str, Any], allowed: bool | None) -> bool:
    """Told again, in other words than the code's: whether a recommended model would break a condition."""
    name, author = (one.license or "").upper(), one.id.partition("/")[0]
    denied = asked.get("denied_licenses", ())
    level = one.security.level if one.security else None
    broken = {
        "ever": bool(one.disabled) or allowed is False or level == "unsafe",
        "licenses": one.license not in asked.get("licenses", ()),
        "denied_licenses": not name or (name.startswith("GPL") and "GPL" in denied)
        or ("-NC-" in name and "non-commercial" in denied),
        "commercial": asked.get("commercial", False) and (not name or "-NC-" in name),
        "max_parameters": one.parameters is None or one.parameters > asked.get("max_parameters", 0),
        "gated": one.gated != "no",
        "approved": asked.get("approved", False) and allowed is not True,
        "safe": asked.get("safe", False) and level != "safe",
        "tools": asked.get("tools", False) and True not in [offer.tools for offer in one.served],
        "min_downloads": (one.downloads or 0) < asked.get("min_downloads", 0),
        "denied_authors": author in asked.get("denied_authors", ()),
    }  # fmt: skip
    wants = {"max_nanousd_per_mtok", "regions", "providers", "denied_providers", "served"} & set(asked)
    if wants and not any(_fits(offer, asked) for offer in one.served):
        return True
    return any(value for name, value in broken.items() if name in asked or name == "ever")


def _fits(offer: Serving, asked: dict[str, Any]) -> bool:
    prices = (offer.input_nanousd_per_mtok, offer.output_nanousd_per_mtok)
    most = asked.get("max_nanousd_per_mtok")
    cheap = most is None or (None not in prices and 0.75 * (prices[0] or 0) + 0.25 * (prices[1] or 0) <= most)
    heads = {region.split("-")[0] for region in offer.regions}
    wanted = asked.get("regions")
    there = wanted is None or bool(heads & ({"eu", "de"} if wanted == ("eu",) else {"us"}))
    named = "providers" not in asked or offer.provider in asked["providers"]
    return (
        offer.status == "live" and cheap and there and named and offer.provider not in asked.get("denied_providers", ())
    )


@settings(max_examples=300, deadline=None)
@given(entries(), _CONSTRAINTS, st.sampled_from([None, True, False]))
def test_whoever_is_recommended_keeps_every_condition(
    shelf: list[CatalogEntry], asked: dict[str, Any], allowed: bool | None
) -> None:
    known = Measurements(allowed={one.id: (allowed, "as told") for one in shelf})

    found = ask(shelf, known=known, constraints=asked, top=20)

    by_id = {one.id: one for one in shelf}
    assert [one for one in models(found) if violates(by_id[one], asked, allowed)] == []
    out = {one.model for one in found.reasoning.excluded}
    assert {*models(found), *out} == set(by_id)
    assert not out & set(models(found))
    for one in found.reasoning.excluded:
        assert violates(by_id[one.model], asked, allowed), f"{one.model} is out and breaks nothing"


@settings(max_examples=50, deadline=None)
@given(entries(), st.sampled_from(["classify text", "cheap and fast classification of German text", "best small one"]))
def test_every_score_is_the_sum_of_its_parts_and_weights_sum_to_one(shelf: list[CatalogEntry], sentence: str) -> None:
    found = ask(shelf, sentence)

    if found.recommendations:
        assert math.isclose(sum(found.reasoning.weights.values()), 1.0, abs_tol=1e-4)
    for one in found.recommendations:
        assert math.isclose(one.score, sum(part.value * part.weight for part in one.parts), abs_tol=1e-6)
        assert all(0 <= part.value <= 1 for part in one.parts)
        assert {part.name: part.weight for part in one.parts} == found.reasoning.weights
    scores = [one.score for one in found.recommendations]
    assert scores == sorted(scores, reverse=True)


@settings(max_examples=30, deadline=None)
@given(entries(), st.randoms(use_true_random=False))
def test_the_same_question_has_the_same_answer_byte_for_byte(shelf: list[CatalogEntry], dice: Any) -> None:
    shuffled = list(shelf)
    dice.shuffle(shuffled)

    assert (
        ask(shelf, "cheap German text classification").encode()
        == ask(shuffled, "cheap German text classification").encode()
    )


def test_provider_region_and_price_are_asked_of_one_offer() -> None:
    """Groq is in the EU, Together is cheap: neither is both."""
    two = entry("org/two", served=(served("groq", DOLLAR, "eu"), served("together", 1, "us")))

    found = ask([two], constraints={"regions": ("eu",), "max_nanousd_per_mtok": DOLLAR // 2})

    assert models(found) == []
    assert "one_offer" in reasons(found, "org/two")


def test_an_unknown_licence_price_size_or_latency_does_not_pass() -> None:
    bare = entry("org/bare", license=None, license_raw=None, parameters=None, size_bytes=None, served=(served("groq"),))
    asked = {"commercial": True, "max_nanousd_per_mtok": DOLLAR, "max_bytes": 10**9, "max_latency_ms": 100_000}

    told = reasons(ask([bare], constraints=asked), "org/bare")

    assert set(told) == {"commercial", "max_nanousd_per_mtok", "max_bytes", "max_latency_ms"}
    assert "nobody has said" in told["commercial"]


def test_an_unknown_factor_counts_less_than_a_middling_one_and_says_so() -> None:
    [one] = ask([entry("org/a")], "best classifier for text").recommendations

    [quality] = [part for part in one.parts if part.name == "quality"]
    assert quality.value == UNKNOWN
    assert "counted as" in quality.says
    assert one.quality is None
    assert one.cost is None


def test_cheap_in_the_sentence_moves_the_weights_and_the_order() -> None:
    shelf = [entry("org/dear", downloads=60_000), entry("org/cheap", downloads=40_000)]
    known = Measurements(cost={"org/dear": 500_000, "org/cheap": 40_000})

    usual, cheap = ask(shelf, known=known), ask(shelf, "cheap: classify text", known=known)

    assert cheap.reasoning.weights["cost"] > 3 * usual.reasoning.weights["cost"]
    assert models(cheap) == ["org/cheap", "org/dear"]
    fast = ask(shelf, "fast: classify text", Measurements(latency={"org/dear": 50, "org/cheap": 5_000}))
    assert models(fast) == ["org/dear", "org/cheap"]


def test_weights_of_the_caller_replace_the_usual_ones() -> None:
    shelf = [entry("org/known", downloads=10**7), entry("org/good", downloads=1)]
    known = Measurements(quality={"org/known": 0.2, "org/good": 0.9})

    only = ask(shelf, known=known, weights={"quality": 1, "popularity": 0, "task": 0, "speed": 0, "cost": 0})

    assert models(only) == ["org/good", "org/known"]
    assert only.reasoning.weights == {"quality": 1.0}


def test_alternatives_are_better_in_what_they_say_and_tell_the_difference() -> None:
    shelf = [
        entry("org/first", downloads=10**8, languages=("en", "de", "fr", "es")),
        entry("org/better", downloads=10, languages=()),
        entry("org/cheaper", downloads=10, languages=()),
        entry("org/faster", downloads=10, languages=()),
        entry("org/german", downloads=10, languages=("de",)),
        entry("org/medical-de", downloads=10, languages=("de",), domains=("medical",), license="MIT"),
        entry("org/refused", downloads=10, license="GPL-3.0-only"),
    ]
    known = Measurements(
        quality={"org/first": 0.7, "org/better": 0.9, "org/refused": 0.99},
        cost={"org/first": 1_000, "org/better": 3_000, "org/cheaper": 400, "org/refused": 1},
        latency={"org/first": 500, "org/faster": 80, "org/refused": 1},
    )

    found = ask(shelf, "classify German text, no GPL", known, weights={"popularity": 90})

    assert models(found)[0] == "org/first"
    told = found.alternatives
    [better, cheaper, faster] = told.higher_quality[0], told.lower_cost[0], told.faster_inference[0]
    assert (better.model, better.quality_delta, better.cost_delta_nanousd) == ("org/better", 0.2, 2_000)
    assert (cheaper.model, cheaper.cost_delta_nanousd, cheaper.latency_delta_ms) == ("org/cheaper", -600, None)
    assert (faster.model, faster.latency_delta_ms) == ("org/faster", -420)
    assert "price difference unknown" in faster.says
    assert {one.model for one in told.specialized} == {"org/german", "org/medical-de"}
    named = [*told.higher_quality, *told.lower_cost, *told.faster_inference, *told.specialized]
    assert "org/refused" not in {one.model for one in named}


def test_a_field_that_was_asked_for_makes_a_specialised_alternative() -> None:
    shelf = [entry("org/plain", downloads=10**8), entry("org/clinical", downloads=1, domains=("medical",))]

    found = ask(shelf, "classify medical text", weights={"popularity": 90})

    assert [one.model for one in found.alternatives.specialized] == ["org/clinical"]
    assert "medical" in found.alternatives.specialized[0].says


def test_nothing_understood_searches_nothing_and_says_what_is_missing() -> None:
    search = ListSearch([entry("org/a")])

    found = recommend(
        TaskDescription(sentence="hello"), RecommendationContext(at=AT), search=search, known=Measurements()
    )

    assert search.asked == []
    assert found.recommendations == ()
    assert "say what the model shall do" in found.notes[0]


def test_what_was_not_understood_is_in_the_notes() -> None:
    found = ask([entry("org/a")], "classify text, only on Sundays")

    assert found.notes[0] == "not understood, and not applied: only on Sundays"


def test_what_the_registry_refuses_is_never_recommended_and_its_reason_is_told() -> None:
    known = Measurements(allowed={"org/a": (False, "withdrawn on 1 March")})

    found = ask([entry("org/a")], known=known)

    assert reasons(found, "org/a") == {"allowed": "withdrawn on 1 March"}


def test_a_model_of_a_near_task_stands_behind_one_of_the_task_and_others_are_out() -> None:
    shelf = [
        entry("org/chat", task="chat-completion", downloads=10),
        entry("org/write", task="text-generation", downloads=10),
        entry("org/see", task="image-classification"),
    ]
    search = ListSearch(shelf)
    search.__dict__["_entries"] = shelf

    found = recommend(
        TaskDescription(sentence="a chatbot"), RecommendationContext(at=AT), search=search, known=Measurements()
    )

    assert models(found) == ["org/chat", "org/write"]
    assert all("chat-completion" in one.tasks for one in search.asked)


def test_conditions_removed_are_counted() -> None:
    shelf = [entry("org/a"), entry("org/b", license="GPL-3.0-only"), entry("org/c", license="GPL-2.0-only")]

    found = ask(shelf, "classify text, no GPL")

    applied = {one.name: one.removed for one in found.reasoning.constraints}
    assert applied == {"task": 0, "denied_licenses": 2}


def test_sentence_and_context_hold_together() -> None:
    both = merged(
        Constraints(max_parameters=10, min_downloads=5, denied_authors=("a",), max_latency_ms=100),
        Constraints(max_parameters=7, min_downloads=9, denied_authors=("b",), latency_quantile="p95", commercial=True),
    )

    assert (both.max_parameters, both.min_downloads) == (7, 9)
    assert both.denied_authors == ("a", "b")
    assert (both.latency_quantile, both.commercial) == ("p95", True)
    shelf = [entry("org/a", license="MIT"), entry("org/b")]
    found = ask(shelf, "classify text, Apache 2.0 licence", constraints={"licenses": ("MIT",)})
    assert models(found) == []


def test_a_budget_over_requests_is_a_ceiling_for_one() -> None:
    month = Constraints(max_nanousd_per_month=30 * DOLLAR, requests_per_month=3_000)

    assert request_ceiling(month)[0] == 10_000_000
    assert request_ceiling(merged(month, Constraints(max_nanousd_per_request=1)))[0] == 1
    assert request_ceiling(Constraints(max_nanousd_per_month=5))[0] is None
    dear = entry("org/dear", served=(served("groq", 100 * DOLLAR),))
    found = ask([dear], "classify text, $30 a month for 3,000 requests a month")
    assert "max_nanousd_per_month" in reasons(found, "org/dear")


@pytest.mark.parametrize(
    ("region", "code", "inside"),
    [("eu-west-1", "eu", True), ("de", "eu", True), ("de-fra", "de", True), ("eu", "de", False),
     ("us-east-1", "eu", False), ("", "eu", False), ("uk", "eu", False)],
)  # fmt: skip
def test_a_region_lies_within_another_or_not(region: str, code: str, inside: bool) -> None:
    assert within(region, code) is inside


def test_p95_holds_the_upper_end_to_the_ceiling() -> None:
    known = Measurements(latency={"org/a": 200})

    assert models(ask([entry("org/a")], "classify text within 300 ms", known)) == ["org/a"]
    assert models(ask([entry("org/a")], "classify text, p95 within 300 ms", known)) == []


def test_recent_is_counted_from_the_contexts_own_now() -> None:
    old = entry("org/old", created_at=datetime(2024, 1, 1, tzinfo=UTC))

    found = ask([old, entry("org/new")], "classify text, newer than a year")

    assert models(found) == ["org/new"]
    assert "made on 2024-01-01" in reasons(found, "org/old")["recent_days"]


def test_a_sentence_that_is_too_long_or_empty_is_refused() -> None:
    with pytest.raises(ValidationError, match="2000"):
        TaskDescription(sentence="a" * 2_001)
    with pytest.raises(ValidationError):
        TaskDescription(sentence="")


def test_conditions_and_amounts_are_told_in_words_and_dollars() -> None:
    """No field name and no nano-dollar where a person reads."""
    from hub.recommend.constraints import dollars, said

    assert said("denied_licenses") == "licences ruled out"
    assert said("max_nanousd_per_mtok") == "price of 1M tokens"
    assert said("task") == "task"
    assert dollars(400_000) == "$0.0004"
    assert dollars(0) == "$0"
