"""Criteria out of an address or a command line; and as the Hub and the router are asked the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.discovery.criteria import BadCriteria, amount, checked, criteria_of
from hub.discovery.upstream import EXPAND, endpoint_params, hub_params, router_params
from schemas.discovery import Criteria


def test_an_address_says_everything_that_can_be_asked():
    """Every field of the criteria; lists by repeating, numbers as people write them."""
    pairs = [
        ("q", "bert"), ("kind", "model"), ("task", "ner"), ("tasks", "fill-mask"), ("modality", "text"),
        ("library", "transformers"), ("language", "en"), ("license", "mit"), ("author", "acme"), ("tag", "code"),
        ("min_parameters", "350M"), ("max_parameters", "7B"), ("max_bytes", "1.5GB"), ("unknown_size", "true"),
        ("provider", "groq"), ("region", "eu"), ("served", "1"), ("max_nanousd_per_mtok", "500000000"),
        ("max_latency_ms", "900"), ("trending", "on"), ("popular", "false"), ("recent_days", "30"),
        ("approved", "yes"), ("gated", "no"), ("tenant", "acme"), ("sort", "cheapest"), ("limit", "5"),
        ("offset", "10"), ("facets", "off"),
    ]  # fmt: skip

    found = criteria_of(pairs)

    assert found == Criteria(
        text="bert", tasks=("ner", "fill-mask"), modalities=("text",), libraries=("transformers",), languages=("en",),
        licenses=("mit",), authors=("acme",), tags=("code",), min_parameters=350_000_000, max_parameters=7_000_000_000,
        max_bytes=1_500_000_000, unknown_size=True, providers=("groq",), regions=("eu",), served=True,
        max_nanousd_per_mtok=500_000_000, max_latency_ms=900, trending=True, recent_days=30, approved=True, gated=False,
        tenant="acme", order="cheapest", limit=5, offset=10, facets=False,
    )  # fmt: skip
    assert {"text", "kind", *found.model_fields_set} == set(Criteria.model_fields)
    assert criteria_of([("q", ""), ("limit", ""), ("license", "")]) == Criteria()


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([("colour", "red")], r"'colour' is no criterion; there are: text"),
        ([("limit", "many")], r"limit: 'many'; it is a whole number"),
        ([("limit", "101")], r"'limit': '101'.*100"),
        ([("limit", "0")], r"'limit': '0'.*1"),
        ([("offset", "99999")], r"'offset': '99999'.*10000"),
        ([("served", "maybe")], r"served: 'maybe'; it is true or false"),
        ([("order", "best")], r"order: 'best'; it is one of relevance"),
        ([("max_parameters", "-7B")], r"max_parameters: '-7B'"),
        ([("max_parameters", "7Q")], r"max_parameters: '7Q'"),
        ([("text", "a"), ("q", "b")], r"text is given twice"),
        ([("text", "x" * 10_000)], r"10,000 characters; a search may have 1,000"),
        ([("license", "x" * 200)], r"licenses.*128"),
        ([("license", str(n)) for n in range(33)], r"'licenses': .*32.*; 33 given"),
        ([("tag", "x")] * 201, r"more than 200 criteria"),
        ([("kind", "pipeline")], r"'kind': 'pipeline'.*'model', 'dataset' or 'space'"),
        ([("recent_days", "4000")], r"3650"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_field_value_and_limit(pairs, says):
    """One line that somebody can act on."""
    with pytest.raises(BadCriteria, match=says) as refused:
        criteria_of(pairs)
    assert len(str(refused.value)) < 700


@given(st.lists(st.tuples(st.sampled_from([*Criteria.model_fields, "q", "x"]), st.text(max_size=30)), max_size=6))
def test_any_pairs_are_criteria_or_refused(pairs):
    """Never another error."""
    try:
        found = criteria_of(pairs)
    except BadCriteria:
        return
    assert isinstance(found, Criteria)


@pytest.mark.parametrize(
    ("text", "value"),
    [("7B", 7 * 10**9), ("1.5gb", 1_500_000_000), ("2GiB", 2**31), ("1_000", 1000), ("0.5M", 500_000)],
)
def test_amounts_are_exact(text, value):
    """No fraction passes through binary ones."""
    assert amount(text) == value


def test_the_hub_is_asked_the_same_as_far_as_its_grammar_goes():
    """B96, B105: golden."""
    criteria = checked({
        "text": "  bert   tiny ", "tasks": ("fill-mask",), "libraries": ("Transformers",), "languages": ("en",),
        "licenses": ("Apache-2.0",), "authors": ("google",), "tags": ("safetensors",), "min_parameters": 10**6,
        "max_parameters": 7 * 10**9, "providers": ("groq", "together"), "gated": False, "order": "likes", "limit": 30,
        "offset": 60,
    })  # fmt: skip

    assert hub_params(criteria) == (
        ("search", "bert tiny"), ("author", "google"), ("pipeline_tag", "fill-mask"), ("filter", "transformers"),
        ("filter", "en"), ("filter", "license:apache-2.0"), ("filter", "safetensors"),
        ("num_parameters", "min:1000000,max:7000000000"), ("inference_provider", "groq,together"), ("gated", "false"),
        ("sort", "likes"), ("limit", "90"), *(("expand[]", name) for name in EXPAND),
    )  # fmt: skip
    assert router_params(criteria) == ()
    assert endpoint_params(criteria.model_copy(update={"regions": ("eu",), "served": True})) == (
        ("task", "fill-mask"), ("region", "eu"), ("state", "running"),
    )  # fmt: skip


def test_what_the_hub_cannot_be_asked_is_left_to_the_sifting():
    """Of two licences either will do; the Hub's `filter` wants both."""
    criteria = checked(
        {
            "licenses": ("mit", "apache-2.0"),
            "languages": ("en", "de"),
            "tasks": ("a", "b"),
            "served": True,
            "max_parameters": 7,
            "unknown_size": True,
        }
    )

    asked = dict(hub_params(criteria))

    assert "filter" not in asked
    assert "pipeline_tag" not in asked
    assert "num_parameters" not in asked
    assert asked["inference_provider"] == "all"
    dataset = dict(hub_params(checked({"kind": "dataset", "tasks": ("a",), "served": True, "gated": True})))
    assert set(dataset) == {"limit", "expand[]"}


@pytest.mark.parametrize(
    ("task", "language", "hub", "endpoints"),
    [
        ("ner", "German", {"pipeline_tag": "token-classification", "filter": "de"}, "token-classification"),
        ("Text Classification", "pt-BR", {"pipeline_tag": "text-classification", "filter": "pt-br"},
         "text-classification"),
        ("NLP", "unknown", {}, None),
        ("fill-mask", "Français", {"pipeline_tag": "fill-mask", "filter": "fr"}, "fill-mask"),
    ],
)  # fmt: skip
def test_other_sources_are_asked_by_the_names_that_a_task_and_a_language_have_there(task, language, hub, endpoints):
    """The index knows what people call them; the Hub has nothing under `ner`."""
    asked = checked({"tasks": (task,), "languages": (language,), "licenses": ("unknown",), "libraries": ("unknown",)})

    told = dict(hub_params(asked))

    assert {name: value for name, value in told.items() if name in ("pipeline_tag", "filter")} == hub
    assert dict(endpoint_params(asked)).get("task") == endpoints
