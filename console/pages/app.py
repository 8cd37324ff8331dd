"""Routes of the pages, their JSON twins, and `/healthz`."""

import asyncio
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console import waterfall
from console.pages.render import job_url, page
from console.store import Filter, Store
from schemas import codec

PER_PAGE = 100
MOST_PER_PAGE = 1_000
STATUSES = ("queued", "routed", "succeeded", "failed", "rejected", "expired", "cancelled")
SAFE_HEADERS = {
    # Pico draws its arrows from data: images; nothing else comes from anywhere but here.
    "content-security-policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def create_app(store: Store, describe: Callable[[], dict[str, Any]], *, any_host: bool = False) -> Starlette:
    """The pages over `store`. `describe` is what `/healthz` tells, its `healthy` decides the status.

    Unless `any_host`, only requests that name this machine are answered: a page of another site whose name points
    here (DNS rebinding) must not read prompts.
    """
    pages = _Pages(store, describe)
    hosts = ["*"] if any_host else ["localhost", "127.0.0.1"]
    static = StaticFiles(directory=Path(str(resources.files("console").joinpath("static"))))
    return Starlette(
        routes=[
            Route("/", pages.jobs),
            Route("/fragments/jobs", pages.jobs_fragment),
            Route("/fragments/job", pages.job_fragment),
            Route("/job", pages.job_by_query),
            Route("/jobs/{tenant}/{job_id:path}", pages.job),
            Route("/traces/{trace_id}", pages.trace),
            Route("/records/{topic}/{partition:int}/{offset:int}", pages.record),
            Route("/api/jobs", pages.api_jobs),
            Route("/api/jobs/{tenant}/{job_id:path}", pages.api_job),
            Route("/healthz", pages.healthz),
            Mount("/static", static),
        ],
        middleware=[Middleware(SafeHeaders), Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers={404: _missing},
    )


class SafeHeaders:
    """Adds the headers that keep other people's text from becoming script, to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding headers to what starts an HTTP answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in SAFE_HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *ours]}
            await send(message)

        await self._app(scope, receive, with_headers)


class _Pages:
    def __init__(self, store: Store, describe: Callable[[], dict[str, Any]]) -> None:
        self._store = store
        self._describe = describe

    async def jobs(self, request: Request) -> Response:
        return page("jobs.html", **await self._listed(request))

    async def jobs_fragment(self, request: Request) -> Response:
        return page("_jobs.html", **await self._listed(request))

    async def job(self, request: Request) -> Response:
        return await self._job_page("job.html", request.path_params["tenant"], request.path_params["job_id"])

    async def job_by_query(self, request: Request) -> Response:
        return await self._job_page(
            "job.html", request.query_params.get("tenant", ""), request.query_params.get("id", "")
        )

    async def job_fragment(self, request: Request) -> Response:
        return await self._job_page(
            "_job.html", request.query_params.get("tenant", ""), request.query_params.get("id", "")
        )

    async def trace(self, request: Request) -> Response:
        trace_id = request.path_params["trace_id"].lower()
        jobs = await asyncio.to_thread(self._store.by_trace, trace_id)
        identities = {(job["tenant"], job["job_id"]) for job in jobs}
        if len(identities) == 1:
            return RedirectResponse(job_url(*identities.pop()), status_code=303)
        spans = await asyncio.to_thread(self._store.spans, trace_id)
        if not jobs and not spans:
            raise HTTPException(404, f"no trace {trace_id[:64]}")
        return page("trace.html", trace_id=trace_id, jobs=jobs, waterfall=waterfall.of_trace(spans))

    async def record(self, request: Request) -> Response:
        where = request.path_params
        found = await asyncio.to_thread(self._store.by_record, where["topic"], where["partition"], where["offset"])
        if not found:
            raise HTTPException(404, "no job is known for this record")
        return RedirectResponse(job_url(found[0]["tenant"], found[0]["job_id"]), status_code=303)

    async def api_jobs(self, request: Request) -> Response:
        listed = await self._listed(request)
        totals = listed["totals"]
        return _json(
            {
                "jobs": listed["jobs"],
                "totals": {"by_status": totals.by_status, "jobs": totals.jobs, "cost_nanousd": totals.cost_nanousd},
            }
        )

    async def api_job(self, request: Request) -> Response:
        tenant, job_id = request.path_params["tenant"], request.path_params["job_id"]
        submissions = await asyncio.to_thread(self._store.job, tenant, job_id)
        if not submissions:
            return _json({"error": "no such job"}, status=404)
        for job in submissions:
            job["spans"] = await self._spans(job)
        return _json({"tenant": tenant, "job_id": job_id, "submissions": submissions})

    async def healthz(self, _: Request) -> Response:
        told = self._describe()
        return JSONResponse(told, status_code=200 if told["healthy"] else 503)

    async def _job_page(self, template: str, tenant: str, job_id: str) -> Response:
        submissions = await asyncio.to_thread(self._store.job, tenant, job_id)
        if not submissions:
            raise HTTPException(404, "no such job, or it is older than what these pages keep")
        falls = [waterfall.of_job(job, await self._spans(job)) for job in submissions]
        waits = submissions[0]["rank"] < 2
        return page(
            template, tenant=tenant, job_id=job_id, submissions=list(zip(submissions, falls, strict=True)), waits=waits
        )

    async def _spans(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self._store.spans, job["trace_id"]) if job["trace_id"] else []

    async def _listed(self, request: Request) -> dict[str, Any]:
        asked = request.query_params
        wanted = Filter(
            status=asked.get("status", "") if asked.get("status") in STATUSES else "",
            tenant=asked.get("tenant", "")[:128],
            text=asked.get("text", "")[:256],
        )
        limit = min(MOST_PER_PAGE, _whole(asked.get("limit"), PER_PAGE))
        offset = _whole(asked.get("offset"), 0)
        jobs = await asyncio.to_thread(lambda: self._store.jobs(wanted, limit=limit, offset=offset))
        totals = await asyncio.to_thread(self._store.totals)
        return {"jobs": jobs, "totals": totals, "wanted": wanted, "statuses": STATUSES, "limit": limit}


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else default


def _json(document: Any, status: int = 200) -> Response:
    return Response(codec.encode(document), status_code=status, media_type="application/json")


async def _missing(request: Request, error: Exception) -> HTMLResponse:
    detail = error.detail if isinstance(error, HTTPException) else ""
    return page("missing.html", status=404, detail=detail if detail != "Not Found" else "There is no such page.")
