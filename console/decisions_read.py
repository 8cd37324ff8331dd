"""Decisions with their jobs and, where they are wanted, their results, read from the topics in the order of the log.

Reads from an instant on, home partition by home partition. Jobs and results are joined as they pass: what is held in
memory is bounded, and does not grow with the log.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from console.answers import document
from console.exits import CommandError
from console.kafka import Log, ends
from console.money.events import history
from router.arrival import Arrival
from router.arrivals import Arrivals
from router.history import History, Told
from router.replay import (
    DAMAGED,
    NO_BATCH,
    NO_JOB,
    NOT_FOUND,
    Difference,
    Replayed,
    Stored,
    batch_of,
    compared,
    difference,
)
from router.whatif.past import Ended, Past, ended_of
from runtime.ports import Record
from schemas.topics import BUDGETS, DECISIONS, JOBS, OFFERS, POLICIES, PRICES, REGISTRY, RESULTS

SKEW_MS = 60_000
"""Clocks of producers and of ours may differ by so much before a search by time misses."""
LOOK_BACK_MS = 3_600_000
"""How long before the first decision its job may have been published, where the decision does not tell where."""

BEFORE = 1_000
"""Records before the first decision's job that are read as well: others may have waited, and were decided later."""
FURTHER = 10_000
"""Records that are read on for one job that was sent home: its decision does not tell where it lies there."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which decisions are wanted: by whom and when they were made. None: no bound."""

    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = None

    def has(self, decision: Stored) -> bool:
        """Whether this one is."""
        if self.tenant is not None and decision.get("tenant") != self.tenant:
            return False
        at = decided_at(decision)
        if at is None:
            return True  # it is told as one that no lane wrote
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


def decided_at(decision: Stored) -> datetime | None:
    """When it was decided; None where it does not tell."""
    try:
        at = datetime.fromisoformat(decision["decided_at"])
    except (KeyError, TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None


@dataclass(frozen=True, slots=True)
class Found:
    """One decision: its document, its JSON as it stands in the log, and the job that it answers."""

    stored: Stored
    stands: bytes
    arrival: Arrival | Difference | str
    """Or why there is none (`router.replay.compared`)."""


async def histories(log: Log) -> History:
    """Everything that decisions name a version of, read once."""
    prices, policies = await history(log, PRICES), await history(log, POLICIES)
    return History(
        Told(prices, policies, await history(log, BUDGETS), await history(log, OFFERS), await history(log, REGISTRY))
    )


async def decisions(log: Log, span: Span, prefix: str) -> AsyncIterator[Found]:
    """The decisions of a span of time, partition by partition, each with its job."""
    until = await ends(log, DECISIONS.name)
    jobs = await log.reader().partitions(JOBS.name)
    if jobs != len(until):
        raise CommandError(f"{JOBS.name} has {jobs} partitions and {DECISIONS.name} has {len(until)}: no common homes")
    for partition, end in until.items():
        side = _Jobs(log, partition, prefix, jobs)
        async for record in _from(log, DECISIONS.name, partition, span.since, end):
            batch = batch_of(record)
            if not batch:
                yield Found({}, b"", NO_BATCH)
            for stored, stands in batch:
                if span.has(stored):
                    yield Found(stored, stands, await side.of(stored))


async def replayed(log: Log, span: Span, prefix: str, seen: Callable[[], None] = lambda: None) -> tuple[Replayed, int]:
    """Every decision of a span made again and compared; and how often a history was folded from its beginning."""
    told, past = Replayed(), await histories(log)
    async for one in decisions(log, span, prefix):
        told.note(compared(one.stored, one.stands, one.arrival, past))
        seen()
        await asyncio.sleep(0)
    return told, past.passes


async def pasts(
    log: Log, span: Span, prefix: str, results: Mapping[str, Ended], lost: Counter[str]
) -> AsyncIterator[Past]:
    """The decisions of a span whose jobs are still there, each with its result if there is one. The others are counted
    in `lost`."""
    async for found in decisions(log, span, prefix):
        if isinstance(found.arrival, str):
            lost[found.arrival] += 1
        elif isinstance(found.arrival, Difference):
            lost[DAMAGED] += 1
        else:
            yield Past(found.stored, found.arrival, results.get(str(found.stored.get("decision_id"))))


async def results(log: Log, span: Span) -> dict[str, Ended]:
    """What is kept of the terminal results that were written since the span began, by decision."""
    found: dict[str, Ended] = {}
    for partition, end in (await ends(log, RESULTS.name)).items():
        async for record in _from(log, RESULTS.name, partition, span.since, end):
            told = document(record)
            ended = ended_of(told) if span.tenant in (None, told.get("tenant")) else None
            if ended is not None:
                found[str(told.get("decision_id"))] = ended
    return found


async def _from(log: Log, topic: str, partition: int, since: datetime | None, end: int) -> AsyncIterator[Record]:
    start, _ = await log.reader().bounds(topic, partition)
    if since is not None:
        early = max(0, int(since.timestamp() * 1000) - SKEW_MS)
        start = max(start, await log.find_since(topic, partition, early))
    if start < end:
        async for record in log.reader().read(topic, partition, start, end):
            yield record


class _Jobs:
    """One home partition of the jobs topic, read as far as its decisions ask for."""

    def __init__(self, log: Log, partition: int, prefix: str, partitions: int) -> None:
        self._log = log
        self._partition = partition
        self._arrivals = Arrivals(partitions, prefix)
        self._records: AsyncIterator[Record] | None = None
        self._first = self._next = self._end = 0
        self._at_end = False

    async def of(self, decision: Stored) -> Arrival | Difference | str:
        """The job that a decision answers: one that passed, one further on, or one looked up at its place. Where its
        place has another job's record the decision's own names are wrong."""
        found = self._arrivals.take(decision)
        if found is not None:
            return found
        began = self._records is not None
        if not began:
            self._first, self._end = await self._log.reader().bounds(JOBS.name, self._partition)
        here = self._here(decision)
        if here is not None and here < self._end and (not began or here >= self._next + FURTHER):
            place = await self._at(decision, here)  # it may name any place: seen before anything is skipped
            if isinstance(place, Arrival):
                await self._read_from(max(self._next, here - BEFORE))
            elif not began:
                await self._read_from(await self._earliest(decision))
            return place
        if not began:
            await self._read_from(await self._earliest(decision))
        if here is None or here >= self._end:
            return await self._further(decision, None) or (NOT_FOUND if here is None else NO_JOB)
        found = None if here < self._next else await self._further(decision, here)
        return found or await self._at(decision, here)

    def _here(self, decision: Stored) -> int | None:
        """Its job's offset, if it entered at home."""
        received = decision.get("received")
        if not isinstance(received, dict) or received.get("partition") != self._partition:
            return None
        offset = received.get("offset")
        return offset if type(offset) is int and offset >= 0 else None

    async def _earliest(self, decision: Stored) -> int:
        """Where its job may stand first, as far as its time tells."""
        at = decided_at(decision)
        early = 0 if at is None else max(0, int(at.timestamp() * 1000) - LOOK_BACK_MS)
        return await self._log.find_since(JOBS.name, self._partition, early)

    async def _read_from(self, offset: int) -> None:
        self._next = max(self._first, offset)
        self._records = self._log.reader().read(JOBS.name, self._partition, self._next, self._end)
        self._at_end = False

    async def _at(self, decision: Stored, offset: int) -> Arrival | Difference | str:
        """It lies behind what was read: it waited long, or began before the span."""
        if offset < self._first:
            return NO_JOB
        there = [one async for one in self._log.reader().read(JOBS.name, self._partition, offset, offset + 1)]
        if not there:
            return NO_JOB
        found, at = self._arrivals.answered(there[0], decision), decided_at(decision)
        if found is None and (at is None or there[0].timestamp_ms <= at.timestamp() * 1000 + SKEW_MS):
            return difference(decision, "decision_id")
        return found or NO_JOB  # a younger one: the topic was made anew

    async def _further(self, decision: Stored, here: int | None) -> Arrival | None:
        """Read on up to its place; for one that was sent home, as long as what is kept has room."""
        room = FURTHER
        while self._records is not None and not self._at_end:
            if here is not None and self._next > here:
                break
            if here is None and room == 0:
                break
            try:
                record = await anext(self._records)
            except StopAsyncIteration:
                self._at_end = True
                break
            self._next = record.offset + 1
            self._arrivals.add(record)
            room -= 1
            found = self._arrivals.take(decision)
            if found is not None:
                return found
        return None
