"""What Novix adds to a call of 200 ms, from publication to result, when nothing else is going on."""

import asyncio
import random

from bench.figure import Figure, quantile
from bench.timing import timer
from bench.world import World, jobs, router, topics, worker

NAME = "latency"
CALL_MS = 200
REST_S = (0.3, 0.7)
"""Between two jobs, so that each finds idle lanes."""


def measure(world: World, *, quick: bool) -> list[Figure]:
    """One job after the other, each after a rest."""
    count = 12 if quick else 60
    world.behave(delay_ms=CALL_MS)
    added = asyncio.run(_run(world, count))
    how = f"{count} single jobs, {REST_S[0]} to {REST_S[1]} s apart; from before publication to a read_committed reader"
    return [
        Figure(NAME, "added to a call of 200 ms, p50", quantile(added, 0.5), "ms", "under 60", how),
        Figure(NAME, "added to a call of 200 ms, p95", quantile(added, 0.95), "ms", "under 150"),
        Figure(NAME, "added to a call of 200 ms, most", max(added), "ms"),
    ]


async def _run(world: World, count: int) -> list[float]:
    settings, environment = world.settings("latency.")
    dice = random.Random(7)
    added = []
    async with topics(settings) as bus, timer(bus) as here:
        with router(environment), worker(environment):
            for warm in jobs(0, 24):  # every tenant once: connections stand, lanes are open
                await here.seconds(warm)
            for job in jobs(24, 24 + count):
                await asyncio.sleep(dice.uniform(*REST_S))
                added.append(await here.seconds(job) * 1_000 - CALL_MS)
    return added
