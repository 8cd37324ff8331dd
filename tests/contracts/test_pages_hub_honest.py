"""What the Model Hub's pages say of a catalogue that is empty, not whole yet, or knows a model by another name; and of
searches and answers at their edges."""

from typing import Any

import pytest
from hub_world import BERT, NOON, MemoryHub, entry, words
from live_world import pages

from console.hub.desk import Desk, lacking
from console.hub.port import BadQuestion, NotThere
from schemas.comparison import ComparisonCriteria
from schemas.discovery import Criteria, Discovery, Removal, SourceNote


class Half:
    """An index that has one model, so far."""

    def get(self, key: str) -> Any:
        return entry(BERT) if key == f"model/{BERT}" else None

    def search(self, criteria: Criteria, *, known: Any) -> Discovery:
        note = SourceNote(source="index", ok=True, as_of=NOON)
        return Discovery(criteria=criteria, total=1, filtered=1, models=(), sources=(note,))


class World:
    """Nothing has been measured."""

    def of(self, tenant: Any) -> Any:
        return self

    def named(self) -> Any:
        return ()


def desk(why: list[str]) -> Desk:
    world: Any = World()
    return Desk(Half, lambda: world, unfinished=lambda: why[0])


def test_an_index_that_is_not_whole_says_so_until_it_is():
    why = ["it is still being filled, 7 records so far"]
    hub = desk(why)

    found = hub.search(Criteria())
    assert found.partial
    assert [(note.source, note.ok, note.detail, note.as_of) for note in found.sources] == [
        ("index", False, why[0], NOON)
    ]
    why[0] = ""
    assert not hub.search(Criteria()).partial


def test_a_model_that_may_come_yet_is_not_said_to_be_missing():
    why = ["it is still being filled, 7 records so far"]
    hub = desk(why)

    assert hub.model(BERT) is not None
    with pytest.raises(NotThere, match="7 records so far"):
        hub.model("acme/late")
    with pytest.raises(NotThere, match="acme/late yet"):
        hub.compare(ComparisonCriteria(models=("acme/late", BERT)))
    why[0] = ""
    assert hub.model("acme/late") is None
    with pytest.raises(BadQuestion):
        hub.compare(ComparisonCriteria(models=("acme/late", BERT)))


class Filling(MemoryHub):
    """Not whole."""

    def search(self, criteria: Criteria) -> Discovery:
        return lacking(super().search(criteria), "it is still being filled, 7 records so far")


@pytest.mark.parametrize("address", ["/hub", "/fragments/hub/results", "/hub/insights"])
def test_the_pages_say_that_the_index_is_not_whole(tmp_path, address: str):
    with pages(tmp_path, hub=Filling()) as world:
        told = words(world.get(address))

    assert "index is not whole" in told.replace("index:", "index")
    assert "7 records so far" in told
    assert "index did not answer" not in told.replace("index:", "index")


@pytest.mark.parametrize("address", ["/hub", "/fragments/hub/results", "/hub/insights"])
def test_an_empty_catalogue_is_called_empty_and_says_what_fills_it(tmp_path, address: str):
    with pages(tmp_path, hub=MemoryHub(entries=[])) as world:
        told = words(world.get(address))

    assert "The catalogue is empty. novix hub sync fills it" in told
    assert "No model fits" not in told


def test_a_page_behind_the_last_leads_to_the_last(tmp_path):
    hub = MemoryHub(entries=[entry(f"acme/m{place:02}") for place in range(45)])
    with pages(tmp_path, hub=hub) as world:
        page = world.get("/fragments/hub/results?page=9&language=en")

    assert "Page 9 is behind the last: there are 3" in words(page)
    assert "/hub?language=en&page=3" in page.links
    assert "No model fits" not in page.text


def test_models_that_nobody_serves_are_not_asked_for_as_served_by_the_forms_next_search(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        off, on = world.get("/hub?served=0"), world.get("/hub?served=1")

    assert '<input type="checkbox" name="served" value="1">' in off.html
    assert '<input type="hidden" name="served" value="0">' in off.html
    assert '<input type="checkbox" name="served" value="1" checked>' in on.html
    assert '<input type="hidden" name="served"' not in on.html


def test_who_was_left_out_is_named_with_why(tmp_path):
    class Removing(MemoryHub):
        def search(self, criteria: Criteria) -> Discovery:
            told = {"licenses": Removal(reason="its licence is none of these", examples=("acme/<b>out</b>",))}
            return super().search(criteria).model_copy(update={"removals": told, "removed": {"licenses": 3}})

    with pages(tmp_path, hub=Removing()) as world:
        page = world.get("/fragments/hub/results?license=mit")

    assert "its licence is none of these: acme/<b>out</b>, ..." in words(page)
    assert "<b>out</b>" not in page.html


@pytest.mark.parametrize("name", ["bert-base-uncased", "BERT-base-uncased", "google-BERT/bert-base-uncased"])
def test_a_model_that_was_called_otherwise_is_found_by_that_name(tmp_path, name: str):
    class Known(MemoryHub):
        def search(self, criteria: Criteria) -> Discovery:
            return super().search(criteria.model_copy(update={"text": ""}))

    others = [entry(f"acme/other{place}") for place in range(3)]
    hub = Known(entries=[*others, entry(BERT, formerly=("bert-base-uncased",))])
    with pages(tmp_path, hub=hub) as world:
        answer = world.client.get(f"/hub/model/{name}?tenant=t", follow_redirects=False)
        missing = world.client.get("/hub/model/bert-base", follow_redirects=False)

    assert answer.status_code == 307
    assert answer.headers["location"] == f"/hub/model/{BERT}?tenant=t"
    assert missing.status_code == 404


def test_a_recommendation_leads_to_a_comparison_for_the_same_tenant_and_task(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        page = world.get("/hub/recommend?q=classify+mails&tenant=acme")

    links = [link for link in page.links if link.startswith("/hub/compare?m=")]
    assert links
    assert all("tenant=acme" in link and "task=text-classification" in link for link in links)
