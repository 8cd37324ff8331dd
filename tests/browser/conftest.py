"""An explorer full of honest records, one for each file of tests, and tabs at its pages."""

from collections.abc import Iterator
from functools import partial

import browser
import pytest
from explorer_story import Told
from explorer_world import Explorer, afternoon, explorer
from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """What the real router and workers wrote in the explorer's afternoon."""
    return afternoon(tmp_path_factory.mktemp("afternoon"))


@pytest.fixture(scope="module")
def world(told: list[Told], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    """The pages over these records."""
    with explorer(told, tmp_path_factory.mktemp("explorer")) as shown:
        yield shown


@pytest.fixture
def visiting(chromium: Browser, world: Explorer) -> browser.Visiting:
    """`visiting(size=..., scheme=...)`: a tab at the explorer's pages."""
    return partial(browser.visit, chromium, world.origin)
