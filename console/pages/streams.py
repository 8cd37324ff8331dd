"""Says that something changed, to pages that then fetch what they show: server-sent events (WHATWG HTML, 9.2)."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from console.pages.context import Context

MOST_STREAMS = 64
"""At once, of all pages together; who comes then asks again after `TRY_AGAIN_S`."""
TRY_AGAIN_S = 10
LEAST_PAUSE_S = 0.5
"""Between two events: at most two a second."""
ALIVE_EVERY_S = 15.0
"""A comment is sent after so much silence, so that a connection whose other end is gone is noticed."""


def routes(context: Context) -> list[Route]:
    """`/events/jobs`: an event `changed` whenever the explorer has learnt something.

    `?since=N`: the page shows what was known at change N; what came between it and its stream is an event at once.
    """
    return [Route("/events/jobs", _Streams(context).jobs)]


class _Streams:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._open = 0

    async def jobs(self, request: Request) -> Response:
        if self._open >= MOST_STREAMS:
            told = f"{self._open} streams are open; there may be {MOST_STREAMS}\n"
            return PlainTextResponse(told, status_code=503, headers={"retry-after": str(TRY_AGAIN_S)})
        return StreamingResponse(
            self._events(request.query_params.get("since", "")),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _events(self, since: str) -> AsyncIterator[str]:
        """Until the browser goes or the process ends. Starlette closes this when the connection does."""
        self._open += 1
        try:
            seen, silent_s = await asyncio.to_thread(self._context.index.changes), 0.0
            yield f"retry: {TRY_AGAIN_S * 100}\n\n"
            if since.isascii() and since.isdecimal() and since != str(seen):
                yield f"event: changed\ndata: {seen}\n\n"
            while not self._context.ending():
                await asyncio.sleep(LEAST_PAUSE_S)
                silent_s += LEAST_PAUSE_S
                changes = await asyncio.to_thread(self._context.index.changes)
                if changes != seen:
                    seen, silent_s = changes, 0.0
                    yield f"event: changed\ndata: {changes}\n\n"
                elif silent_s >= ALIVE_EVERY_S:
                    silent_s = 0.0
                    yield ": still here\n\n"
        finally:
            self._open -= 1
