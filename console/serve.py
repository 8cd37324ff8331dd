"""`novix console` as a process: the ingest and the pages in one event loop, until SIGTERM."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import random
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from console.exits import CommandError, Exit
from console.hub import opening
from console.index.ingest import Ingest
from console.index.pruning import Keep
from console.index.reading import Index
from console.index.store import Store
from console.kafka import connected
from console.live.reader import LiveReader
from console.pages import guard
from console.pages.app import create_app
from console.pages.context import Context
from console.world import USUAL_PORT
from runtime import logs
from runtime.settings import Loaded, Settings
from sandbox.kafka.process import free_port, is_free

log = structlog.get_logger("novix.console")

GRACE_S = 3


def store_path(settings: Settings) -> Path:
    """The file of the explorer's memory: one per cluster address and prefix, so that two worlds never mix."""
    world = hashlib.sha256(f"{settings.kafka_bootstrap}\0{settings.topic_prefix}".encode()).hexdigest()[:16]
    return settings.home / "console" / f"{world}.sqlite"


def page_port(wanted: int, host: str) -> int:
    """The port of the pages: the wanted one, else the usual one, else any free one."""
    if wanted:
        return wanted
    if is_free(host, USUAL_PORT):
        return USUAL_PORT
    return free_port(host, random.Random())  # noqa: S311 - it chooses a port, not a secret


def serve(loaded: Loaded, host: str) -> Exit:
    """Serve until SIGTERM or SIGINT. Raises `CommandError` when Kafka does not answer or the port is taken."""
    settings = loaded.settings
    guard.checked(host, settings.console_token.get_secret_value())
    logs.configure(settings.log_level, settings.log_format)
    path = store_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"another console process fills {path}; it serves the same pages") from None
        keep = Keep(settings.console_keep_days, settings.console_keep_jobs, settings.console_keep_spans)
        capture = settings.capture_content
        with (
            contextlib.closing(Store(path, keep=keep, capture=capture)) as store,
            contextlib.closing(Index(path, keep=keep)) as index,
        ):
            asyncio.run(_serve(loaded, store, index, host))
    return Exit.OK


async def _serve(loaded: Loaded, store: Store, index: Index, host: str) -> None:
    settings = loaded.settings
    port = page_port(settings.console_port, host)
    listener = _listen(host, port)
    ingest = Ingest(settings, store)
    server: _Quiet | None = None

    def describe() -> dict[str, Any]:
        return _state(ingest, store)

    live = LiveReader(settings, describe)
    try:
        await ingest.start()
    except Exception as error:
        listener.close()
        raise CommandError(
            f"Kafka does not answer at {settings.kafka_bootstrap} (from {loaded.sources['kafka_bootstrap']}): "
            f"{type(error).__name__}",
            Exit.UNREACHABLE,
        ) from error
    loop = asyncio.get_running_loop()
    try:
        async with opening.desk(settings, index) as hub:
            context = Context(
                index,
                describe,
                settings,
                any_host=not guard.is_loopback(host),
                capture=store.capture,
                ending=lambda: server is not None and server.should_exit,
                live=live,
                log=lambda: connected(loaded),
                hub=hub,
            )
            server = _server(context)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, server.end)
            log.info("console.opened", address=f"http://{host}:{port}", group=ingest.group)
            sys.stdout.write(f"pages at http://{host}:{port}\n")
            sys.stdout.flush()
            await server.serve([listener])
    finally:
        await live.close()
        await ingest.stop()


def _server(context: Context) -> "_Quiet":
    return _Quiet(
        uvicorn.Config(
            create_app(context),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who asks for redrives is the peer: anybody on this machine can write a header
            lifespan="off",
            timeout_graceful_shutdown=GRACE_S,
        )
    )


class _Quiet(uvicorn.Server):
    """uvicorn without its signal handlers: they end the process before the ingest has left its group."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield

    def end(self) -> None:
        """Finish the requests that are being answered, then return from `serve`."""
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise CommandError(f"NOVIX_CONSOLE_PORT={port}: {error.strerror}; choose another, or 0", Exit.USAGE) from None


def _state(ingest: Ingest, store: Store) -> dict[str, Any]:
    return {
        "process": "console",
        "pid": os.getpid(),
        "healthy": ingest.fault is None,
        "records": ingest.records,
        "last_record_ms": ingest.last_record_ms,
        "fault": ingest.fault,
        "store": store.id,
    }
