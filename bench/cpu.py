"""CPU per job of router and worker, beside the plain loop in the same run; jobs a second; memory."""

import asyncio
import statistics
import time
from dataclasses import dataclass

from bench.world import World, cpu_s, jobs, peak_mb, process, topics, until_count
from schemas.topics import JOBS, RESULTS

JOBS_A_ROUND = 4_000
WARM_UP = 400
ROUNDS = 3
IN_FLIGHT = 256
WITHIN_S = 300


@dataclass(frozen=True)
class Round:
    """One round: microseconds of CPU a job, and jobs a second."""

    router_us: float
    worker_us: float
    plain_us: float
    jobs_s: float
    plain_jobs_s: float
    router_mb: float
    worker_mb: float


def run(world: World) -> list[Round]:
    """All rounds, Novix and the loop in turn."""
    world.behave()
    return [asyncio.run(_round(world, number)) for number in range(ROUNDS)]


async def _round(world: World, number: int) -> Round:
    router_us, worker_us, jobs_s, router_mb, worker_mb = await _novix(world, f"cpu{number}.")
    plain_us, plain_jobs_s = await _plain(world, f"plain{number}.")
    return Round(router_us, worker_us, plain_us, jobs_s, plain_jobs_s, router_mb, worker_mb)


async def _novix(world: World, prefix: str) -> tuple[float, float, float, float, float]:
    settings, environment = world.settings(prefix, NOVIX_MAX_IN_FLIGHT=str(IN_FLIGHT))
    async with topics(settings) as bus:
        with (
            process(environment, "-m", "console", "router") as router,
            process(environment, "-m", "console", "worker", "text") as worker,
        ):
            await bus.publish(jobs(0, WARM_UP))
            await until_count(bus, RESULTS.name, WARM_UP, WITHIN_S)
            before = cpu_s(router.pid), cpu_s(worker.pid)
            began = time.monotonic()
            await bus.publish(jobs(WARM_UP, WARM_UP + JOBS_A_ROUND))
            await until_count(bus, RESULTS.name, WARM_UP + JOBS_A_ROUND, WITHIN_S)
            took = time.monotonic() - began
            after = cpu_s(router.pid), cpu_s(worker.pid)
            memory = peak_mb(router.pid), peak_mb(worker.pid)
    router_us, worker_us = ((b - a) / JOBS_A_ROUND * 1e6 for a, b in zip(before, after, strict=True))
    return router_us, worker_us, JOBS_A_ROUND / took, *memory


async def _plain(world: World, prefix: str) -> tuple[float, float]:
    settings, environment = world.settings(prefix)
    source, sink = settings.named(JOBS.name), settings.named(RESULTS.name)
    url = f"{world.stub_url}/v1/chat/completions"
    async with topics(settings) as bus:
        arguments = ("-m", "bench.plain_loop", world.bootstrap, source, sink, url)
        with process({**environment, "PLAIN_IN_FLIGHT": str(IN_FLIGHT)}, *arguments) as loop:
            await bus.publish(jobs(0, WARM_UP))
            await until_count(bus, RESULTS.name, WARM_UP, WITHIN_S)
            before, began = cpu_s(loop.pid), time.monotonic()
            await bus.publish(jobs(WARM_UP, WARM_UP + JOBS_A_ROUND))
            await until_count(bus, RESULTS.name, WARM_UP + JOBS_A_ROUND, WITHIN_S)
            took = time.monotonic() - began
            return (cpu_s(loop.pid) - before) / JOBS_A_ROUND * 1e6, JOBS_A_ROUND / took


def report(rounds: list[Round]) -> list[str]:
    """Medians, and the ratios that design 9 bounds."""

    def middle(name: str) -> float:
        return statistics.median(getattr(one, name) for one in rounds)

    both = statistics.median((one.router_us + one.worker_us) / one.plain_us for one in rounds)
    worker = statistics.median(one.worker_us / one.plain_us for one in rounds)
    return [
        f"CPU a job, {IN_FLIGHT} in flight, stub that answers at once, median of {len(rounds)} rounds of {JOBS_A_ROUND} jobs:",
        f"  router {middle('router_us'):.0f} us, worker {middle('worker_us'):.0f} us, plain loop {middle('plain_us'):.0f} us",
        f"  router and worker against the loop: {both:.2f} times; worker alone: {worker:.2f} times",
        f"  jobs a second on this machine: Novix {middle('jobs_s'):.0f}, plain loop {middle('plain_jobs_s'):.0f}",
        f"  peak memory: router {middle('router_mb'):.0f} MB, worker {middle('worker_mb'):.0f} MB",
    ]
