"""/healthz, /readyz and /metrics of a process, on loopback unless an operator says otherwise.

The first two answer 200 with its state while it does its work (ready: while work that comes now is begun), 503 with the
same when not, and `reasons` why. /metrics answers in Prometheus's text or in OpenMetrics, as the scraper asks.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime import reasons
from runtime.metrics import Metrics, state

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def serve_health(
    port: int, name: str, describe: Callable[[], dict[str, Any]], healthy: Callable[[], bool],
    ready: Callable[[], bool] | None = None, *, metrics: Metrics | None = None, host: str = HOST,
) -> AsyncIterator[int]:  # fmt: skip
    """Serve them while the context lasts; yields the port (chosen if 0). Without `ready`, who is healthy is ready.
    `metrics`: what the process counts; what it says of itself is told with it."""
    is_ready = ready or healthy
    metrics = metrics or Metrics()
    observe(metrics, name, describe, healthy, is_ready)

    def answer(well: bool) -> JSONResponse:
        told, described = {"healthy": healthy(), "ready": is_ready()}, describe()
        why = [] if all(told.values()) else reasons.of(described)
        whole = {"process": name, "pid": os.getpid(), **told, "reasons": why, **described}
        return JSONResponse(whole, status_code=200 if well else 503)

    async def healthz(_: Request) -> JSONResponse:
        return answer(healthy())

    async def readyz(_: Request) -> JSONResponse:
        return answer(is_ready())

    app = Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), metrics_route(metrics)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", loop="none"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    # uvicorn's own `serve` would take over the process's signals: the application shell has them.
    config = server.config
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    loop = asyncio.create_task(server.main_loop())
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await loop
        await server.shutdown(sockets=[listener])


def metrics_route(metrics: Metrics) -> Route:
    """`/metrics`, for the application of a process."""

    async def scraped(request: Request) -> Response:
        # On the event loop: what is read here belongs to it. Some milliseconds, once a scrape.
        body, content_type = metrics.page(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

    return Route("/metrics", scraped)


def observe(
    metrics: Metrics, name: str, describe: Callable[[], dict[str, Any]], healthy: Callable[[], bool],
    ready: Callable[[], bool],
) -> None:  # fmt: skip
    """Have `metrics` tell, at each scrape, what a process says of itself. To be called once for a process."""

    def asked() -> state.Samples:
        own: state.Samples = {
            "novix_process_info": {(name,): 1.0},
            "novix_healthy": {(): float(healthy())},
            "novix_ready": {(): float(ready())},
        }
        return own | state.read(describe(), metrics)

    metrics.ask(asked)
