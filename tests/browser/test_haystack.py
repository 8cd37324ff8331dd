"""Why was one of very many jobs slow, and what did it cost? Found by looking, as docs/explorer.md says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import visit
from explorer_story import NEEDLE, Told
from explorer_world import Explorer, explorer
from playwright.sync_api import Browser

from console.words import money


@pytest.fixture(scope="module", params=[1_000, pytest.param(100_000, marks=pytest.mark.long)])
def haystack(
    request: pytest.FixtureRequest, told: list[Told], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Explorer]:
    """So many quick jobs, and those of the afternoon, one of which waited 45 s in a retry topic."""
    folder: Path = tmp_path_factory.mktemp("haystack")
    with explorer(told, folder) as shown:
        shown.quick(request.param)
        yield shown


def test_a_person_finds_the_slow_one_why_it_was_slow_and_what_it_cost(chromium: Browser, haystack: Explorer):
    with visit(chromium, haystack.origin) as person:
        page = person.go("/")
        haystack.settled(page)
        # The slowest, beside the picture: the first row is the longest.
        page.get_by_text("The slowest", exact=False).first.click()
        first = page.locator(".slowest tbody tr").first
        assert NEEDLE in first.inner_text()
        took = re.search(r"([\d.]+) s\b", first.inner_text())
        assert took is not None
        assert 45 < float(took[1]) < 60
        first.locator("a").click()
        page.wait_for_url(f"{person.origin}/jobs/search/{NEEDLE}")
        told = page.locator("main").inner_text()
        # The longest of the bars that hold no others is a wait, and says where.
        bars = page.evaluate(
            """() => [...document.querySelectorAll("#waterfall .row:has(rect.bar)")].map(row => ({
              label: row.querySelector(".label").textContent.trim(),
              note: row.querySelector(".note").textContent.trim(),
              kind: row.querySelector("rect.bar").getAttribute("class"),
              width: parseFloat(row.querySelector("rect.bar").getAttribute("width"))}))"""
        )
        reason = max((bar for bar in bars if "retry" in bar["kind"]), key=lambda bar: bar["width"])

    result = haystack.result(NEEDLE)
    assert reason["width"] > 95
    assert "inference.retry.60s.v1" in reason["label"]
    assert reason["note"].startswith(("44.9", "45."))
    assert money(result["cost_nanousd"]) in told
    assert "rate_limited" in told
    assert person.complaints == []


def test_the_same_is_found_by_a_search_for_what_took_long(chromium: Browser, haystack: Explorer):
    with visit(chromium, haystack.origin) as person:
        page = person.go("/")
        page.keyboard.press("/")
        page.keyboard.type("min=40s")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        rows = page.locator("[data-list] a[data-row]")

        assert [row.inner_text() for row in rows.all()] == [NEEDLE]
    assert person.complaints == []
