"""A worker as a process: `novix worker text`, or `faststream run workers.app:app`."""

import os
import random
import socket
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

from runtime.board import Board
from runtime.breaker import BreakerKey, Breakers
from runtime.cancels import Cancels
from runtime.clock import SystemClock
from runtime.credentials import Credentials, parse_key
from runtime.follow import Follower
from runtime.http import Egress, HttpLimits, HttpTransport
from runtime.intents import IntentFile
from runtime.limits import Limits
from runtime.probe import Probes
from runtime.service import LaneService
from runtime.settings import Settings
from runtime.shell import Role, application
from runtime.shell import run as run_role
from schemas.topics import AUDIT, BREAKERS, CONTROL, DLQ, RESULTS, RETRY_TIERS, SPANS, TEXT, worker_group
from workers.worker import WAITING_SHARE, WorkerApplication, window_of

ROLES = {
    "text": Role(
        name="worker-text",
        title="Novix text worker",
        group=worker_group("text"),
        receives=TEXT,
        sends=(RESULTS, *(tier for _, tier in RETRY_TIERS), DLQ, AUDIT, SPANS, BREAKERS),
        follows=(CONTROL, BREAKERS),
    )
}


def egress(settings: Settings) -> Egress:
    """Where calls may go: the router, the sandbox, and what the operator lists."""
    listed = [host.strip() for host in settings.egress_hosts.split(",") if host.strip()]
    origins = [settings.hf_router_url, settings.sandbox_url, *(_origin(host) for host in listed)]
    return Egress([origin for origin in origins if origin])


def providers(settings: Settings) -> list[str]:
    """Where calls go that the catalogue says nothing else of: the router, and the sandbox if there is one."""
    return [origin for origin in (settings.hf_router_url, settings.sandbox_url) if origin]


def _origin(host: str) -> str:
    return host if "://" in host else f"https://{host}"


def credentials(settings: Settings) -> Credentials:
    """The token: a value, a file or a sealed file, whichever is set."""
    sealed = Path(settings.hf_token_sealed_file) if settings.hf_token_sealed_file else None
    return Credentials(
        value=settings.hf_token if settings.hf_token.get_secret_value() else None,
        file=Path(settings.hf_token_file) if settings.hf_token_file else None,
        sealed_file=sealed,
        seal_key=(lambda: parse_key(settings.seal_key.get_secret_value())) if sealed else None,
    )


def build(settings: Settings) -> LaneService:
    """The text worker on these settings."""
    transport = HttpTransport(
        egress(settings),
        limits=HttpLimits(
            connect_s=settings.connect_timeout_s,
            read_s=settings.read_timeout_s,
            max_bytes=settings.max_response_bytes,
            max_in_flight=settings.max_in_flight,
            max_in_flight_per_host=settings.max_in_flight,
        ),
    )
    breakers = Breakers(
        fail_max=settings.breaker_fail_max,
        reset_timeout=timedelta(seconds=settings.breaker_reset_s),
        enabled=settings.breaker,
        window=settings.breaker_window,
        failure_share=settings.breaker_failure_share,
        slow_s=settings.breaker_slow_s,
        slow_share=settings.breaker_slow_share,
    )
    limits: Limits[BreakerKey] = Limits(
        settings.max_in_flight,
        share=settings.bulkhead_share,
        waiting=settings.max_in_flight * WAITING_SHARE,
        learn=settings.learn_limits,
    )
    intents, cancels = IntentFile(intents_path(settings)), Cancels(timedelta(hours=settings.dedup_hours))
    app = WorkerApplication(
        settings, transport, credentials(settings), limits, breakers, SystemClock(), random.SystemRandom().random,
        intents=intents, cancels=cancels,
    )  # fmt: skip
    app.probes = probes = Probes(transport, providers(settings), settings.probe_s)

    def resources() -> list[AbstractAsyncContextManager[Any]]:
        """Opened before the lanes, in this order."""
        told_by = f"{app.group}/{settings.instance_id or socket.gethostname()}.{os.getpid()}"
        board = Board(settings, breakers, limits, told_by)
        return [transport, intents, Follower(settings, CONTROL, cancels.fold), board, probes]

    return LaneService(
        settings, app, window=window_of(settings), resources=resources, also_ready=lambda: probes.all_reachable
    )


def intents_path(settings: Settings) -> Path:
    """The file in which the workers of this machine note their calls."""
    name = settings.named(worker_group("text"))  # a prefix is made of what a file name may have
    return settings.home / "intents" / f"{name}.sqlite"


app = application(ROLES["text"], build)


def run(settings: Settings, modality: str = "text") -> int:
    """Run the worker of a modality until SIGTERM; returns the exit code."""
    return run_role(ROLES[modality], build, settings)
