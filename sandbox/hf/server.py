"""Runs the application on a real socket: in this event loop for tests, or as a process of its own."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

GRACE_S = 5
"""Seconds that answers in progress get to end after SIGTERM; then they are cut."""


def config(app: Any, **more: Any) -> uvicorn.Config:
    """Our settings of uvicorn: no access log (we keep our own), nothing below a warning."""
    return uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_S, server_header=False, **more
    )


@asynccontextmanager
async def serving(app: Any, port: int = 0, grace_s: int = 1) -> AsyncIterator[str]:
    """Serve `app` on loopback in this event loop; yields its base URL. Port 0 takes a free one."""
    listener = socket.create_server(("127.0.0.1", port))
    settings = config(app)
    settings.timeout_graceful_shutdown = grace_s
    server = _Quiet(settings)
    task = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:
            if task.done():
                await task
                raise RuntimeError("the server ended before it had started")
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


async def run(settings: uvicorn.Config, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then let the answers in progress end, and return."""
    server = _Quiet(settings)

    def leave() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    await server.serve([listener])


class _Quiet(uvicorn.Server):
    """A server that leaves the signals to its owner: uvicorn's own way would end the process by the signal again."""

    def capture_signals(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()
