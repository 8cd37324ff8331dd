"""What holds of each page, asked of the page as the browser has it: names, headings, labels, contrast, width, focus.

The rules are a few of WCAG 2.2's, those that a program can judge: 1.1.1, 1.3.1, 1.4.3, 1.4.10, 2.4.1, 2.4.2, 2.4.7,
3.1.1, 4.1.2. Each check answers with what is wrong, as sentences for whoever mends it.
"""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_CHECKS = Path(__file__).with_suffix(".js").read_text()


def _answers(page: Page, check: str) -> list[str]:
    told: list[str] = page.evaluate(f"({_CHECKS}).{check}()")
    return told


def semantics(page: Page) -> list[str]:
    """Names, labels, headings and ids."""
    return _answers(page, "semantics")


def foreign(page: Page) -> list[str]:
    """What is inline, or from elsewhere, or leads off the machine."""
    return _answers(page, "foreign")


def contrast(page: Page) -> list[str]:
    """Texts that stand out from their ground by less than 4.5 to 1 (3 to 1 where they are large)."""
    return _answers(page, "contrast")


def too_wide(page: Page) -> list[str]:
    """Whether the page itself scrolls sideways; parts of it that scroll in a frame of their own may."""
    return _answers(page, "wide")


def focused(page: Page) -> dict[str, Any] | None:
    """What has the focus; None: nothing has."""
    told: dict[str, Any] | None = page.evaluate(f"({_CHECKS}).focused()")
    return told


def walk(page: Page, steps: int) -> list[dict[str, Any]]:
    """Press Tab so often; what had the focus each time, until it leaves the page."""
    passed = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        at = focused(page)
        if at is None:
            break
        passed.append(at)
    return passed
