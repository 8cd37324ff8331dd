"""A provider with a capacity that it tells nobody, and that changes: how near the worker's calls come to it, and how
many of them it has to refuse."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from statistics import fmean

from bench.figure import Figure
from bench.world import ONE_MODEL, PARTITIONS, World, health, jobs, router, topics, until_count, with_health, worker
from runtime.bus import Bus
from schemas.topics import RESULTS

NAME = "capacity"
STEPS = (20, 5, 40)
CALL_MS = 300
IN_FLIGHT = 64
LOOK_S = 0.2
WITHIN_S = 300


@dataclass(frozen=True, slots=True)
class Phase:
    """One capacity, after the worker has settled: the limit that it has learnt and its calls at once, both on average,
    calls in all, and those refused."""

    capacity: int
    limit: float
    in_flight: float
    calls: int
    refused: int


def measure(world: World, *, quick: bool) -> list[Figure]:
    """A backlog that never ends, and a capacity of 20, then 5, then 40 calls at once."""
    settle_s, look_s = (15, 5) if quick else (45, 20)
    phases, published, statuses = asyncio.run(_run(world, settle_s, look_s))
    how = f"calls of {CALL_MS} ms, at most {IN_FLIGHT} of them; {look_s} s, from {settle_s} s after the step on"
    figures = []
    for phase in phases:
        name = f"capacity {phase.capacity}"
        share = phase.refused / max(1, phase.calls)
        figures += [
            Figure(NAME, f"{name}, limit that the worker has learnt", phase.limit, "", "within 20 %", note=how),
            Figure(NAME, f"{name}, calls at once", phase.in_flight, "", note="less where the machine is busy"),
            Figure(NAME, f"{name}, refused (429)", 100 * share, "%", "under 2", note=f"of {phase.calls} calls"),
        ]
    ended = sum(statuses.values())
    return [
        *figures,
        Figure(NAME, "jobs without a result", published - ended, "", "0", note=f"of {published}"),
        Figure(NAME, "jobs that did not succeed", ended - statuses["succeeded"], ""),
    ]


async def _run(world: World, settle_s: int, look_s: int) -> tuple[list[Phase], int, Counter[str]]:
    settings, environment = world.settings("capacity.", NOVIX_MAX_IN_FLIGHT=str(IN_FLIGHT), **ONE_MODEL)
    count = int(sum(STEPS) * (settle_s + look_s) * 1_000 / CALL_MS)
    async with topics(settings) as bus:
        own = with_health(environment)
        with router(environment), worker(own):
            world.behave(capacity=STEPS[0], delay_ms=CALL_MS)
            await bus.publish(jobs(0, count))
            await until_count(bus, RESULTS.name, 1, WITHIN_S)  # the lanes are open, whatever that took
            phases = [await _phase(world, own, capacity, settle_s, look_s) for capacity in STEPS]
            world.behave()
            return phases, count, await _statuses(bus, count)


async def _phase(world: World, own: dict[str, str], capacity: int, settle_s: int, look_s: int) -> Phase:
    world.behave(capacity=capacity, delay_ms=CALL_MS)
    await asyncio.sleep(settle_s)
    world.behave(capacity=capacity, delay_ms=CALL_MS)  # forgets the calls so far
    seen, limits = [], []
    for _ in range(round(look_s / LOOK_S)):
        await asyncio.sleep(LOOK_S)
        seen.append(world.counts()["in_flight"])
        limits += [limit["limit"] for limit in health(own)["limits"].values()]
    calls = Counter(status for _, status in world.calls())
    return Phase(capacity, fmean(limits), fmean(seen), sum(calls.values()), calls[429])


async def _statuses(bus: Bus, count: int) -> Counter[str]:
    """How the jobs ended, each counted once; waits for all of them, or for `WITHIN_S`."""
    statuses: dict[bytes | None, str] = {}
    try:
        async with asyncio.timeout(WITHIN_S):
            async for record in bus.follow(RESULTS.name, dict.fromkeys(range(PARTITIONS), 0)):
                statuses[record.key] = json.loads(record.value or b"{}")["status"]
                if len(statuses) >= count:
                    break
    except TimeoutError:
        pass  # what is missing is what is told
    return Counter(statuses.values())
