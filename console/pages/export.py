"""What leaves the pages for other programs: the list as CSV, a trace as OTLP/JSON."""

import asyncio
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from console.index.query import Query
from console.index.reading import Index
from console.index.statistics import LOOKED_AT
from console.pages import otlp_json
from console.pages.context import Context
from console.pages.jobs import Asked
from console.pages.render import iso, json_answer
from console.pages.sheets import csv_lines

MOST_ROWS = LOOKED_AT
"""Of one CSV file: the newest hits, the same as statistics are of. The file's name says when there are more; who needs
them narrows the search by time."""
A_PAGE = 1_000
COLUMNS = (
    "published_at", "tenant", "job_id", "submission", "status", "error_kind", "task", "asked_model", "model",
    "provider", "team", "attempts", "total_ms", "wait_ms", "call_ms", "cost_nanousd", "quoted_nanousd",
    "reserved_nanousd", "trace_id", "partition", "offset",
)  # fmt: skip
_TRACE_ID = re.compile("[0-9a-f]{32}")


def routes(context: Context) -> list[Route]:
    """`/jobs.csv` and `/traces/{trace_id}/otlp.json`."""

    async def jobs(request: Request) -> Response:
        asked = Asked(request.query_params, context.now_ms())
        if asked.query is None:
            return PlainTextResponse(asked.error, status_code=400)
        query, index = asked.query, context.index
        whole = (await asyncio.to_thread(index.statistics, query)).exact
        name = "novix-jobs.csv" if whole else f"novix-jobs-newest-{MOST_ROWS}.csv"
        rows = islice(_hits(index, query), MOST_ROWS)
        return StreamingResponse(
            csv_lines(COLUMNS, ({**row, "published_at": iso(row["published_ms"])} for row in rows)),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
        )

    async def trace(request: Request) -> Response:
        trace_id = request.path_params["trace_id"].lower()
        known = _TRACE_ID.fullmatch(trace_id) is not None
        spans = await asyncio.to_thread(context.index.spans, trace_id) if known else []
        if not spans:
            raise HTTPException(404, "no spans are known of this trace")
        answer = json_answer(otlp_json.of_spans(spans))
        answer.headers["content-disposition"] = f'attachment; filename="trace-{trace_id}.json"'
        return answer

    return [Route("/jobs.csv", jobs), Route("/traces/{trace_id}/otlp.json", trace)]


def _hits(index: Index, query: Query) -> Iterator[dict[str, Any]]:
    """The newest first, page by page while they are sent: jobs that come meanwhile are not among them."""
    after: str | None = None
    while True:
        listed = index.jobs(query, limit=A_PAGE, after=after)
        yield from listed.rows
        after = listed.next
        if after is None:
            return
