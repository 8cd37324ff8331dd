"""The router as an application of the lane engine: it opens a handler for each partition of the jobs topic."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from router.admission import Admission
from router.ahead import Ahead, start_of
from router.catalogue import Catalogue
from router.governance import catch_up
from router.lane import RouterLane
from router.memory import Memory
from router.money.books import Books
from router.pump import Pump
from router.seen import Seen
from router.state import State
from router.tail import Following, Tail
from runtime.cancels import Cancels
from runtime.metrics.routing import RoutingMeter
from runtime.outcome import CannotOpen
from runtime.ports import Clock, LaneId, LogReader, Record, Resumed
from runtime.settings import Settings
from schemas.topics import DECISIONS, JOBS, LEDGER, ROUTER_GROUP, SNAPSHOTS

MOST_WAITING = 0.75
"""Share of `NOVIX_MAX_IN_FLIGHT_BYTES` that jobs which wait for money or an instant may fill: when all of it is used,
no lane of the process reads on."""
AT_HOME = (DECISIONS, LEDGER, SNAPSHOTS)


class PartitionMismatch(CannotOpen):
    """A topic that is addressed by a tenant's home has not as many partitions as the jobs topic: a tenant would have
    two homes."""


class RouterApplication:
    """Decides every job of `inference.jobs.v1`, in order, each exactly once per submission."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, clock: Clock, cancels: Cancels | None = None, *,
        state: State | None = None, following: Following | None = None, ahead: Callable[[], Ahead] | None = None,
        meter: RoutingMeter | None = None,
    ) -> None:  # fmt: skip
        """`ahead`: makes the limit of one modality's assigned work in one lane; None: as the settings say.
        `following`: who reads the ledger on; without it nothing runs by itself, and `pumps` are turned by hand."""
        self.state = state or State(settings, catalogue)
        self._settings = settings
        self._clock = clock
        self._cancels = Cancels() if cancels is None else cancels
        self._memory = Memory(settings.dedup_max, timedelta(hours=settings.dedup_hours))
        self._lanes: dict[int, RouterLane] = {}
        self.pumps: dict[int, Pump] = {}
        """Of each open lane: who brings it what it waits for."""
        self._following = following
        self._meter = meter or RoutingMeter()
        self._tail = Tail()
        self._new_ahead = ahead
        self._all_asked, self._opening = False, asyncio.Lock()

    @property
    def group(self) -> str:
        """Consumer group, without prefix."""
        return ROUTER_GROUP

    @property
    def topic(self) -> str:
        """Input topic, without prefix."""
        return JOBS.name

    @property
    def inline(self) -> bool:
        """Jobs are decided one after the other: the second of two equal ids must see the first."""
        return True

    @property
    def custody(self) -> str:
        """A router calls nobody."""
        return ""

    def describe(self) -> dict[str, Any]:
        """`dedup`: of each open lane its partition, how many identities it remembers, `since` when it remembers all,
        and which bound holds: `24 h`, `1000000 ids`, `all since the beginning`. `money`: who waits, and what is
        reserved. `versions`: of the histories that are decided from; `refused`: what of them could not be taken in."""
        lanes = [lane for _, lane in sorted(self._lanes.items())]
        return {
            "dedup": [lane.describe() for lane in lanes],
            "money": [lane.money() for lane in lanes],
            "versions": dict(self.state.versions),
            "refused": self.state.refused(),
        }

    def order_of(self, record: Record) -> None:
        """A lane of a router handles everything in order."""

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> RouterLane:
        """Bring the seen identities and the money up to date. Raises `PartitionMismatch`, `RegistryLost`, or what
        `Seen.open` and `Books.open` raise."""
        jobs = await log.partitions(JOBS.name)
        for topic in AT_HOME:
            count = await log.partitions(topic.name)
            if count != jobs:
                raise PartitionMismatch(
                    f"{JOBS.name} has {jobs} partitions and {topic.name} has {count}; they must be equal"
                    + ("" if count else " (novix topics create makes it)")
                )
        settings, state, clock = self._settings, self.state, self._clock
        # A partition that has decided nothing yet knows of no registry: the first to open asks those of all partitions.
        async with self._opening:
            if first := not self._all_asked:
                await catch_up(state.registry, range(jobs), log)
                self._all_asked = True
        if not first:
            await catch_up(state.registry, (lane.partition,), log)
        name = settings.named(DECISIONS.name)
        seen = await Seen.open(settings.home / "seen", name, lane.partition, log, self._memory)
        try:
            books = await Books.open(lane, log, state.accounts, clock.now(), settings.dedup_max)
        except BaseException:
            seen.close()
            raise
        admission = Admission(state.terms, self._new_ahead or partial(self._ahead, jobs))
        opened = RouterLane(
            lane, state, seen, books, admission, log, clock, self._cancels, partitions=jobs,
            prefix=settings.topic_prefix, snapshot_every=settings.snapshot_every,
            meter=self._meter,
        )  # fmt: skip
        pump = Pump(
            opened, books, admission, state, clock, self._cancels, self._tail, excess_bytes=self._excess_bytes
        )  # fmt: skip
        self._lanes[lane.partition], self.pumps[lane.partition] = opened, pump
        opened.on_close = lambda: self._closed(opened, pump)
        if self._following is not None:
            pump.start(self._following)
        return opened

    def _ahead(self, lanes: int) -> Ahead:
        settings = self._settings
        return Ahead(fair_wait=timedelta(seconds=settings.fair_wait_s), start=start_of(settings.max_in_flight, lanes))

    def _closed(self, lane: RouterLane, pump: Pump) -> None:
        pump.stop()
        if self._lanes.get(lane.partition) is lane:
            del self._lanes[lane.partition], self.pumps[lane.partition]

    def _excess_bytes(self) -> int:
        """What waits beyond the share of the process's window that it may have: the rest is for who comes."""
        waiting = sum(lane.waiting_bytes for lane in self._lanes.values())
        return waiting - int(self._settings.max_in_flight_bytes * MOST_WAITING)
