"""The Model Hub's pages over a hub in memory: what they show is what it says, and what nobody knows is unknown."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from console_world import NOON, Story
from hostile_records import record
from hub_world import ALBERT, BERT, DISTILBERT, ROBERTA, MemoryHub, about, endpoint, entry, eval_run, famous, words
from live_world import pages

from runtime.ports import Outgoing
from schemas.breakers import BreakerState
from schemas.ledger import Charge, LedgerBatch, LedgerEntry
from schemas.topics import BREAKERS, LEDGER

PAGES = ("/hub", "/hub/compare", "/hub/recommend", "/hub/insights", "/hub/registry", "/hub/endpoints", "/hub/discovery")


def ran(*stories: Story) -> list[Outgoing]:
    """Everything that these jobs leave."""
    return [
        Outgoing(topic, None, value, (), partition, at)
        for one in stories
        for topic, partition, _, at, value in one.records
    ]


def test_the_four_panels_are_there_with_the_first_hit_in_them(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        page = world.get("/hub")
        seen = words(page)

    for title in ("Model Explorer", "Model Details", "Performance", "Integration"):
        assert title in seen
    for box in ("Categories", "Metadata", "Capabilities", "Examples", "Benchmarks", "Comparison", "Usage", "Quality",
                "Endpoints", "Workflows", "Deployment", "Monitoring", "Trending", "Popular", "Recent"):  # fmt: skip
        assert box in seen, box
    assert "110M parameters" in seen
    assert "Apache-2.0" in seen
    assert "2.1M" in seen
    assert "847" in seen
    assert "As of unknown" in seen, "no source has told when it was read"
    assert "says hub, since 2026-11-22 12:00 UTC" in page.html


def test_the_conditions_of_the_form_reach_the_search_and_the_form_shows_them(tmp_path):
    hub = MemoryHub()
    with pages(tmp_path, hub=hub) as world:
        page = world.get("/hub?task=fill-mask&language=en&max_size=1GB&popular=1&q=bert&order=downloads")

    wanted = hub.asked[0]
    assert (wanted.tasks, wanted.languages, wanted.max_bytes) == (("fill-mask",), ("en",), 10**9)
    assert (wanted.popular, wanted.text, wanted.order) == (True, "bert", "downloads")
    assert 'value="bert"' in page.html
    assert '<option value="fill-mask" selected>' in page.html
    assert 'value="1GB"' in page.html
    assert '<input type="checkbox" name="popular" value="1" checked>' in page.html


def test_the_results_stand_in_the_order_of_the_search_and_each_says_why(tmp_path):
    with pages(
        tmp_path, hub=MemoryHub(entries=[one for one in famous() if one.id in (BERT, ROBERTA, DISTILBERT, ALBERT)])
    ) as world:
        page = world.get("/fragments/hub/results?task=fill-mask,text-classification")

    places = [page.text.index(name) for name in (BERT, ROBERTA, DISTILBERT, ALBERT)]
    assert places == sorted(places)
    row = page.row("in its name")
    assert row[:4] == ["bm25", "0.5", "0.6", "0.3"]


def test_categories_have_counts_that_do_not_change_with_the_one_that_is_chosen(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        whole, chosen = world.get("/fragments/hub/results"), world.get("/fragments/hub/results?modality=audio")

    for page in (whole, chosen):
        told = words(page)
        assert "NLP 6 Vision 1 Audio 1 Multimodal 1" in told
    assert "1 of 9 models" in words(chosen)


def test_hits_of_no_category_are_counted_beside_them(tmp_path):
    strange = [entry("acme/robot", task=None, modality=None), entry("acme/table", task=None, modality=None)]
    with pages(tmp_path, hub=MemoryHub(entries=[*famous(), *strange])) as world:
        told = words(world.get("/fragments/hub/results"))

    assert "NLP 6 Vision 1 Audio 1 Multimodal 1 other or unknown 2" in told


def test_estimated_counts_removed_models_and_a_partial_answer_are_said(tmp_path):
    hub = MemoryHub(partial=True, removed={"licenses": 1_204})
    with pages(tmp_path, hub=hub) as world:
        told = words(world.get("/fragments/hub/results?q=bert"))

    assert "counts estimated" in told
    assert "1,204 left out by licence" in told
    assert "Partial answer." in told
    assert "router did not answer (no answer within 2 s)" in told
    assert "bert large" in told


def test_others_than_the_index_are_asked_when_one_wants_it(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        here, live = world.get("/fragments/hub/results?q=bert"), world.get("/fragments/hub/results?q=bert&live=1")

    assert "far/away" not in here.text
    assert "/hub?q=bert&live=1" in here.links
    assert "far/away" in live.text
    assert "hub answered" in words(live)


def test_an_answer_that_is_whole_does_not_say_that_it_is_partial(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        assert "Partial" not in world.get("/fragments/hub/results").text


def test_pages_of_results_lead_on_and_back(tmp_path):
    hub = MemoryHub(entries=[entry(f"acme/m{place:02}", downloads=1_000 - place) for place in range(45)])
    with pages(tmp_path, hub=hub) as world:
        second = world.get("/hub?page=2&language=en")
        links = {urlsplit(link).query for link in second.links if link.startswith("/hub?")}
        last = world.get("/fragments/hub/results?page=3")

    assert "acme/m20" in second.text
    assert "acme/m19" not in second.text.split("Model Details")[0]
    assert {"language=en", "language=en&page=3"} <= links
    assert "page 3 of 3" in words(last)
    assert hub.asked[-1].offset == 40


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("q=" + "x" * 10_000, "10000 characters; it may have 1000"),
        ("max_size=huge", "max_size=huge"),
        ("q=refuse", "nobody likes"),
    ],
)
def test_a_search_that_cannot_be_answered_says_why(tmp_path, query: str, told: str):
    with pages(tmp_path, hub=MemoryHub()) as world:
        whole, part = world.client.get(f"/hub?{query}"), world.client.get(f"/fragments/hub/results?{query}")

    assert whole.status_code == 400
    assert told in whole.text
    assert told in part.text


@pytest.mark.parametrize("hub", [None, MemoryHub(down="the catalogue is being read")], ids=["none", "down"])
def test_without_a_catalogue_each_page_says_so(tmp_path, hub):
    why = "the catalogue is being read" if hub else "no catalogue"
    with pages(tmp_path, hub=hub) as world:
        for path in PAGES:
            query = {"/hub/compare": "?m=a", "/hub/recommend": "?q=a"}.get(path, "")
            assert why in world.get(path + query).text, path
        assert world.client.get(f"/hub/model/{BERT}").status_code == 404


# a model


def test_what_a_model_has_been_measured_to_do_stands_with_its_number_and_its_window(tmp_path):
    hub = MemoryHub(
        all_runs=[eval_run(BERT), eval_run(BERT, run_id="b", kind="bench", jobs_per_s=131.0, machine="two cores")]
    )
    hub.expectations[BERT] = (about(44, "ms"), about(1_000_000, "nanousd"))
    with pages(tmp_path, hub=hub) as world:
        told = words(world.get(f"/hub/model/{BERT}"))

    assert "44 ms (22 ms to 88 ms, observed, n=9, over 2 hours)" in told
    assert "94.1% accuracy on films, n=200" in told
    assert "of them 2 without an answer: they count as wrong" in told
    assert "528 MB to run, estimated; weights 440 MB" in told
    assert "131.0 jobs/s n=200, 2026-11-22, on two cores" in told
    for metric in ("accuracy", "f1", "precision", "recall"):
        assert metric in told


def test_what_nobody_has_measured_is_unknown_and_never_a_zero(tmp_path):
    bare = entry("acme/bare", downloads=None, likes=None, parameters=None, size_bytes=None, dtypes={}, license=None,
                 languages=(), library=None, gated=None, last_modified=None, said=(), security=None)  # fmt: skip
    with pages(tmp_path, hub=MemoryHub(entries=[bare])) as world:
        page = world.get("/hub/model/acme/bare")
        told = words(page)

    for name in (
        "Licence",
        "Downloads",
        "Likes",
        "As of",
        "Languages",
        "Library",
        "Weights",
        "Context",
        "Changed",
        "Gated",
        "Security",
        "Speed",
        "Expected",
        "Quality",
        "Memory",
        "Cost est.",
        "Paid",
        "Off by",
        "Throughput",
    ):
        assert f"{name} unknown" in told, name
    assert "$0 " not in told


def test_jobs_that_ran_on_a_model_are_its_speed_its_examples_and_its_evidence(tmp_path):
    stories = [Story(job_id=f"job-{place}", offset=place + 1) for place in range(3)]
    model = json.loads(stories[0].result.encode())["served"]["model"]
    with pages(
        tmp_path, hub=MemoryHub(entries=[entry(model, task="chat-completion", tasks=("chat-completion",))])
    ) as world:
        world.wrote(*ran(*stories))
        page = world.get(f"/hub/model/{model}")
        told = words(page)
        measured = world.client.get("/api/statistics", params={"q": f"model={model} status=succeeded"}).json()

    assert f"{measured['p50_ms']} ms p50" in told
    assert "n=3" in told
    assert {f"/jobs/default/job-{place}" for place in range(3)} <= set(page.links)
    assert any(link.startswith("/traces/") for link in page.links)
    source = next(part.split('"')[0] for part in page.html.split('data-source="')[1:]).replace("&amp;", "&")
    assert parse_qs(urlsplit(source).query) == {"q": [f"model={model} status=succeeded"]}


@pytest.mark.parametrize("capture", [False, True])
def test_an_example_tells_its_answer_only_where_outputs_are_kept(tmp_path, capture):
    story = Story(output={"choices": [{"message": {"content": "bees make honey"}}]})
    model = json.loads(story.result.encode())["served"]["model"]
    with pages(tmp_path, hub=MemoryHub(entries=[entry(model)]), capture=capture) as world:
        world.wrote(*ran(story))
        told = words(world.get(f"/hub/model/{model}"))

    assert ("bees make honey" in told) is capture
    assert ("NOVIX_CAPTURE_CONTENT" in told) is not capture


def test_the_estimate_is_held_against_the_ledger(tmp_path):
    hub = MemoryHub(entries=[entry("org/small")])
    hub.expectations["org/small"] = (None, about(1_650, "nanousd"))
    with pages(tmp_path, hub=hub) as world:
        spent(world, "a", "default", 1_000)
        spent(world, "b", "default", 2_000)
        spent(world, "c", "another", 70_000_000)
        told = words(world.get("/hub/model/org/small"))

    assert "Paid $0.0000015 a job by the ledger, n=2" in told
    assert "Off by +10.0%" in told


def spent(world, job_id, tenant, amount):
    """A job of `org/small` that was settled at that cost."""
    story = Story(job_id=job_id, tenant=tenant)
    story.write(world.log)
    charge = Charge(model="org/small", provider="groq", nanousd=amount, source="computed", ambiguous=False, attempt=1)
    entry = LedgerEntry(
        kind="settle", tenant=tenant, job_id=job_id, submission=1, decision_id=story.decision.decision_id,
        reserved_nanousd=10_000, cost_nanousd=amount, charges=[charge], status="succeeded", task="chat-completion",
        at=NOON, by="worker",
    )  # fmt: skip
    batch = LedgerBatch(lane="novix-worker-text.inference.text.v1.0", entries=[entry])
    world.wrote(story.outgoing_decision, story.outgoing_result)
    world.wrote(Outgoing(LEDGER.name, None, batch.model_dump_json().encode(), partition=0))


def test_the_state_of_a_provider_is_that_of_its_breaker(tmp_path):
    hub = MemoryHub()
    open_one = BreakerState.model_validate(
        {"provider": "groq", "model": "acme/small", "state": "open", "since": "2026-11-22T11:59:00Z", "by": "w",
         "because": "5 of 6 calls failed", "at": "2026-11-22T11:59:00Z", "retry_at": "2026-11-22T12:59:00Z"}
    )  # fmt: skip
    with pages(tmp_path, hub=hub) as world:
        before = world.get("/fragments/hub/panels?model=acme/small").row("groq")
        world.wrote(record(BREAKERS.name, json.loads(open_one.encode()), key=b"groq/acme/small"))
        after = world.get("/fragments/hub/panels?model=acme/small").row("groq")

    assert before[1] == "live"
    assert "breaker open" in after[1]


def test_security_and_what_a_tenant_may_use_stand_in_the_header(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        bad = words(world.get("/hub/model/llava-hf/llava?tenant=refused"))
        good = words(world.get(f"/hub/model/{BERT}"))

    assert "suspicious by the Hub's scanners" in bad
    assert "wants trust_remote_code" in bad
    assert "pytorch_model.bin: suspicious, imports os.system" in bad
    assert "Gated yes, by approval" in bad
    assert "Allowed no for tenant refused: its licence is none of yours" in bad
    assert "llama2 (no SPDX id)" in bad
    assert "Allowed yes for tenant default" in good


def test_dedicated_endpoints_of_a_model_stand_beside_it_and_on_their_page(tmp_path):
    hub = MemoryHub(all_endpoints=[endpoint(), endpoint("other-eu", ROBERTA, status="scaledToZero", ready=False)])
    with pages(tmp_path, hub=hub) as world:
        one = words(world.get(f"/hub/model/{BERT}"))
        row = world.get("/hub/endpoints").row("acme/bert-eu")

    assert "acme/bert-eu running, ready" in one
    assert "other-eu" not in one
    assert row[3] == "running, ready"
    assert "$0.5" in row[8]


def test_the_card_stands_sanitised_with_uses_and_limitations_beside_it(tmp_path):
    hub = MemoryHub()
    with pages(tmp_path, hub=hub) as world:
        whole, parts = (
            world.get(f"/fragments/hub/card?model={BERT}"),
            world.get(f"/fragments/hub/card?part=parts&model={BERT}"),
        )
        hub.text = "# A card of nothing"
        empty = words(world.get(f"/fragments/hub/card?part=parts&model={BERT}"))
        hub.text = None
        none = world.get(f"/fragments/hub/card?model={BERT}").text

    assert "Pretrained on English." in whole.text
    assert "alert" not in whole.html
    assert "img" not in whole.tags
    assert "Sentiment, entities" in parts.text
    assert "biased" in parts.text
    assert empty.count("not stated") == 2
    assert "It has no card." in none


def test_a_model_stands_beside_its_rivals(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        page = world.get(f"/fragments/hub/rivals?model={BERT}")

    assert f"vs {ROBERTA.rpartition('/')[2]}" in page.text
    assert page.row(BERT.rpartition("/")[2])[1] == "110M"
    assert page.row(ROBERTA.rpartition("/")[2])[1] == "125M"


@pytest.mark.parametrize(
    "path", ["/hub/model/nobody/nothing", "/fragments/hub/panels?model=nobody", "/hub/model/" + "x" * 5_000]
)
def test_a_model_that_is_not_there_is_missing(tmp_path, path: str):
    with pages(tmp_path, hub=MemoryHub()) as world:
        assert world.client.get(path).status_code == 404
