"""Workers as a process: `novix worker`, or `faststream run workers.app:app` (all modalities; `:text`, ... for one)."""

import os
import random
import socket
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from runtime.blobs.stores import open_store
from runtime.board import Board
from runtime.breaker import BreakerKey, Breakers
from runtime.cancels import Cancels
from runtime.capture import Capture
from runtime.clock import SystemClock
from runtime.credentials import CredentialError, Credentials, credentials
from runtime.follow import Follower
from runtime.http import PRIVATE_NETWORKS, Egress, Fetcher, HttpLimits, HttpTransport
from runtime.intents import IntentFile
from runtime.limits import Limits
from runtime.metrics import Metrics
from runtime.metrics.work import CountedWork
from runtime.probe import Probes
from runtime.registry import Registry
from runtime.service import LaneService, Services
from runtime.settings import Settings
from runtime.shell import Role, Service, application
from runtime.shell import run as run_role
from schemas.providers import PROVIDERS
from schemas.topics import (
    AUDIT,
    BREAKERS,
    CONTROL,
    DELTAS,
    DLQ,
    ENDPOINTS,
    LEDGER,
    MODALITY_TOPICS,
    REGISTRY,
    RESULTS,
    RETRY_TIERS,
    SPANS,
    worker_group,
)
from workers.deltas import Deltas, OnKafka
from workers.keys import Keys
from workers.mapping import Mappings
from workers.media import media_limits
from workers.payloads import Payloads, payload_room
from workers.providers.ways import own_hosts
from workers.sleeping import Sleeping
from workers.worker import WAITING_SHARE, WorkerApplication, Workshop, window_of


def _role(modality: str) -> Role:
    return Role(
        name=f"worker-{modality}",
        title=f"Novix {modality} worker",
        group=worker_group(modality),
        receives=MODALITY_TOPICS[modality],
        sends=(RESULTS, DELTAS, *(tier for _, tier in RETRY_TIERS), LEDGER, DLQ, AUDIT, SPANS, BREAKERS),
        follows=(CONTROL, BREAKERS, ENDPOINTS, REGISTRY),
    )


ROLES = {modality: _role(modality) for modality in MODALITY_TOPICS}
MODALITIES = tuple(ROLES)
"""text, image, audio, multimodal."""


def egress(settings: Settings) -> Egress:
    """Where calls may go: the router, the Hub, the sandbox, what the operator lists, and with keys of one's own their
    providers' own hosts.

    The names that are listed may lead into private networks (a server on the LAN, a service of compose); none may lead
    to link-local addresses, where clouds keep their metadata."""
    listed = [host.strip() for host in settings.egress_hosts.split(",") if host.strip()]
    own = [settings.hf_router_url, settings.hf_hub_url, settings.sandbox_url]
    direct = own_hosts(PROVIDERS) if settings.provider_keys_file else ()
    origins = [*own, *(_origin(host) for host in listed), *direct]
    return Egress([origin for origin in origins if origin], private=PRIVATE_NETWORKS)


def providers(settings: Settings) -> list[str]:
    """Where calls go that the catalogue says nothing else of: the router, and the sandbox if there is one."""
    return [origin for origin in (settings.hf_router_url, settings.sandbox_url) if origin]


def _origin(host: str) -> str:
    return host if "://" in host else f"https://{host}"


def transport(settings: Settings) -> HttpTransport:
    """What carries the calls."""
    return HttpTransport(
        egress(settings),
        limits=HttpLimits(
            connect_s=settings.connect_timeout_s,
            read_s=settings.read_timeout_s,
            max_bytes=settings.max_response_bytes,
            max_in_flight=settings.max_in_flight,
            max_in_flight_per_host=settings.max_in_flight,
        ),
    )


def build(settings: Settings, modalities: Sequence[str] = MODALITIES) -> Service:
    """The workers of these modalities on these settings, in one process.

    What bounds the process (calls, breakers, memory of payloads and answers) and its one file of intents is shared;
    each modality has its own consumer group, its own window of records in hand, and an equal part of their bytes.
    """
    http, fetcher, store, clock = transport(settings), Fetcher.of(settings), open_store(settings), SystemClock()
    breakers = Breakers(
        fail_max=settings.breaker_fail_max,
        reset_timeout=timedelta(seconds=settings.breaker_reset_s),
        enabled=settings.breaker,
        window=settings.breaker_window,
        failure_share=settings.breaker_failure_share,
        slow_s=settings.breaker_slow_s,
        slow_share=settings.breaker_slow_share,
        clock=clock.monotonic,
        now=clock.now,
    )
    limits: Limits[BreakerKey] = Limits(
        settings.max_in_flight,
        share=settings.bulkhead_share,
        waiting=settings.max_in_flight * WAITING_SHARE,
        learn=settings.learn_limits,
        clock=clock.monotonic,
    )
    metrics = Metrics.of(settings)
    intents, cancels = IntentFile(intents_path(settings)), Cancels(timedelta(hours=settings.dedup_hours))
    tokens, publisher, sleeping = credentials(settings), OnKafka(settings), Sleeping()
    registry = Registry()
    deltas = Deltas(publisher)
    mappings = Mappings(http, settings.hf_hub_url, clock, max_age_s=settings.mapping_s, token=partial(_token, tokens))
    shop = Workshop(
        settings, http, tokens, limits, breakers, clock, random.SystemRandom().random, intents=intents,
        cancels=cancels, keys=keys(settings), mappings=mappings, fetching=fetcher, deltas=deltas,
        payloads=Payloads(store, fetcher, media_limits(settings), payload_room(settings)), meter=CountedWork(metrics),
        capture=Capture(store) if settings.capture_content else None, sleeping=sleeping,
        registry=registry,
    )  # fmt: skip
    shop.probes = probes = Probes(http, providers(settings), settings.probe_s)

    def resources() -> list[AbstractAsyncContextManager[Any]]:
        """Opened before the lanes, in this order."""
        group = worker_group("+".join(modalities))
        board = Board(
            settings, breakers, limits, f"{group}/{settings.instance_id or socket.gethostname()}.{os.getpid()}"
        )
        control, dedicated = Follower(settings, CONTROL, cancels.fold), Follower(settings, ENDPOINTS, sleeping.fold)
        governed = Follower(settings, REGISTRY, registry.fold)
        return [
            http,
            fetcher,
            store,
            intents,
            mappings,
            control,
            dedicated,
            governed,
            publisher,
            deltas,
            shop,
            board,
            probes,
        ]

    window, ready = window_of(settings), lambda: shop.ready
    apps = {modality: WorkerApplication(shop, modality) for modality in modalities}
    if len(apps) == 1:
        (app,) = apps.values()
        return LaneService(settings, app, window=window, resources=resources, also_ready=ready, metrics=metrics)
    part = settings.model_copy(update={"max_in_flight_bytes": settings.max_in_flight_bytes // len(apps)})
    lanes = {
        ROLES[name].name: LaneService(part, app, window=window, also_ready=ready, metrics=metrics)
        for name, app in apps.items()
    }
    return Services(lanes, resources=resources, metrics=metrics)


def _token(tokens: Credentials) -> str | None:
    """The token for the Hub, where there is one: what it tells of public models it tells without."""
    try:
        token = tokens.current()
    except CredentialError:
        return None
    return token.get_secret_value() if token is not None else None


def keys(settings: Settings) -> Keys:
    """Own keys at providers, if a file names any."""
    return Keys(Path(os.path.expanduser(settings.provider_keys_file)) if settings.provider_keys_file else None)


def intents_path(settings: Settings) -> Path:
    """The file in which the workers of this machine note their calls, whatever their modalities."""
    name = settings.named("novix-worker")  # a prefix is made of what a file name may have
    return settings.home / "intents" / f"{name}.sqlite"


def _one(modality: str) -> Any:
    return application(ROLES[modality], partial(build, modalities=(modality,)))


text, image, audio, multimodal = (_one(modality) for modality in MODALITIES)
app = application(ROLES["text"], build, beside=[ROLES[modality] for modality in MODALITIES if modality != "text"])


def run(settings: Settings, modalities: Iterable[str] = ()) -> int:
    """Run the workers of these modalities (none: all) in one process until SIGTERM; returns the exit code."""
    wanted = tuple(dict.fromkeys(modalities)) or MODALITIES
    first, *others = (ROLES[modality] for modality in wanted)
    return run_role(first, partial(build, modalities=wanted), settings, beside=others)
