"""What a query means moves hits up, brings some of other words, and takes none away; it costs little and says why."""

import numpy as np
import pytest
from hub_entries import NOW, entry, filled, generated

from bench.shelf import shelf
from hub.catalog.scores import popularity
from hub.discovery import meant, rank
from hub.discovery.known import Unknown
from schemas.discovery import Criteria

ENTRIES = [
    entry("acme/opus-de-en", task="translation", languages=["de", "en"], downloads=9_000, license="MIT"),
    entry("acme/opus-fr-en", task="translation", languages=["fr", "en"], downloads=90_000),
    entry("acme/tongues", task="translation", languages=["multilingual"], downloads=400),
    entry("acme/doctor-notes", task="token-classification", tags=["medical"], downloads=50, license="Apache-2.0"),
    entry("acme/ner-news", task="token-classification", downloads=800_000, license="GPL-3.0-only"),
    entry("acme/chatty", task="chat-completion", parameters=7_000_000_000, downloads=30, library="gguf"),
    entry("acme/chatty-large", task="chat-completion", parameters=70_000_000_000, downloads=70_000),
    entry("me/translation", task="fill-mask", downloads=1),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    made = filled(tmp_path_factory.mktemp("meant"), ENTRIES)
    yield made
    made.close()


def ask(index, text, **criteria):
    return index.search(Criteria(text=text, **criteria), known=Unknown(), now=NOW)


def part(found, name="meant"):
    return next(one for one in found.parts if one.name == name)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("turn german sentences into english ones", "acme/opus-de-en"),
        ("find names in medical notes", "acme/doctor-notes"),
        ("7b chat model", "acme/chatty"),
        ("apache 2.0 named entity recognition", "acme/doctor-notes"),
        ("gguf chat", "acme/chatty"),
    ],
)
def test_who_does_what_is_meant_stands_first_though_others_are_more_used(index, text, first):
    found = ask(index, text)

    assert found.models[0].entry.id == first
    assert part(found.models[0]).value == 1.0
    assert found.weights == rank.WITH_MEANING


def test_each_hit_says_what_it_has_of_it_and_what_not_and_its_parts_add_up(index):
    found = {one.entry.id: one for one in ask(index, "translate german to english").models}

    assert part(found["acme/opus-de-en"]).says == "translation, language de, language en"
    assert part(found["acme/opus-fr-en"]).says == "translation, language en; not language de"
    assert "language de nearly" in part(found["acme/tongues"]).says
    assert part(found["acme/opus-de-en"]).value > part(found["acme/tongues"]).value > 0
    for one in found.values():
        assert one.score == pytest.approx(sum(p.value * p.weight for p in one.parts), abs=1e-9)


def test_it_is_no_filter_whoever_has_the_words_stays_a_hit(index):
    """The model of that name does something else, and stands first: its name is what was asked."""
    found = ask(index, "translation")

    assert {one.entry.id for one in found.models} >= {"me/translation", "acme/opus-de-en", "acme/opus-fr-en"}
    assert found.models[0].entry.id == "me/translation"
    told = part(found.models[0])
    assert (told.value, told.says) == (1.0, "the name is what was asked")


def test_what_is_brought_by_its_meaning_meets_every_constraint(index):
    found = ask(index, "turn german sentences into english ones", licenses=["gpl-3.0-only"])

    assert all(one.entry.license == "GPL-3.0-only" for one in found.models)


def test_words_that_mean_nothing_known_are_weighed_as_before(index):
    assert ask(index, "opus").weights == rank.WITH_TEXT
    assert ask(index, "opus", order="downloads").weights == {"downloads": 1.0}


def test_every_model_is_first_for_its_own_whole_id(tmp_path_factory):
    """Of two hundred that people know, and as many generated ones: whatever its words sound like."""
    entries = [one for _, one in shelf()]
    index = filled(tmp_path_factory.mktemp("ids"), entries)
    used = sorted(entries, key=lambda one: (-(one.downloads or 0), one.id))
    chosen = [*used[:200], *used[:: max(1, len(used) // 200)]]

    wrong = [one.id for one in chosen if ask(index, one.id, facets=False).models[0].entry.id != one.id]

    index.close()
    assert wrong == []


def test_the_same_question_has_the_same_answer_whatever_was_asked_between(index):
    first = [(one.entry.id, one.score) for one in ask(index, "german translation").models]
    for text in ("chat", "medical ner", "x" * 900):
        ask(index, text)

    assert [(one.entry.id, one.score) for one in ask(index, "german translation").models] == first


def test_a_query_is_read_and_a_document_is_not():
    assert meant.read("classify movie reviews in german number 1") is not None
    assert meant.read("german translation " * 20) is None


@pytest.mark.parametrize("text", ["\0", "((((", "NEAR/3 OR", "a\x1b[31m", "।।।", "-" * 300, "mit " * 70, "7b " * 90])
def test_no_text_is_too_strange_to_be_read(index, text):
    ask(index, text)


def test_the_popularity_of_the_columns_is_the_documented_one(tmp_path):
    """For entries with and without counts and dates, on two days."""
    entries = generated(300, seed=4)
    index = filled(tmp_path / "index", entries)
    rows = index.rows([one.key for one in entries])
    for now in (NOW, NOW.replace(year=2027)):
        found = index.columns.popularity(np.array([rows[one.key] for one in entries]), now)
        wanted = [popularity(one, now) for one in entries]
        assert found.tolist() == pytest.approx(
            [np.nan if one is None else one for one in wanted], abs=1e-6, nan_ok=True
        )
    index.close()


def test_a_mask_that_is_kept_is_forgotten_when_a_row_changes(tmp_path):
    index = filled(tmp_path / "index", [entry("a/one", tags=["x"]), entry("a/two", tags=["y"])])
    assert ask(index, "", tags=["x"]).filtered == 1

    index.apply([("model/a/two", entry("a/two", tags=["x", "y"]))])
    assert ask(index, "", tags=["x"]).filtered == 2
    index.apply([("model/a/one", None)])
    assert ask(index, "", tags=["x"]).filtered == 1
    index.close()
