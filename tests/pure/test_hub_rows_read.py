"""Rows of the Hub as entries: recorded, generated and hostile ones."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.catalog.card import summary
from hub.catalog.naming import language_of, languages_of, task_of, weight_bytes
from hub.catalog.rows import Refused, read_row
from sandbox.hf.hub_known import recorded
from sandbox.hf.hub_rows import row
from schemas.catalog import CatalogEntry
from schemas.tasks import MODALITIES

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RECORDED = {one["id"]: one for one in recorded()}


def read(told: Any, **more: Any) -> CatalogEntry:
    entry = read_row("model", {**told, **more}, NOW)
    assert isinstance(entry, CatalogEntry)
    return entry


def test_a_recorded_model_says_what_its_answer_said():
    entry = read(RECORDED["deepset/roberta-base-squad2"])

    assert entry.hub_id == "621ffdc136468d709f17a5fd"
    assert (entry.name, entry.author) == ("roberta-base-squad2", "deepset")
    assert (entry.task, entry.modality, entry.library) == ("question-answering", "text", "transformers")
    assert (entry.license, entry.license_raw, entry.languages) == ("CC-BY-4.0", "cc-by-4.0", ("en",))
    assert (entry.gated, entry.inference, entry.downloads) == ("no", "warm", 1_801_802)
    assert entry.last_modified == datetime(2024, 9, 24, 15, 48, 47, tzinfo=UTC)
    assert entry.base_models == ("FacebookAI/roberta-base",)
    first = entry.stated_results[0]
    assert (first.dataset, first.metric, first.value, first.verified) == ("squad_v2", "exact_match", 79.9309, True)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_every_recorded_model_becomes_an_entry_and_no_field_of_it_is_left_out(name: str):
    dropped: Counter[str] = Counter()
    entry = read_row("model", RECORDED[name], NOW, dropped=dropped)

    assert isinstance(entry, CatalogEntry)
    assert entry.id == name
    assert set(dropped) <= {"other"}


def test_a_mapping_is_read_in_both_of_its_forms():
    """A table by provider in the answer to one model, a list in lists of models."""
    told = RECORDED["meta-llama/Llama-4-Scout-17B-16E-Instruct"]
    by_table = read(told).served
    rows = [{"provider": name, **one} for name, one in told["inferenceProviderMapping"].items()]
    by_list = read(told, inferenceProviderMapping=rows).served

    assert by_table == by_list
    assert {one.task for one in by_table} == {"chat-completion"}
    assert "together" in {one.provider for one in by_table}


def test_each_field_names_who_said_it():
    entry = read(RECORDED["openai-community/gpt2"])
    by_source = {said.source: set(said.fields) for said in entry.said}

    assert {"license", "languages"} <= by_source["card"]
    assert {"downloads", "tags", "task"} <= by_source["hub"]
    assert not by_source["card"] & by_source["hub"]
    told = set().union(*by_source.values())
    empty = {name for name in told if getattr(entry, name) in (None, (), {})}
    assert empty == set()


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, "not_an_object"),
        (["id"], "not_an_object"),
        ({}, "no_id"),
        ({"id": None}, "no_id"),
        ({"id": 7}, "bad_id"),
        ({"id": "../../etc/passwd"}, "bad_id"),
        ({"id": "a/b/c"}, "bad_id"),
        ({"id": "a/" + "b" * 97}, "bad_id"),
        ({"id": "<script>/x"}, "bad_id"),
        ({"id": "a/b\u0000"}, "bad_id"),
        ({"id": "а/cyrillic"}, "bad_id"),
    ],
)
def test_a_row_without_a_usable_id_is_refused_with_a_reason(told: Any, reason: str):
    refused = read_row("model", told, NOW)

    assert isinstance(refused, Refused)
    assert refused.reason == reason


@pytest.mark.parametrize(
    ("field", "value", "counted"),
    [
        ("downloads", -5, "downloads"),
        ("downloads", "many", "downloads"),
        ("downloads", True, "downloads"),
        ("downloads", 10**30, "downloads"),
        ("likes", 1.5, "likes"),
        ("trendingScore", float("inf"), "trendingScore"),
        ("tags", "transformers", "tags"),
        ("cardData", [1], "cardData"),
        ("lastModified", "yesterday", "lastModified"),
        ("lastModified", "2126-01-01T00:00:00.000Z", "lastModified"),
        ("lastModified", 1_700_000_000, "lastModified"),
        ("sha", "main", "sha"),
        ("_id", "x" * 24, "_id"),
        ("gated", "sometimes", "gated"),
        ("private", "no", "private"),
        ("library_name", "x" * 300, "library_name"),
        ("library_name", "line\nbreak", "library_name"),
        ("inferenceProviderMapping", "all", "inferenceProviderMapping"),
        ("inferenceProviderMapping", [None, {"provider": 3}], "inferenceProviderMapping"),
        ("safetensors", {"parameters": {"F32": "many"}}, "safetensors"),
        ("model-index", {"results": 1}, "model-index"),
        ("securityRepoStatus", {"scansDone": True, "filesWithIssues": [{"path": "a", "level": "odd"}]},
         "securityRepoStatus"),
    ],
)  # fmt: skip
def test_a_bad_field_is_left_out_and_counted_and_the_row_stands(field: str, value: Any, counted: str):
    dropped: Counter[str] = Counter()
    entry = read_row("model", {"id": "a/b", "likes": 3, "downloads": 4, field: value}, NOW, dropped=dropped)

    assert isinstance(entry, CatalogEntry)
    assert dropped[counted] >= 1
    assert entry.id == "a/b"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_NAMES = sorted({name for told in (row(0, 3), *RECORDED.values()) for name in told} | {"securityRepoStatus", "gguf"})


@given(st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=len(_NAMES)))
def test_whatever_a_row_holds_it_becomes_an_entry_or_a_refusal(told: dict[str, Any]):
    found = read_row("model", {"id": "a/b", **told}, NOW)

    if isinstance(found, CatalogEntry):
        assert CatalogEntry.model_validate_json(found.encode()) == found
    else:
        assert found.reason in ("no_id", "bad_id", "bad_row")


@given(st.integers(0, 10**6))
def test_every_generated_row_is_read_whole(number: int):
    dropped: Counter[str] = Counter()
    entry = read_row("model", row(0, number), NOW, dropped=dropped)

    assert isinstance(entry, CatalogEntry)
    assert set(dropped) <= {"other"}
    assert entry.task is None or entry.task == "other" or entry.task in MODALITIES


@pytest.mark.parametrize(
    ("tag", "task"),
    [
        ("text-generation", "text-generation"),
        ("robotics", "other"),
        ("conversational", "chat-completion"),
        (None, None),
    ],
)
def test_a_tag_that_is_no_published_task_is_other(tag: str | None, task: str | None):
    assert task_of(tag) == task


@pytest.mark.parametrize(
    ("told", "language"),
    [
        ("en", "en"), ("PT_br", "pt-BR"), ("zh-hans", "zh-Hans"), ("english", "en"), ("multilingual", "mul"),
        (False, "no"), ("es-419", "es-419"), ("klingon language", None), (7, None), ("", None),
    ],
)  # fmt: skip
def test_a_language_is_told_as_bcp_47(told: Any, language: str | None):
    """`False` is what YAML makes of Norwegian."""
    assert language_of(told) == language


def test_a_framework_is_no_portuguese():
    """`pt` among tags is PyTorch's file ending as often as a language; a card is believed."""
    assert languages_of(None, ("pt", "fr")) == ("fr",)
    assert languages_of("pt", ()) == ("pt",)


def test_a_size_is_told_only_where_every_number_type_is_known():
    assert weight_bytes({"BF16": 10, "F32": 1}) == 24
    assert weight_bytes({"BF16": 10, "NEW": 1}) is None
    assert weight_bytes({}) is None


def test_scans_that_are_not_done_are_not_safe():
    waiting = read({"id": "a/b", "securityRepoStatus": {"scansDone": False, "filesWithIssues": []}}).security
    done = read({"id": "a/b", "securityRepoStatus": {"scansDone": True, "filesWithIssues": []}}).security
    bad = [{"path": "x.bin", "level": "caution"}, {"path": "y.bin", "level": "unsafe"}]
    worst = read({"id": "a/b", "securityRepoStatus": {"scansDone": True, "filesWithIssues": bad}}).security

    assert waiting is not None
    assert (waiting.level, waiting.scans_done) == ("unscanned", False)
    assert done is not None
    assert done.level == "safe"
    assert worst is not None
    assert worst.level == "unsafe"


def test_a_card_becomes_one_line_of_plain_words():
    text = "---\nlicense: mit\n---\n# Title\n\n<script>alert(1)</script>\n\n"
    text += "It **reads** the [news](http://x) aloud for you.\n"
    told = summary(text)

    assert told == "It reads the news aloud for you."


@given(st.text(alphabet="<>![]()`*_#-\n a", max_size=400))
def test_no_card_leaves_a_tag_behind(text: str):
    told = summary(text) or ""

    assert "<" not in told
    assert "\n" not in told
