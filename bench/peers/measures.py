"""The three measurements, each of one competitor under a topic prefix of its own, which is gone afterwards."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.peers.competitors import Competitor
from bench.peers.crew import Crew
from bench.world import ONE_MODEL, PARTITIONS, World, jobs, router
from runtime.bus import Bus
from runtime.ports import Outgoing
from schemas.topics import JOBS, RESULTS, TEXT, TOPICS

SPEED_IN_FLIGHT, WINDOW_IN_FLIGHT, KILL_IN_FLIGHT = 256, 1_000, 256
WARM_UP = 2_000
"""A JVM compiles what is hot, and a pool opens its connections."""
WINDOW = {"delay_ms": 1_000, "slow_every": 100, "slow_ms": 10_000}
IDEAL_S = (99 * 1.0 + 10.0) / 100
"""Mean seconds of such a call: `window / IDEAL_S` calls a second is all that a full window can do (Little's law)."""
RAMP_S = 14.0
"""Until slow calls stand in the window in their share: longer than one of them."""
KILL = {"delay_ms": 200, "slow_every": 100, "slow_ms": 2_000}
KILL_MOST, KILL_LEAST = 4_000, 100
SILENCE_S = 6.0
"""So long after the last result nothing more is expected, if every job has one or the group has committed to the end:
longer than a call of `KILL` and a commit by timer."""
END_WITHIN_S = 300.0
"""From the kill on; a dead member's session of 10 s and a start are in it."""
WITHIN_S = 180
SEEDS = 24


@dataclass(frozen=True, slots=True)
class Speed:
    """At a provider that answers at once."""

    jobs_s: float
    """Until the last result."""
    most_jobs_s: float
    """Until 95 of 100 results: without what waits at the end, as in a retry topic."""
    cpu_us: list[float]
    """A job, of each process."""
    peak_mb: list[float]


@dataclass(frozen=True, slots=True)
class Window:
    """At 1,000 in flight, calls of 1 s, each hundredth of 10 s."""

    use: float
    """Calls a second over what a full window makes."""
    calls_s: float
    cpu_us: list[float]
    """A call, of each process."""
    peak_mb: list[float]
    visible: int
    """Results that a read_committed reader sees after its kill -9; as many as calls that ended, if commits keep up."""


@dataclass(frozen=True, slots=True)
class Kill:
    """kill -9 of all its processes when half of the results were there, and a start at once."""

    jobs: int
    lost: int
    doubled: int
    """Results too many."""
    calls_again: int
    """Calls too many: what a provider would be paid for twice."""
    took_s: float
    """From the kill to the last result."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one measurement happens."""

    bootstrap: str
    bus: Bus
    competitor: Competitor
    crew: Crew
    assigned: list[Outgoing]
    group: str
    """As the broker knows it."""
    source: str

    async def committed_to_the_end(self) -> bool:
        """Whether the group has committed past every job."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            committed = await admin.list_consumer_group_offsets(self.group)
        finally:
            await admin.close()
        for partition in range(PARTITIONS):
            _, end = await self.bus.reader().bounds(self.competitor.reads, partition)
            position = committed.get(TopicPartition(self.source, partition))
            if end and (position is None or position.offset < end):
                return False
        return True

    async def publish(self, first: int, end: int) -> None:
        """Jobs of these numbers, where the competitor reads."""
        await self.bus.publish(list(_copies(self.assigned, first, end)) if self.assigned else jobs(first, end))

    async def reached(self, *counts: int) -> list[float]:
        """The instants (monotonic, in seconds) at which so many results were seen, the lowest count first.

        Raises TimeoutError, or RuntimeError if a process has ended.
        """
        seen = 0
        instants: list[float] = []
        try:
            async with asyncio.timeout(WITHIN_S):
                async for _ in self.bus.follow(RESULTS.name, dict.fromkeys(range(PARTITIONS), 0)):
                    seen += 1
                    if seen == counts[len(instants)]:
                        instants.append(time.monotonic())
                        if len(instants) == len(counts):
                            break
        except TimeoutError:
            self.crew.alive()
            raise TimeoutError(f"{seen:,} of {counts[-1]:,} results in {WITHIN_S} s") from None
        return instants

    def cpu_s(self) -> list[float]:
        """Of the processes that are measured."""
        return self.crew.cpu_s()[: self.competitor.counted]

    def peak_mb(self) -> list[float]:
        """Of the processes that are measured."""
        return self.crew.peak_mb()[: self.competitor.counted]

    async def all_well(self) -> int:
        """How many results are visible. Raises RuntimeError for any that is no success: quick failures are no speed."""
        statuses: Counter[str] = Counter()
        for partition in range(PARTITIONS):
            first, end = await self.bus.reader().bounds(RESULTS.name, partition)
            async for record in self.bus.reader().read(RESULTS.name, partition, first, end):
                statuses[json.loads(record.value or b"")["status"]] += 1
        if set(statuses) - {"succeeded"}:
            raise RuntimeError(f"results that are no success: {dict(statuses)}")
        return statuses.total()


async def speed(world: World, competitor: Competitor, prefix: str, count: int) -> dict[str, Any]:
    """Jobs a second, CPU a job, peak memory; after a warm-up."""
    await _behave(world)
    async with _place(world, competitor, prefix, SPEED_IN_FLIGHT) as here:
        await here.publish(0, WARM_UP)
        await here.reached(WARM_UP)
        before, began = here.cpu_s(), time.monotonic()
        await here.publish(WARM_UP, WARM_UP + count)
        most = count * 95 // 100
        at_most, at_end = await here.reached(WARM_UP + most, WARM_UP + count)
        told = Speed(
            count / (at_end - began), most / (at_most - began), _each(before, here.cpu_s(), count), here.peak_mb()
        )
        await here.all_well()
        return asdict(told)


async def window(world: World, competitor: Competitor, prefix: str, watched_s: float) -> dict[str, Any]:
    """How full it keeps its window. Work is never short, and nobody waits for the end of it."""
    await _behave(world, **WINDOW)
    ideal = WINDOW_IN_FLIGHT / IDEAL_S
    count = int(ideal * (RAMP_S + watched_s) * 1.3)
    async with _place(world, competitor, prefix, WINDOW_IN_FLIGHT, count) as here:
        await _called(world, here.crew)
        await asyncio.sleep(RAMP_S)
        before, first, began = here.cpu_s(), world.counts()["calls"], time.monotonic()
        await asyncio.sleep(watched_s)
        calls = world.counts()["calls"] - first
        took, after, peak = time.monotonic() - began, here.cpu_s(), here.peak_mb()
        here.crew.kill()
        return asdict(
            Window(calls / took / ideal, calls / took, _each(before, after, calls), peak, await here.all_well())
        )


async def kill(world: World, competitor: Competitor, prefix: str) -> dict[str, Any]:
    """What a crash in the middle costs."""
    await _behave(world, **KILL)
    count = max(KILL_LEAST, min(KILL_MOST, competitor.at_once(KILL_IN_FLIGHT) * 16))
    async with _place(world, competitor, prefix, KILL_IN_FLIGHT, count) as here:
        seen: Counter[str] = Counter()
        reading = asyncio.create_task(_read(here.bus, seen))
        async with asyncio.timeout(WITHIN_S):
            while len(seen) < count // 2:  # noqa: ASYNC110 - a count that a reader raises, not an event
                await asyncio.sleep(0.02)
        here.crew.kill()
        killed = time.monotonic()
        here.crew.start()
        last = await _ended(here, seen, count, killed)
        reading.cancel()
        await here.all_well()
        again = max(0, world.counts()["calls"] - count)
        return asdict(Kill(count, count - len(seen), seen.total() - len(seen), again, last - killed))


async def _read(bus: Bus, seen: Counter[str]) -> None:
    """Count results by job, without end."""
    async for record in bus.follow(RESULTS.name, dict.fromkeys(range(PARTITIONS), 0)):
        seen[json.loads(record.value or b"")["job_id"]] += 1


async def _ended(here: Place, seen: Counter[str], count: int, killed: float) -> float:
    """Wait until nothing more is to be expected; the instant of the last result (monotonic, in seconds)."""
    last, before = killed, seen.total()
    while True:
        await asyncio.sleep(0.2)
        here.crew.alive()
        now = time.monotonic()
        if seen.total() > before:
            last, before = now, seen.total()
        elif now - last > SILENCE_S and (len(seen) == count or await here.committed_to_the_end()):
            return last
        if now - killed > END_WITHIN_S:
            raise TimeoutError(f"{len(seen):,} of {count:,} have a result {END_WITHIN_S:.0f} s after the kill")


@asynccontextmanager
async def _place(
    world: World, competitor: Competitor, prefix: str, in_flight: int, waiting: int = 0
) -> AsyncIterator[Place]:
    """The competitor on topics of its own, before so many jobs that wait already."""
    settings, environment = world.settings(prefix, NOVIX_MAX_IN_FLIGHT=str(in_flight), **ONE_MODEL)
    assigned = await _assigned(world, f"{prefix}seed.") if competitor.reads == TEXT.name else []
    async with Bus(settings) as bus:
        names = TOPICS if competitor.ours else [JOBS, RESULTS]
        await bus.create_topics(names, partitions=PARTITIONS)
        task = competitor.task(world, prefix, in_flight, environment)
        working = Crew(competitor.commands(task), world.folder / f"{prefix}log")
        group = competitor.group_of(task, prefix)
        here = Place(world.bootstrap, bus, competitor, working, assigned, group, task.source)
        await here.publish(0, waiting)
        try:
            here.crew.start()
            yield here
        finally:
            here.crew.stop()
            await _forget(world, prefix)


async def _assigned(world: World, prefix: str) -> list[Outgoing]:
    """What a router writes for some jobs; copies of it under other ids are jobs that a worker can do."""
    settings, environment = world.settings(prefix, **ONE_MODEL)
    found: list[Outgoing] = []
    async with Bus(settings) as bus:
        await bus.create_topics(TOPICS, partitions=PARTITIONS)
        await bus.publish(jobs(0, SEEDS))
        with router(environment):
            async with asyncio.timeout(WITHIN_S):
                async for record in bus.follow(TEXT.name, dict.fromkeys(range(PARTITIONS), 0)):
                    found.append(Outgoing(TEXT.name, record.key, record.value, record.headers))
                    if len(found) == SEEDS:
                        break
    await _forget(world, prefix)
    return found


def _copies(originals: list[Outgoing], first: int, end: int) -> Iterator[Outgoing]:
    for number in range(first, end):
        one = originals[number % len(originals)]
        value = (one.value or b"").replace(b'"id": "job-', b'"id": "copy-%d-' % number)
        yield Outgoing(one.topic, b"%d" % number, value, one.headers)


async def _forget(world: World, prefix: str) -> None:
    """Delete the topics under a prefix, so that the broker has the same to carry for everybody."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(prefix)])
    finally:
        await admin.close()


async def _behave(world: World, **how: object) -> None:
    """Tell the provider how to answer, once it has nothing to do for those who were killed before."""
    async with asyncio.timeout(WITHIN_S):
        while world.counts()["in_flight"]:  # noqa: ASYNC110 - another process's state, not an event
            await asyncio.sleep(0.2)
    world.behave(**how)


async def _called(world: World, crew: Crew) -> None:
    """Wait for the first call."""
    until = time.monotonic() + WITHIN_S
    while not world.counts()["calls"]:
        crew.alive()
        if time.monotonic() > until:
            raise TimeoutError(f"no call in {WITHIN_S} s")
        await asyncio.sleep(0.05)


def _each(before: list[float], after: list[float], count: int) -> list[float]:
    """Microseconds for each of `count`, process by process."""
    return [(late - early) / count * 1e6 for early, late in zip(before, after, strict=True)]
