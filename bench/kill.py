"""How many paid calls a kill -9 of the worker repeats: at most those in flight, and those done and not committed."""

import asyncio
import json
from collections import Counter

from bench.figure import Figure
from bench.world import PARTITIONS, World, jobs, router, topics, worker
from runtime.bus import Bus
from schemas.topics import RESULTS

NAME = "kill"
IN_FLIGHT = 64
CALL_MS = 100
WITHIN_S = 60


def measure(world: World, *, quick: bool) -> list[Figure]:
    """Kill the worker in the middle, start it again, count the provider's calls and the results."""
    kills = 1 if quick else 4
    count = 1_500 * (kills + 1)
    world.behave(delay_ms=CALL_MS)
    results = asyncio.run(_run(world, count, kills))
    calls = Counter(job for job, _ in world.calls())
    repeated = sum(times - 1 for times in calls.values())
    how = f"{kills} kills among {count:,} jobs; {IN_FLIGHT} in flight, calls of {CALL_MS} ms"
    return [
        Figure(NAME, "calls repeated for each kill -9", repeated / kills, "", note=how),
        Figure(NAME, "jobs lost", count - len(results), "", "0"),
        Figure(NAME, "duplicate results", sum(results.values()) - len(results), "", "0"),
    ]


async def _run(world: World, count: int, kills: int) -> Counter[str]:
    settings, environment = world.settings("kill.", NOVIX_MAX_IN_FLIGHT=str(IN_FLIGHT))
    results: Counter[str] = Counter()
    async with topics(settings) as bus:
        await bus.publish(jobs(0, count))
        with router(environment):
            reading = asyncio.create_task(_read(bus, results, count))
            for turn in range(1, kills + 1):
                with worker(environment) as working:
                    await _until(results, count * turn // (kills + 1))
                    working.kill()
                    working.wait()
            with worker(environment):
                async with asyncio.timeout(WITHIN_S):
                    await reading
    return results


async def _read(bus: Bus, results: Counter[str], count: int) -> None:
    """Count results by job until every job has one and nothing more has come for a while."""
    records = bus.follow(RESULTS.name, dict.fromkeys(range(PARTITIONS), 0))
    while True:
        try:
            record = await asyncio.wait_for(anext(records), 2.0 if len(results) == count else WITHIN_S)
        except TimeoutError:
            return
        told = json.loads(record.value or b"")
        results[f"{told['tenant']}/{told['job_id']}"] += 1


async def _until(results: Counter[str], count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while len(results) < count:  # noqa: ASYNC110 - a count that a reader raises, not an event
            await asyncio.sleep(0.02)
