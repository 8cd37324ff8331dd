"""CPU per job of router and worker, beside the plain loop in the same run; jobs a second; memory."""

import asyncio
import time
from dataclasses import dataclass

from bench.figure import Figure, median
from bench.world import (
    ONE_MODEL,
    World,
    cpu_s,
    health,
    jobs,
    peak_mb,
    process,
    router,
    topics,
    until_count,
    with_health,
    worker,
)
from schemas.topics import JOBS, RESULTS

NAME = "cpu"
IN_FLIGHT = 256
WARM_UP = 800
WITHIN_S = 90


@dataclass(frozen=True, slots=True)
class Lag:
    """How late an event loop was: the longest pause since its process began, and how many over 50 ms under load."""

    longest_ms: float
    late: float


@dataclass(frozen=True, slots=True)
class Round:
    """One round: microseconds of CPU a job, jobs a second, peak memory in MB."""

    router_us: float
    worker_us: float
    plain_us: float
    jobs_s: float
    plain_jobs_s: float
    router_mb: float
    worker_mb: float
    plain_mb: float
    lags: dict[str, Lag]
    """Of router and worker, while the jobs were done."""

    @property
    def both(self) -> float:
        """Router and worker against the loop."""
        return (self.router_us + self.worker_us) / self.plain_us

    @property
    def alone(self) -> float:
        """The worker against the loop."""
        return self.worker_us / self.plain_us


def measure(world: World, *, quick: bool) -> list[Figure]:
    """All rounds, Novix and the loop in turn: what else runs on the machine then weighs on both."""
    rounds, count = (1, 2_000) if quick else (5, 4_000)
    world.behave()
    return _figures([asyncio.run(_round(world, number, count)) for number in range(rounds)], count)


async def _round(world: World, number: int, count: int) -> Round:
    router_us, worker_us, jobs_s, router_mb, worker_mb, lags = await novix(world, f"cpu{number}.", count)
    plain_us, plain_jobs_s, plain_mb = await _plain(world, f"plain{number}.", count)
    return Round(router_us, worker_us, plain_us, jobs_s, plain_jobs_s, router_mb, worker_mb, plain_mb, lags)


async def novix(
    world: World, prefix: str, count: int, **more: str
) -> tuple[float, float, float, float, float, dict[str, Lag]]:
    """One round of router and worker, with `more` variables: microseconds of CPU a job of each, jobs a second, peak
    memory in MB of each, and how late their loops were."""
    settings, environment = world.settings(prefix, NOVIX_MAX_IN_FLIGHT=str(IN_FLIGHT), **ONE_MODEL, **more)
    async with topics(settings) as bus:
        own = {"router": with_health(environment), "worker": with_health(environment)}
        with router(own["router"]) as routing, worker(own["worker"]) as working:
            await bus.publish(jobs(0, WARM_UP))
            await until_count(bus, RESULTS.name, WARM_UP, WITHIN_S)
            late = {name: health(one)["loop"]["late"] for name, one in own.items()}
            before = cpu_s(routing.pid), cpu_s(working.pid)
            began = time.monotonic()
            await bus.publish(jobs(WARM_UP, WARM_UP + count))
            await until_count(bus, RESULTS.name, WARM_UP + count, WITHIN_S)
            took = time.monotonic() - began
            after = cpu_s(routing.pid), cpu_s(working.pid)
            told = {name: health(one)["loop"] for name, one in own.items()}
            lags = {name: Lag(one["longest_ms"], one["late"] - late[name]) for name, one in told.items()}
            memory = peak_mb(routing.pid), peak_mb(working.pid)
    router_us, worker_us = ((b - a) / count * 1e6 for a, b in zip(before, after, strict=True))
    return router_us, worker_us, count / took, *memory, lags


async def _plain(world: World, prefix: str, count: int) -> tuple[float, float, float]:
    settings, environment = world.settings(prefix)
    source, sink = settings.named(JOBS.name), settings.named(RESULTS.name)
    url = f"{world.stub_url}/v1/chat/completions"
    async with topics(settings) as bus:
        arguments = ("-m", "bench.plain_loop", world.bootstrap, source, sink, url)
        with process({**environment, "PLAIN_IN_FLIGHT": str(IN_FLIGHT)}, *arguments) as loop:
            await bus.publish(jobs(0, WARM_UP))
            await until_count(bus, RESULTS.name, WARM_UP, WITHIN_S)
            before, began = cpu_s(loop.pid), time.monotonic()
            await bus.publish(jobs(WARM_UP, WARM_UP + count))
            await until_count(bus, RESULTS.name, WARM_UP + count, WITHIN_S)
            took = time.monotonic() - began
            return (cpu_s(loop.pid) - before) / count * 1e6, count / took, peak_mb(loop.pid)


def _figures(rounds: list[Round], count: int) -> list[Figure]:
    def middle(name: str) -> float:
        return median([getattr(one, name) for one in rounds])

    how = f"{IN_FLIGHT} in flight, a stub that answers at once; median of {len(rounds)} rounds of {count} jobs"
    both = [one.both for one in rounds]
    alone = [one.alone for one in rounds]
    return [
        Figure(NAME, "router, CPU a job", middle("router_us"), "us", note=how),
        Figure(NAME, "worker, CPU a job", middle("worker_us"), "us"),
        Figure(NAME, "plain aiokafka + aiohttp loop, CPU a job", middle("plain_us"), "us"),
        Figure(
            NAME, "router and worker against the loop", median(both), "times", "at most 2.5",
            f"rounds from {min(both):.2f} to {max(both):.2f}",
        ),
        Figure(
            NAME, "worker alone against the loop", median(alone), "times", "at most 1.8",
            f"rounds from {min(alone):.2f} to {max(alone):.2f}",
        ),
        Figure(NAME, "Novix, jobs a second", middle("jobs_s"), "", note="broker, stub and reader on the same cores"),
        Figure(NAME, "loop, jobs a second", middle("plain_jobs_s"), ""),
        Figure(NAME, "router, peak memory", middle("router_mb"), "MB"),
        Figure(NAME, "worker, peak memory", middle("worker_mb"), "MB"),
        Figure(NAME, "loop, peak memory", middle("plain_mb"), "MB"),
        *(_lag(name, [one.lags[name] for one in rounds]) for name in ("router", "worker")),
    ]  # fmt: skip


def _lag(name: str, lags: list[Lag]) -> Figure:
    late = sum(lag.late for lag in lags)
    how = f"{late:.0f} over 50 ms under load, in all rounds"
    return Figure(NAME, f"{name}, longest pause of its event loop", max(lag.longest_ms for lag in lags), "ms", note=how)
