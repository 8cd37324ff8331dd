"""The pages over HTTP: what they show, and what strangers' text cannot do to them."""

import csv
import hashlib
import io
import re
from datetime import timedelta
from importlib import resources
from urllib.parse import quote

import pytest
from console_world import NOON, Story, ms
from pages_world import NOW_MS, Seen, pages_world

from console.index import statistics
from console.pages import export
from console.pages.render import job_url
from schemas import codec
from schemas.topics import JOBS

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
    '=HYPERLINK("http://evil.example","x")',
]


@pytest.fixture
def world(tmp_path):
    with pages_world(tmp_path) as world:
        yield world


def test_the_list_shows_each_job_with_status_model_cost_time_and_age(world):
    world.fill(Story(), Story(job_id="b2", status="rejected", offset=8))

    text = Seen(world.client.get("/").text).text

    for told in ("a1", "succeeded", "org/small", "$0.000001234", "820 ms", "b2", "rejected", "price_ceiling", "1 min",
                 "All 2 jobs", "p95 of the time taken", "Over all 2 jobs"):  # fmt: skip
        assert told in text, told


def test_one_line_searches_and_the_form_shows_what_it_says(world):
    world.fill(Story(), Story(job_id="b2", status="rejected", offset=8))

    html = world.client.get("/?q=status%3Drejected+b").text

    assert job_url("default", "b2") in Seen(html).links
    assert job_url("default", "a1") not in Seen(html).links
    assert '<option value="rejected" selected>' in html
    assert 'value="status=rejected b"' in html


def test_a_job_is_found_by_its_record_its_trace_and_an_attribute_of_its_spans(world):
    story = Story()
    world.fill(story, Story(job_id="b2", offset=8, tenant="other"))

    record = f"inference.jobs.v1/{story.home}/7"
    for line in (record, story.trace.trace_id, "novix.attempt=2 tenant=default", "min=800ms tenant=default"):
        listed = world.client.get("/api/jobs", params={"q": line}).json()
        assert [job["job_id"] for job in listed["jobs"]] == ["a1"], line


def test_the_form_leads_to_the_one_address_of_its_search(world):
    answer = world.client.get(
        "/", params={"q": "free words", "status": "failed", "tenant": 'a "b" c', "min": "", "since": "1h"}
    )

    assert answer.status_code == 303
    asked = world.client.get(answer.headers["location"])
    assert 'value="status=failed tenant=&#34;a \\&#34;b\\&#34; c&#34; since=1h free words"' in asked.text
    assert world.client.get("/", params={"status": "", "tenant": ""}).headers["location"] == "/"


def test_a_line_that_is_no_search_is_told_with_its_word_and_the_rest_stays(world):
    answer = world.client.get("/?q=tenant%3Da+min%3Dsoon")

    text = Seen(answer.text).text
    assert answer.status_code == 400
    assert "min=soon" in text
    assert 'value="tenant=a min=soon"' in answer.text
    assert world.client.get("/api/jobs?q=min%3Dsoon").json()["error"].startswith("min=soon")
    assert world.client.get("/api/statistics?q=" + "x" * 3_000).status_code == 400
    assert world.client.get("/jobs.csv?q=min%3Dsoon").status_code == 400


def test_more_is_loaded_by_limit_and_what_is_older_by_cursor(world):
    world.fill(*(Story(job_id=f"j{n}", offset=n, began=NOON + timedelta(seconds=n)) for n in range(7)))

    first = world.client.get("/api/jobs?limit=3").json()
    older = world.client.get("/api/jobs", params={"limit": 3, "after": first["next"]}).json()

    assert [job["job_id"] for job in first["jobs"]] == ["j6", "j5", "j4"]
    assert [job["job_id"] for job in older["jobs"]] == ["j3", "j2", "j1"]
    assert "limit=103" in world.client.get("/?limit=3").text
    assert "not live" in world.client.get("/", params={"after": first["next"]}).text


def test_the_picture_has_a_point_for_each_ended_job_and_its_page(world):
    world.fill(Story(), Story(job_id="b2", offset=8))
    world.records((JOBS.name, 0, 99, ms(NOON), codec.encode({"id": "waits", "task": "chat-completion"})))

    told = world.client.get("/api/statistics").json()

    points = {point[5]: dict(zip(told["fields"], point, strict=True)) for point in told["points"]}
    assert set(points) == {"a1", "b2"}
    assert points["a1"]["address"] == "/jobs/default/a1"
    assert (points["a1"]["total_ms"], told["p50_ms"], told["exact"]) == (820, 820, True)
    assert "The slowest 2, as a table" in Seen(world.client.get("/").text).text


def test_the_json_twin_of_the_list_carries_the_totals(world):
    world.fill(Story())

    listed = world.client.get("/api/jobs").json()

    assert listed["totals"] == {"by_status": {"succeeded": 1}, "jobs": 1, "cost_nanousd": 1_234}
    assert (listed["total"], listed["total_exact"], listed["next"]) == (1, True, None)


def test_the_list_is_a_csv_file_without_formulas(world):
    stories = [Story(job_id=job_id, offset=n) for n, job_id in enumerate(["=1+1", "-2", "@x", 'a,"b"\nc', "plain"])]
    world.fill(*stories)

    answer = world.client.get("/jobs.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))

    assert {row["job_id"] for row in rows} == {"'=1+1", "'-2", "'@x", 'a,"b"\nc', "plain"}
    assert {row["total_ms"] for row in rows} == {"820"}
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]


def test_a_csv_file_holds_every_hit_up_to_its_bound_and_its_name_says_when_there_are_more(world, monkeypatch):
    monkeypatch.setattr(export, "A_PAGE", 2)
    world.fill(*(Story(job_id=f"j{n}", offset=n, began=NOON + timedelta(seconds=n)) for n in range(5)))

    def file():
        answer = world.client.get("/jobs.csv?q=min%3D1ms")
        rows = csv.DictReader(io.StringIO(answer.text, newline=""))
        return answer.headers["content-disposition"].partition("=")[2], [row["job_id"] for row in rows]

    assert file() == ('"novix-jobs.csv"', ["j4", "j3", "j2", "j1", "j0"])
    for module, name in ((statistics, "LOOKED_AT"), (export, "MOST_ROWS")):
        monkeypatch.setattr(module, name, 3)
    assert file() == ('"novix-jobs-newest-3.csv"', ["j4", "j3", "j2"])


@pytest.mark.parametrize("job_id", HOSTILE_IDS)
def test_a_hostile_id_is_text_and_its_link_leads_to_its_page(world, job_id):
    world.fill(Story(job_id=job_id), Story(job_id="neighbour", offset=8))

    page = Seen(world.client.get("/").text)
    link = next(link for link in page.links if link == job_url("default", job_id))
    shown = Seen(world.client.get(link).text)

    assert link.startswith(("/jobs/", "/job?"))
    assert not re.search(r"/\.{1,2}(/|$)", link.partition("?")[0])  # a browser would resolve it away
    assert job_id in shown.text
    assert page.is_clean
    assert shown.is_clean
    assert world.client.get(f"/api/jobs/default/{quote(job_id, safe='')}").status_code in (200, 404)
    assert world.client.get("/api/job", params={"tenant": "default", "id": job_id}).json()["job_id"] == job_id


def test_hostile_searches_are_text(world):
    for line in (HOSTILE, "\x1b[31m", "\u202eabc", "\x00", '"', "a" * 30_000, "tenant=" + HOSTILE, "%" * 50):
        page = world.client.get("/", params={"q": line})
        assert page.status_code in (200, 400)
        assert Seen(page.text).is_clean
        assert "\x1b" not in page.text
        assert "\u202e" not in page.text


def test_no_page_carries_inline_script_or_style_and_all_forbid_it(world):
    world.fill(Story())

    for address in ("/", "/jobs/default/a1", "/nothing", "/static/novix.css", "/api/jobs", "/healthz", "/jobs.csv"):
        answer = world.client.get(address)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        if answer.headers["content-type"].startswith("text/html"):
            assert Seen(answer.text).is_clean


def test_every_field_of_the_pages_has_a_label_and_every_page_a_title_and_a_way_past_the_menu(world):
    world.fill(Story())

    for address in ("/", "/jobs/default/a1", f"/traces/{Story().trace.trace_id}?all=1", "/nothing"):
        html = world.client.get(address).text
        labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', html))
        for field in re.findall(r"<(?:input|select)[^>]*>", html):
            inside = re.search(r"<label>(?:(?!</label>).)*" + re.escape(field), html, re.DOTALL)
            ident = re.search(r' id="([^"]+)"', field)
            assert 'type="hidden"' in field or inside or (ident and ident[1] in labelled), field
        assert len(re.findall("<h1", html)) == 1
        assert "<title>" in html
        assert 'class="skip" href="#main"' in html


def test_a_page_of_another_name_cannot_read_ours(world):
    assert world.client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_healthz_says_what_it_is_told(world):
    assert world.client.get("/healthz").json() == {"process": "console", "healthy": True}

    world.told.update(healthy=False, fault="OperationalError")

    assert world.client.get("/healthz").status_code == 503
    assert world.client.get("/healthz").json()["fault"] == "OperationalError"


def test_vendored_files_are_those_whose_hashes_are_written_beside_them(world):
    vendor = resources.files("console").joinpath("static", "vendor")
    written = dict(re.findall(r"\| `([^`]+)` \|.*`([0-9a-f]{64})`", vendor.joinpath("README.md").read_text()))
    there = {file.name for file in vendor.iterdir() if file.name.endswith((".js", ".css"))}
    world.fill(Story())
    jobs = world.client.get("/").text

    assert set(written) == there
    for name, digest in written.items():
        assert hashlib.sha256(vendor.joinpath(name).read_bytes()).hexdigest() == digest
        assert f"/static/vendor/{name}" in jobs
        assert world.client.get(f"/static/vendor/{name}").status_code == 200


def test_ages_are_told_as_of_the_instant_of_the_page(world):
    world.fill(Story(began=NOON - timedelta(hours=3)))

    assert "3 h" in Seen(world.client.get("/").text).text
    assert ms(NOON) < NOW_MS
