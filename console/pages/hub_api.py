"""The Model Hub for programs: `GET /api/hub/search`, `/api/hub/models/{id}`, `/api/hub/insights`. JSON, as the command
line's `--json`."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.hub.port import BadQuestion, Hub, NotThere
from console.pages.context import Context
from console.pages.render import json_answer
from schemas.discovery import Criteria, Discovery
from schemas.job import DEFAULT_TENANT

NO_HUB = "this console follows no catalogue"
OFFLINE = "offline"
"""Beside the criteria: `true` asks only the index."""


def routes(context: Context) -> list[BaseRoute]:
    """The addresses."""
    api = _Api(context)
    return [
        Route("/api/hub/search", api.search),
        Route("/api/hub/insights", api.insights),
        Route("/api/hub/models/{model:path}", api.model),
    ]


class _Api:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def search(self, request: Request) -> Response:
        """The criteria are the address's: a `Discovery`. 400: they cannot be; 503: there is no index (yet)."""
        return await _answered(self._search(request))

    async def insights(self, request: Request) -> Response:
        """What the hits of the same criteria are like."""
        return await _answered(self._insights(request))

    async def model(self, request: Request) -> Response:
        """One model. 404: the catalogue does not have it."""
        return await _answered(self._model(request))

    def _hub(self) -> Hub:
        if self._context.hub is None:
            raise NotThere(NO_HUB)
        return self._context.hub

    async def _search(self, request: Request) -> Response:
        hub = self._hub()
        criteria, offline = _criteria(request)
        return json_answer((await self._found(hub, criteria, offline=offline)).model_dump(mode="json"))

    async def _insights(self, request: Request) -> Response:
        hub = self._hub()
        criteria, _ = _criteria(request)
        found = await asyncio.to_thread(hub.search, criteria.model_copy(update={"facets": True, "offset": 0}))
        told = {"criteria": criteria.model_dump(mode="json"), "total": found.total, "filtered": found.filtered}
        facets = [facet.model_dump(mode="json") for facet in found.facets]
        return json_answer({**told, "insights": found.insights.model_dump(mode="json"), "facets": facets})

    async def _model(self, request: Request) -> Response:
        hub, name = self._hub(), request.path_params["model"]
        tenant = request.query_params.get("tenant") or DEFAULT_TENANT
        entry = await asyncio.to_thread(hub.model, name)
        if entry is None:
            return _fault(404, "not_found", f"the catalogue has no model of this id ({len(name)} characters)")
        return json_answer(await asyncio.to_thread(hub.whole, entry, tenant))

    async def _found(self, hub: Hub, criteria: Criteria, *, offline: bool) -> Discovery:
        return await (asyncio.to_thread(hub.search, criteria) if offline else hub.discover(criteria))


def _criteria(request: Request) -> tuple[Criteria, bool]:
    """The criteria of an address, and whether only the index is asked. Raises `BadQuestion`."""
    from hub.discovery.criteria import BadCriteria, criteria_of

    pairs = list(request.query_params.multi_items())
    offline = [value for name, value in pairs if name == OFFLINE]
    if any(value not in ("true", "false") for value in offline):
        raise BadQuestion("offline is true or false")
    try:
        return criteria_of(pair for pair in pairs if pair[0] != OFFLINE), "true" in offline
    except BadCriteria as error:
        raise BadQuestion(str(error)) from error


async def _answered(work: Any) -> Response:
    try:
        answer: Response = await work
    except BadQuestion as error:
        return _fault(400, "bad_criteria", str(error))
    except NotThere as error:
        return _fault(503, "not_there", str(error))
    return answer


def _fault(status: int, kind: str, message: str) -> Response:
    return json_answer({"error": kind, "message": message}, status)
