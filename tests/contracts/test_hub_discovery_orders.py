"""Facets of many hits, what the registry allows, orders and their pages, insights, kinds."""

from datetime import timedelta

import pytest
from hub_entries import NOW, Told, entry, filled, generated, names

from hub.discovery import facets as counting
from hub.discovery.known import Known, Unknown
from hub.index.store import Index
from schemas.catalog import CatalogEntry
from schemas.discovery import Criteria, Discovery

ENTRIES = generated(800)


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    return filled(tmp_path_factory.mktemp("index"), ENTRIES)


def search(index: Index, known: Known | None = None, **criteria: object) -> Discovery:
    return index.search(Criteria.model_validate(criteria), known=known or Unknown(), now=NOW)


def test_facets_of_more_hits_than_are_counted_are_estimated_and_marked(index, monkeypatch):
    """From an even sample: each within a few hundredths of the true share."""
    exact = {facet.name: {one.value: one.count for one in facet.values} for facet in search(index).facets}
    monkeypatch.setattr(counting, "EXACT_HITS", 400)

    found = search(index)

    assert all(facet.estimated for facet in found.facets)
    for facet in found.facets:
        for one in facet.values:
            assert abs(one.count - exact[facet.name].get(one.value, 0)) < 0.08 * found.filtered
    assert [facet.values for facet in found.facets] != [facet.values for facet in search(index, text="bert").facets]


def test_only_what_the_registry_allows_is_shown_where_that_is_asked(index):
    """The others are counted, with the registry's own reason."""
    chosen = [one.id for one in ENTRIES if not one.disabled][:5]
    verdicts = {chosen[0]: (True, ""), chosen[1]: (True, ""), chosen[2]: (False, "licence GPL-3.0-only is denied")}
    known = Told(allowed=verdicts)

    found = search(index, known, approved=True, tenant="acme")

    assert set(names(found)) == set(chosen[:2])
    assert (found.filtered, found.removed["approved"]) == (2, search(index).filtered - 2)
    shown = {
        one.entry.id: (one.approved, one.why_not)
        for one in search(index, known, text=chosen[2].partition("/")[2]).models
    }
    assert shown[chosen[2]] == (False, "licence GPL-3.0-only is denied")


@pytest.mark.parametrize(
    "order", ["trending", "downloads", "likes", "recent", "cheapest", "fastest", "quality", "smallest"]
)
def test_an_order_puts_what_is_unknown_last_and_pages_follow_each_other(index, order):
    """All pages together are all hits, each once."""

    def value(one: CatalogEntry):
        return {"trending": one.trending_score, "downloads": one.downloads, "likes": one.likes,
                "recent": one.last_modified or one.created_at, "smallest": one.parameters}[order]  # fmt: skip

    pages = [search(index, order=order, limit=100, offset=start, facets=False) for start in range(0, 800, 100)]
    listed = [one for page in pages for one in page.models]

    assert len({one.entry.id for one in listed}) == len(listed) == pages[0].filtered
    says = [one.parts[0].says == "unknown" for one in listed]
    assert says == sorted(says)
    if order not in ("cheapest", "fastest", "quality"):
        known = [value(one.entry) for one in listed if value(one.entry) is not None]
        assert known == sorted(known, reverse=order != "smallest")


def test_pages_by_relevance_are_the_order_cut(index):
    """Beyond the pool that is weighed first, too."""
    whole = [
        name for start in range(0, 800, 100) for name in names(search(index, limit=100, offset=start, facets=False))
    ]

    assert len(set(whole)) == len(whole) == search(index).filtered
    assert names(search(index, limit=7, offset=100)) == whole[100:107]


def test_measured_quality_stands_before_what_cards_state(tmp_path):
    """A card says 0.99, nobody has checked it."""
    stated = entry("a/stated", stated_results=[{"dataset": "glue", "metric": "accuracy", "value": 0.99}], downloads=10)
    index = filled(tmp_path, [stated, entry("a/measured", downloads=10), entry("a/neither", downloads=10)])
    known = Told(qualities={"a/measured": 0.7})

    assert names(search(index, known, order="quality")) == ["a/measured", "a/stated", "a/neither"]
    assert names(search(index, known)) == ["a/measured", "a/stated", "a/neither"]
    assert {one.entry.id: one.quality for one in search(index, known).models} == {
        "a/measured": 0.7, "a/stated": None, "a/neither": None
    }  # fmt: skip
    told = {one.value: one.count for one in search(index, known).insights.quality_distribution}
    assert (told["0.6 to 0.8"], told["unknown"]) == (1, 2)


def test_trending_and_popular_are_the_upper_twentieth_and_recent_is_by_the_clock(index):
    """Of the kind; what has no score is not among them."""
    there = [one for one in ENTRIES if not one.disabled]
    scored = sorted(one.trending_score for one in there if one.trending_score)
    found = search(index, trending=True, limit=100)

    assert all(one.entry.trending_score >= scored[int(0.94 * len(scored))] for one in found.models)
    assert 0.03 * len(scored) < found.filtered < 0.08 * len(scored)
    popular = search(index, popular=True)
    assert 0 < popular.filtered < 0.08 * len(there)
    recent = search(index, recent_days=10, limit=100)
    assert all(
        max(filter(None, (one.entry.last_modified, one.entry.created_at))) >= NOW - timedelta(days=10)
        for one in recent.models
    )


def test_insights_tell_what_the_hits_are_like(index):
    """Tasks as the facet has them, trending by score; the same every time."""
    found = search(index, modalities=["text"])
    hits = [one for one in ENTRIES if not one.disabled and one.task and one.task != "text-to-image"]
    best = sorted((one for one in hits if one.trending_score), key=lambda one: -one.trending_score)[:5]

    assert list(found.insights.trending) == [one.id for one in best]
    assert {one.value: one.count for one in found.insights.popular_tasks} == {
        task: sum(one.task == task for one in hits) for task in {one.value for one in found.insights.popular_tasks}
    }
    assert found.insights == search(index, modalities=["text"]).insights
    assert any("can be asked now" in said for said in found.insights.recommendations)
    nothing = search(index, licenses=["nobody-has-it"])
    assert "leave out one of: licenses" in nothing.insights.recommendations[0]


def test_datasets_and_spaces_are_kinds_of_the_same_catalogue(tmp_path):
    """One search is of one kind."""
    kinds = [entry("a/bert"), entry("a/bert", kind="dataset"), entry("b/bert", kind="space")]
    index = filled(tmp_path, kinds)

    assert [search(index, text="bert", kind=kind).models[0].entry.kind for kind in ("model", "dataset", "space")] == [
        "model", "dataset", "space"
    ]  # fmt: skip
    assert search(index, kind="dataset").total == 1


def test_what_the_hub_has_disabled_is_not_shown(tmp_path):
    """It cannot be used; it stays in the catalogue."""
    index = filled(tmp_path, [entry("a/bert", disabled=True), entry("b/bert")])

    found = search(index, text="bert")

    assert (names(found), found.total) == (["b/bert"], 2)
