"""A search answers with what fits, why it stands where it stands, and what was left out; whatever is asked."""

import random

import pytest
from hub_entries import LICENSES, NOW, PROVIDERS, REGIONS, TASKS, Told, entry, filled, generated, names, observed, offer
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.discovery.criteria import BadCriteria, checked
from hub.discovery.fits import unmet
from hub.discovery.known import Known, Offer, Unknown
from hub.index.store import Index
from schemas.discovery import Criteria, Discovery

ENTRIES = generated(800)


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    return filled(tmp_path_factory.mktemp("index"), ENTRIES)


def search(index: Index, known: Known | None = None, **criteria: object) -> Discovery:
    return index.search(Criteria.model_validate(criteria), known=known or Unknown(), now=NOW)


def _criteria(dice: random.Random) -> Criteria:
    def some(values, most=2):
        return tuple(dice.sample([value for value in values if value], dice.randrange(1, most + 1)))

    every = {
        "tasks": lambda: some((*TASKS, "ner", "NLP", "Text Classification")),
        "modalities": lambda: some(("text", "image", "NLP", "Vision", "unknown")),
        "languages": lambda: some(("en", "pt", "German", "zh", "unknown")),
        "licenses": lambda: some((*LICENSES, "mit", "unknown")),
        "libraries": lambda: some(("transformers", "Diffusers", "unknown")),
        "authors": lambda: some(("acme", "globex")),
        "tags": lambda: some(("safetensors", "medical", "gguf")),
        "min_parameters": lambda: dice.choice((0, 110_000_000, 10**10)),
        "max_parameters": lambda: dice.choice((110_000_000, 10**10)),
        "max_bytes": lambda: dice.choice((10**9, 44_000_000)),
        "unknown_size": lambda: dice.choice((True, False)),
        "providers": lambda: some((*PROVIDERS, "fireworks-ai")),
        "regions": lambda: some(REGIONS),
        "served": lambda: dice.choice((True, False)),
        "max_nanousd_per_mtok": lambda: dice.choice((0, 62_500_000, 500_000_000)),
        "max_latency_ms": lambda: dice.choice((620, 1_500, 10_000)),
        "recent_days": lambda: dice.choice((1, 30, 300)),
        "gated": lambda: dice.choice((True, False)),
    }
    return Criteria.model_validate({name: every[name]() for name in dice.sample(sorted(every), dice.randrange(1, 5))})


def _known(dice: random.Random) -> Told:
    """Some models of which something was measured, with offers that the catalogue has otherwise."""
    chosen = dice.sample(ENTRIES, 60)
    return Told(
        latencies={one.id: dice.choice((50.0, 5_000.0)) for one in chosen[:30]},
        offers={
            one.id: [
                Offer(dice.choice(PROVIDERS).lower(), tuple(dice.sample(REGIONS, dice.randrange(2))),
                      dice.choice((None, 1, 10**9)), dice.choice((None, observed(40.0))), dice.random() < 0.7)
                for _ in range(dice.randrange(1, 3))
            ]
            for one in chosen[20:]
        },
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(120))
def test_exactly_those_are_hits_that_meet_every_constraint_and_each_constraint_counts_what_it_removes(index, seed):
    """The columns' answer against one entry after the other, with and without something measured."""
    dice = random.Random(seed)
    criteria, known = _criteria(dice), _known(dice) if seed % 2 else Unknown()
    there = [one for one in ENTRIES if not one.disabled]
    missed = {one.id: set(unmet(one, criteria, known, NOW)) for one in there}

    found = index.search(criteria.model_copy(update={"limit": 100}), known=known, now=NOW)

    fitting = {name for name, why in missed.items() if not why}
    assert found.filtered == len(fitting)
    assert set(names(found)) <= fitting
    assert len(found.models) == min(100, len(fitting))
    for name, count in found.removed.items():
        if name != "one_offer":
            assert count == sum(name in why for why in missed.values()), name
    assert set().union(*missed.values()) - {"one_offer"} <= set(found.removed)
    for name, removal in found.removals.items():
        assert removal.reason
        assert all(name in missed[one] or name == "one_offer" for one in removal.examples)


def test_provider_region_price_and_latency_are_asked_of_one_offer(tmp_path):
    """Groq is cheap and in America, Nebius dear and in Europe: nobody is cheap in Europe."""
    split = entry(
        "a/split",
        served=[
            offer(
                "groq",
                regions=["us"],
                input_nanousd_per_mtok=10,
                output_nanousd_per_mtok=10,
                first_token_ms=10,
                tokens_per_s=900.0,
            ),
            offer("nebius", regions=["eu"], input_nanousd_per_mtok=10**9, output_nanousd_per_mtok=10**9),
        ],
    )
    whole = entry(
        "a/whole", served=[offer("nebius", regions=["eu-north"], input_nanousd_per_mtok=10, output_nanousd_per_mtok=10)]
    )
    index = filled(tmp_path, [split, whole])

    found = search(index, regions=["eu"], max_nanousd_per_mtok=100)

    assert names(found) == ["a/whole"]
    assert found.removed == {"regions": 0, "max_nanousd_per_mtok": 0, "one_offer": 1}
    assert found.removals["one_offer"].examples == ("a/split",)
    assert names(search(index, regions=["eu"])) == names(search(index, max_nanousd_per_mtok=100)) != ["a/whole"]
    assert names(search(index, providers=["GROQ"], regions=["us"], max_latency_ms=300)) == ["a/split"]


def test_what_was_observed_counts_not_what_was_stated(tmp_path):
    """An offer that states 132 ms and took four seconds is not fast."""
    fast = offer("groq", first_token_ms=10, tokens_per_s=2_000.0)
    index = filled(tmp_path, [entry("a/slow", served=[fast]), entry("a/fast", served=[fast])])
    known = Told(latencies={"a/slow": 4_000.0})

    assert names(search(index, known, max_latency_ms=500)) == ["a/fast"]
    assert names(search(index, known, order="fastest")) == ["a/fast", "a/slow"]
    told = {one.entry.id: one.latency for one in search(index, known).models}
    assert (told["a/slow"].source, told["a/slow"].value) == ("observed", 4_000.0)
    assert told["a/fast"].source == "stated"


def test_what_was_observed_of_others_makes_the_interval_of_what_is_expected(tmp_path):
    """Twenty models took three times what their offers state."""
    fast = offer("groq", first_token_ms=100, tokens_per_s=1_000.0)
    index = filled(tmp_path, [entry(f"a/m{number}", served=[fast]) for number in range(21)])
    known = Told(latencies={f"a/m{number}": 900.0 for number in range(20)})

    told = {one.entry.id: one.latency for one in search(index, known, limit=30).models}["a/m20"]

    assert (told.source, told.n, told.value) == ("stated", 20, pytest.approx(300.0))
    assert told.high == pytest.approx(900.0)


BERTS = (
    entry("google-bert/bert-base-uncased", task="fill-mask", tags=["bert"], downloads=60_000_000, likes=2_400),
    entry("FacebookAI/roberta-base", task="fill-mask", tags=["roberta"], downloads=16_000_000, likes=530),
    entry("distilbert/distilbert-base-uncased", task="fill-mask", tags=["distilbert"], downloads=9_000_000, likes=730),
    entry("albert/albert-base-v2", task="fill-mask", tags=["albert"], downloads=2_000_000, likes=130),
)


def test_bert_roberta_distilbert_and_albert_stand_in_this_order_and_each_says_why(tmp_path):
    """B72. Whatever the order of arrival; the parts of each score add up to it, and say what they are made of."""
    for seed in range(6):
        index = filled(tmp_path / str(seed), random.Random(seed).sample(BERTS, 4))
        found = search(index, tasks=["fill-mask"], languages=[])

        assert [one.partition("/")[2] for one in names(found)] == [
            "bert-base-uncased", "roberta-base", "distilbert-base-uncased", "albert-base-v2"
        ]  # fmt: skip
    for one in found.models:
        assert one.score == pytest.approx(sum(part.value * part.weight for part in one.parts), abs=1e-9)
        assert {part.name: part.weight for part in one.parts} == found.weights
        assert "downloads in 30 days" in next(part.says for part in one.parts if part.name == "popularity")
    assert sum(found.weights.values()) == pytest.approx(1.0)
    by_text = search(index, text="bert")
    assert names(by_text)[0] == "google-bert/bert-base-uncased"
    assert sum(by_text.weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["zephyr-7b-beta", "HuggingFaceH4/zephyr-7b-beta", "Zephyr 7B beta", "zephyr7bbeta"])
def test_a_model_that_is_asked_by_its_name_is_first(tmp_path, text):
    """However it is written, and however much more the others are used."""
    others = [
        entry(f"x/zephyr-7b-beta-{tag}", tags=["zephyr", "7b", "beta"], downloads=10**8, likes=10**4)
        for tag in ("gguf", "awq", "gptq")
    ]
    index = filled(tmp_path, [*others, entry("HuggingFaceH4/zephyr-7b-beta", downloads=900)])

    first = search(index, text=text).models[0]

    assert first.entry.id == "HuggingFaceH4/zephyr-7b-beta"
    assert next(part for part in first.parts if part.name == "name").value == 1.0


@pytest.mark.parametrize("typed", ["ze", "zep", "zephyr-7", "zephyr 7b be"])
def test_the_last_word_may_be_the_beginning_of_one(tmp_path, typed):
    """As somebody types; once a space follows, it is a word."""
    index = filled(tmp_path, [entry("HuggingFaceH4/zephyr-7b-beta"), entry("a/other")])

    assert names(search(index, text=typed, limit=1)) == ["HuggingFaceH4/zephyr-7b-beta"]
    assert search(index, text=f"{typed} ", limit=1).filtered_is_exact is False or not search(index, text="zep ").models


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ner", "token-classification"),
        ("named entity recognition", "token-classification"),
        ("chatbot", "text-generation"),
        ("translate", "translation"),
        ("masked language model", "fill-mask"),
        ("NER auf Deutsch", "token-classification"),
    ],
)
def test_a_task_is_found_by_what_people_call_it(tmp_path, text, wanted):
    """Words that stand nowhere in the entry."""
    index = filled(tmp_path, [entry(f"a/m{number}", task=task) for number, task in enumerate(TASKS)])

    assert search(index, text=text).models[0].entry.task == wanted


def test_a_language_is_found_by_its_name_and_accents_do_not_matter(tmp_path):
    """French, français, FRANCAIS."""
    index = filled(tmp_path, [entry("a/fr", languages=["fr"]), entry("a/de", languages=["de-CH"]), entry("a/x")])

    for text in ("french", "Français", "FRANCAIS"):
        assert names(search(index, text=text, limit=1)) == ["a/fr"]
    assert names(search(index, languages=["german"])) == names(search(index, languages=["de"])) == ["a/de"]
    assert names(search(index, languages=["unknown"])) == ["a/x"]


@pytest.mark.parametrize(
    ("text", "wanted"), [("模型", "a/中文模型"), ("модель", "a/модель-ру"), ("नमूना", "a/hi"), ("ตัวอย่าง", "a/th")]
)
def test_other_scripts_are_found(tmp_path, text, wanted):
    """Chinese within a run of characters, Cyrillic, Devanagari and Thai with their marks."""
    index = filled(
        tmp_path,
        [
            entry("a/中文模型"),
            entry("a/модель-ру"),
            entry("a/hi", description="यह एक नमूना है"),
            entry("a/th", description="นี่คือตัวอย่าง"),
            entry("a/none"),
        ],
    )

    assert names(search(index, text=text, limit=1)) == [wanted]


def test_where_little_fits_what_fits_in_part_comes_behind_and_the_number_is_not_exact(tmp_path):
    """All words first; `filtered_is_exact` says that there is more."""
    index = filled(
        tmp_path, [entry("a/german-sentiment", downloads=1), entry("b/german-news", downloads=10**7), entry("b/plain")]
    )

    found = search(index, text="german sentiment")

    assert names(found) == ["a/german-sentiment", "b/german-news"]
    assert (found.filtered, found.filtered_is_exact) == (2, False)
    assert search(index, text="german sentiment", limit=1).filtered_is_exact


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(max_size=120)
    | st.sampled_from(
        [
            'bert" OR 1',
            "NEAR(a b)",
            "name: x",
            "a*",
            "^a",
            "{name} : b",
            "(",
            "a AND",
            "NOT",
            "- - -",
            "'; DROP TABLE entry; --",
            "\0",
            "a\0b",
            ".*[a-z]+(",
            "\ud800",
            "%s%n",
            "\u202eabc",
            "task0fillmask",
            "ﷺ",
            "İ",
            "ß" * 50,
        ]
    )
)
def test_any_text_is_answered_or_refused_by_name(index, text):
    """Operators, expressions, marks, halves of characters: never an error of SQLite's."""
    try:
        criteria = checked({"text": text, "limit": 3})
    except BadCriteria:
        return
    found = index.search(criteria, known=Unknown(), now=NOW)

    assert found.filtered <= found.total
    assert found.model_dump_json()


def test_a_query_of_ten_thousand_characters_is_refused_with_its_size(index):
    """And one of a thousand is answered."""
    with pytest.raises(BadCriteria, match=r"10,000 characters.*1,000"):
        checked({"text": "bert " * 2_000})
    assert search(index, text=("bert " * 200)[:1_000]).filtered > 0


def test_facets_count_every_value_among_the_hits_and_single_ones_add_up_to_them(index):
    """Against a count by hand."""
    found = search(index, served=True)
    hits = [one for one in ENTRIES if not one.disabled and any(offered.status == "live" for offered in one.served)]
    told = {facet.name: {value.value: value.count for value in facet.values} for facet in found.facets}

    assert found.filtered == len(hits)
    assert told["licenses"] == {
        key: sum(one.license == (None if key == "unknown" else key) for one in hits) for key in told["licenses"]
    }
    assert told["languages"] == {code: sum(code in one.languages for one in hits) for code in told["languages"]}
    assert told["tags"] == {tag: sum(tag in one.tags for one in hits) for tag in told["tags"]}
    for name in ("licenses", "modalities", "libraries", "authors", "sizes", "gated", "served"):
        assert sum(told[name].values()) == len(hits), name
    assert not any(facet.estimated for facet in found.facets)
    for name, value in (
        ("licenses", "MIT"),
        ("languages", "pt-BR"),
        ("tasks", "fill-mask"),
        ("modalities", "image"),
        ("tags", "code"),
    ):
        asked = search(index, served=True, **{name: [value]})
        assert asked.filtered == told[name][value], (name, value)
