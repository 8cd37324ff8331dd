"""A real browser for tests: the system's Chromium, driven by Playwright, and what a page of ours may do in it.

Each visit notes whatever the page complains of: console errors, uncaught exceptions, breaches of the content security
policy, dialogs, and every request that leaves the page's own origin.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
WITHIN_MS = 15_000
"""For anything to appear: an end to waiting, no claim about speed."""
WIDE, NARROW = (1440, 900), (400, 800)
"""Width and height of a desk and of a telephone, in CSS pixels."""
Scheme = Literal["light", "dark"]

# The browser tells a page of a breach of its policy; the page would have to pass it on, and may not know how.
_WATCH = """
document.addEventListener("securitypolicyviolation", event => console.error(
    `breach of the policy: ${event.violatedDirective} by ${event.blockedURI}`));
"""


class NoBrowser(Exception):
    """There is no Chromium here; the message says what would be one."""


def executable() -> str:
    """Where Chromium is. Raises `NoBrowser`."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise NoBrowser(f"no browser: none of {', '.join(NAMES)} is installed (Debian's package is chromium)")
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless Chromium for a while. Raises `NoBrowser`."""
    path = executable()
    # Chromium refuses its sandbox to the superuser; the rest keeps it from calling home.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    flags += ["--disable-background-networking", "--disable-component-update", "--no-proxy-server", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """One tab at an origin of ours, and what happened in it."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    """What must not happen at all: an empty list is what a test wants to see."""
    expected: tuple[str, ...] = ()
    """Parts of console messages that a test asked for, as a 404's."""

    def go(self, path: str, *, status: int = 200) -> Page:
        """Open a page of ours and wait until it stands. Its status must be `status`."""
        if status != 200:
            self.expected = (*self.expected, f"status of {status}")
        answer = self.page.goto(self.origin + path, wait_until="load")
        assert answer is not None, f"{path}: no answer"
        assert answer.status == status, f"{path}: {answer.status}, {answer.text()[:500]}"
        return self.page

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.complaints.append(f"console {message.type}: {message.text[:300]} at {message.location.get('url')}")

    def asked(self, request: Request) -> None:
        if request.url.startswith(("data:", "blob:", "about:")):
            return
        if "{0.scheme}://{0.netloc}".format(urlsplit(request.url)) != self.origin:
            self.complaints.append(f"asks elsewhere: {request.url[:200]}")

    def surprised(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message[:200]}")
        dialog.dismiss()


Visiting = Callable[..., AbstractContextManager[Visit]]
"""`visit` at an origin that is known."""


@contextmanager
def visit(
    browser: Browser,
    origin: str,
    *,
    size: tuple[int, int] = WIDE,
    scheme: Scheme = "light",
    scripts: bool = True,
    motion: Literal["reduce", "no-preference"] = "reduce",
) -> Iterator[Visit]:
    """A tab of its own: no cookie, storage or cache of another. Nothing that leaves `origin` is let through."""
    context: BrowserContext = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion=motion,
        java_script_enabled=scripts, locale="en-GB", timezone_id="UTC", accept_downloads=True,
    )  # fmt: skip
    context.set_default_timeout(WITHIN_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=origin)
    if scripts:
        context.add_init_script(_WATCH)
    page = context.new_page()
    visited = Visit(page, origin)
    page.on("console", visited.heard)
    page.on("pageerror", lambda error: visited.complaints.append(f"uncaught: {str(error)[:300]}"))
    page.on("dialog", visited.surprised)
    context.on("request", visited.asked)
    context.route(lambda url: not url.startswith((origin, "data:", "blob:")), lambda route: route.abort())
    try:
        yield visited
    finally:
        context.close()
