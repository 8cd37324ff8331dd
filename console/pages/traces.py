"""A trace: the page of its job, or all of its spans where it has several jobs or none."""

import asyncio
import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.pages import waterfall
from console.pages.context import Context
from console.pages.render import job_url, page

_TRACE_ID = re.compile("[0-9a-f]{32}")


def routes(context: Context) -> list[Route]:
    """`/traces/{trace_id}`, and `?all` for its spans even where it has one job."""

    async def trace(request: Request) -> Response:
        trace_id = request.path_params["trace_id"].lower()
        if _TRACE_ID.fullmatch(trace_id) is None:
            raise HTTPException(404, "a trace id has 32 hexadecimal digits")
        jobs = await asyncio.to_thread(context.index.by_trace, trace_id)
        identities = {(job["tenant"], job["job_id"]) for job in jobs}
        if len(identities) == 1 and "all" not in request.query_params:
            return RedirectResponse(job_url(*identities.pop()), status_code=303)
        spans = await asyncio.to_thread(context.index.spans, trace_id)
        linking = await asyncio.to_thread(context.index.linked_from, trace_id)
        if not jobs and not spans and not linking:
            raise HTTPException(404, f"no trace {trace_id}")
        fall = waterfall.of_trace(spans)
        return page("trace.html", trace_id=trace_id, jobs=jobs, waterfall=fall, linking=linking)

    return [Route("/traces/{trace_id}", trace)]
