"""The list of jobs: a search, its hits as rows and as a picture, live."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.index.query import Query, QueryError, parse
from console.pages import searching
from console.pages.context import Context
from console.pages.render import job_url, json_answer, page

PER_PAGE = 100
MOST_PER_PAGE = 1_000
LONGEST_LINE = 4_000
"""Characters of a search that are looked at; the query says that it may not have so many."""
SLOWEST_SHOWN = 20
"""Rows of the picture's table."""
STATUSES = ("queued", "routed", "succeeded", "failed", "rejected", "expired", "cancelled")


def routes(context: Context) -> list[Route]:
    """The list, its fragments, its JSON."""
    pages = _Jobs(context)
    return [
        Route("/", pages.list),
        Route("/fragments/jobs", pages.rows),
        Route("/fragments/statistics", pages.picture),
        Route("/api/jobs", pages.as_json),
        Route("/api/statistics", pages.points),
    ]


class Asked:
    """What a request wants of the list. `query` is None where the line cannot be read; `error` says why."""

    def __init__(self, given: Mapping[str, str], now_ms: int) -> None:
        self.line = given.get("q", "")[:LONGEST_LINE]
        self.after = given.get("after", "")[:500] or None
        self.limit = max(1, min(MOST_PER_PAGE, _whole(given.get("limit"), PER_PAGE)))
        self.error = ""
        self.query: Query | None = None
        try:
            self.query = parse(self.line, now_ms=now_ms)
        except QueryError as error:
            self.error = str(error)
        self.rest, self.fields = searching.split(self.line)

    def address(self, path: str = "/", **more: object) -> str:
        """This search at another page, with other parameters."""
        told = {"q": self.line, **{name: str(value) for name, value in more.items() if value is not None}}
        return f"{path}?{urlencode({name: value for name, value in told.items() if value})}"


class _Jobs:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def list(self, request: Request) -> Response:
        given = request.query_params
        if any(name in given for name in searching.FIELDS):
            rest, fields = searching.split(given.get("q", "")[:LONGEST_LINE])
            fields |= {name: given[name][:256] for name in searching.FIELDS if name in given}
            line = searching.joined(rest, fields)
            return RedirectResponse(f"/?{urlencode({'q': line})}" if line else "/", status_code=303)
        asked = self._asked(request)
        # Asked before the rest: the stream tells of whatever came after it.
        changes = await asyncio.to_thread(self._context.index.changes)
        told = {"changes": changes, **await self._listed(asked), **await self._measured(asked)}
        return page("jobs.html", status=400 if asked.error else 200, **told)

    async def rows(self, request: Request) -> Response:
        return page("_jobs.html", **await self._listed(self._asked(request)))

    async def picture(self, request: Request) -> Response:
        return page("_statistics.html", **await self._measured(self._asked(request)))

    async def as_json(self, request: Request) -> Response:
        asked = self._asked(request)
        if asked.query is None:
            return json_answer({"error": asked.error}, status=400)
        query, index = asked.query, self._context.index
        listed = await asyncio.to_thread(lambda: index.jobs(query, limit=asked.limit, after=asked.after))
        totals = await asyncio.to_thread(index.totals)
        return json_answer(
            {
                "jobs": listed.rows,
                "next": listed.next,
                "total": listed.total,
                "total_exact": listed.total_exact,
                "totals": {"by_status": totals.by_status, "jobs": totals.jobs, "cost_nanousd": totals.cost_nanousd},
            }
        )

    async def points(self, request: Request) -> Response:
        asked = self._asked(request)
        if asked.query is None:
            return json_answer({"error": asked.error}, status=400)
        measured = await asyncio.to_thread(self._context.index.statistics, asked.query)
        points = [
            [one.published_ms, one.total_ms, one.cost_nanousd, one.status, job_url(one.tenant, one.job_id), one.job_id]
            for one in measured.points
        ]
        return json_answer(
            {
                "fields": ["published_ms", "total_ms", "cost_nanousd", "status", "address", "job_id"],
                "points": points,
                "n": measured.n,
                "exact": measured.exact,
                "oldest_ms": measured.oldest_ms,
                "newest_ms": measured.newest_ms,
                "p50_ms": measured.p50_ms,
                "p95_ms": measured.p95_ms,
                "p99_ms": measured.p99_ms,
            }
        )

    def _asked(self, request: Request) -> Asked:
        return Asked(request.query_params, self._context.now_ms())

    async def _listed(self, asked: Asked) -> dict[str, Any]:
        told: dict[str, Any] = {"asked": asked, "statuses": STATUSES, "now_ms": self._context.now_ms(), "listed": None}
        query, index = asked.query, self._context.index
        if query is not None:
            told["listed"] = await asyncio.to_thread(lambda: index.jobs(query, limit=asked.limit, after=asked.after))
        return {**told, "most": MOST_PER_PAGE, "per_page": PER_PAGE}

    async def _measured(self, asked: Asked) -> dict[str, Any]:
        told: dict[str, Any] = {"asked": asked, "statuses": STATUSES, "measured": None, "slowest": []}
        if asked.query is not None:
            measured = await asyncio.to_thread(self._context.index.statistics, asked.query)
            ended = [point for point in measured.points if point.total_ms is not None]
            slowest = sorted(ended, key=lambda point: -point.total_ms)[:SLOWEST_SHOWN]
            told |= {"measured": measured, "slowest": slowest}
        return told


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else default
