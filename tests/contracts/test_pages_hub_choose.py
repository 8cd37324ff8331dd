"""The Model Hub's pages that help to choose: comparison, recommendation, registry, figures of discovery."""

import json

import pytest
from hub_world import BERT, DISTILBERT, MemoryHub, about, eval_run, ruled, words
from live_world import Seen, pages

from console.hub.port import Governance
from schemas.discovery import Criteria


def test_a_comparison_is_a_matrix_with_who_is_best_and_the_front(tmp_path):
    hub = MemoryHub(all_runs=[eval_run(BERT), eval_run(DISTILBERT, 0.7)])
    hub.expectations = {
        BERT: (about(45, "ms"), about(2_000_000, "nanousd")),
        DISTILBERT: (about(25, "ms"), about(1_000_000, "nanousd")),
    }
    with pages(tmp_path, hub=hub) as world:
        page = world.get(f"/hub/compare?m={BERT}&m={DISTILBERT}&quality=3")
        told = words(page)

    assert page.row("p50")[1:] == ["45 ms n=9, over 2 hours", "25 ms n=9, over 2 hours"]
    assert page.row("context")[1:] == ["unknown", "unknown"]
    assert f"Best for speed{DISTILBERT}" in told
    assert f"Best for quality{BERT}" in told
    assert "quality 0.6" in told
    points = json.loads(page.html.split('data-points="')[1].split('"')[0].replace("&#34;", '"'))
    assert points["axis"] == "quality"
    assert {row[0]: row[3] for row in points["points"]} == {BERT: True, DISTILBERT: True}


@pytest.mark.parametrize(
    ("query", "told"),
    [("m=nope/nothing", "is not in the catalogue"), ("&".join(f"m=a/{place}" for place in range(6)), "5 stand beside"),
     (f"m={BERT}&speed=fast", "weights"), (f"m={BERT}&tenant=a/b", "tenant")],
)  # fmt: skip
def test_a_comparison_that_cannot_be_made_says_why(tmp_path, query: str, told: str):
    with pages(tmp_path, hub=MemoryHub()) as world:
        answer = world.client.get(f"/hub/compare?{query}")

    assert answer.status_code == 400
    assert told in Seen(answer.text).text


def test_a_recommendation_tells_what_was_understood_and_what_was_not(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        told = words(world.get("/hub/recommend?q=classify+mails"))
        long = world.client.get("/hub/recommend?q=" + "x" * 2_001)

    assert 'task: text-classification from "classify mails"' in told
    assert 'Not understood, and so not applied: "classify mails"' in told
    assert "half the price" in told
    assert "licence: commercial use removed 4 of 9" in told
    assert "Better none is known" in told
    assert long.status_code == 400
    assert "2,001 characters; it may have 2,000" in long.text


def test_the_registry_tells_who_approved_and_that_nobody_has_checked_the_names(tmp_path):
    hub = MemoryHub(told=ruled("Ada"))
    with pages(tmp_path, hub=hub) as world:
        page = world.get("/hub/registry")
        hub.told = Governance("0", (), (), ())
        empty = world.get("/hub/registry").text

    assert "nobody has checked them" in page.text
    assert page.row("Ada/m")[3:6] == ["admitted", "", "Ada"]
    assert page.row("fast")[1] == "2"
    assert "Nothing is admitted or withdrawn." in empty
    assert "nobody has checked them" in empty


def test_a_search_of_the_discovery_page_asks_the_whole_catalogue(tmp_path):
    hub = MemoryHub()
    with pages(tmp_path, hub=hub) as world:
        told = words(world.get("/hub/discovery"))

    assert hub.asked == [Criteria(limit=1)]
    assert "took 3.2 ms just now over 9 models" in told
    assert told.count("unknown: nobody has run it here") >= 1
