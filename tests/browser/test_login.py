"""The page that asks for the token, in a real browser: by keyboard, and to where one wanted to go."""

import secrets
from collections.abc import Iterator
from functools import partial

import browser
import browser_checks as checks
import pytest
from browser import NARROW, Visiting
from explorer_story import NEEDLE, Told
from explorer_world import Explorer, explorer
from playwright.sync_api import Browser

from console.pages.render import job_url

TOKEN = secrets.token_urlsafe(32)


@pytest.fixture(scope="module")
def world(told: list[Told], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    """The explorer's afternoon behind a token."""
    with explorer(told, tmp_path_factory.mktemp("closed"), token=TOKEN) as shown:
        yield shown


@pytest.fixture
def visiting(chromium: Browser, world: Explorer) -> Visiting:
    return partial(browser.visit, chromium, world.origin)


def test_the_login_stands_by_itself_and_is_worked_by_keyboard(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/costs")
        told = [*checks.semantics(page), *checks.foreign(page), *(f"light: {one}" for one in checks.contrast(page))]
        page.emulate_media(color_scheme="dark")
        told += [f"dark: {one}" for one in checks.contrast(page)]
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        told += checks.too_wide(page)
        assert page.title() == "Log in - Novix"
        assert page.get_by_label("Token").evaluate("one => one === document.activeElement"), "one types at once"
        assert page.get_by_label("Token").get_attribute("type") == "password"
        page.keyboard.press("Tab")
        at = checks.focused(page)
        assert at is not None
        assert at["marked"]

    assert [*told, *visit.complaints] == []


def test_the_token_opens_the_page_that_was_wanted_and_every_other_until_one_logs_out(visiting: Visiting):
    wanted = job_url("search", NEEDLE)
    with visiting() as visit:
        page = visit.go(wanted)
        assert NEEDLE not in page.locator("main").inner_text()
        page.keyboard.type(TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{visit.origin}{wanted}")
        assert NEEDLE in page.locator("main").inner_text()
        visit.go("/live")
        assert page.locator("article.login").count() == 0
        assert TOKEN not in page.content()
        [cookie] = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], TOKEN in cookie["value"]) == (True, "Strict", False)
        page.get_by_role("button", name="Log out").press("Enter")
        page.locator("article.login").wait_for()
        visit.go(wanted)
        assert NEEDLE not in page.locator("main").inner_text()

    assert visit.complaints == []


def test_another_word_is_refused_aloud_is_not_kept_and_the_right_one_is_heard_when_it_said(visiting: Visiting):
    with visiting() as visit:
        visit.expected = ("status of 401",)
        page = visit.go("/")
        page.keyboard.type("not-the-token-of-this-console")
        page.keyboard.press("Enter")
        refusal = page.locator("[role=alert]")
        refusal.wait_for()
        assert "not the console's token" in refusal.inner_text()
        assert page.get_by_label("Token").input_value() == ""
        assert page.get_by_label("Token").evaluate("one => one === document.activeElement")
        assert checks.semantics(page) == []
        wait_s = int(refusal.inner_text().rpartition(" in ")[2].split()[0])
        page.wait_for_timeout(1_000 * (wait_s + 1))
        page.keyboard.type(TOKEN)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Log out").wait_for()

    assert visit.complaints == []


def test_without_scripts_one_logs_in_as_well(visiting: Visiting):
    with visiting(scripts=False) as visit:
        page = visit.go("/alerts")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_label("Token").press("Enter")
        page.get_by_role("button", name="Log out").wait_for()
        assert page.url == f"{visit.origin}/alerts"
        assert page.locator("article.login").count() == 0

    assert visit.complaints == []
