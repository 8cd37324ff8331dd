"""What an entry is found by, and what a query asks."""

import pytest
from hub_entries import entry
from hypothesis import given
from hypothesis import strategies as st

from hub.index.words import asked, document, embedded, folded, name_words, words


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bert-base-uncased", {"bert", "base", "uncased"}),
        ("DistilBERT", {"distilbert", "distil", "bert"}),
        ("Llama-3.1-8B-Instruct", {"llama", "llama3", "3", "1", "8b", "8", "instruct"}),
        ("gpt2", {"gpt2", "gpt", "2"}),
        ("t5_xxl", {"t5", "xxl"}),
        ("XLMRoberta", {"xlmroberta", "xlm", "roberta"}),
    ],
)
def test_an_id_is_found_by_its_parts_however_it_was_put_together(name, found):
    """At signs, CamelCase, and between letters and digits."""
    assert found <= set(name_words(name))


def test_texts_are_compared_without_case_accents_and_width():
    """`folded` is for both sides."""
    assert folded(" Résumé ") == "resume"
    assert folded("ＢＥＲＴ") == "bert"
    assert folded("STRASSE") == folded("straße") == "strasse"


def test_scripts_without_spaces_are_cut_into_pairs():
    """So that a word within a run is found."""
    assert list(words("中文模型")) == ["中文", "文模", "模型"]
    assert list(words("bert模型x")) == ["bert", "模型", "x"]


@given(st.text())
def test_the_full_text_table_is_asked_nothing_but_words_in_quotation_marks(text):
    """No sign of a query reaches it: between quotation marks stand letters, digits and their marks."""
    query = asked(text)
    for expression in (query.strict(), query.loose()):
        outside = "".join(expression.split('"')[::2])
        inside = expression.split('"')[1::2]
        assert not outside.replace("{name author} :", "").replace("AND", "").replace("OR", "").strip(" ()*")
        assert all(inside)
        assert not any(char in word for word in inside for char in " \0*():^{}")
    assert all(len(word) <= 2 * 64 for word in query.plain)


def test_small_words_are_left_out_unless_they_are_all_there_is():
    """`model for` says nothing, `the` alone is a query."""
    assert asked("a model for german").plain == ("german",)
    assert asked("the").plain == ("the",)
    assert asked("text to speech ").groups == ((("text", "to", "speech"), ("task0texttospeech",)),)


def test_a_document_has_what_fields_say_and_not_what_every_model_says():
    """Languages by name, tasks as one word too, tags without the ones that fields repeat."""
    one = entry(
        "a/b",
        task="token-classification",
        languages=["pt-BR"],
        tags=["region:us", "license:mit", "biomedical"],
        license="MIT",
        description="Finds <drugs>.",
    )
    told = document(one)

    assert {"token", "classification", "task0tokenclassification"} <= set(told.task.split())
    assert {"portuguese", "lang0pt", "biomedical", "mit"} <= set(told.tags.split())
    assert "region" not in told.tags.split()
    assert told.text == "finds drugs"


def test_what_is_embedded_is_bounded():
    """However long a name, its tags and its description are."""
    long = entry(f"a/{'x' * 90}", tags=["t" * 200] * 50, description="y " * 900)

    assert len(embedded(long)) <= 360
    assert max(map(len, document(long).columns())) < 20_000
