"""How full the window is: throughput at 1,000 concurrent calls of 1 s over the ideal 1,000 a second."""

import asyncio
import time

from bench.figure import Figure
from bench.world import ONE_MODEL, World, jobs, router, topics, until_count, worker
from schemas.topics import RESULTS

NAME = "window"
IN_FLIGHT = 1_000
CALL_MS = 1_000
LOOK_EVERY_S = 0.02
WITHIN_S = 90


def measure(world: World, *, quick: bool) -> list[Figure]:
    """Calls that the stub has answered between the first full window and the last, over what was possible."""
    count = 5_000 if quick else 12_000
    world.behave(delay_ms=CALL_MS)
    reached, most = asyncio.run(_run(world, count))
    ideal = IN_FLIGHT * 1_000 / CALL_MS
    how = f"{IN_FLIGHT:,} in flight, all of one model, calls of {CALL_MS} ms, {count:,} jobs; ends left out"
    return [
        Figure(NAME, "throughput", reached, "calls a second", note=how),
        Figure(NAME, "over the ideal", reached / ideal, "", "at least 0.95"),
        Figure(NAME, "most calls at once", most, "", f"never above {IN_FLIGHT:,}"),
    ]


async def _run(world: World, count: int) -> tuple[float, int]:
    settings, environment = world.settings("window.", NOVIX_MAX_IN_FLIGHT=str(IN_FLIGHT), **ONE_MODEL)
    async with topics(settings) as bus:
        await bus.publish(jobs(0, count))
        with router(environment), worker(environment):
            first = await _reached(world, 2 * IN_FLIGHT)
            last = await _reached(world, count - IN_FLIGHT)
            await until_count(bus, RESULTS.name, count, WITHIN_S)
    (began, before), (ended, after) = first, last
    return (after - before) / (ended - began), world.counts()["most_in_flight"]


async def _reached(world: World, calls: int) -> tuple[float, int]:
    """The instant (monotonic, in seconds) at which the stub has seen so many calls, and how many it was then."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            seen = (await asyncio.to_thread(world.counts))["calls"]
            if seen >= calls:
                return time.monotonic(), seen
            await asyncio.sleep(LOOK_EVERY_S)
