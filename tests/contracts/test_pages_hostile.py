"""What strangers wrote, in every place of every record, over every address of the pages: text, bounded, never a crash.

The addresses are those that pages lead to and all other routes of the application, so that a new page is among them.
"""

import csv
import io
import json
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest
from console_world import NOON, Story, ms
from hostile_records import NOON_MS, record, written
from hostile_texts import INSTANTS, LARGE, NUMBERS, TAG, TEXTS, obeyed, poisoned
from hub_world import MemoryHub, endpoint, hostile, ruled
from live_world import OURS, Seen, pages
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from console.live.processes import ProcessNow
from console.pages import guard, jobview
from console.pages.render import job_url
from console.pages.sheets import cell
from runtime.ports import Outgoing
from runtime.settings import Settings
from schemas.base import MAX_ID_CHARS
from schemas.topics import ALERTS, DECISIONS, DLQ, JOBS, RESULTS, SPANS

LARGEST_BYTES = 3_000_000
"""Of a page over all of this."""
GROUPS = ("tenant", "team", "model", "provider", "tag", "day", "task", "status")
PARTS = ("processes", "topics", "groups", "providers", "budgets")
QUESTIONS = (
    "/nothing",
    "/jobs.csv?q=tenant%3Dhostile",
    *(f"/{name}?by={by}" for name in ("costs", "costs.csv", "api/costs") for by in GROUPS),
    *(f"/fragments/live/{name}" for name in PARTS),
)
LARGE_JOB = Story(job_id="large", tenant="hostile", offset=1_000)
HUB_MODEL = quote(hostile()[0].id)
WHERE = {"tenant": "hostile", "job_id": "large", "trace_id": LARGE_JOB.trace.trace_id, "topic": JOBS.name,
         "part": "topics", "partition": "0", "offset": "0", "model": HUB_MODEL, "token": "none",
         "number": "0"}  # fmt: skip
"""What stands for the parts of a route's address."""
HUB_PAGES = {f"{Settings().hf_hub_url}/{quote(one.id)}" for one in hostile()}
"""What leads off this machine: a model's page on the Hub, its id escaped, and nothing else."""
TOKEN = "a-token-of-twenty-four-c"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    body: bytes


def addresses(app):
    """The address of each route and its methods; there is none but these and the static files."""
    for route in app.routes:
        if isinstance(route, Route):
            yield re.sub(r"\{(\w+)(:\w+)?\}", lambda part: WHERE[part[1]], route.path), route.methods or {"GET"}
        else:
            assert isinstance(route, Mount), route
            assert route.path == "/static"


def hub_paths(hub):
    """The Model Hub's pages of each model, and what is asked of them in strangers' words."""
    for model in (one.id for one in hub.entries):
        yield f"/hub/model/{quote(model)}"
        yield from (f"/fragments/hub/{name}?{urlencode({'model': model})}" for name in ("panels", "card", "rivals"))
    for text in (text for text in TEXTS.values() if text):
        yield f"/hub?{urlencode(dict.fromkeys(('q', 'task', 'tag', 'max_size', 'tenant', 'order', 'm'), text[:2000]))}"
        yield f"/fragments/hub/advice?{urlencode({'q': text[:900], 'license': text[:100]})}"
        yield f"/hub/recommend?{urlencode({'q': text[:3_000]})}"
        yield f"/hub/compare?{urlencode({'m': text[:200], 'tenant': text[:100], 'speed': text[:20]})}"


def answered(world, texts, more):
    """Every route, the questions that some take, the page of each text's job. A stream has no end: it is not asked."""
    paths = [
        path for path, methods in addresses(world.client.app) if "GET" in methods and not path.startswith("/events/")
    ]
    paths += [*QUESTIONS, "/job?tenant=hostile&id=large", *(job_url("hostile", text or "empty") for text in texts)]
    paths += more
    answers = {}
    for path in paths:
        answer = world.client.get(path, headers={"accept": "text/html"})
        answers[path] = Answer(answer.status_code, dict(answer.headers), answer.content)
    return answers


def filled(world):
    for place, text in enumerate(TEXTS.values()):
        named = Story(job_id=text or "empty", tenant="hostile", offset=place * 2)
        other = Story(job_id=f"of tenant {place}", tenant=text[:100] or "empty", offset=place * 2 + 1)
        for story in (named, other):
            world.wrote(*written(text, story))
    # A record has at most a MiB, in one text or in many.
    world.wrote(*written(LARGE[:20_000], LARGE_JOB, key="large"))
    long_output = {**json.loads(LARGE_JOB.result.encode()), "output": LARGE}
    world.wrote(
        record(RESULTS.name, long_output),
        record(RESULTS.name, {**long_output, "output": None, "error": {"message": LARGE}}),
    )
    world.said.of_processes = [
        ProcessNow(text, 42, text, True, False, text, 1, text, (text,), {"limits": {f"{text}/{text}": {"limit": 3}}})
        for text in TEXTS.values()
    ]
    money = ("limit_with_transfers_nanousd", "spent_nanousd", "reserved_nanousd", "available_nanousd")
    world.said.of_budgets = [
        {"tenant": text, "id": text, "holds_for": text, "present_window": text, "hard": True, "next_window": None,
         **dict.fromkeys(money, 2**62)}
        for text in TEXTS.values()
    ]  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["hidden", "captured"])
def shown(request, tmp_path_factory):
    """What every address answers."""
    hub = MemoryHub(entries=hostile(), told=ruled(TEXTS["markup"]), all_endpoints=[endpoint(message=TEXTS["markup"])])
    hub.text = "\n\n".join(text for text in TEXTS.values() if len(text) < 2_000)
    with pages(tmp_path_factory.mktemp("hostile"), capture=request.param, hub=hub) as world:
        filled(world)
        before = {place: len(rows) for place, rows in world.log.records.items()}
        known = [
            text for text in TEXTS.values() if len(text) <= MAX_ID_CHARS
        ]  # with a longer id the index cannot name a job
        answers = answered(world, ["large"] if request.param else known, [] if request.param else [*hub_paths(hub)])
        assert {place: len(rows) for place, rows in world.log.records.items()} == before, "looking changes nothing"
        yield answers


def test_every_address_answers_and_none_with_a_fault_or_without_end(shown):
    assert {path: one.status for path, one in shown.items() if one.status >= 500 and path != "/readyz"} == {}
    assert {path: len(one.body) for path, one in shown.items() if len(one.body) > LARGEST_BYTES} == {}
    missing = {path for path, one in shown.items() if one.status not in (200, 303)}
    asked = {path for path in missing if "?" in path and path.startswith(("/hub", "/fragments/hub"))}
    assert {shown[path].status for path in asked} <= {400}, "refused with a reason"
    missing = {path for path in missing - asked if not path.startswith("/hub/model/")}
    assert missing <= {"/nothing", "/live/topics/inference.jobs.v1", "/fragments/live/topic/inference.jobs.v1", "/job",
                       "/fragments/job", "/api/job",
                       "/hub/tried/none", "/hub/tried/none/0", "/fragments/hub/tried/none",
                       "/fragments/hub/panels", "/fragments/hub/card",
                       "/fragments/hub/performance"}  # fmt: skip


def test_on_no_page_is_it_markup_or_an_address_or_obeyed(shown):
    told = ""
    assert sum("html" in one.headers.get("content-type", "") for one in shown.values()) > 20
    for path, one in shown.items():
        if "html" not in one.headers.get("content-type", ""):
            continue
        html = one.body.decode()
        seen = Seen(html)
        assert seen.is_clean, path
        assert TAG not in {*seen.tags, *seen.attributes}, path
        assert obeyed(html) == set(), path
        outside = {link for link in seen.links if not link.startswith(("/", "#", "?")) or link.startswith("//")}
        assert outside - HUB_PAGES == set(), path
        assert str(7 * 7 * 1783) not in html, path
        told += seen.text
    for text in ("markup", "script address", "template", "formula", "sql"):
        assert TEXTS[text] in told, text  # it is shown as it is


def test_in_no_table_for_a_spreadsheet_is_it_a_formula(shown):
    tables = {path: one for path, one in shown.items() if "csv" in one.headers.get("content-type", "")}
    for path, one in tables.items():
        assert re.fullmatch(r'attachment; filename="[a-z0-9.-]+"', one.headers["content-disposition"]), path
        for row in csv.reader(io.StringIO(one.body.decode(), newline="")):
            wrong = [text for text in row if computed(text) and not re.fullmatch("-?[0-9]+", text)]
            assert wrong == [], path
            assert obeyed("".join(row)) == set(), path
    assert len(tables) >= len(GROUPS) + 1


def computed(text):
    """Whether some spreadsheet takes it for a formula (OWASP, "CSV Injection"), or drops what stands before one."""
    return text[:1] in ("\t", "\r", "\n") or text.lstrip(' \n\r\t"\u3000\u00a0')[:1] in tuple(
        "=+-@\uff1d\uff0b\uff0d\uff20"
    )


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_cell_is_text_whatever_stands_in_it(text):
    shown = cell(text)
    assert not computed(shown)
    assert obeyed(shown) == set()


def test_every_answer_forbids_script_of_others_and_is_kept_by_nobody(shown):
    for path, one in shown.items():
        policy = one.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';"), path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert one.headers["x-content-type-options"] == "nosniff", path
        assert one.headers["cache-control"] == "no-store", path
        if "json" in one.headers.get("content-type", ""):
            json.loads(one.body)


# numbers, instants, and too much of it


def fine(world, *paths):
    for path in paths:
        answer = world.client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        assert len(answer.content) < LARGEST_BYTES, path


LOOKED_AT = ("/", "/jobs/default/a1", "/api/job?tenant=default&id=a1", "/jobs.csv", "/fragments/statistics", "/alerts",
             "/api/alerts", "/letters", "/live", *(f"/costs?by={name}" for name in GROUPS),
             *(f"/costs.csv?by={name}" for name in GROUPS), f"/traces/{Story().trace.trace_id}?all=1",
             f"/traces/{Story().trace.trace_id}/otlp.json")  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: str(number)[:20])
def test_a_number_of_any_size_makes_pages(tmp_path, number):
    with pages(tmp_path) as world:
        for one in written("x", Story()):
            if one.topic not in (SPANS.name, DLQ.name):
                document = poisoned(json.loads(one.value), number=number)
                world.wrote(Outgoing(one.topic, one.key, json.dumps(document).encode(), one.headers, 0, ms(NOON)))
            else:
                world.wrote(one)
        fine(world, *LOOKED_AT)


@pytest.mark.parametrize("written_ms", [0, -1, 2**63 - 1, -(2**63), 253_402_300_800_000])
def test_an_instant_that_no_calendar_has_makes_pages(tmp_path, written_ms):
    story = Story()
    result, decision = json.loads(story.result.encode()), json.loads(story.decision.encode())
    alert = {
        "rule": "budget-90",
        "subject": "s",
        "value": 1,
        "threshold": 1,
        "unit": "$",
        "message": "m",
        "tenant": "t",
    }
    with pages(tmp_path) as world:
        for place, (topic, partition, _, _, value) in enumerate(story.records):
            at_ms = NOON_MS if topic == SPANS.name else written_ms if place % 2 else -written_ms - 1
            world.wrote(Outgoing(topic, None, value, (), partition, at_ms))
        for place, instant in enumerate(INSTANTS, 2):
            mine = {"submission": place, "received": {**result["received"], "timestamp_ms": written_ms}}
            calls = [{**one, "started_at": instant, "duration_ms": written_ms} for one in result["attempts"]]
            timing = dict.fromkeys(result["timing_ms"], written_ms)
            ended = {**result, **mine, "completed_at": instant, "attempts": calls, "timing_ms": timing}
            decided = {**decision, **mine, "decided_at": instant, "deadline": instant}
            world.wrote(record(DECISIONS.name, {"decisions": [decided]}, at_ms=written_ms))
            world.wrote(record(RESULTS.name, ended, at_ms=written_ms))
            for on in ("budget", "breaker_open", "spend", "lag"):
                world.wrote(record(ALERTS.name, {**alert, "alert_id": f"{place}{on}", "on": on, "at": instant}))
        fine(world, *LOOKED_AT)


def test_of_ten_thousand_attempts_a_page_shows_some_and_says_how_many_it_leaves_out(tmp_path):
    story = Story()
    result, decision = json.loads(story.result.encode()), json.loads(story.decision.encode())
    result["attempts"] = [{**result["attempts"][at % 2], "attempt": at, "model": "m" * 60} for at in range(10_000)]
    decision["candidates"] = decision["candidates"] * 5_000
    decision["exclusions"] = decision["exclusions"] * 5_000
    with pages(tmp_path) as world:
        world.wrote(
            record(JOBS.name, story.job),
            record(DECISIONS.name, {"decisions": [decision]}),
            record(RESULTS.name, result),
        )
        page = world.get("/jobs/default/a1")

    assert len(page.html) < LARGEST_BYTES
    assert len(page.rows) < 4 * jobview.MOST_LISTED
    assert f"{10_000 - jobview.MOST_LISTED:,}" in page.text
    assert f"{5_000 - jobview.MOST_LISTED:,}" in page.text


# the door, at every route there is


def test_with_a_token_no_route_but_login_health_and_static_files_answers_without_it(tmp_path):
    with pages(tmp_path, console_token=TOKEN) as world:
        world.wrote(*story_records())
        asked = 0
        for path, _ in addresses(world.client.app):
            if path in (guard.LOGIN, "/healthz", "/readyz"):
                continue
            for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
                for headers in ({"accept": "text/html"}, {"authorization": "Bearer "}, OURS):  # fmt: skip
                    client = TestClient(world.client.app, base_url="http://127.0.0.1", follow_redirects=False)
                    answer = client.request(method, path, headers=headers)
                    world.door._tries._failed.clear()
                    assert answer.status_code in (303, 401), (method, path, headers)
                    assert answer.status_code == 401 or answer.headers["location"].startswith("/login?next=%2F")
                    asked += 1
        assert asked > 300


def story_records():
    return [Outgoing(topic, None, value, (), partition, at) for topic, partition, _, at, value in Story().records]


def test_no_route_changes_anything_for_another_site_or_answers_to_another_name(tmp_path):
    with pages(tmp_path) as world:
        world.client.get("/")
        orders = 0
        for path, methods in addresses(world.client.app):
            assert world.client.get(path, headers={"host": "evil.example"}).status_code == 400, path
            for method in methods - {"GET", "HEAD", "OPTIONS"}:
                orders += 1
                for headers in ({}, {"origin": "null"}, {"origin": "http://127.0.0.1:8"},
                                {"sec-fetch-site": "cross-site"}, OURS):  # fmt: skip
                    answer = world.client.request(method, path, headers=headers, content=b"place=0/0&sure=yes")
                    assert answer.status_code == 403, (method, path, headers)
        assert orders >= 3
        assert world.log.records == {}
