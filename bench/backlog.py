"""Memory of a worker that stands before a large backlog."""

import asyncio
from collections.abc import Iterator

from bench.figure import Figure
from bench.world import ONE_MODEL, PARTITIONS, World, jobs, now_mb, peak_mb, router, topics, until_count, worker
from runtime.bus import Bus
from runtime.ports import Outgoing
from schemas.topics import RESULTS, TEXT

NAME = "backlog"
IN_FLIGHT = 256
CALL_MS = 200
LOOK_EVERY_S = 0.25
PIECE = 2_000


def measure(world: World, *, quick: bool) -> list[Figure]:
    """The worker starts with everything published already; its memory is looked at while it works."""
    count, watched_s = (20_000, 6.0) if quick else (200_000, 20.0)
    world.behave(delay_ms=CALL_MS)
    early, late, most, done = asyncio.run(_run(world, count, watched_s))
    how = f"{count:,} assigned jobs published, {done:,} done while it was watched for {watched_s:.0f} s"
    return [
        Figure(NAME, "worker, peak memory", most, "MB", "under 200 and flat", how),
        Figure(NAME, "worker, first half, highest", early, "MB"),
        Figure(NAME, "worker, second half, highest", late, "MB"),
    ]


async def _run(world: World, count: int, watched_s: float) -> tuple[float, float, float, int]:
    settings, environment = world.settings("backlog.", NOVIX_MAX_IN_FLIGHT=str(IN_FLIGHT), **ONE_MODEL)
    async with topics(settings) as bus:
        await _publish_backlog(bus, environment, count)
        first = await _written(bus)
        with worker(environment) as working:
            await until_count(bus, RESULTS.name, 1, 60)
            seen = []
            for _ in range(int(watched_s / LOOK_EVERY_S)):
                seen.append(now_mb(working.pid))
                await asyncio.sleep(LOOK_EVERY_S)
            most, done = peak_mb(working.pid), await _written(bus) - first
    half = len(seen) // 2
    return max(seen[:half]), max(seen[half:]), most, done


async def _publish_backlog(bus: Bus, environment: dict[str, str], count: int) -> None:
    """What a router wrote for a few jobs, again and again under other ids: routing them all would take minutes."""
    originals = []
    await bus.publish(jobs(0, 24))
    with router(environment):
        async with asyncio.timeout(60):
            async for record in bus.follow(TEXT.name, dict.fromkeys(range(PARTITIONS), 0)):
                originals.append(Outgoing(TEXT.name, record.key, record.value, record.headers))
                if len(originals) == 24:
                    break
    for start in range(0, count, PIECE):
        await bus.publish(list(_copies(originals, start, min(start + PIECE, count))))


def _copies(originals: list[Outgoing], first: int, end: int) -> Iterator[Outgoing]:
    for number in range(first, end):
        one = originals[number % len(originals)]
        value = (one.value or b"").replace(b'"id": "job-', b'"id": "copy-%d-' % number)
        yield Outgoing(one.topic, b"%d" % number, value, one.headers)


async def _written(bus: Bus) -> int:
    ends = [await bus.reader().bounds(RESULTS.name, partition) for partition in range(PARTITIONS)]
    return sum(end - first for first, end in ends)
