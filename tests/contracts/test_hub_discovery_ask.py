"""Several sources, one answer: merged by id with who said what, as slow as the slowest; who was silent is told."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from hub_entries import NOW, Told, entry, filled, names, offer

from console.hub.sources import Kept
from hub.discovery import ask
from hub.discovery.ask import Source, discover
from hub.discovery.known import Unknown
from hub.discovery.upstream import hub_params
from hub.index.store import Index
from hub.sync.client import Answer
from schemas.catalog import CatalogEntry, Said
from schemas.discovery import Criteria
from schemas.endpoints import EndpointSpec, EndpointState


@pytest.fixture
def index(tmp_path) -> Index:
    said = [Said(source="hub", fields=("task", "downloads"), since=NOW)]
    return filled(
        tmp_path, [entry("a/bert", task="fill-mask", downloads=900, said=said), entry("b/roberta", said=said)]
    )


async def answered(index: Index, criteria: Criteria, *sources: Source, within_s: float = 2.0, known=None):
    known = known or Unknown()
    return await discover(
        criteria, search=lambda one: index.search(one, known=known, now=NOW), sources=sources, known=known,
        within_s=within_s, now=lambda: NOW,
    )  # fmt: skip


def saying(name: str, *entries: CatalogEntry, after_s: float = 0.0, **about: bool) -> Source:
    async def find(criteria: Criteria) -> Sequence[CatalogEntry]:
        await asyncio.sleep(after_s)
        return entries

    return Source(name, find, **about)


def by_router(name: str, **fields: object) -> CatalogEntry:
    served = [offer("groq", source="router", input_nanousd_per_mtok=1, output_nanousd_per_mtok=1)]
    return entry(name, served=served, said=[Said(source="router", fields=("served",), since=NOW)], **fields)


async def test_what_two_sources_say_of_one_model_is_one_hit_with_both_as_sources(index):
    """The router's offer beside the Hub's facts; no model twice."""
    found = await answered(index, Criteria(text="bert", limit=1), saying("router", by_router("a/bert")))

    assert names(found) == ["a/bert"]
    merged = found.models[0].entry
    assert (merged.downloads, merged.served[0].provider) == (900, "groq")
    assert {said.source: said.fields for said in merged.said} == {"hub": ("task", "downloads"), "router": ("served",)}
    assert found.models[0].cost is not None
    assert [(note.source, note.ok) for note in found.sources] == [("index", True), ("router", True)]
    assert not found.partial


async def test_what_the_index_does_not_have_yet_is_added_where_it_fits(index):
    """By its words and by every constraint; with the same weights."""
    others = [
        by_router("c/bert-new", task="fill-mask"),
        by_router("c/whisper"),
        by_router("c/bert-chat", task="text-generation"),
    ]

    found = await answered(index, Criteria(text="bert", tasks=("fill-mask",)), saying("router", *others))

    assert set(names(found)) == {"a/bert", "c/bert-new"}
    assert (found.filtered, found.filtered_is_exact) == (2, False)
    added = next(one for one in found.models if one.entry.id == "c/bert-new")
    assert added.score == pytest.approx(sum(part.value * part.weight for part in added.parts), abs=1e-9)
    assert {part.name: part.weight for part in added.parts} == found.weights


async def test_a_source_that_fails_leaves_a_partial_answer_that_says_which(index):
    """Its error by kind; the others' answers stand."""

    async def broken(criteria: Criteria) -> Sequence[CatalogEntry]:
        raise ConnectionResetError("peer")

    found = await answered(
        index, Criteria(text="bert"), Source("router", broken), saying("endpoints", by_router("a/bert"))
    )

    assert found.partial
    assert {note.source: (note.ok, note.detail) for note in found.sources}["router"] == (
        False,
        "ConnectionResetError: peer",
    )
    assert found.models[0].entry.served


async def test_all_are_asked_at_the_same_time_the_hub_while_the_others_still_answer(index):
    """B109: it takes as long as the slowest, not the sum. Nobody answers before all three have been asked."""
    all_asked = asyncio.Barrier(3)

    async def find(criteria: Criteria) -> Sequence[CatalogEntry]:
        await all_asked.wait()
        return ()

    together = [Source("router", find), Source("endpoints", find), Source("hub", find, on_miss=True)]

    found = await answered(index, Criteria(text="bert"), *together, within_s=60)

    assert [(note.source, note.ok) for note in found.sources] == [
        ("index", True), ("router", True), ("endpoints", True), ("hub", True)
    ]  # fmt: skip


@pytest.mark.parametrize("criterion", ["trending", "popular"])
async def test_what_is_not_in_the_catalogue_is_not_called_trending_or_popular(tmp_path, criterion):
    """They are the upper twentieth of the catalogue; another source's models have no place in it."""
    told = [entry(f"a/m{number}", downloads=number, likes=1, trending_score=float(number)) for number in range(1, 21)]
    index = filled(tmp_path, told)

    found = await answered(index, Criteria.model_validate({criterion: True}), saying("router", by_router("c/unheard")))

    assert names(found) == ["a/m20"]
    assert [note.source for note in found.sources] == ["index", "router"]


async def test_a_source_that_does_not_answer_in_time_is_left_out(index):
    """And is not waited for."""
    began = time.perf_counter()

    found = await answered(index, Criteria(text="bert"), saying("hub", after_s=30, on_miss=True), within_s=0.1)

    assert time.perf_counter() - began < 5
    assert (found.partial, found.sources[-1].detail) == (True, "no answer within 0.1 s")
    assert names(found) == ["a/bert"]


async def test_the_hub_is_asked_only_where_the_index_has_less_than_a_page(index):
    """B97: its calls are counted."""
    calls: list[Criteria] = []

    async def find(criteria: Criteria) -> Sequence[CatalogEntry]:
        calls.append(criteria)
        return [entry("z/bert-found-there", downloads=3)]

    hub = Source("hub", find, on_miss=True, knows_words=True)

    await answered(index, Criteria(limit=2), hub)
    assert calls == []
    found = await answered(index, Criteria(text="bert", limit=5), hub)
    assert len(calls) == 1
    assert "z/bert-found-there" in names(found)


async def test_no_more_than_a_page_is_answered_and_the_second_page_repeats_nothing(index):
    """What a source adds stands behind what the index has."""
    many = [by_router(f"n/bert-{number}") for number in range(30)]

    found = await answered(index, Criteria(text="bert", limit=5), saying("router", *many))

    assert len(found.models) == 5
    assert names(found).count("a/bert") == 1


async def test_only_what_the_registry_allows_is_added_where_that_is_asked(index):
    """What nobody has ruled on is not."""
    others = [by_router("c/bert-ok"), by_router("c/bert-unruled")]
    known = Told(allowed={"c/bert-ok": (True, "")})

    found = await answered(
        index, Criteria(text="bert", approved=True, tenant="acme"), saying("router", *others), known=known
    )

    assert names(found) == ["c/bert-ok"]


class Stub:
    """A `hub.sync.client.Asker` that answers with what it was given."""

    def __init__(self, value: object) -> None:
        self.value, self.urls = value, list[str]()

    async def json(self, url: str) -> Answer:
        self.urls.append(url)
        return Answer(self.value, {})


async def test_the_hubs_list_and_the_routers_are_read_by_the_catalogues_own_reading(index):
    """Rows that are no models are left out; each source is asked what it understands."""
    hub = Stub([{"id": "x/bert-live", "pipeline_tag": "fill-mask", "downloads": 5}, {"id": 7}, None, "row"])
    router = Stub(
        {"data": [{"id": "y/bert-served", "providers": [{"provider": "groq", "status": "live"}]}, {"id": None}]}
    )
    criteria = Criteria(text="bert", limit=4)

    found = await answered(
        index, criteria, ask.hub(hub, "http://hub/", lambda: NOW), ask.router(router, "http://router", lambda: NOW)
    )

    assert set(names(found)) == {"a/bert", "x/bert-live", "y/bert-served"}
    assert router.urls == ["http://router/v1/models"]
    assert hub.urls[0].startswith("http://hub/api/models?search=bert&limit=4")
    assert hub.urls[0].count("expand") == len([name for name, _ in hub_params(criteria) if name == "expand[]"])
    wrong = await answered(
        index, criteria, ask.hub(Stub({"error": "no"}), "http://hub"), ask.router(Stub([]), "http://r")
    )
    assert [note.detail.partition(":")[0] for note in wrong.sources if not note.ok] == ["ValueError", "ValueError"]


async def test_own_endpoints_are_a_source_by_task_region_and_state(index):
    """B108: from their states."""

    def state(name: str, task: str, region: str, status: str) -> EndpointState:
        spec = EndpointSpec.model_validate({
            "namespace": "acme", "name": name, "tenant": "acme", "model": f"own/{name}", "task": task,
            "instance_type": "l4", "security": {"region": region},
        })  # fmt: skip
        return EndpointState(spec=spec, status=status, ready=status == "running", at=NOW, since=NOW)

    states = [
        state("bert-a", "fill-mask", "eu-west-1", "running"),
        state("bert-b", "fill-mask", "us-east-1", "running"),
        state("bert-c", "fill-mask", "eu-west-1", "scaledToZero"),
        state("bert-d", "text-generation", "eu-west-1", "running"),
    ]
    source = ask.endpoints(lambda: states)

    found = await answered(index, Criteria(tasks=("fill-mask",), regions=("eu",), served=True), source)

    assert names(found) == ["own/bert-a"]
    everything = await answered(index, Criteria(text="bert"), source)
    assert {"own/bert-a", "own/bert-b", "own/bert-c", "own/bert-d"} <= set(names(everything))


async def test_the_routers_list_is_asked_once_for_many_searches():
    """For half a minute; what failed is asked again."""
    calls: list[int] = []
    at = [0.0]

    async def find(criteria: Criteria) -> Sequence[CatalogEntry]:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError
        return [entry("a/b")]

    source = Kept(lambda: at[0]).of(Source("router", find))
    with pytest.raises(ConnectionError):
        await source.find(Criteria())
    for _ in range(5):
        await source.find(Criteria())
    assert len(calls) == 2
    at[0] = 31.0
    await source.find(Criteria())
    assert len(calls) == 3
