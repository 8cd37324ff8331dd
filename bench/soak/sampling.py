"""Looks at every process each few seconds: memory, file descriptors, threads, records at work; and at the lag."""

import asyncio
import contextlib
import json
import logging
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from bench.world import now_mb
from runtime.bus import Bus
from runtime.settings import Settings
from schemas.topics import JOBS, RETRY_TIERS, ROUTER_GROUP, TEXT, retry_group, worker_group

LANES = {
    "router": [(ROUTER_GROUP, JOBS.name)],
    "worker": [(worker_group("text"), TEXT.name)],
    "retry": [(retry_group(topic), topic.name) for _, topic in RETRY_TIERS],
}
PATIENCE_S, BROKER_PATIENCE_S = 2.0, 8.0
"""A frozen process does not answer, a dead broker neither."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A process by name: what its pid is now, and where it answers for its health, if it does."""

    name: str
    pid: Callable[[], int | None]
    health_url: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One process at one instant."""

    at_s: float
    """Since the run began."""
    pid: int
    rss_mb: float
    fds: int
    threads: int
    works: int | None
    """Records that it has begun and not settled; None where it does not say."""
    lanes: int | None = None
    """That it has, open or opening; None where it does not say."""


@dataclass
class Samples:
    """All that was seen."""

    looks: dict[str, list[Look]] = field(default_factory=dict)
    lag: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    """Instant, and records that each kind of lane has not committed. Nothing where the broker did not answer."""
    blind: int = 0
    """Looks at the lag that the broker did not answer."""


class Sampler:
    """Samples from a thread of its own until it is closed."""

    def __init__(self, watched: list[Watched], settings: Settings, every_s: float) -> None:
        self.samples = Samples({one.name: [] for one in watched})
        self._watched = watched
        self._settings = settings
        self._every_s = every_s
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        """Begin; the run's clock starts here."""
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells at length of each broker that is away
        self._began = time.monotonic()
        self._thread.start()

    def now_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def close(self) -> None:
        """No look more."""
        self._over.set()
        self._thread.join(30)

    async def _run(self) -> None:
        await asyncio.gather(self._processes(), self._lags())

    async def _processes(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            await asyncio.gather(*(asyncio.to_thread(self._look, one) for one in self._watched))
            await self._pause(began)

    async def _lags(self) -> None:
        """Beside the processes: a broker that is away keeps nobody from looking at them."""
        bus: Bus | None = None
        while not self._over.is_set():
            began = time.monotonic()
            bus = await self._lag(bus)
            await self._pause(began)
        await _closed(bus)

    async def _pause(self, began: float) -> None:
        await asyncio.sleep(max(0.1, self._every_s - (time.monotonic() - began)))

    def _look(self, one: Watched) -> None:
        pid = one.pid()
        if pid is None:
            return
        lanes = _lanes(one.health_url) if one.health_url else None
        works = None if lanes is None else sum(int(lane["works"]) for lane in lanes)
        with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
            status = Path(f"/proc/{pid}/status").read_text()
            threads = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:"))
            fds = len(os.listdir(f"/proc/{pid}/fd"))
            self.samples.looks[one.name].append(
                Look(self.now_s(), pid, now_mb(pid), fds, threads, works, None if lanes is None else len(lanes))
            )

    async def _lag(self, bus: Bus | None) -> Bus | None:
        """One look at the lag, by the bus of the last one or a new one; which one to use next."""
        try:
            async with asyncio.timeout(BROKER_PATIENCE_S):
                if bus is None:
                    bus = await Bus(self._settings).__aenter__()
                told = {}
                for name, lanes in LANES.items():
                    told[name] = sum([sum((await bus.lag(*lane)).values()) for lane in lanes])
            self.samples.lag.append((self.now_s(), told))
        except (KafkaError, OSError):  # a TimeoutError is an OSError
            self.samples.blind += 1
            await _closed(bus)
            return None
        return bus


async def _closed(bus: Bus | None) -> None:
    if bus is not None:
        with contextlib.suppress(KafkaError, OSError):
            async with asyncio.timeout(PATIENCE_S):
                await bus.__aexit__(None, None, None)


def _lanes(url: str) -> list[Mapping[str, Any]] | None:
    """What a process says of its lanes; None if it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310 - a process of ours on loopback
            told = json.loads(answer.read())
    except urllib.error.HTTPError as refusal:  # unwell, and says why
        told = json.loads(refusal.read())
    except (OSError, ValueError):
        return None
    services = [told, *(value for value in told.values() if isinstance(value, Mapping))]
    return [lane for service in services for lane in service.get("lanes", ())]
