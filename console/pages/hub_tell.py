"""What the registry, the endpoints and the discovery suites say: pages to read."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.hub.port import BadQuestion, NotThere
from console.pages import hub_words
from console.pages.context import Context
from console.pages.hub_view import NO_HUB
from console.pages.render import page
from schemas.discovery import Criteria

MOST_BYTES = 1_000_000
MOST_FIGURES = 60


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite's newest figures."""

    title: str
    what: str
    command: str
    file: str
    figures: Sequence[tuple[str, str]]
    why_not: str = ""


SUITES = (
    ("relevance", "Relevance", "nDCG@10 on the judged set, beside the Hub's own order and plain BM25.",
     "python -m bench relevance --json > ~/.novix/bench/relevance.json"),
    ("requests", "Recommendation", "How many labelled requests are understood, by field.",
     "python -m bench requests --json > ~/.novix/bench/requests.json"),
    ("hub", "Speed", "Index build, searches cold and warm, changes to visible.",
     "python -m bench hub --json > ~/.novix/bench/hub.json"),
    ("hub_typing", "Typing", "From a key to the results on the screen, in a real browser.",
     "python -m bench.hub_typing --json > ~/.novix/bench/hub_typing.json"),
)  # fmt: skip


def routes(context: Context) -> list[BaseRoute]:
    """Of the three pages."""
    pages = _Telling(context)
    return [
        Route("/hub/registry", pages.registry),
        Route("/hub/endpoints", pages.endpoints),
        Route("/hub/discovery", pages.discovery),
    ]


class _Telling:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def registry(self, _: Request) -> Response:
        told: dict[str, Any] = {"w": hub_words, "missing": "", "told": None, "told_version": ""}
        hub = self._context.hub
        if hub is None:
            return page("hub_registry.html", **{**told, "missing": NO_HUB})
        try:
            found = await asyncio.to_thread(hub.governance)
        except NotThere as error:
            return page("hub_registry.html", **{**told, "missing": str(error)})
        return page("hub_registry.html", **{**told, "told": found, "told_version": found.version})

    async def endpoints(self, _: Request) -> Response:
        told: dict[str, Any] = {"w": hub_words, "missing": "", "endpoints": ()}
        hub = self._context.hub
        if hub is None:
            return page("hub_endpoints.html", **{**told, "missing": NO_HUB})
        try:
            found = await asyncio.to_thread(hub.endpoints)
        except NotThere as error:
            return page("hub_endpoints.html", **{**told, "missing": str(error)})
        return page("hub_endpoints.html", **{**told, "endpoints": found})

    async def discovery(self, _: Request) -> Response:
        suites = await asyncio.to_thread(suites_of, self._context.settings.home / "bench")
        hub, missing, took_ms, total = self._context.hub, NO_HUB, None, 0
        if hub is not None:
            try:
                found = await asyncio.to_thread(hub.search, Criteria(limit=1))
                took_ms, total, missing = found.took_ms, found.total, ""
            except (BadQuestion, NotThere) as error:
                missing = str(error)
        return page("hub_discovery.html", w=hub_words, suites=suites, missing=missing, took_ms=took_ms, total=total)


def suites_of(folder: Path) -> list[Suite]:
    """The figures of each suite: of this installation's own runs, else those that came with it."""
    found = []
    for name, title, what, command in SUITES:
        places = (folder / f"{name}.json", _shipped() / f"{name}.json")
        place = next((one for one in places if one.is_file()), None)
        if place is None:
            found.append(Suite(title, what, command, "", (), "nobody has run it here"))
            continue
        try:
            if (size := place.stat().st_size) > MOST_BYTES:
                raise ValueError(f"the file has {size:,} bytes; it may have {MOST_BYTES:,}")
            figures = figures_of(json.loads(place.read_text("utf-8")))
        except (OSError, ValueError) as error:
            found.append(Suite(title, what, command, place.name, (), f"the file cannot be read: {error}"[:300]))
            continue
        found.append(Suite(title, what, command, place.name, figures, "" if figures else "the file has no figures"))
    return found


def _shipped() -> Path:
    return Path(str(resources.files("hub").joinpath("data", "figures")))


def figures_of(document: Any) -> list[tuple[str, str]]:
    """Names and values of what `python -m bench --json` writes; of any other object, its numbers."""
    if not isinstance(document, dict):
        return []
    rows = document.get("figures")
    told: list[tuple[str, str]] = []
    if isinstance(rows, list):
        told = [
            (str(one.get("name", "")), f"{_number(one['value'])} {one.get('unit', '')}".strip())
            for one in rows
            if isinstance(one, dict) and isinstance(one.get("value"), int | float)
        ]
        if machine := document.get("machine"):
            told.append(("machine", str(machine)))
        return told[:MOST_FIGURES]
    for name, value in document.items():
        if isinstance(value, dict):
            told += [(f"{name}: {inner}", shown) for inner, shown in figures_of(value)]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            told.append((str(name), _number(value)))
        elif isinstance(value, str) and name in ("machine", "at", "commit", "judged"):
            told.append((str(name), value))
    return told[:MOST_FIGURES]


def _number(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) and abs(value) < 100 else f"{value:,.0f}"
