"""Pages of the Hub's list that are not what they should be: each row costs itself, and what breaks off says so."""

import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.catalog.ages import ages, key_of
from hub.catalog.card import summary
from hub.catalog.rows import Refused, is_repository, read_row
from hub.sync.pages import Page, page_of
from hub.sync.walk import next_page, pace_of, same_origin, smaller
from schemas.catalog import CatalogEntry, Said, SourceState

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GOOD = b'{"id": "a/good", "likes": 1}'


def page(body: bytes) -> Page:
    found = page_of(body)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"id": "a/b", "cardData": ' + b"[" * 100 + b"]" * 100 + b"}", "too_deep"),
        (b'{"id": "a/b", "cardData": ' + b'{"x":' * 5_000 + b"1" + b"}" * 5_001, "too_deep"),
        (b'{"id": "a/b", "likes": 1 2}', "no_json"),
        (b"{'id': 'a/b'}", "no_json"),
        (b'{"id": "a/b", "likes": ' + b"9" * 5_000 + b"x}", "no_json"),
    ],
)
def test_a_row_that_is_no_json_costs_itself_and_no_other(bad: bytes, reason: str):
    found = page(b"[" + GOOD + b"," + bad + b",\n" + GOOD + b"]")

    assert [row["id"] for row in found.rows] == ["a/good"] * 2
    assert found.refused == {reason: 1}
    assert found.whole


@pytest.mark.parametrize(
    ("field", "counted"),
    [
        (b'"trendingScore": NaN', "trendingScore"),
        (b'"trendingScore": -Infinity', "trendingScore"),
        (b'"library_name": "half \\ud83d of a face"', "library_name"),
        (b'"library_name": "\xff\xfe"', None),
        (b'"library_name": "a [ { \\" ] in a text", "trendingScore": NaN', "trendingScore"),
    ],
)
def test_a_value_that_strict_json_has_not_is_left_out_and_its_row_stands(field: bytes, counted: str | None):
    dropped: Counter[str] = Counter()
    found = page(b"[" + GOOD + b', {"id": "a/odd", ' + field + b"}]")
    entries = [read_row("model", row, NOW, dropped=dropped) for row in found.rows]

    assert [one.id for one in entries if isinstance(one, CatalogEntry)] == ["a/good", "a/odd"]
    assert set(dropped) == ({counted} if counted else set())
    assert all(CatalogEntry.model_validate_json(one.encode()) == one for one in entries)  # type: ignore[union-attr]


def test_a_page_of_more_objects_than_a_message_may_have_is_read_row_by_row():
    """Cards of embedding models state some thousands of results each."""
    rows = [{"id": f"a/{n}", "model-index": [{"x": []}] * 1_000} for n in range(60)]
    found = page(json.dumps(rows).encode())

    assert (len(found.rows), found.refused, found.whole) == (60, {}, True)


@pytest.mark.parametrize("lost", [1, 2, 5, 20, 28])
def test_a_page_that_breaks_off_says_so_and_keeps_its_whole_rows(lost: int):
    found = page((b"[" + GOOD + b"," + GOOD + b"]")[:-lost])

    assert not found.whole
    assert [row["id"] for row in found.rows] == ["a/good"] * (2 if lost == 1 else 1)


@pytest.mark.parametrize("body", [b"", b"<html>[1]</html>", b'{"error": "gone"}', b"null", b'"[]"', b'{"rows": [NaN]}'])
def test_what_is_no_list_is_no_page(body: bytes):
    assert page_of(body) is None


def test_values_between_the_rows_are_refused_and_counted():
    found = page(b"[1, " + GOOD + b', null, NaN, "x"]')

    assert (len(found.rows), found.refused, found.whole) == (1, {"not_an_object": 4}, True)


@pytest.mark.parametrize("body", [b"[" * 2_000_000, b'["' + b'\\"' * 1_000_000, b'[{"a":"' + b"\\" * 1_000_001, b"[" +
                                  b'"",' * 400_000])  # fmt: skip
def test_no_page_takes_the_square_of_its_length(body: bytes):
    began = time.process_time()
    assert not page(body).whole

    assert time.process_time() - began < 10


@given(st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.lists(st.floats(), max_size=3)),
                max_size=4))  # fmt: skip
def test_row_by_row_reads_what_a_parser_reads(rows: list[dict[str, Any]]):
    """NaN among them, so that the page goes the slow way; a marker makes sure of it."""
    found = page(json.dumps([*rows, {"nan": float("nan")}]).encode())

    assert json.dumps(found.rows[:-1]) == json.dumps(json.loads(json.dumps(rows)))
    assert (found.refused, found.whole) == ({}, True)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_page_or_none(body: bytes):
    found = page_of(b"[" + body)

    assert found is None or isinstance(found.rows, list)


# Addresses and paces


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("<?cursor=x>", "https://hub.test/api/models?cursor=x"),
        ("</api/models?cursor=x>", "https://hub.test/api/models?cursor=x"),
        ("<https://hub.test:443/api/models?cursor=x>", "https://hub.test:443/api/models?cursor=x"),
    ],
)
def test_a_relative_next_page_is_relative_to_the_page_that_names_it(link: str, found: str):
    assert next_page("https://hub.test/api/models?limit=5", f'{link}; rel="next"') == found


@pytest.mark.parametrize(
    "address",
    ["http://[::1", "//evil.test/x", "https://hub.test\\@evil.test/x", "file:///etc/passwd", "http://169.254.169.254/"],
)
def test_a_next_page_that_leads_elsewhere_is_refused_and_not_raised_as_anything_else(address: str):
    from hub.sync.walk import Strange

    with pytest.raises(Strange):
        next_page("https://hub.test/api/models", f'<{address}>; rel="next"')


def test_the_usual_port_is_the_same_origin():
    assert same_origin("https://a.test", "https://a.test:443/x")
    assert not same_origin("https://a.test", "https://a.test:80/x")
    assert not same_origin("https://a.test", "http://a.test/x")


def test_a_page_that_is_too_large_is_asked_for_with_a_tenth_of_its_rows():
    asked = "https://hub.test/api/models?sort=createdAt&limit=1000&expand%5B%5D=author&cursor=x%3D"

    assert smaller(asked) == asked.replace("1000", "100")
    assert smaller("https://hub.test/api/models?limit=5") == "https://hub.test/api/models?limit=1"
    assert smaller("https://hub.test/api/models?limit=1") is None
    assert smaller("https://hub.test/api/models") is None


@pytest.mark.parametrize(
    "told", ["9" * 40 + " Nov 2026 1:1:1", "Mon, 23 Nov 99999 12:00:30 GMT", "-5", "1e9", "\x00", "Mon, 23 Nov 2026"]
)
def test_a_pause_that_is_none_says_nothing_and_raises_nothing(told: str):
    assert pace_of({"retry-after": told}, NOW).wait_s in (None, 0.0)


# Rows


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("user/_leading", True), ("_user/model", True), ("gpt2", True), ("a/b--c", True), ("a/b.c-1_2", True),
        ("a/b..c", False), ("..", False), ("a/..", False), ("../a", False), ("a//b", False), ("/a", False),
        ("a/", False), ("a b/c", False), ("a/b\n", False), ("a/\u0431", False), ("a/b%2e%2e", False), ("a/b?x", False),
        ("a/b#x", False), ("http://a/b", False), ("a\\b", False), ("-a/b", False), ("A" * 97, False), ("", False),
    ],
)  # fmt: skip
def test_an_id_is_what_the_hub_lets_repositories_be_called(name: str, good: bool):
    assert is_repository(name) is good
    assert isinstance(read_row("model", {"id": name}, NOW), Refused) is not good


HARM: list[Any] = [
    None, True, False, 0, -1, 10**400, 1e308, float("nan"), float("inf"), "",
    "x" * 100_000, "\ud800", "a\x00b", "\u202e",
    [], [[]], [None], [{}], {}, {"a": {}}, {"models": 3}, {"models": [None, {"id": []}]}, {"parameters": []},
    {"parameters": {"F32": 10**30}}, {"parameters": {"F32": 10**18, "F16": 10**18}}, {"total": "1"}, {"total": -1},
    {"total": 10**19}, {"license": ["mit", None, {}]}, {"license": {"a": 1}}, {"license": "other", "license_name": []},
    {"license": "other", "license_name": "x" * 129}, {"language": {"en": 1}}, {"language": [[], None, "en"]},
    {"base_model": {"a": 1}}, {"base_model": ["../x", 7]}, {"model-index": {"results": []}},
    {"model-index": [{"results": [{"dataset": [], "task": "x", "metrics": [{"type": [], "value": {}}]}]}]},
    [{"results": [{"dataset": {"name": 3}, "metrics": {"value": 1}}]}], {"together": None}, {"together": {"task": []}},
    [{"provider": "x", "status": {}, "providerId": 5, "task": "x" * 99}], {"filesWithIssues": 5, "scansDone": "yes"},
    {"filesWithIssues": [None, 5, {"path": [], "level": []}], "scansDone": True},
    {"auto_map": 5}, {"context_length": "x"},
    {"max_position_embeddings": 10**30}, ["a"] * 5_000, [{"provider": f"p{n}"} for n in range(500)],
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "10000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-23",
    {"license": "mit\u0000"}, {"license": "x" * 10_000}, ["auto"], {"auto": 1}, "False",
]  # fmt: skip
FIELDS = (
    "modelId", "_id", "sha", "author", "description", "tags", "pipeline_tag", "library_name", "sdk", "downloads",
    "downloadsAllTime", "likes", "trendingScore", "createdAt", "lastModified", "safetensors", "gguf", "config",
    "cardData", "baseModels", "gated", "private", "disabled", "inference", "inferenceProviderMapping",
    "securityRepoStatus", "model-index",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
@pytest.mark.parametrize("field", FIELDS)
def test_whatever_stands_in_a_field_the_row_becomes_an_entry_that_can_be_written(kind: Any, field: str):
    for value in HARM:
        entry = read_row(kind, {"id": "a/b", "likes": 3, "tags": ["x"], field: value}, NOW)

        assert isinstance(entry, CatalogEntry), value
        assert CatalogEntry.model_validate_json(entry.encode()) == entry
        assert (entry.id, entry.kind) == ("a/b", kind)


@pytest.mark.parametrize(
    "told", ["```a\n" * 20_000, "![a](" * 20_000, "<!--" * 25_000, "~~~\n" * 25_001, "[[" * 50_000]
)
def test_no_card_takes_the_square_of_its_length(told: str):
    began = time.process_time()
    summary(told)

    assert time.process_time() - began < 5


def test_code_between_fences_is_no_part_of_a_summary_and_an_open_fence_hides_nothing():
    text = "It is a model for texts.\n\n```python\nthis is no part of it\n```\n\nMore is told of it here.\n"

    assert summary(text) == "It is a model for texts. More is told of it here."
    assert "stands below the fence" in (summary("```\nwhat stands below the fence\n") or "")


# Ages


def test_a_source_is_as_old_as_its_last_complete_reading_and_counters_as_the_last_full_one():
    def hours(number: float) -> datetime:
        return NOW - timedelta(hours=number)

    def said(source: Any, fields: tuple[str, ...]) -> Said:
        return Said(source=source, fields=fields, since=hours(90))

    entry = CatalogEntry(
        id="a/b", downloads=1,
        said=(said("hub", ("downloads",)), said("card", ("license",)), said("local", ("served",)), said("router", ())),
    )  # fmt: skip
    states = {
        "hub/model": SourceState(source="hub", state="complete", at=NOW, complete_at=hours(1), full_at=hours(20)),
        "novix/model": SourceState(source="novix", state="failed", at=NOW, complete_at=hours(5), error="status 500"),
        "hub/dataset": SourceState(source="hub", kind="dataset", state="complete", at=NOW, complete_at=NOW),
    }
    hub, card, local, router = ages(entry, states)

    assert (hub.as_of, hub.counted, hub.fault) == (hours(1), hours(20), "")
    assert (card.as_of, card.counted) == (hours(1), None)
    assert (local.as_of, local.fault) == (hours(5), "status 500")
    assert (router.as_of, router.fault) == (None, "")
    assert key_of("mapping", "space") == "hub/space"


def test_what_a_reading_has_met_before_it_came_to_its_end_is_as_old_as_that():
    entry = CatalogEntry(id="a/b", likes=1, said=(Said(source="hub", fields=("likes",), since=NOW),))
    states = {"hub/model": SourceState(source="hub", state="reading", at=NOW, complete_at=NOW - timedelta(days=3))}

    assert [(one.as_of, one.counted) for one in ages(entry, states)] == [(NOW, NOW)]
