"""The router as a process, with the lanes of the retry topics: `novix router`, or `faststream run router.app:app`."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import structlog

from router.application import RouterApplication
from router.catalogue import Catalogue
from router.catalogue import load as load_catalogue
from router.governance import unknown_defaults
from router.prices.dedicated import Dedicated
from router.prices.poller import Poller
from router.snapshot import Catalogues, catalogue_records
from router.state import State
from runtime import retrying
from runtime.bus import Bus
from runtime.cancels import Cancels
from runtime.clock import SystemClock
from runtime.follow import Follower
from runtime.metrics import Metrics
from runtime.metrics.routing import CountedRouting
from runtime.ports import Clock
from runtime.reader import KafkaReader
from runtime.retrying import RetryApplication
from runtime.service import LaneService, Services
from runtime.settings import Settings, variable
from runtime.shell import Role, application
from runtime.shell import run as run_role
from schemas.topics import (
    AUDIT,
    BREAKERS,
    BUDGETS,
    CONTROL,
    DECISIONS,
    DLQ,
    ENDPOINTS,
    JOBS,
    LEDGER,
    MODALITY_TOPICS,
    OFFERS,
    POLICIES,
    PRICES,
    REGISTRY,
    RESULTS,
    RETRY_TIERS,
    ROUTER_GROUP,
    SNAPSHOTS,
    SPANS,
    Topic,
    retry_group,
)  # fmt: skip

ROLE = Role(
    name="router",
    title="Novix router",
    group=ROUTER_GROUP,
    receives=JOBS,
    sends=(*MODALITY_TOPICS.values(), RESULTS, DECISIONS, SNAPSHOTS, DLQ, AUDIT, SPANS, JOBS, OFFERS, PRICES),
    follows=(CONTROL, LEDGER, OFFERS, PRICES, POLICIES, BUDGETS, REGISTRY, BREAKERS, ENDPOINTS),
)
TIERS = tuple(topic for _, topic in RETRY_TIERS)
log = structlog.get_logger("novix.router")
WINDOW = 2_000
"""Decisions that wait for their transaction, beside the jobs that wait for their turn."""


def _retry_role(tier: Topic) -> Role:
    name = short_name(tier)
    sends = (*MODALITY_TOPICS.values(), *(other for other in TIERS if other is not tier), DLQ, AUDIT, SPANS)
    return Role(name, f"Novix {name} lanes", retry_group(tier), tier, sends, (CONTROL,))


def short_name(tier: Topic) -> str:
    """What a tier's lanes are called in the process: `retry-60s`."""
    return "-".join(tier.name.split(".")[1:3])


class Told(AbstractAsyncContextManager["Told"]):
    """Once entered, the installation's catalogue stands in the history: decisions name its version."""

    def __init__(self, settings: Settings, catalogue: Catalogue, clock: Clock) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._clock = clock

    async def __aenter__(self) -> "Told":
        known = Catalogues()
        async with Follower(self._settings, OFFERS, known.fold):
            if self._catalogue.version not in known:
                async with Bus(self._settings) as bus:
                    await bus.publish(catalogue_records(self._catalogue, self._clock.now()))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing was opened."""


class Warned(AbstractAsyncContextManager["Warned"]):
    """Once entered, a default model that nobody has is told in the log, with the names that are near. To be entered
    after the registry is known."""

    def __init__(self, settings: Settings, state: State, catalogue: Catalogue) -> None:
        self._settings = settings
        self._state = state
        self._catalogue = catalogue

    async def __aenter__(self) -> "Warned":
        chosen = [(variable(name), getattr(self._settings, name)) for name in ("text_model", "image_model")]
        for warning in unknown_defaults(chosen, self._catalogue, self._state.registry.now()):
            log.warning("router.unknown_model", warning=warning)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing was opened."""


RETRY_ROLES = tuple(_retry_role(tier) for tier in TIERS)
"""They run in the router's process: for the document of who reads and writes what."""


def build(settings: Settings) -> Services:
    """The router and the retry lanes on these settings. Raises `BadSettings` or `BadCatalogue` for what cannot work."""
    clock, cancels = SystemClock(), Cancels(timedelta(hours=settings.dedup_hours))

    catalogue = load_catalogue(settings)
    state = State(settings, catalogue)

    def resources() -> list[AbstractAsyncContextManager[Any]]:
        return [
            Follower(settings, CONTROL, cancels.fold),
            *state.followers(),
            Warned(settings, state, catalogue),
            Told(settings, catalogue, clock),
            Dedicated(settings, catalogue, state.offer, clock),
            Poller(settings, state.prices, catalogue),
        ]

    metrics = Metrics.of(settings)
    router = RouterApplication(
        settings, catalogue, clock, cancels, state=state, following=KafkaReader(settings), meter=CountedRouting(metrics)
    )
    lanes = {"router": LaneService(settings, router, window=WINDOW, resources=resources, metrics=metrics)}
    for tier in TIERS:
        app = RetryApplication(tier, clock, cancels)
        lanes[short_name(tier)] = LaneService(settings, app, window=retrying.WINDOW, metrics=metrics)
    return Services(lanes, metrics=metrics)


app = application(ROLE, build)


def run(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_role(ROLE, build, settings)
