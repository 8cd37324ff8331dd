"""What strangers write, in a real page: it is text, it leads nowhere, and the page stays usable.

Records that our router would refuse are among it: whoever may write to a topic can write them.
"""

import csv
import io

import browser_checks as checks
import pytest
from browser import NARROW, Visiting
from console_world import Story
from explorer_story import HOSTILE_IDS, MARKUP, REFUSED_IDS
from explorer_world import Explorer

from console.pages.render import job_url

LARGE = "m" * 1_000_000
FORGED = (*REFUSED_IDS, "+1+1|cmd", "@SUM(A1)", "-2", "\t=1", "\u2028line")
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m"


@pytest.fixture(scope="module", autouse=True)
def forged(world: Explorer) -> None:
    """Results that no router of ours would write."""
    output = {"choices": [{"message": {"role": "assistant", "content": MARKUP + ESCAPES + LARGE}}]}
    stories = [Story(job_id=job_id, tenant="forged", offset=at, output=output) for at, job_id in enumerate(FORGED)]
    stories.append(Story(job_id="of a hostile tenant", tenant=f"{MARKUP}{ESCAPES}\u202e", offset=50))
    world.add(record for story in stories for record in story.records)


@pytest.mark.parametrize("job_id", [*HOSTILE_IDS, *FORGED], ids=lambda job_id: ascii(job_id[:24]))
def test_a_hostile_id_is_text_and_its_link_leads_to_its_page(visiting: Visiting, world: Explorer, job_id: str):
    tenant = "forged" if job_id in FORGED else "search"
    with visiting() as visit:
        page = visit.go(job_url(tenant, job_id))
        world.settled(page)
        assert page.url.startswith(f"{visit.origin}/job")
        assert page.locator("h1").count() == 1
        content = page.content()
        wrong = [*checks.semantics(page), *checks.foreign(page)]
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        wrong += checks.too_wide(page)
        told = page.locator("main").inner_text()

    assert [*wrong, *visit.complaints] == []
    assert len(content) < 3_000_000
    assert not set("\x00\x1b\x07\x9b") & set(told)
    if job_id.isascii() and job_id.isprintable() and len(job_id) < 100:
        assert job_id in told


def test_the_list_shows_all_of_them_and_is_usable(visiting: Visiting, world: Explorer):
    with visiting() as visit:
        page = visit.go("/?q=tenant%3Dforged")
        world.settled(page)
        rows = page.locator("[data-list] a[data-row]")
        assert rows.count() == len(FORGED)
        wrong = [*checks.semantics(page), *checks.foreign(page)]
        for at in range(rows.count()):
            address = rows.nth(at).get_attribute("href")
            assert address is not None
            assert address.startswith("/job")
        rows.first.click()
        page.wait_for_url(f"{visit.origin}/job*/**")
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        page.go_back()
        wrong += checks.too_wide(page)

    assert [*wrong, *visit.complaints] == []


def test_marks_that_turn_text_around_stay_inside_of_what_they_stand_in(visiting: Visiting):
    """A name with a right-to-left mark does not reorder its neighbours: each stands in a `bdi` of its own."""
    with visiting() as visit:
        page = visit.go("/?q=tenant%3Dforged")
        loose = page.evaluate(
            """() => {
              const loose = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
              for (let node = walker.nextNode(); node; node = walker.nextNode())
                if (/[\\u202a-\\u202e\\u2066-\\u2069]/.test(node.textContent)
                    && getComputedStyle(node.parentElement).unicodeBidi !== "isolate"
                    && !node.parentElement.closest("bdi")) loose.push(node.parentElement.outerHTML.slice(0, 100));
              return loose;
            }"""
        )

    assert loose == []


def test_the_table_for_a_spreadsheet_comes_as_text_without_formulas(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/")
        with page.expect_download() as started:
            page.locator("a[href^='/jobs.csv']").first.click()
        path = started.value.path()
        text = path.read_text(encoding="utf-8")
        assert started.value.suggested_filename.endswith(".csv")

    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) > len(FORGED)
    assert {len(row) for row in rows} == {len(rows[0])}
    assert [cell for row in rows for cell in row if cell[:1] in ("=", "+", "@", "\t", "\r")] == []
    assert [cell for row in rows for cell in row if cell[:1] == "-" and not cell[1:].isdecimal()] == []
    assert not set("\x00\x1b\x07") & set(text)
    assert visit.complaints == []


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/../../pyproject.toml",
                                  "/jobs/%00/%1b", "/traces/..%2f..", "/records/x/99999999999999999999/1",
                                  "/?q=%00%1b%E2%80%AE", "/?after=%3Cscript%3E", "/logs?trace=%3Cscript%3E",
                                  "/letters/9/9", "/?q=" + "x" * 5_000])  # fmt: skip
def test_a_hostile_address_is_answered_with_a_page_of_ours(visiting: Visiting, path: str):
    with visiting() as visit:
        visit.expected = ("status of",)
        answer = visit.page.goto(visit.origin + path)
        assert answer is not None
        assert answer.status in (200, 303, 400, 404)
        assert "root:" not in visit.page.content()
        wrong = checks.foreign(visit.page) if "html" in (answer.headers.get("content-type") or "") else []

    assert [*wrong, *visit.complaints] == []
