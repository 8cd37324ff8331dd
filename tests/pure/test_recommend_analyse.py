"""What is understood of a sentence, and what is told as not understood."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.discovery.lexicon import lexicon, read
from hub.discovery.phrases import Finder, compiled, near, tokens
from hub.recommend.analyse import analyse
from schemas.recommendation import MAX_SENTENCE_CHARS, TaskAnalysis, TaskDescription
from schemas.tasks import MODALITIES
from tests.support.shelf_search import AT


def understood(sentence: str) -> TaskAnalysis:
    return analyse(TaskDescription(sentence=sentence), at=AT)


def test_the_words_that_said_a_condition_stand_beside_it_as_they_were_written() -> None:
    found = understood("Classify GERMAN reviews, MIT licence, at most $0.50 per 1M tokens")

    said = {one.name: one.words for one in found.understood}
    assert said["language"] == "GERMAN"
    assert said["licenses"] == "MIT"
    assert said["max_nanousd_per_mtok"] == "at most $0.50 per 1M tokens"


@pytest.mark.parametrize(
    ("sentence", "task"),
    [
        ("sumarize my emials", "summarization"),
        ("Übersetzung vom Englischen ins Deutsche", "translation"),
        ("reconnaissance vocale pour le breton", "automatic-speech-recognition"),
        ("clasificación de imágenes de plantas", "image-classification"),
        ("turn photos into short clips", "image-to-video"),
        ("from a description to a picture", "text-to-image"),
        ("German to English", "translation"),
        ("NER", "token-classification"),
    ],
)
def test_a_task_is_read_in_several_languages_and_with_slips(sentence: str, task: str) -> None:
    assert understood(sentence).task == task


def test_what_is_not_wanted_is_no_task_and_no_language() -> None:
    found = understood("not a chatbot: translation, other than English")

    assert found.task == "translation"
    assert "en" not in found.languages
    assert found.constraints.denied_languages == ("en",)
    assert "chat-completion" in found.constraints.denied_tasks


def test_a_negation_reaches_over_or_and_commas_and_no_further() -> None:
    found = understood("chat model, not from Meta, Google or Microsoft, served by Groq")

    assert set(found.constraints.denied_authors) == {"meta-llama", "facebook", "google", "microsoft"}
    assert found.constraints.providers == ("groq",)
    assert found.constraints.denied_providers == ()


@pytest.mark.parametrize(
    ("sentence", "regions", "denied"),
    [
        ("summaries, data must stay in the EU", ("eu",), ()),
        ("summaries, nothing may leave Germany", ("de",), ()),
        ("summaries, servers outside the US", (), ("us",)),
        ("summaries, not hosted in China", (), ("cn",)),
        ("summaries of news about France", (), ()),
    ],
)
def test_where_work_is_done_is_told_from_what_a_text_is_about(
    sentence: str, regions: tuple[str, ...], denied: tuple[str, ...]
) -> None:
    found = understood(sentence).constraints

    assert (found.regions, found.denied_regions) == (regions, denied)


@pytest.mark.parametrize(
    ("sentence", "commercial"),
    [
        ("chat, for commercial use", True),
        ("chat, no non-commercial licences", True),
        ("chat, non-commercial is fine", False),
        ("chat, not for commercial use", False),
    ],
)
def test_commercial_use_is_asked_for_only_where_it_is_wanted(sentence: str, commercial: bool) -> None:
    assert understood(sentence).constraints.commercial is commercial


def test_mit_is_a_licence_and_mit_is_a_german_word() -> None:
    assert understood("Zusammenfassung mit Quellen").constraints.licenses == ()
    assert understood("Zusammenfassung, MIT").constraints.licenses == ("MIT",)


@pytest.mark.parametrize(
    "sentence",
    [
        "translation, must know what a quokka is",
        "speech recognition, only on Sundays",
        "summaries for €20 a month",
        "chat without swear words",
        "image generation with exactly 512 pixels",
    ],
)
def test_a_condition_that_nobody_understands_is_told(sentence: str) -> None:
    assert understood(sentence).not_understood


@pytest.mark.parametrize(
    "sentence", ["summarize news articles", "a small chat model in German, MIT, under 2 GB", "find cars in photos"]
)
def test_nothing_is_told_as_lost_where_everything_was_read(sentence: str) -> None:
    assert understood(sentence).not_understood == ()


def test_a_sentence_that_says_nothing_is_understood_as_nothing() -> None:
    found = understood("hello there")

    assert found.task is None
    assert found.understood == ()


def test_the_callers_own_task_goes_before_the_sentences() -> None:
    found = analyse(TaskDescription(sentence="summaries of calls", task="translation"), at=AT)

    assert found.task == "translation"


def test_every_task_has_words_and_every_pattern_finds_itself() -> None:
    told = lexicon()
    assert set(told.tasks) == set(MODALITIES)
    nouns = dict(told.nouns)
    for task, patterns in told.tasks.items():
        for pattern in compiled(task, patterns, nouns):
            words = [next(iter(element.words)).rstrip("*") for element in pattern.elements if element.words]
            if all(word for word in words):
                found = Finder([pattern]).find(tokens(" ".join(words)))
                assert found, f"{task}: {words}"


def test_a_lexicon_that_is_not_written_as_its_head_says_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1"):
        read("sentiment*")
    with pytest.raises(ValueError, match="no new section"):
        read("[task a]\nword\n[task a]\n")
    with pytest.raises(ValueError, match="gap"):
        compiled("a", [".. word"], {})


@pytest.mark.parametrize(
    ("left", "right", "slips", "is_near"),
    [("sumarize", "summarize", 1, True), ("trasnlate", "translate", 1, True), ("transition", "translation", 1, False),
     ("cat", "cat", 0, True), ("abcd", "badc", 1, False), ("abcd", "badc", 2, True)],
)  # fmt: skip
def test_a_slip_is_a_letter_or_a_swap(left: str, right: str, slips: int, is_near: bool) -> None:
    assert near(left, right, slips) is is_near


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=200))
def test_any_sentence_is_read_alike_twice_and_without_a_fault(sentence: str) -> None:
    assert understood(sentence).encode() == understood(sentence).encode()


@pytest.mark.parametrize(
    "hostile",
    ["a" * MAX_SENTENCE_CHARS, "1" * MAX_SENTENCE_CHARS, "$" * MAX_SENTENCE_CHARS, "not " * 500, "under " * 333,
     "1 " * 1_000, "in the EU " * 200, "license " * 250, "classify " * 222, "(" * MAX_SENTENCE_CHARS, "a.b" * 666],
)  # fmt: skip
def test_the_longest_sentence_is_read_in_a_moment(hostile: str) -> None:
    understood("warm up the word vectors")
    began = time.process_time()

    understood(hostile[:MAX_SENTENCE_CHARS])

    assert time.process_time() - began < 2.0
