"""One slow call among fast ones: what it costs the other jobs of its partition."""

import asyncio
import time

from bench.figure import Figure, quantile
from bench.timing import Timer, timer
from bench.world import World, jobs, router, topics, worker

NAME = "slow"
SLOW_MS = 15_000
SAME = {"tenant": "acme", "ordering_key": "same"}
"""One partition of the jobs topic and one of the text topic for all of them."""
ROOM_S = 0.02


def measure(world: World, *, quick: bool) -> list[Figure]:
    """The same jobs twice, without a slow call and with one that lasts longer than all of them."""
    count = 60 if quick else 200
    without, beside, open_at_end = asyncio.run(_run(world, count))
    how = f"{count} jobs of one partition, {ROOM_S * 1000:.0f} ms apart, beside a call of {SLOW_MS / 1000:.0f} s"
    return [
        Figure(NAME, "neighbours without a slow call, p50", quantile(without, 0.5) * 1000, "ms", note=how),
        Figure(NAME, "neighbours beside it, p50", quantile(beside, 0.5) * 1000, "ms"),
        Figure(NAME, "delay that it causes, p50", _later(without, beside, 0.5), "ms", "none"),
        Figure(NAME, "delay that it causes, p95", _later(without, beside, 0.95), "ms", "none"),
        Figure(NAME, "calls still open behind them", open_at_end, "", "1: it outlasted them all"),
    ]


def _later(without: list[float], beside: list[float], share: float) -> float:
    return (quantile(beside, share) - quantile(without, share)) * 1_000


async def _run(world: World, count: int) -> tuple[list[float], list[float], int]:
    settings, environment = world.settings("slow.")
    async with topics(settings) as bus, timer(bus) as here:
        with router(environment), worker(environment):
            world.behave()
            await _all(here, 0, count)  # warm
            without = await _all(here, count, 2 * count)
            world.behave(delay_ms=SLOW_MS)
            slow = await here.publish(jobs(3 * count, 3 * count + 1, fields=SAME)[0])
            await _until_called(world)
            world.behave()  # calls that have begun keep their delay
            beside = await _all(here, 2 * count, 3 * count)
            still_open = world.counts()["in_flight"]
            await slow
    return without, beside, still_open


async def _all(here: Timer, first: int, end: int) -> list[float]:
    waiting = []
    for job in jobs(first, end, fields=SAME):
        waiting.append(await here.publish(job))
        await asyncio.sleep(ROOM_S)
    return list(await asyncio.gather(*waiting))


async def _until_called(world: World) -> None:
    until = time.monotonic() + 30
    while not world.counts()["in_flight"]:
        if time.monotonic() > until:
            raise TimeoutError("the slow call was never made")
        await asyncio.sleep(0.05)
