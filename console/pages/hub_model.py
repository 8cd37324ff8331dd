"""One model: its page, its panels beside the list, its card."""

import asyncio
from typing import Any
from urllib.parse import quote

from jinja2.filters import do_mark_safe
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from console.hub.port import BadQuestion, Hub, NotThere
from console.pages import hub_view
from console.pages.context import Context
from console.pages.hub_asked import LONGEST_MODEL
from console.pages.hub_view import NO_HUB
from console.pages.render import page, visible
from schemas.catalog import CatalogEntry
from schemas.discovery import Criteria

CARD_WITHIN_S = 15.0
NEAR = 10
"""Hits among which a model of another name is looked for."""
NO_MODEL = "the catalogue has no such model, or it is gone"
NO_EXTRA = "model cards are not rendered here: the extra `hub` is not installed"


def routes(context: Context) -> list[BaseRoute]:
    """Of the page and its parts. An id may have a slash, so it comes last or in the query."""
    pages = _Models(context)
    return [
        Route("/fragments/hub/panels", pages.panels),
        Route("/fragments/hub/performance", pages.performance),
        Route("/fragments/hub/card", pages.card),
        Route("/hub/model/{model:path}", pages.whole),
    ]


class _Models:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def whole(self, request: Request) -> Response:
        # Asked before the rest: the stream tells of whatever came after it.
        changes = await asyncio.to_thread(self._context.index.changes)
        name = request.path_params["model"]
        if (other := await asyncio.to_thread(self._renamed, name)) is not None:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/hub/model/{quote(other)}{query}", 307)
        try:
            told = await self._shown(request, name)
        except HTTPException as error:
            near = await asyncio.to_thread(self._near, name)
            return page("hub_missing.html", status=error.status_code, why=error.detail, name=name, near=near)
        return page("hub_model.html", changes=changes, **told)

    def _renamed(self, name: str) -> str | None:
        """The id of a model that `name` was once, or is but for its letters' case; None: it is there by that name, or
        nobody knows it."""
        hub = self._context.hub
        if hub is None or not 0 < len(name) <= LONGEST_MODEL:
            return None
        try:
            if hub.model(name) is not None:
                return None
            found = hub.search(Criteria(text=name, limit=NEAR, facets=False))
        except (BadQuestion, NotThere, ValidationError):
            return None
        wanted = name.casefold()
        ids = [hit.entry.id for hit in found.models]
        known = (hit.entry.id for hit in found.models if wanted in {one.casefold() for one in hit.entry.formerly})
        return next((one for one in ids if one.casefold() == wanted), None) or next(known, None)

    def _near(self, name: str) -> list[str]:
        """Models that a search for the name finds; for what is no name of the catalogue."""
        hub = self._context.hub
        if hub is None or not 0 < len(name) <= LONGEST_MODEL:
            return []
        for text in (name, name.rpartition("/")[2]):
            try:
                found = hub.search(Criteria(text=text, limit=NEAR, facets=False))
            except (BadQuestion, NotThere, ValidationError):
                return []
            if found.models:
                return [hit.entry.id for hit in found.models]
        return []

    async def panels(self, request: Request) -> Response:
        return await self._part(request, "_hub_panels.html")

    async def performance(self, request: Request) -> Response:
        return await self._part(request, "_hub_performance.html")

    async def _part(self, request: Request, template: str) -> Response:
        """A part of an open page: what is missing is told in its place."""
        try:
            return page(template, **await self._shown(request, request.query_params.get("model", "")))
        except HTTPException as error:
            return page("_hub_refused.html", status=error.status_code, why=error.detail)

    async def card(self, request: Request) -> Response:
        """Its card, or with `part=parts` what it says of uses and limitations."""
        told: dict[str, Any] = {"part": request.query_params.get("part") == "parts", "card": None, "missing": "",
                                "revision": ""}  # fmt: skip
        try:
            hub, entry = await self._found(request.query_params.get("model", ""))
        except HTTPException as error:
            return page("_hub_refused.html", status=error.status_code, why=error.detail)
        try:
            async with asyncio.timeout(CARD_WITHIN_S):
                found = await hub.card(entry)
        except NotThere as error:
            return page("_hub_card.html", **{**told, "missing": str(error)})
        except TimeoutError:
            why = f"the Hub did not send the card within {CARD_WITHIN_S:g} s"
            return page("_hub_card.html", **{**told, "missing": why})
        if found is None:
            return page("_hub_card.html", **told)
        try:
            from hub import cards
        except ImportError:
            return page("_hub_card.html", **{**told, "missing": NO_EXTRA})
        base = cards.repository(self._context.settings.hf_hub_url, entry.kind, entry.id)
        safe = await asyncio.to_thread(cards.rendered, found.text, base)
        # Sanitised HTML, the one text of others that a template does not escape.
        shown = {
            "html": _markup(safe.html),
            "uses": _markup(safe.uses),
            "limitations": _markup(safe.limitations),
            "is_cut": safe.is_cut or found.cut,
        }
        return page("_hub_card.html", **{**told, "card": shown, "revision": found.revision})

    async def _shown(self, request: Request, name: str) -> dict[str, Any]:
        hub, entry = await self._found(name)
        tenant = request.query_params.get("tenant", "").strip()[:128]
        origin = str(request.base_url).rstrip("/")
        shown = await asyncio.to_thread(hub_view.model, self._context, hub, entry, tenant, origin)
        return {"model": shown, **hub_view.static(self._context)}

    async def _found(self, name: str) -> tuple[Hub, CatalogEntry]:
        hub = self._context.hub
        if hub is None:
            raise HTTPException(404, NO_HUB)
        try:
            entry = await asyncio.to_thread(hub.model, name) if 0 < len(name) <= LONGEST_MODEL else None
        except NotThere as error:
            raise HTTPException(404, str(error)) from error
        if entry is None:
            raise HTTPException(404, NO_MODEL)
        return hub, entry


def _markup(html: str | None) -> str | None:
    """HTML that nh3 has sanitised, for a template, with whatever leaves no trace on a screen made visible."""
    return None if html is None else do_mark_safe(visible(html, len(html)))
