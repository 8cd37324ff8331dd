"""Novix as an installation on a simulated Kafka: its settings and homes, and each process as it is really built.

Nothing of Novix is replaced here but the way to the provider (`workers.app.transport`), the garbage that a real
operating system would hold, how often a router notes its place, and the catalogue, which is read once for
all schedules.
"""

import asyncio
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pydantic import SecretStr

import router.app
import router.lane
import workers.app
from router import catalogue
from runtime.service import Services
from runtime.settings import Settings
from runtime.shell import Service
from schemas import codec
from schemas.topics import (
    AUDIT,
    BREAKERS,
    BUDGETS,
    CONTROL,
    DECISIONS,
    DELTAS,
    DLQ,
    JOBS,
    LEDGER,
    OFFERS,
    POLICIES,
    PRICES,
    REGISTRY,
    RESULTS,
    RETRY_TIERS,
    ROUTER_GROUP,
    SNAPSHOTS,
    SPANS,
    TEXT,
    TOPICS,
    retry_group,
    worker_group,
)  # fmt: skip
from simulation.kafka import SimBroker
from simulation.kernel import Kernel, SimProcess
from simulation.provider import LARGE, ORIGIN, SMALL, SimProvider, price
from workers.worker import window_of

BROKER = "127.0.0.1:9092"
TOKEN = "hf_canarytokencanarytokencanary"
AT_HOME = (JOBS, DECISIONS, LEDGER, SNAPSHOTS)
PARTED = (TEXT, RETRY_TIERS[0][1])
"""What else lanes read: as many partitions as the schedule says."""
SINGLE = (
    *(tier for _, tier in RETRY_TIERS[1:]),
    RESULTS,
    DLQ,
    AUDIT,
    SPANS,
    CONTROL,
    BREAKERS,
    DELTAS,
    PRICES,
    OFFERS,
    POLICIES,
    BUDGETS,
    REGISTRY,
)
"""One partition is enough to show whatever can go wrong, and each costs every follower time."""
LANES = (
    (ROUTER_GROUP, JOBS.name),
    (worker_group("text"), TEXT.name),
    *((retry_group(tier), tier.name) for _, tier in RETRY_TIERS),
)
"""Groups and what they read."""
READ = tuple(topic.name for topic in TOPICS)
CHECKPOINT_EVERY = 4
"""Decisions after which a router notes how far its log is folded: a schedule has few."""
ENDED_S = 1.0
"""Until a supervisor starts a process that has ended by itself."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large an installation is."""

    workers: int
    routers: int
    partitions: int
    machines: int = 1
    """Over which its processes are spread: each has its own host name and home."""
    max_in_flight: int = 4
    session_s: float = 6.0
    more: tuple[tuple[str, Any], ...] = ()
    """Settings that are other than usual, by name."""


def new_folder() -> Path:
    """An empty folder that no schedule had before: a killed one leaves its own behind, and its process id comes again.
    In memory if there is such a place."""
    shm = Path("/dev/shm")  # noqa: S108 - each schedule has a folder of its own there
    shared = shm if shm.is_dir() and os.access(shm, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="novix-simulation-", dir=shared))


def machine_of(process: str, size: Size) -> str:
    """The machine on which a process of that name runs."""
    return f"machine-{int(process.partition('-')[2]) % size.machines}"


def window_of_workers(size: Size) -> int:
    """How many records a worker's process has in hand at most."""
    return window_of(_settings(size))


@functools.cache
def catalogue_file() -> Path:
    """The catalogue of all schedules of this process."""
    offers = {
        SMALL: [_offer(SMALL, "groq"), _offer(SMALL, "together")],
        LARGE: [_offer(LARGE, "groq")],
    }
    tiers = {SMALL: "small", LARGE: "large"}
    models = [{"model": model, "tier": tiers[model], "offers": rows} for model, rows in offers.items()]
    document = {
        "origin": "invented", "models": models, "aliases": {},
        "providers": {name: ["chat-completion"] for name in ("groq", "together")},
    }  # fmt: skip
    path = new_folder() / "catalogue.json"
    path.write_bytes(codec.encode(document))
    return path


def _offer(model: str, provider: str) -> dict[str, Any]:
    return {
        "provider": provider, "provider_model": model, "dialect": "hf-router", "base": "huggingface",
        "tasks": ["chat-completion"], "context_tokens": 131_072, "max_in_flight": 64, "licence": "mit",
        "price": price(model),
    }  # fmt: skip


def settings_for(size: Size, home: Path) -> Settings:
    """What every process of one machine is told."""
    return _settings(size).model_copy(update={"home": home})


@functools.cache
def _settings(size: Size) -> Settings:
    settings = Settings(
        kafka_bootstrap=BROKER,
        hf_router_url=ORIGIN,
        hf_token=SecretStr(TOKEN),
        catalogue=str(catalogue_file()),
        prices_poll_s=0,
        probe_s=0,
        max_in_flight=size.max_in_flight,
        max_retries=3,
        backoff_max_s=4.0,
        retry_in_memory_s=1.0,
        retry_budget=1_000,
        read_timeout_s=4.0,
        breaker_fail_max=3,
        breaker_reset_s=3.0,
        session_timeout_ms=int(size.session_s * 1_000),
        heartbeat_interval_ms=int(size.session_s * 1_000 / 4),
        drain_s=15.0,
        stuck_after_s=60.0,
        partitions=size.partitions,
        fair_wait_s=1.0,
    )
    return settings.model_copy(update={"snapshot_every": 6, **dict(size.more)})


@functools.cache
def _catalogue() -> catalogue.Catalogue:
    return catalogue.load(_settings(Size(1, 1, 1)))


@contextmanager
def built_as_simulated(provider: SimProvider) -> Iterator[None]:
    """While it lasts, workers that are built call this provider, and no process reads the catalogue's file again. What
    a router works out from it by the versions of its topics is of this schedule alone."""
    loaded = replace(_catalogue())
    with (
        patch.object(workers.app, "transport", provider.transport),
        patch.object(router.app, "load_catalogue", lambda settings: loaded),
        patch.object(router.lane, "CHECKPOINT_EVERY", CHECKPOINT_EVERY),
    ):
        yield


@dataclass
class Installation:
    """The processes of one schedule, by name: `router-0`, `worker-0`, ... They are started and started again here."""

    kernel: Kernel
    broker: SimBroker
    size: Size
    folder: Path
    running: dict[str, SimProcess] = field(default_factory=dict)
    services: dict[int, Service] = field(default_factory=dict)
    """By pid."""
    _skews: dict[str, timedelta] = field(default_factory=dict)

    def create_topics(self) -> None:
        """As `novix topics create` does."""
        for topic in TOPICS:
            count = self.size.partitions if topic in AT_HOME or topic in PARTED else 1
            if topic in AT_HOME or topic in PARTED or topic in SINGLE:
                self.broker.create_topic(topic.name, count, topic.limit_bytes, stamped=topic.stamped)

    @property
    def names(self) -> list[str]:
        """All processes that there should be."""
        routers = [f"router-{number}" for number in range(self.size.routers)]
        return routers + [f"worker-{number}" for number in range(self.size.workers)]

    def start(self, name: str) -> SimProcess:
        """Start a process, for the first time or again."""
        machine = machine_of(name, self.size)
        settings = settings_for(self.size, self.folder / machine)
        kernel = self.kernel

        async def main(stop: asyncio.Event) -> None:
            service: Service
            if name.startswith("router"):
                service = router.app.build(settings)
            else:
                service = workers.app.build(settings, ("text",))
            self.services[pid] = service
            await service.run(stop)

        pid = len(kernel.processes) + 1
        process = kernel.start(name, main, machine=machine)
        process.skew = self._skews.get(process.machine, timedelta(0))
        self.running[name] = process
        return process

    def hurry(self, name: str) -> None:
        """A second SIGTERM."""
        process = self.running[name]
        service = self.services.get(process.pid)
        if service is not None:
            process.deliver(service.hurry)

    def step_clock(self, machine: str, by_s: float) -> None:
        """From now on the machine's wall clock is wrong by so much."""
        self._skews[machine] = timedelta(seconds=by_s)
        for process in self.kernel.processes:
            if process.machine == machine:
                process.skew = self._skews[machine]

    def lag(self) -> dict[str, int]:
        """Of each lane that has not committed to the end of its partition, how much is missing."""
        missing = {}
        groups = {topic: (group, self.broker.committed(group)) for group, topic in LANES}
        for (topic, partition), log in self.broker.logs.items():
            if topic in groups:
                group, committed = groups[topic]
                offset = committed.get((topic, partition), (0, ""))[0]
                if offset < log.end:
                    missing[f"{group}.{partition}"] = log.end - offset
        return missing

    def states(self) -> list[str]:
        """What each running process says of its lanes, for a person who reads a failure."""
        return [f"{process}: {lane}" for process, lane in self._lanes() if lane["works"] or lane["state"] != "open"]

    def strays(self) -> list[str]:
        """Lanes that are not open in exactly one process: nobody has opened it, or a former owner who was cut off does
        not know yet that there is a successor. What it knows is old then, lawfully, and it can commit nothing."""
        holders: dict[str, list[str]] = {
            f"{group}.{topic}.{partition}": []
            for group, topic in LANES
            for name, partition in self.broker.logs
            if name == topic
        }
        for process, lane in self._lanes():
            holders[lane["lane"]].append(f"{process} {lane['state']}")
        held = {lane: told for lane, told in holders.items() if len(told) != 1 or not told[0].endswith(" open")}
        return [f"{lane} is held by {told}" for lane, told in held.items()]

    def _lanes(self) -> Iterator[tuple[SimProcess, dict[str, Any]]]:
        """Each lane that a running process has, as it shows it on /healthz."""
        for process in self.running.values():
            service = self.services.get(process.pid)
            if not process.alive or service is None:
                continue
            state: dict[str, Any] = service.describe()
            for one in [state, *(value for value in state.values() if isinstance(value, dict))]:
                for lane in one.get("lanes", ()):
                    yield process, lane

    def books(self) -> Iterator[tuple[str, dict[str, Any], dict[str, int]]]:
        """Of each open lane of a router: its name, what it says of its money, what it counts as spent by tenant."""
        for process in self.running.values():
            service = self.services.get(process.pid)
            if not process.alive or not isinstance(service, Services) or "router" not in service.describe():
                continue
            app: Any = service._services["router"]._app  # type: ignore[attr-defined]
            for partition, lane in app._lanes.items():
                spent = {
                    tenant: sum(money.sums.get("total", {}).values()) for tenant, money in lane._books._tenants.items()
                }
                yield f"{process} {partition}", lane.money(), spent

    def unsettled(self) -> list[str]:
        """What routers still hold of jobs that have ended: reservations, places ahead, who waits."""
        told = []
        for name, money, _ in self.books():
            ahead = sum(one["under_way"] for one in money["ahead"].values())
            if money["open"] or money["waiting"]["jobs"] or ahead:
                told.append(f"{name}: {money['open']} open, {money['waiting']['jobs']} waiting, {ahead} ahead")
        return told

    def close(self) -> None:
        """Remove the homes."""
        shutil.rmtree(self.folder, ignore_errors=True)
