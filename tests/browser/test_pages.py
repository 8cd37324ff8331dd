"""Each page in a real browser: it stands by itself, is silent on the console, fits a telephone, works by keyboard."""

import re

import browser_checks as checks
import pytest
from browser import NARROW, WIDE, Visiting
from explorer_world import Explorer

PAGES = (
    "jobs", "jobs of a search", "nothing found", "job", "job that failed", "job that waits", "trace", "live", "costs",
    "dead letters", "dead letter", "alerts", "logs", "missing",
)  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_page_stands_by_itself_and_is_walked_through_by_keyboard(visiting: Visiting, world: Explorer, name: str):
    """No error, no breach of its policy, nothing inline, nothing from elsewhere, everything named, light and dark, no
    wider than a telephone; and each step by Tab shows where one is."""
    with visiting() as visit:
        page = visit.go(world.address(name), status=404 if name == "missing" else 200)
        world.settled(page)
        told = [*checks.semantics(page), *checks.foreign(page), *(f"light: {one}" for one in checks.contrast(page))]
        page.emulate_media(color_scheme="dark")
        told += [f"dark: {one}" for one in checks.contrast(page)]
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        told += checks.too_wide(page)
        steps = checks.walk(page, 20)
        assert "Novix" in page.title()

    assert [*told, *visit.complaints] == []
    assert steps[0]["href"].startswith("#"), "the first step skips to the content"
    assert len(steps) > 5
    assert [step for step in steps if not (step["marked"] and step["inside"])] == []


def test_the_first_step_skips_the_navigation(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        inside = page.evaluate("document.querySelector('main').contains(document.activeElement)")

    assert inside


def test_the_search_the_list_and_a_job_are_worked_by_keyboard_alone(visiting: Visiting, world: Explorer):
    with visiting() as visit:
        page = visit.go("/")
        page.keyboard.press("/")
        page.keyboard.type("status=failed")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert re.search(r"[?&]q=status(%3D|=)failed", page.url)
        shown = page.locator("[data-list] a[data-row]")
        assert shown.count() == world.count("failed") > 0
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        at = checks.focused(page)
        assert at is not None
        assert at["href"] == shown.first.get_attribute("href")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.url.startswith(f"{visit.origin}/job")
        page.go_back()
        assert "failed" in page.url

    assert visit.complaints == []


def test_a_search_that_cannot_be_read_says_which_word(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/?q=min%3Dsoon", status=400)
        told = page.locator("[role=alert]").inner_text()

    assert "soon" in told
    assert visit.complaints == []


def test_the_colours_that_are_chosen_are_kept(visiting: Visiting):
    def ground(page) -> str:
        told: str = page.evaluate(
            "[document.body, document.documentElement].map(one => getComputedStyle(one).backgroundColor).join()"
        )
        return told

    with visiting(scheme="light") as visit:
        page = visit.go("/")
        light = ground(page)
        switch = page.locator("[data-theme-switch]")
        switch.click()
        switch.click()
        dark = ground(page)
        page.reload()
        again = ground(page)

    assert light != dark == again
    assert visit.complaints == []


def test_without_scripts_the_list_the_search_and_a_job_are_there(visiting: Visiting, world: Explorer):
    with visiting(scripts=False, size=WIDE) as visit:
        page = visit.go("/")
        page.locator("[data-search]").fill("status=rejected")
        with page.expect_navigation():
            page.locator("[data-search]").press("Enter")
        rows = page.locator("[data-list] a[data-row]")
        assert rows.count() == world.count("rejected") > 0
        with page.expect_navigation():
            rows.first.click()
        assert "rejected" in page.locator("main").inner_text()

    assert visit.complaints == []


def test_a_job_that_ends_while_one_looks_appears_by_itself(visiting: Visiting, world: Explorer):
    """By a server-sent event; the browser never loads the page again."""
    with visiting() as visit:
        page = visit.go("/")
        world.settled(page)
        page.evaluate("window.stayed = true")
        assert page.get_by_text("just-published").count() == 0
        world.more("just-published")
        page.get_by_text("just-published").first.wait_for()
        assert page.evaluate("window.stayed")

    assert visit.complaints == []


def test_a_click_on_the_highest_point_of_the_picture_opens_the_slowest_job(visiting: Visiting, world: Explorer):
    with visiting() as visit:
        page = visit.go("/")
        world.settled(page)
        at = page.evaluate(
            """() => {
              // Points have a colour; axes, grid and their words are grey.
              const canvas = document.querySelector("[data-scatter] canvas"), box = canvas.getBoundingClientRect();
              const {data, width} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              for (let i = 0; i < data.length; i += 4) {
                const [r, g, b] = data.slice(i, i + 3);
                if (data[i + 3] > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60)
                  return {x: box.x + ((i / 4) % width) * box.width / width,
                          y: box.y + Math.floor(i / 4 / width) * box.height / canvas.height};
              }
            }"""
        )
        page.mouse.move(at["x"], at["y"])
        page.locator("[data-scatter] .on-point").wait_for()
        page.mouse.down()
        page.mouse.up()
        page.wait_for_url(f"{visit.origin}{world.address('job')}")

    assert visit.complaints == []
