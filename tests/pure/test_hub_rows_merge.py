"""Entries out of several sources, and what was written of them in little."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalog.merging import merge, parts, same, without
from hub.catalog.offers import offer_entries, router_entries
from hub.catalog.rows import read_row
from hub.catalog.scores import community_rating, popularity
from hub.sync.marks import aged, is_news, marks_of, packed, unpacked
from sandbox.hf.hub_rows import row
from schemas.catalog import CatalogEntry, Said, Serving
from schemas.snapshot import CatalogueSnapshot

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)


def hub(number: int = 3, at: datetime = NOW, **more: object) -> CatalogEntry:
    entry = read_row("model", {**row(0, number), **more}, at)
    assert isinstance(entry, CatalogEntry)
    return entry


def router(name: str, at: datetime = NOW, price: float = 1.5) -> CatalogEntry:
    document = {"data": [{"id": name, "providers": [{"provider": "novita", "pricing": {"input": price, "output": 3}}]}]}
    found = router_entries(document, at, Counter())
    assert found is not None
    return found[0]


def test_two_sources_stand_beside_each_other_and_each_field_names_one():
    known = merge(hub(), router(hub().id))

    assert [one.source for one in known.served] == ["router"]
    assert known.task == hub().task
    owners = [name for said in known.said for name in said.fields if name != "served"]
    assert len(owners) == len(set(owners))


@pytest.mark.parametrize("number", range(40))
def test_an_entry_comes_apart_into_what_each_source_gave(number: int):
    whole = merge(hub(number), router(hub(number).id))

    again = None
    for part in parts(whole).values():
        again = part if again is None else merge_plain(again, part)
    assert again == whole


def merge_plain(one: CatalogEntry, other: CatalogEntry) -> CatalogEntry:
    from hub.catalog.merging import combined

    return combined([one, other])


def test_a_source_that_falls_silent_takes_its_words_along():
    whole = merge(hub(), router(hub().id))
    left = without(whole, ["router"])

    assert left is not None
    assert left == hub()
    assert without(router("a/b"), ["router"]) is None


def test_a_card_that_says_nothing_any_more_leaves_nothing_behind():
    """The row of the Hub is all that list, card and mapping say: what it has no more is not kept from before."""
    old = next(one for one in map(hub, range(60)) if one.license is not None and one.languages)
    row_now = {"id": old.id, "_id": old.hub_id, "likes": 1}
    fresh = read_row("model", row_now, LATER)
    assert isinstance(fresh, CatalogEntry)
    known = merge(merge(old, router(old.id)), fresh)

    assert (known.license, known.languages, known.downloads) == (None, (), None)
    assert known.likes == 1
    assert [one.source for one in known.served] == ["router"]


def test_saying_the_same_again_changes_nothing_not_even_the_day():
    whole = merge(hub(), router(hub().id))

    assert merge(whole, hub(at=LATER)) == whole
    assert merge(whole, router(hub().id, LATER)) == whole


def test_a_new_word_is_dated_and_the_others_keep_their_day():
    whole = merge(merge(hub(), router(hub().id)), router(hub().id, LATER, price=2.0))
    since = {said.source: said.since for said in whole.said}

    assert since["router"] == LATER
    assert since["hub"] == NOW


def test_a_renamed_repository_keeps_its_former_ids():
    old = hub()
    fresh = merge(old, hub(id="new/name"))
    again = merge(fresh, hub(id="newer/name"))

    assert fresh.formerly == (old.id,)
    assert again.formerly == (old.id, "new/name")
    assert merge(again, hub(id=old.id)).formerly == ("new/name", "newer/name")


def test_a_price_of_the_router_is_nano_dollars_and_a_missing_one_unknown():
    document = {
        "data": [
            {"id": "a/b", "providers": [{"provider": "one", "pricing": {"input": 0.1}}, {"provider": "two"}]},
            {"id": "bad id"},
            None,
        ]
    }
    dropped: Counter[str] = Counter()
    found = router_entries(document, NOW, dropped)

    assert found is not None
    one, two = found[0].served
    assert (one.input_nanousd_per_mtok, one.output_nanousd_per_mtok) == (100_000_000, None)
    assert two.input_nanousd_per_mtok is None
    assert dropped["router"] == 2
    assert router_entries({"error": "x"}, NOW, dropped) is None


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from(["a/b", "live", "x" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_OF_A_PROVIDER = (
    "provider", "status", "pricing", "context_length", "first_token_latency_ms", "throughput", "supports_tools",
    "is_free",
)  # fmt: skip
_OF_AN_OFFER = (
    "model", "provider", "provider_model", "tasks", "local", "served", "price", "regions", "context_tokens",
    "tokens_per_s",
    "first_token_ms", "live",
)  # fmt: skip


@settings(max_examples=600)
@given(st.dictionaries(st.sampled_from(_OF_A_PROVIDER), _JSON), st.dictionaries(st.sampled_from(_OF_AN_OFFER), _JSON))
def test_whatever_a_list_of_offers_holds_it_is_read_or_left_out(told: dict[str, Any], offer: dict[str, Any]):
    providers = [{"provider": "own", **told}, told]
    found = router_entries({"data": [{"id": "a/b", "providers": providers}]}, NOW, Counter())
    snapshot = CatalogueSnapshot(
        version="1", offers=[{"model": "a/b", "provider": "own", **offer}], aliases={}, providers={}, at=NOW
    )

    assert found is not None
    for entry in (*found, *offer_entries([snapshot])):
        assert CatalogEntry.model_validate_json(entry.encode()) == entry


def test_own_offers_are_told_by_whose_server_they_are():
    offers = [
        {"model": "a/b", "provider": "own", "tasks": ["chat-completion"], "local": True, "served": True},
        {"model": "a/c", "provider": "novita", "tasks": ["chat-completion"], "served": True, "regions": ["eu"]},
        {"model": "a/d", "provider": "x", "tasks": ["chat-completion"], "served": False},
        {"model": None},
    ]
    told = CatalogueSnapshot(version="1", offers=offers, aliases={}, providers={}, at=NOW)
    found = {entry.id: entry for entry in offer_entries([told])}

    assert set(found) == {"a/b", "a/c"}
    assert found["a/b"].served[0].source == "local"
    assert found["a/c"].served[0].regions == ("eu",)
    assert found["a/c"].served[0].source == "novix"


def test_marks_tell_a_change_and_nothing_else():
    one = hub()
    marks = marks_of(one)

    assert unpacked(packed(marks)) == marks
    assert not is_news(marks, marks_of(hub(at=LATER)))
    assert is_news(marks, marks_of(hub(likes=10**6)))
    assert is_news(marks, marks_of(merge(one, router(one.id))))
    assert is_news(marks, marks_of(one.model_copy(update={"formerly": ("x/y",)})))


def test_an_entry_that_changed_in_one_source_keeps_the_days_of_the_others():
    old = hub()
    fresh = hub(at=LATER, likes=10**6)
    marks = marks_of(fresh)
    told = aged(fresh, marks_of(old), marks)
    since = {said.source: said.since for said in told.said}

    assert since["hub"] == LATER
    assert since["card"] == NOW
    assert marks == marks_of(told)
    assert not same(old, told)


def test_popularity_grows_with_each_count_and_is_none_without_any():
    few, many = hub(downloads=10, likes=1), hub(downloads=10**6, likes=1)
    nothing = CatalogEntry(id="a/b", said=(Said(source="router", fields=("served",), since=NOW),))
    only = nothing.model_copy(update={"downloads": 10**8})

    low, high = popularity(few, NOW), popularity(many, NOW)
    assert low is not None
    assert high is not None
    assert 0 < low < high < 1
    assert popularity(nothing, NOW) is None
    assert popularity(only, NOW) == 1.0
    assert popularity(many, NOW) > (popularity(many, NOW + timedelta(days=900)) or 1)
    assert community_rating(nothing) is None


def test_a_few_counts_move_a_rating_little():
    none, one, loved = (
        community_rating(CatalogEntry(id="a/b", downloads=downloads, likes=likes))
        for downloads, likes in ((0, 0), (3, 1), (10_000, 500))
    )

    assert none is not None
    assert one is not None
    assert loved is not None
    assert 0 < none < one < 0.4
    assert loved > 0.9


def test_offers_are_ordered_whoever_spoke_first():
    first = Serving(provider="b", source="router")
    second = Serving(provider="a", source="mapping")
    one = CatalogEntry(id="a/b", served=(first,), said=(Said(source="router", fields=("served",), since=NOW),))
    other = CatalogEntry(id="a/b", served=(second,), said=(Said(source="mapping", fields=("served",), since=NOW),))

    assert merge(one, other).served == (second, first)
