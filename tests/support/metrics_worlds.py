"""Real components that are driven, and what their process's /metrics told before and after: for each metric, what
moves it."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from engine_story import after, log_of
from prometheus_client.parser import text_string_to_metric_families
from sim_log import SimLog
from sim_world import SimApp, SimHandler, World, publish
from virtual_time import LoopClock, run

from runtime import telemetry
from runtime.cadence import Cadence
from runtime.health import observe
from runtime.metrics import Metrics
from runtime.metrics.lanes import CountedLanes
from runtime.outcome import GiveUp, Hold, Outcome
from runtime.ports import Delivery
from runtime.shell import Service
from runtime.telemetry import SpanDraft
from schemas.audit import AuditEntry
from schemas.failure import FailureKind

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]
PAGES: list[str] = []
"""Everything that was told so far, as it was told."""


def scraped(metrics: Metrics) -> Samples:
    """What a scraper reads now: by sample name, by labels."""
    found: Samples = {}
    page = metrics.page("")[0].decode()
    PAGES.append(page)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def total(samples: Samples, name: str, labels: Mapping[str, str]) -> float | None:
    """The sum of all samples of a name (a histogram's: how many were observed) with these labels; None: none."""
    by_labels = samples.get(name, samples.get(f"{name}_count", {}))
    found = [value for told, value in by_labels.items() if labels.items() <= dict(told).items()]
    return sum(found) if found else None


@dataclass(frozen=True, slots=True)
class Moved:
    """What was told before and after something happened."""

    before: Samples
    after: Samples


@dataclass
class Told(Service):
    """A service that is what the test says."""

    state: dict[str, Any]
    well: bool = True

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def describe(self) -> dict[str, Any]:
        return self.state

    @property
    def healthy(self) -> bool:
        return self.well


# the lane engine, in virtual time


def _engine(log: SimLog, app: SimApp, **options: Any) -> tuple[World, Metrics]:
    metrics = Metrics()
    world = World(log, app, meter=CountedLanes(metrics, "sim", "in"), **options)
    engine = world.engine
    observe(metrics, "sim", engine.describe, lambda: engine.healthy, lambda: engine.ready)
    return world, metrics


async def _lived(world: World, metrics: Metrics, seconds: float) -> Moved:
    """What has moved when the engine has run for so long; then it is killed."""
    before = scraped(metrics)
    await world.join()
    await asyncio.sleep(seconds)
    moved = Moved(before, scraped(metrics))
    await world.process.kill()
    return moved


def _story(tell: Callable[[], Coroutine[Any, Any, Moved]]) -> Callable[[], Moved]:
    return lambda: run(tell())


def _span(delivery: Delivery, error: str | None, *, sampled: bool = True) -> SpanDraft:
    now, record = LoopClock().now(), delivery.record
    context = telemetry.TraceContext("a" * 32, None, sampled)
    place = telemetry.span_id(context, "process", record.topic, record.partition, record.offset)
    return SpanDraft(context, place, "process in", telemetry.CONSUMER, now, now, {}, error=error)


async def _mixed(handler: SimHandler, delivery: Delivery) -> Outcome:
    """Three records: one is published, one set aside, one breaks its handler. The spans of one are not sampled."""
    number = delivery.record.offset
    if number == 2:
        raise LookupError
    entry = AuditEntry(at=LoopClock().now(), action="job.succeeded", detail={})
    spans = (_span(delivery, None, sampled=number != 0),)
    if number == 1:
        return GiveUp(FailureKind.UNDECODABLE, "no", audit=(entry,), spans=spans)
    return publish(delivery.record, audit=(entry,), spans=spans)


@_story
async def committed() -> Moved:
    """Three records of three kinds are committed."""
    world, metrics = _engine(log_of(3), SimApp(_mixed))
    before = scraped(metrics)
    await world.join()
    await world.all_committed()
    moved = Moved(before, scraped(metrics))
    await world.process.stop()
    return moved


@_story
async def busy() -> Moved:
    """Thirty records of one key and a window of four: some are worked on, the others wait."""
    app = SimApp(after(30), order=lambda record: record.offset % 2 or None)
    world, metrics = _engine(log_of(30), app, window=4)
    return await _lived(world, metrics, 12)


@_story
async def refused() -> Moved:
    """The broker refuses every commit."""
    log = log_of(3)
    log.faults.refused = 1.0
    world, metrics = _engine(log, SimApp())
    return await _lived(world, metrics, 150)


@_story
async def cut() -> Moved:
    """The log is cut below what was read: the lane stops."""
    log = log_of(40)
    world, metrics = _engine(log, SimApp(after(1)), window=4)
    await world.join()
    await asyncio.sleep(0.5)
    before = scraped(metrics)
    log.first[0] = 30
    await world.until(lambda: world.engine.runners[0].stopped is not None)
    moved = Moved(before, scraped(metrics))
    await world.process.kill()
    return moved


@_story
async def revoked() -> Moved:
    """The process is told to end while a record is worked on, and its partition is taken away."""
    world, metrics = _engine(log_of(2), SimApp(after(20)))
    await world.join()
    await asyncio.sleep(1)
    before = scraped(metrics)
    stopping = asyncio.create_task(world.process.stop())
    await asyncio.sleep(1)
    letting_go = asyncio.create_task(world.engine._revoked([0]))
    await asyncio.sleep(2)
    moved = Moved(before, scraped(metrics))
    await asyncio.gather(stopping, letting_go)
    return moved


@_story
async def gathering() -> Moved:
    """Two outcomes are known, and their transaction has not begun."""
    cadence = Cadence(longest=timedelta(seconds=60), shortest=timedelta(seconds=60))
    world, metrics = _engine(log_of(3), SimApp(_one_by_one), cadence=cadence)
    return await _lived(world, metrics, 12)


async def _one_by_one(handler: SimHandler, delivery: Delivery) -> Outcome:
    await asyncio.sleep(5 * delivery.record.offset)
    return publish(delivery.record)


@_story
async def held() -> Moved:
    """Three records that their handler keeps for later."""

    async def keep(handler: SimHandler, delivery: Delivery) -> Outcome:
        return Hold()

    world, metrics = _engine(log_of(3), SimApp(keep, inline=True))
    return await _lived(world, metrics, 5)
