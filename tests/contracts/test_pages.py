"""The pages over HTTP: what they show, and what strangers' text cannot do to them."""

import hashlib
import re
from html.parser import HTMLParser
from importlib import resources
from urllib.parse import quote

import pytest
from console_world import Story
from starlette.testclient import TestClient

from console.facts import facts_of
from console.pages.app import create_app
from console.pages.render import job_url
from console.store import Store

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{7*7}}"""
HOSTILE_IDS = [
    HOSTILE,
    "..",
    "../../etc/passwd",
    "a/b//c",
    "javascript:alert(1)",
    "?x=1#y",
    "%2e%2e%2f",
    "ідентифікатор 日本",
    "' OR 1=1 --",
]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "s.sqlite")
    yield store
    store.close()


@pytest.fixture
def client(store):
    app = create_app(store, lambda: {"process": "console", "healthy": True})
    return TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)


def fill(store, *stories):
    store.add(facts_of(*record) for story in stories for record in story.records)


class Seen(HTMLParser):
    """A page as a browser reads it: its tags with attributes, its links, its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.text, self.attributes = [], [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data):
        self.text += data


def test_the_list_shows_each_job_with_status_model_cost_and_time(client, store):
    fill(store, Story(), Story(job_id="b2", status="rejected", offset=8))

    text = Seen(client.get("/").text).text

    for told in ("a1", "succeeded", "org/small", "$0.000001234", "820 ms", "b2", "rejected", "price_ceiling"):
        assert told in text


def test_filters_narrow_the_list_and_stay_in_the_form(client, store):
    fill(store, Story(), Story(job_id="b2", status="rejected", offset=8))

    html = client.get("/?status=rejected&text=b").text

    assert job_url("default", "b2") in Seen(html).links
    assert job_url("default", "a1") not in Seen(html).links
    assert '<option value="rejected" selected>' in html
    assert client.get("/fragments/jobs?status=rejected").text.count("<tr>") == 2


def test_a_jobs_page_tells_decision_attempts_waits_costs_and_trace(client, store):
    story = Story()
    fill(store, story)

    text = Seen(client.get("/jobs/default/a1").text).text

    for told in ("waits in inference.jobs.v1", "router", "wait retry", "attempt 2", "commit", "rate_limited", "req-2",
                 "brief/1", "complexity 0.31", "org/large", "price_ceiling", "bound by job", "novix-sandbox",
                 "Hello there.", story.trace.trace_id, "computed"):  # fmt: skip
        assert told in text, told


def test_a_waiting_job_refreshes_itself_and_a_finished_one_does_not(client, store):
    job, decision, spans, result = Story().records
    store.add(facts_of(*record) for record in (job, decision))
    assert 'hx-trigger="every 1s"' in client.get("/fragments/job?tenant=default&id=a1").text

    store.add(facts_of(*record) for record in (spans, result))

    assert "hx-trigger" not in client.get("/fragments/job?tenant=default&id=a1").text


def test_a_job_is_found_by_trace_and_by_record(client, store):
    story = Story()
    fill(store, story)

    for address in (f"/traces/{story.trace.trace_id}", f"/records/inference.jobs.v1/{story.home}/7"):
        answer = client.get(address)
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/default/a1")
    assert client.get("/records/inference.jobs.v1/0/4711").status_code == 404
    assert client.get("/traces/" + "0" * 32).status_code == 404
    assert client.get("/jobs/default/unknown").status_code == 404


def test_the_json_twins_carry_the_same(client, store):
    fill(store, Story())

    listed = client.get("/api/jobs").json()
    told = client.get("/api/jobs/default/a1").json()["submissions"][0]

    assert listed["totals"] == {"by_status": {"succeeded": 1}, "jobs": 1, "cost_nanousd": 1_234}
    assert listed["jobs"][0]["job_id"] == "a1"
    assert (told["result"]["status"], told["decision"]["policy"], len(told["spans"])) == ("succeeded", "brief/1", 6)
    assert client.get("/api/jobs/default/unknown").status_code == 404


@pytest.mark.parametrize("job_id", HOSTILE_IDS)
def test_a_hostile_id_is_text_and_its_link_leads_to_its_page(client, store, job_id):
    fill(store, Story(job_id=job_id), Story(job_id="neighbour", offset=8))

    page = Seen(client.get("/").text)
    [link] = [link for link in page.links if link == job_url("default", job_id)]
    shown = Seen(client.get(link).text)

    assert link.startswith(("/jobs/", "/job?"))
    assert not re.search(r"/\.{1,2}(/|$)", link.partition("?")[0])  # a browser would resolve it away
    assert job_id in shown.text
    assert shown.tags.count("script") == 1  # htmx, from our own files
    assert "img" not in [tag for tag in shown.tags if tag == "img"][1:]
    assert not [name for name in shown.attributes if name.startswith("on") or name == "style"]
    assert client.get(f"/api/jobs/default/{quote(job_id, safe='')}").status_code in (200, 404)


def test_hostile_outputs_messages_and_models_are_text(client, store):
    output = {"choices": [{"message": {"role": "assistant", "content": HOSTILE + "\x1b[31m"}}]}
    fill(store, Story(output=output, tenant="t<b>"))

    page = Seen(client.get(job_url("t<b>", "a1")).text)

    assert HOSTILE in page.text
    assert "\x1b" not in page.text
    assert page.tags.count("script") == 1
    assert not [name for name in page.attributes if name.startswith("on")]


def test_no_page_carries_inline_script_or_style_and_all_forbid_it(client, store):
    fill(store, Story())

    for address in ("/", "/jobs/default/a1", "/nothing", "/static/novix.css", "/api/jobs", "/healthz"):
        answer = client.get(address)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        if answer.headers["content-type"].startswith("text/html"):
            seen = Seen(answer.text)
            assert "style" not in (*seen.attributes, *seen.tags)
            assert not re.search(r"<script(?![^>]*\bsrc=)", answer.text)


def test_a_page_of_another_name_cannot_read_ours(client):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_healthz_says_what_it_is_told(store):
    ill = TestClient(
        create_app(store, lambda: {"healthy": False, "fault": "OperationalError"}), base_url="http://127.0.0.1"
    )

    assert ill.get("/healthz").status_code == 503
    assert ill.get("/healthz").json() == {"healthy": False, "fault": "OperationalError"}


def test_vendored_files_are_those_whose_hashes_are_written_beside_them(client):
    vendor = resources.files("console").joinpath("static", "vendor")
    written = dict(re.findall(r"\| `([^`]+)` \|.*`([0-9a-f]{64})`", vendor.joinpath("README.md").read_text()))

    assert set(written) == {"htmx-4.0.1.min.js", "pico-2.1.1.min.css"}
    for name, digest in written.items():
        assert hashlib.sha256(vendor.joinpath(name).read_bytes()).hexdigest() == digest
        assert f"/static/vendor/{name}" in client.get("/").text
        assert client.get(f"/static/vendor/{name}").status_code == 200
