"""The Model Hub: find a model, look at it from all sides, mark some to compare them. Live as one types."""

import asyncio
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.hub.port import BadQuestion, Broken, Hub, NotThere
from console.pages import hub_view, hub_words
from console.pages.context import Context
from console.pages.hub_advice import Advice
from console.pages.hub_asked import CATEGORIES, LISTS, LIVE, MOST_COMPARED, ORDERS, PER_PAGE, Asked, asked, chips
from console.pages.hub_view import NO_HUB
from console.pages.render import page
from schemas.discovery import Criteria, Discovery
from schemas.tasks import MODALITIES

FACETS_SHOWN = 12
"""Values of one facet that are shown."""
MOST_HITS = 10_000
"""A list goes so deep; the search says the same."""


def routes(context: Context) -> list[BaseRoute]:
    """The page, and the parts of it that come by themselves."""
    pages = _Explorer(context)
    return [
        Route("/hub", pages.whole),
        Route("/fragments/hub/results", pages.results),
        Route("/fragments/hub/advice", Advice(context).part),
        Route("/hub/insights", pages.insights),
    ]


class _Explorer:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def whole(self, request: Request) -> Response:
        # Asked before the rest: the stream tells of whatever came after it.
        changes = await asyncio.to_thread(self._context.index.changes)
        wanted = asked(request.query_params)
        told = await self._found(wanted)
        found: Discovery | None = told["found"]
        if not wanted.model and found is not None and found.models:
            wanted = replace(wanted, model=found.models[0].entry.id)
        shown = await self._panels(request, wanted)
        status = _status(told)
        return page("hub.html", status=status, **told, **shown, changes=changes, **_static(self._context))

    async def results(self, request: Request) -> Response:
        told = await self._found(asked(request.query_params))
        # A value that is being typed is not wrong yet: only what is damaged is an error to the browser.
        status = 503 if told["broken"] else 200
        return page("_hub_results.html", status=status, **told, **_static(self._context))

    async def insights(self, request: Request) -> Response:
        wanted = asked(request.query_params)
        told = await self._found(wanted)
        status = _status(told)
        return page("hub_insights.html", status=status, **told, **_static(self._context))

    async def _panels(self, request: Request, wanted: Asked) -> dict[str, Any]:
        hub = self._context.hub
        if hub is None or not wanted.model:
            return {"model": None}
        tenant, origin = wanted.first("tenant"), str(request.base_url).rstrip("/")
        try:
            entry = await asyncio.to_thread(hub.model, wanted.model)
        except NotThere:
            entry = None
        if entry is None:
            return {"model": None}
        return {"model": await asyncio.to_thread(hub_view.model, self._context, hub, entry, tenant, origin)}

    async def _found(self, wanted: Asked) -> dict[str, Any]:
        told: dict[str, Any] = {"asked": wanted, "found": None, "error": wanted.error, "missing": "", "categories": [],
                                "broken": False, "chips": chips(wanted)}  # fmt: skip
        hub = self._context.hub
        if hub is None:
            return {**told, "missing": NO_HUB}
        if wanted.error:
            return told
        try:
            found, categories = await asyncio.to_thread(_search, hub, wanted.criteria)
            if LIVE in wanted.told:
                found = await hub.discover(wanted.criteria)
        except BadQuestion as error:
            return {**told, "error": str(error)}
        except NotThere as error:
            return {**told, "missing": str(error), "broken": isinstance(error, Broken)}
        last = min(found.filtered, MOST_HITS)
        return {
            **told, "found": found, "categories": categories, "removed": hub_words.removed(found.removed),
            "pages": max(1, -(-last // PER_PAGE)),
            "few": found.filtered - wanted.criteria.offset < PER_PAGE, "live": LIVE in wanted.told,
        }  # fmt: skip


def _status(told: dict[str, Any]) -> int:
    """400: the question cannot be; 503: the index is damaged."""
    return 400 if told["error"] else 503 if told["broken"] else 200


def _search(hub: Hub, criteria: Criteria) -> tuple[Discovery, list[tuple[str, str, int | None, bool]]]:
    """The hits, and how many there are of each category whichever of them is chosen: modality, name, count, whether the
    count is estimated. Last, without a modality, those that stand in none of them, where there are any."""
    found = hub.search(criteria)
    whole = found
    if criteria.modalities:
        whole = hub.search(criteria.model_copy(update={"modalities": (), "limit": 1, "offset": 0}))
    facet = next((one for one in whole.facets if one.name in ("modality", "modalities")), None)
    counts = {one.value: one.count for one in facet.values} if facet is not None else None
    estimated = facet is not None and facet.estimated
    told = [
        (value, name, None if counts is None else counts.get(value, 0), estimated) for value, name in CATEGORIES.items()
    ]
    rest = 0 if counts is None else whole.filtered - sum(counts.get(value, 0) for value in CATEGORIES)
    return found, [*told, *([("", "other or unknown", rest, estimated)] if rest > 0 else [])]


def _static(context: Context) -> dict[str, Any]:
    return {
        **hub_view.static(context), "orders": ORDERS, "known_tasks": sorted(MODALITIES), "lists": LISTS,
        "facets_shown": FACETS_SHOWN, "most_compared": MOST_COMPARED,
    }  # fmt: skip
