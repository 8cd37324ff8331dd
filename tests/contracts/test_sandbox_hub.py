"""The sandbox's Hub speaks the Hub's grammar: lists with pages, one repository, files, limits; rows are pure."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.hf.app import Options, create_app
from sandbox.hf.hub_columns import columns
from sandbox.hf.hub_known import recorded
from sandbox.hf.hub_query import read_query
from sandbox.hf.hub_rows import repository, row
from sandbox.hf.hub_shelf import Shelf, sort_value
from sandbox.hf.server import serving

ROWS = 300


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Options(state=tmp_path, hub_rows=ROWS))
    async with serving(app) as base, httpx.AsyncClient(base_url=base, timeout=30) as client:
        yield client


async def listed(hub: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    """All pages of a list, each next one at the address that the `Link` header gives."""
    rows: list[dict[str, Any]] = []
    url: str | None = path
    while url:
        answer = await hub.get(url)
        assert answer.status_code == 200
        rows += answer.json()
        url = answer.links.get("next", {}).get("url")
    return rows


def test_a_row_is_a_function_of_seed_and_number():
    assert row(0, 499_999) == row(0, 499_999)
    assert row(0, 5) != row(1, 5)
    assert repository(0, 5) == row(0, 5)["id"]
    assert len({repository(0, number) for number in range(3_000)}) == 3_000


@pytest.mark.parametrize("name", ["createdAt", "lastModified", "downloads", "likes", "trendingScore"])
def test_what_is_sorted_by_is_what_is_told(name: str):
    """The columns of all rows and the single row are computed apart, and agree."""
    told = columns(0, 3_000).by[name].tolist()

    assert told == [sort_value(row(0, number), name) for number in range(3_000)]


def test_any_page_of_half_a_million_rows_is_there_without_those_before():
    shelf = Shelf(0, 500_000)
    query = read_query("model", [("sort", "downloads"), ("limit", "50")])
    first, after = shelf.page(query)

    assert after is not None
    counts = [one["downloads"] for one in first]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 10**6
    assert len(shelf) == 500_000


async def test_pages_tell_every_row_once(hub: httpx.AsyncClient):
    rows = await listed(hub, "/api/models?sort=downloads&limit=37&expand[]=downloads")
    ids = [one["id"] for one in rows]

    assert len(ids) == len(set(ids)) >= ROWS + len(recorded())
    assert {one["id"] for one in recorded()} <= set(ids)
    assert {"google-bert/bert-base-uncased", "HuggingFaceTB/SmolLM2-135M-Instruct"} <= set(ids)


async def test_a_row_that_changes_while_one_reads_moves_no_other(hub: httpx.AsyncClient):
    first = await hub.get("/api/models?sort=createdAt&limit=100&expand[]=likes")
    await hub.post("/sandbox/hub/touch?n=50")
    rest = await listed(hub, first.links["next"]["url"])
    whole = await listed(hub, "/api/models?sort=createdAt&limit=1000&expand[]=likes")

    assert [one["id"] for one in [*first.json(), *rest]] == [one["id"] for one in whole]


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("pipeline_tag=text-generation", lambda one: one["pipeline_tag"] == "text-generation"),
        ("filter=license:mit&filter=transformers", lambda one: {"license:mit", "transformers"} <= set(one["tags"])),
        ("search=bert%20base", lambda one: all(word in one["id"].lower() for word in ("bert", "base"))),
        ("author=facebook", lambda one: one["id"].startswith("facebook/")),
        ("gated=true", lambda one: one["gated"] in ("auto", "manual")),
        ("inference=warm", lambda one: one["inference"] == "warm"),
        ("inference_provider=together", lambda one: "together" in str(one["inferenceProviderMapping"])),
        (
            "num_parameters=min:6B,max:9B",
            lambda one: 6 * 10**9 <= (one.get("safetensors") or one["gguf"])["total"] <= 9 * 10**9,
        ),
    ],
)
async def test_a_filter_lets_through_all_that_fit_and_nothing_else(
    hub: httpx.AsyncClient, query: str, holds: Callable[[Any], bool]
):
    names = ("tags", "pipeline_tag", "gated", "inference", "inferenceProviderMapping", "safetensors", "gguf")
    expand = "&".join(f"expand[]={name}" for name in names)
    found = await listed(hub, f"/api/models?limit=100&{expand}&{query}")
    everything = await listed(hub, f"/api/models?limit=1000&{expand}")

    def fits(one: Any) -> bool:
        try:
            return holds(one)
        except (KeyError, TypeError):
            return False

    assert found
    assert {one["id"] for one in found} == {one["id"] for one in everything if fits(one)}


@pytest.mark.parametrize(
    "query",
    ["sort=size", "limit=0", "limit=many", "expand=nothing", "num_parameters=huge", "cursor=x", "expand=sha&full=true"],
)
async def test_what_the_grammar_does_not_know_is_refused(hub: httpx.AsyncClient, query: str):
    answer = await hub.get(f"/api/models?{query}")

    assert answer.status_code == 400
    assert "nvalid" in answer.json()["error"] or "cannot" in answer.json()["error"]


@pytest.mark.parametrize("value", [5, "x", [None, 7, {"provider": []}], {"total": "many"}, None])
async def test_a_hostile_row_breaks_no_list_that_passes_over_it(hub: httpx.AsyncClient, value: Any):
    names = ("tags", "safetensors", "gguf", "inferenceProviderMapping", "pipeline_tag", "author", "id")
    harm = dict.fromkeys(names, value)
    (await hub.post("/sandbox/hub/change?id=odd/one", json=harm)).raise_for_status()

    for query in (
        "filter=mit",
        "num_parameters=min:6B",
        "inference_provider=all",
        "search=bert",
        "author=a",
        "limit=9",
    ):
        assert (await hub.get(f"/api/models?{query}")).status_code == 200, query
    assert (await hub.get("/api/quicksearch?q=n")).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/models?num_parameters=min:" + "9" * 400, 400), ("/api/trending?type=model&limit=many", 422),
        ("/api/quicksearch?q=a&limit=" + "9" * 5_000, 422), ("/api/models?limit=" + "9" * 5_000, 400),
        ("/api/models?cursor=WzFlOTk5LDBd", 400),
    ],
)  # fmt: skip
async def test_a_number_beyond_measure_is_refused(hub: httpx.AsyncClient, path: str, status: int):
    assert (await hub.get(path)).status_code == status


async def test_one_model_is_told_by_id_and_by_an_id_of_old(hub: httpx.AsyncClient):
    told = (await hub.get("/api/models/deepset/roberta-base-squad2?expand[]=sha&expand[]=license")).status_code
    known = await hub.get("/api/models/deepset/roberta-base-squad2?expand[]=sha")
    moved = await hub.get("/api/models/gpt2")

    assert told == 400
    assert known.json()["sha"] == "adc3b06f79f797d1c575d5479d6f5efe54a9e3b4"
    assert set(known.json()) == {"_id", "id", "sha"}
    assert moved.status_code == 307
    assert moved.headers["location"].endswith("/api/models/openai-community/gpt2")
    assert (await hub.get("/api/models/nobody/nothing")).status_code == 401
    assert (await hub.get("/api/models/nobody/nothing", headers={"authorization": "Bearer hf_x"})).status_code == 404


async def test_scans_files_and_cards_are_told(hub: httpx.AsyncClient):
    name = row(0, 3)["id"]
    info = (await hub.get(f"/api/models/{name}?securityStatus=true&blobs=true")).json()
    scan = (await hub.get(f"/api/models/{name}/scan")).json()
    tree = (await hub.get(f"/api/models/{name}/tree/main")).json()
    card = await hub.get(f"/{name}/raw/main/README.md")

    assert info["securityRepoStatus"] == scan
    assert isinstance(scan["scansDone"], bool)
    assert {"README.md", "config.json"} <= {one["path"] for one in tree}
    assert all(isinstance(one["size"], int) for one in info["siblings"])
    assert card.text.startswith("---")
    assert (await hub.get(f"/{name}/raw/main/secret.txt")).status_code == 404


async def test_a_limit_that_is_used_up_is_told_as_the_hub_does(tmp_path: Path):
    app = create_app(Options(state=tmp_path, hub_rows=5, hub_quota=2))
    async with serving(app) as base, httpx.AsyncClient(base_url=base) as client:
        answers = [await client.get("/api/models?limit=1") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit"].startswith('"api";r=1;t=')
    assert answers[2].headers["ratelimit"].startswith('"api";r=0;t=')
    assert answers[0].headers["ratelimit-policy"] == '"fixed window";"api";q=2;w=300'


async def test_tests_may_change_rows(hub: httpx.AsyncClient):
    old, gone = row(0, 1)["id"], row(0, 2)["id"]
    assert (await hub.post(f"/sandbox/hub/rename?id={old}&to=new/name")).json()["to"] == "new/name"
    assert (await hub.post(f"/sandbox/hub/delete?id={gone}")).json()["deleted"] == gone
    assert (await hub.post("/sandbox/hub/change?id=facebook/bart-base", json={"downloads": "x"})).status_code == 200
    rows = {one["id"]: one for one in await listed(hub, "/api/models?limit=500&expand[]=downloads")}

    assert "new/name" in rows
    assert old not in rows
    assert gone not in rows
    assert rows["facebook/bart-base"]["downloads"] == "x"
    assert (await hub.get(f"/api/models/{old}")).status_code == 307
    assert (await hub.post("/sandbox/hub/delete?id=nobody/x")).status_code == 404


async def test_the_viewer_tells_labelled_rows_in_the_recorded_form(hub: httpx.AsyncClient):
    where = "dataset=novix-sandbox/people-and-places&config=default&split=test"
    rows = (await hub.get(f"/rows?{where}&offset=3&length=2")).json()
    names = rows["features"][2]["type"]["feature"]["names"]

    assert [one["row_idx"] for one in rows["rows"]] == [3, 4]
    assert all(len(one["row"]["tokens"]) == len(one["row"]["ner_tags"]) for one in rows["rows"])
    first = rows["rows"][0]["row"]
    assert {names[tag] for tag in first["ner_tags"]} == {"O", "B-PER", "I-PER", "B-ORG", "B-LOC"}
    assert (await hub.get("/is-valid?dataset=novix-sandbox/reviews")).json()["viewer"] is True
    assert (await hub.get("/size?dataset=novix-sandbox/reviews")).json()["size"]["dataset"]["num_rows"] == 80
    assert (await hub.get("/rows?dataset=novix-sandbox/reviews")).status_code == 422
    assert (await hub.get("/splits?dataset=nobody/x")).headers["x-error-code"] == "ExternalUnauthenticatedError"


async def test_an_answer_of_the_viewer_names_its_place_in_the_context(hub: httpx.AsyncClient):
    told = (await hub.get("/first-rows?dataset=novix-sandbox/questions&config=default&split=validation")).json()

    for one in told["rows"]:
        found, start = one["row"]["answers"]["text"][0], one["row"]["answers"]["answer_start"][0]
        assert one["row"]["context"][start : start + len(found)] == found


async def test_quick_search_and_trends_answer(hub: httpx.AsyncClient):
    quick = (await hub.get("/api/quicksearch?q=zephyr&type=model")).json()
    trend = (await hub.get("/api/trending?type=model&limit=3")).json()["recentlyTrending"]

    assert quick["models"][0]["id"] == "HuggingFaceH4/zephyr-7b-beta"
    assert len(trend) == 3
    scores = [one["repoData"]["trendingScore"] for one in trend]
    assert scores == sorted(scores, reverse=True)
