"""`/api/hub/...`: the same criteria and the same answer as the command line's, with typed refusals."""

import sqlite3
import threading

import pytest
from hub_entries import NOW, Told, entry, filled, offer
from hub_world import MemoryHub
from pages_world import pages_world

from console.hub.desk import Desk
from console.hub.port import Broken, NotThere
from runtime.settings import Settings
from schemas.discovery import Criteria, Discovery


class _World:
    """`console.hub.known.World` as the desk asks it."""

    observed = None

    def __init__(self):
        self.lock, self.sources = threading.RLock(), {}

    def of(self, tenant):
        return Told(latencies={"a/bert": 45.0}, allowed={"b/roberta": (False, "licence unknown")})


@pytest.fixture
def client(tmp_path):
    entries = [
        entry("a/bert", task="fill-mask", license="MIT", downloads=10, served=[offer("groq")]),
        entry("b/roberta", downloads=5),
    ]
    index = filled(tmp_path / "hub", entries)
    desk = Desk(lambda: index, _World, now=lambda: NOW)
    with pages_world(tmp_path, hub=desk, settings=Settings(hub_sync="off")) as world:
        yield world.client


def test_a_search_answers_with_a_discovery(client):
    """The contract's own form, read back by it."""
    answer = client.get("/api/hub/search", params={"q": "bert", "license": "mit", "offline": "true"})

    found = Discovery.model_validate_json(answer.content)
    assert answer.headers["content-type"] == "application/json"
    assert [(one.entry.id, one.latency.value) for one in found.models] == [("a/bert", 45.0)]
    assert found.removed == {"licenses": 0}


def test_without_other_sources_the_index_answers_alone(client):
    """Neither router nor Hub may be asked: own endpoints are, of which there are none."""
    client.app  # noqa: B018 - the same application
    found = client.get("/api/hub/search", params={"q": "roberta", "offline": "true"}).json()

    assert [note["source"] for note in found["sources"]] == ["index"]
    assert found["models"][0]["why_not"] == "licence unknown"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("colour=red", "no criterion"),
        ("limit=0", "limit"),
        ("q=" + "x" * 10_000, "10,000 characters"),
        ("offline=perhaps", "offline is true or false"),
        ("order=best", "it is one of relevance"),
        ("q=a&q=b", "given twice"),
    ],
)
def test_criteria_that_cannot_be_are_refused_with_400_and_what_is_allowed(client, query, says):
    """For insights too."""
    for path in ("search", "insights"):
        answer = client.get(f"/api/hub/{path}?{query}")
        assert answer.status_code == 400
        assert answer.json()["error"] == "bad_criteria"
        assert says in answer.json()["message"]


def test_a_model_is_told_whole_and_an_unknown_one_is_404(client):
    """With what is expected of it and whether it may be used, as `novix hub show --json` has it."""
    told = client.get("/api/hub/models/a/bert").json()
    assert {"entry", "latency", "cost", "quality", "approved", "why_not", "analytics", "sources"} == set(told)
    assert (told["entry"]["license"], told["latency"]["source"], told["approved"]) == ("MIT", "observed", None)
    assert client.get("/api/hub/models/b/roberta").json()["approved"] is False

    missing = client.get("/api/hub/models/nobody/has-it")
    assert (missing.status_code, missing.json()["error"]) == (404, "not_found")


def test_an_index_that_is_found_damaged_is_503(tmp_path):
    """Not a fault of the question, nor of the page."""
    index = filled(tmp_path / "hub", [entry("a/bert")])
    index._connection.execute("UPDATE entry SET body = zeroblob(9)")
    with pages_world(tmp_path, hub=Desk(lambda: index, _World, now=lambda: NOW)) as world:
        answer = world.client.get("/api/hub/search?offline=true")

    assert (answer.status_code, answer.json()["error"]) == (503, "not_there")
    assert index.damaged


@pytest.mark.parametrize("path", ["/hub?q=bert", "/fragments/hub/results?q=bert", "/hub/insights?q=bert"])
def test_the_pages_say_so_too_and_are_503(tmp_path, path):
    """With words, not with a page of nothing."""
    index = filled(tmp_path / "hub", [entry("a/bert")])
    index._connection.execute("UPDATE entry SET body = zeroblob(9)")
    with pages_world(tmp_path, hub=Desk(lambda: index, _World, now=lambda: NOW)) as world:
        answer = world.client.get(path)

    assert answer.status_code == 503
    assert "damaged; it is made anew" in answer.text


def test_an_index_that_is_only_busy_is_not_called_damaged(tmp_path):
    class Busy:
        def search(self, criteria, *, known):
            raise sqlite3.OperationalError("database is locked")

    with pytest.raises(NotThere, match="busy") as raised:
        Desk(Busy, _World, now=lambda: NOW).search(Criteria())
    assert not isinstance(raised.value, Broken)


def test_a_search_that_asks_others_knows_what_was_measured(tmp_path):
    """Not only one that asks the index alone: what the router adds is judged by the same."""
    asked = []

    class Asked(MemoryHub):
        async def discover(self, criteria):
            asked.append(criteria)
            return self.search(criteria)

    with pages_world(tmp_path, hub=Asked()) as world:
        assert world.client.get("/api/hub/search", params={"q": "bert", "tenant": "acme"}).status_code == 200
    assert [one.tenant for one in asked] == ["acme"]


def test_insights_are_those_of_the_hits(client):
    """Beside their facets."""
    told = client.get("/api/hub/insights", params={"task": "fill-mask"}).json()

    assert (told["total"], told["filtered"]) == (2, 1)
    assert told["insights"]["popular_tasks"] == [{"value": "fill-mask", "count": 1}]
    assert {facet["name"] for facet in told["facets"]} >= {"tasks", "licenses", "sizes"}


@pytest.mark.parametrize("path", ["search", "insights", "models/a/b"])
def test_without_an_index_the_answer_is_503_and_why(tmp_path, path):
    """No hub in this process; or one that is not open yet."""
    with pages_world(tmp_path / "none") as world:
        answer = world.client.get(f"/api/hub/{path}")
        assert (answer.status_code, answer.json()["error"]) == (503, "not_there")
    with pages_world(tmp_path / "down", hub=MemoryHub(down="the index is being opened")) as world:
        answer = world.client.get(f"/api/hub/{path}?offline=true")
        assert (answer.status_code, answer.json()["message"]) == (503, "the index is being opened")
    assert issubclass(NotThere, Exception)
