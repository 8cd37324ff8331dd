"""Searches that are near another one: past ones from a file, and the same one narrowed by what its hits have."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hub_entries import NOW, entry, filled
from hypothesis import given
from hypothesis import strategies as st

from hub.discovery import related
from hub.discovery.known import Unknown
from hub.discovery.related import NAME, Searches, longest, narrowed
from hub.index.store import Index
from schemas.discovery import Criteria, Facet, FacetValue


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = filled(
        tmp_path / "index",
        [
            entry("a/german-sentiment", task="text-classification", languages=["de"], tags=["sentiment"]),
            entry("a/sentiment-analysis-english", task="text-classification", languages=["en"], tags=["sentiment"]),
            entry("b/french-translation", task="translation", languages=["fr"]),
        ],
    )
    made.searches = Searches(tmp_path / "searches")
    return made


def asked(index: Index, text: str, offset: int = 0) -> tuple[str, ...]:
    return index.search(Criteria(text=text, offset=offset), known=Unknown(), now=NOW).related


def typed(index: Index, text: str) -> tuple[str, ...]:
    """As the page asks: with every key."""
    return [asked(index, text[: count + 1]) for count in range(len(text))][-1]


def kept(folder: Path) -> list[str]:
    with sqlite3.connect(folder / NAME) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM search ORDER BY asked")]


def test_a_past_search_of_a_near_meaning_is_told_and_a_far_one_is_not(index):
    """B104: neighbours by their embedding."""
    asked(index, "sentiment analysis")
    asked(index, "french translation")

    told = asked(index, "german sentiment")

    assert "sentiment analysis" in told
    assert "french translation" not in told


def test_what_was_half_typed_is_no_past_search(index, tmp_path):
    """The page asks with every key; only what came of it is kept, and told."""
    typed(index, "german sentiment")
    while_typing = [asked(index, "german sentiment"[:count]) for count in range(1, 16)]
    told = typed(index, "sentiment analysis")

    assert kept(tmp_path / "searches") == ["german sentiment", "sentiment analysis"]
    assert "german sentiment" in told
    for one in (*while_typing, told):
        assert not [text for text in one if text != "german sentiment" and "german sentiment".startswith(text)]
    assert "german sentiment" in while_typing[-1], "what somebody has looked for is told to who begins to type it"


def test_what_found_nothing_and_later_pages_are_not_remembered(index, tmp_path):
    asked(index, "xqzzkv")
    asked(index, "translation", offset=20)

    assert kept(tmp_path / "searches") == []


def test_past_searches_outlive_the_process_and_an_older_file_is_read_without_what_was_half_typed(index, tmp_path):
    asked(index, "german sentiment")
    vector = index.embed("german sentiment")
    with sqlite3.connect(tmp_path / "searches" / NAME) as connection:
        connection.execute("INSERT INTO search SELECT 'german sent', vector, 7 FROM search")

    again = Searches(tmp_path / "searches")

    assert again.near("opinion in german", vector) == ["german sentiment"]
    again.close()


def test_so_many_are_kept_and_the_oldest_goes_first(index, tmp_path, monkeypatch):
    monkeypatch.setattr(related, "KEPT", 3)
    for text in ("sentiment one", "sentiment two", "sentiment three", "sentiment four"):
        asked(index, text)

    assert kept(tmp_path / "searches") == ["sentiment two", "sentiment three", "sentiment four"]
    assert index.searches is not None
    assert "sentiment one" not in index.searches.near("sentiment", index.embed("sentiment one"))


def test_a_file_that_is_damaged_is_begun_anew_and_others_may_not_read_it(tmp_path):
    (tmp_path / NAME).write_bytes(b"no database at all, and long enough to be looked at" * 40)

    searches = Searches(tmp_path)

    assert searches.near("bert", np.ones(256, dtype=np.float32)) == []
    assert (tmp_path / NAME).stat().st_mode & 0o077 == 0
    searches.close()


def test_a_search_is_narrowed_by_what_most_of_its_hits_have_where_that_narrows_it():
    told = [
        Facet(name="tasks", values=(FacetValue(value="fill-mask", count=3),), estimated=False),
        Facet(name="languages", values=(FacetValue(value="en", count=5),), estimated=False),
        Facet(name="libraries", values=(FacetValue(value="unknown", count=2),), estimated=False),
    ]

    assert narrowed(Criteria(text="bert"), told, 5) == ["bert fill-mask"]
    assert narrowed(Criteria(text="bert", tasks=("fill-mask",)), told, 5) == []
    assert narrowed(Criteria(), told, 5) == []


@given(st.lists(st.text(alphabet="ab ", max_size=5), max_size=12))
def test_of_texts_that_begin_one_another_the_longest_is_left(texts: list[str]):
    assert longest(texts) == {
        one for one in texts if not any(other.startswith(one) and other != one for other in texts) and one
    }
