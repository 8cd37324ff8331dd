"""Logs: what the processes wrote, by trace, job, level and event."""

import asyncio
from dataclasses import asdict
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.live import logs
from console.live.logs import LEVELS, Found, Wanted
from console.pages.context import Context
from console.pages.render import json_answer, page

PER_PAGE = 200
MOST_CHARS = 512


def routes(context: Context) -> list[BaseRoute]:
    """Of the page and its lines as JSON."""
    pages = _Logs(context)
    return [Route("/logs", pages.whole), Route("/fragments/logs", pages.part), Route("/api/logs", pages.api)]


class _Logs:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def whole(self, request: Request) -> Response:
        return await self._shown("logs.html", request)

    async def part(self, request: Request) -> Response:
        return await self._shown("_logs.html", request)

    async def api(self, request: Request) -> Response:
        found, _ = await self._found(_wanted(request))
        return json_answer(
            {"lines": [asdict(line) for line in found.lines], "files": found.files, "is_cut": found.is_cut}
        )

    async def _shown(self, template: str, request: Request) -> Response:
        wanted = _wanted(request)
        found, known = await self._found(wanted)
        asked = {name: value for name, value in asdict(wanted).items() if value}
        return page(
            template, found=found, known=known, wanted=wanted, levels=LEVELS, limit=PER_PAGE,
            address="/fragments/logs?" + urlencode(asked), most_mib=logs.MOST_BYTES // 1_048_576,
        )  # fmt: skip

    async def _found(self, wanted: Wanted) -> tuple[Found, list[str]]:
        known = await asyncio.to_thread(logs.files, self._context.settings)
        return await asyncio.to_thread(logs.read, known, wanted, PER_PAGE), sorted(known)


def _wanted(request: Request) -> Wanted:
    asked = {name: request.query_params.get(name, "").strip()[:MOST_CHARS] for name in Wanted.__slots__}
    if asked["level"] not in LEVELS:
        asked["level"] = ""
    return Wanted(**asked)
