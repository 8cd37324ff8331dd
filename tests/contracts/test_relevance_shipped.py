"""Relevance on the judged queries that come with Novix: the figure of docs/relevance.md, and how it is made."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import judged as rules
from bench.relevance import BM25, HUB, OURS, SENTENCE, figures
from bench.shelf import shelf
from hub.index.store import Index
from tests.support.shelf_search import entry

Found = dict[tuple[str, str], tuple[float, int]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    folder: Path = tmp_path_factory.mktemp("relevance")
    index = Index(folder)
    rows = list(shelf())
    index.apply(rows)
    yield figures([one for _, one in rows], index)
    index.close()


@pytest.mark.parametrize("part", ["held out", "development", "second test", "second development"])
def test_search_and_recommendation_are_at_least_as_good_as_plain_bm25_and_the_hubs_order(
    found: Found, part: str
) -> None:
    for ours in (OURS, SENTENCE):
        assert found[ours, part][0] >= found[BM25, part][0]
        assert found[ours, part][0] >= found[HUB, part][0]


def test_the_held_out_figures_are_no_worse_than_the_documentation_says(found: Found) -> None:
    assert found[OURS, "held out"][0] >= 0.85
    assert found[SENTENCE, "held out"][0] >= 0.75
    assert found[OURS, "held out"][1] >= 50


def test_there_are_150_queries_half_of_each_set_held_out_and_none_twice() -> None:
    told = rules.judged()

    assert len(told) == 150
    assert sum(one.part == "second test" for one in told) == 15
    assert sum(one.part == "held out" for one in told) == 60
    assert len({one.query for one in told}) == 150


@pytest.mark.parametrize(
    ("fields", "grade"),
    [
        ({"task": "translation", "languages": ("de", "en"), "downloads": 5_000}, 3),
        ({"task": "translation", "languages": ("de", "en"), "downloads": 999}, 2),
        ({"task": "translation", "languages": ("multilingual",), "downloads": 5_000}, 2),
        ({"task": "translation", "languages": ("de",), "license": "GPL-3.0-only"}, 1),
        ({"task": "translation", "languages": ("fr",), "license": "GPL-3.0-only"}, 0),
        ({"task": "summarization", "languages": ("de",), "license": "MIT"}, 0),
    ],
)
def test_a_grade_follows_the_stated_rules(fields: dict[str, object], grade: int) -> None:
    need = {"tasks": ["translation"], "languages": ["de"], "licenses": ["MIT"]}
    if grade >= 2:
        fields = {"license": "MIT", **fields}

    assert rules.grade(entry("org/a", **fields), need) == grade


def test_a_name_is_met_whole_in_part_or_not() -> None:
    need = {"name": ["bert-base-uncased"]}

    assert rules.grade(entry("google-bert/bert-base-uncased"), need) == 3
    assert rules.grade(entry("org/bert-small"), need) == 1
    assert rules.grade(entry("org/gpt2"), need) == 0


def test_ndcg_is_one_for_the_ideal_order_and_less_for_any_other() -> None:
    assert rules.ndcg([3, 2, 1], [1, 2, 3]) == 1.0
    assert rules.ndcg([0, 0, 0], [1, 2, 3]) == 0.0
    assert rules.ndcg([], [0, 0]) is None
    # (2^1 - 1) / log2(2) + (2^3 - 1) / log2(3), over the same the other way round
    assert rules.ndcg([1, 3], [3, 1]) == pytest.approx((1 + 7 / 1.5849625) / (7 + 1 / 1.5849625))


def test_plain_bm25_prefers_the_rarer_word_and_the_shorter_text() -> None:
    rows = [
        entry("org/common-thing", tags=("common",)),
        entry("org/rare-common", tags=("a", "b", "c", "d", "e", "f")),
        entry("org/rare", tags=()),
        entry("org/common"),
    ]

    assert [one.id for one in rules.PlainBm25(rows).search("rare")] == ["org/rare", "org/rare-common"]
    assert rules.PlainBm25(rows).search("rare common")[0].id == "org/rare-common"
    assert rules.PlainBm25(rows).search("nothing") == []


def test_the_hubs_order_finds_substrings_of_ids_by_downloads() -> None:
    rows = [entry("org/bert-a", downloads=5), entry("org/bert-b", downloads=50), entry("org/gpt", downloads=500)]

    assert [one.id for one in rules.hub_order(rows, "bert")] == ["org/bert-b", "org/bert-a"]
    assert [one.id for one in rules.hub_order(rows, "a gpt model")] == ["org/gpt"]
