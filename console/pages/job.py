"""One job's page: what it cost, how long it took and why, and everything the topics know of it."""

import asyncio
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.pages import jobview, waterfall
from console.pages.context import Context
from console.pages.render import job_url, json_answer, page
from console.telling.indexed import evidence_from_index, time_of

ON_ITS_WAY = ("queued", "routed")


def routes(context: Context) -> list[Route]:
    """A job by its identity or by one of its records; its fragment; its JSON."""
    pages = _Job(context)
    return [
        Route("/fragments/job", pages.fragment),
        Route("/job", pages.by_query),
        Route("/jobs/{tenant}/{job_id:path}", pages.by_path),
        Route("/records/{topic}/{partition:int}/{offset:int}", pages.by_record),
        Route("/api/jobs/{tenant}/{job_id:path}", pages.as_json),
        Route("/api/job", pages.as_json),
    ]


class _Job:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def by_path(self, request: Request) -> Response:
        return await self._page("job.html", request.path_params["tenant"], request.path_params["job_id"])

    async def by_query(self, request: Request) -> Response:
        return await self._page("job.html", *_identity(request))

    async def fragment(self, request: Request) -> Response:
        return await self._page("_job.html", *_identity(request))

    async def by_record(self, request: Request) -> Response:
        topic, partition, offset = (request.path_params[name] for name in ("topic", "partition", "offset"))
        known = max(partition, offset) < 2**63
        found = await asyncio.to_thread(self._context.index.by_record, topic, partition, offset) if known else []
        if not found:
            raise HTTPException(404, "no job is known for this record")
        jobs = sorted({(job["tenant"], job["job_id"]) for job in found})
        if len(jobs) == 1:
            return RedirectResponse(job_url(*jobs[0]), status_code=303)
        return page("record.html", topic=topic, partition=partition, offset=offset, jobs=jobs)

    async def as_json(self, request: Request) -> Response:
        tenant, job_id = _identity(request)
        known = await self._known(tenant, job_id)
        if not known["submissions"]:
            return json_answer({"error": "no such job, or it is older than what is kept"}, status=404)
        return json_answer({"tenant": tenant, "job_id": job_id, **known})

    async def _known(self, tenant: str, job_id: str) -> dict[str, Any]:
        """All that the index has of a job."""
        return await asyncio.to_thread(known, self._context, tenant, job_id)

    async def _page(self, template: str, tenant: str, job_id: str) -> Response:
        # Asked before the rest: the stream tells of whatever came after it.
        changes = await asyncio.to_thread(self._context.index.changes)
        found = await self._known(tenant, job_id)
        known = found["submissions"]
        submissions = [jobview.cut(job) for job in known[: jobview.MOST_SUBMISSIONS]]
        if not submissions:
            raise HTTPException(404, "no such job, or it is older than what these pages keep")
        shown = [
            jobview.shown(job, waterfall.of_job(job, job["spans"], found["records"]), found, newest=not place)
            for place, job in enumerate(submissions)
        ]
        return page(
            template,
            tenant=tenant,
            job_id=job_id,
            shown=shown,
            older=len(known) - len(submissions),
            waits=submissions[0]["status"] in ON_ITS_WAY,
            changes=changes,
            now_ms=self._context.now_ms(),
            capture=self._context.capture,
        )


def known(context: Context, tenant: str, job_id: str) -> dict[str, Any]:
    """What the index has of (tenant, job_id); `submissions` is empty for a job that it does not know."""
    index = context.index
    submissions = index.job(tenant, job_id)
    if not submissions:
        return {"submissions": [], "records": [], "money": [], "audit": [], "breakers": [], "alerts": []}
    for job in submissions:
        trace_id, identity = job["trace_id"], (tenant, job_id, job["submission"])
        job["spans"] = index.spans(trace_id) if trace_id else []
        linking = index.linked_from(trace_id) if trace_id else []
        job["linked_from"] = [one for one in linking if (one["tenant"], one["job_id"], one["submission"]) != identity]
    alerts = index.alerts_within(*time_of(submissions))
    around = evidence_from_index(submissions, breakers=index.breakers(), alerts=alerts)
    return {
        "submissions": submissions,
        "records": index.records(tenant, job_id),
        "money": index.money(tenant, job_id),
        "audit": index.audit(tenant, job_id),
        "breakers": around.breakers,
        "alerts": around.alerts,
    }


def _identity(request: Request) -> tuple[str, str]:
    path, query = request.path_params, request.query_params
    return path.get("tenant") or query.get("tenant", ""), path.get("job_id") or query.get("id", "")
