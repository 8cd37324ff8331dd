"""/healthz and /readyz of a process, on loopback: 200 with its state while it does its work (ready: while work that
comes now is begun), 503 with the same when not."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def serve_health(
    port: int, name: str, describe: Callable[[], dict[str, Any]], healthy: Callable[[], bool],
    ready: Callable[[], bool] | None = None,
) -> AsyncIterator[int]:  # fmt: skip
    """Serve both while the context lasts; yields the port (chosen if 0). Without `ready`, who is healthy is ready."""

    def answer(well: bool) -> JSONResponse:
        told = {"healthy": healthy(), "ready": (ready or healthy)()}
        state = {"process": name, "pid": os.getpid(), **told, **describe()}
        return JSONResponse(state, status_code=200 if well else 503)

    async def healthz(_: Request) -> JSONResponse:
        return answer(healthy())

    async def readyz(_: Request) -> JSONResponse:
        return answer((ready or healthy)())

    app = Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", loop="none"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
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
