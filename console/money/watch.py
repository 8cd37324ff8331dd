"""Where the jobs of open reservations are: for whoever asks why money is still reserved. Reads the topics.

Looked at: results and dead letters since the oldest of them was decided, but for the last minute; what waits in the
retry topics; and what the workers' groups have not committed, `MOST_BEHIND` records of each partition at most. What is
found nowhere is in somebody's hands.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from console.answers import document
from console.kafka import Log
from console.money.joined import Reservation
from console.money.reading import SKEW_MS
from console.words import count, instant
from router.money.watchdog import IN_QUEUE, why_open
from runtime.later import instant_of
from runtime.ports import Record
from schemas import headers
from schemas.topics import DLQ, MODALITY_TOPICS, RESULTS, RETRY_TIERS, retry_group, worker_group

MOST_BEHIND = 20_000


@dataclass(frozen=True, slots=True)
class Open:
    """An open reservation and why it is open."""

    reservation: Reservation
    why: str
    leaked: bool
    """Nobody is going to end it: its job has a result without a settle, or is long past its deadline."""


async def look(log: Log, reservations: Sequence[Reservation], now: datetime) -> list[Open]:
    """All of them, the oldest first."""
    if not reservations:
        return []
    jobs = {one.job for one in reservations}
    since = min(one.held.decided_at for one in reservations)
    until = now - timedelta(milliseconds=SKEW_MS)  # the ledger was read a moment ago: what ended since is no leak
    ended = await _results(log, jobs, since, until)
    ended |= await _set_aside(log, jobs - set(ended), since, until)
    waiting, beyond = await _waiting(log, jobs - set(ended))
    return [
        why(one, ended.get(one.job), waiting.get(one.job, beyond), now)
        for one in sorted(reservations, key=lambda one: one.held.decided_at)
    ]


def why(one: Reservation, end: str | None, place: str | None, now: datetime) -> Open:
    """Why it is open, in words: `end` is how its job ended all the same, `place` where it waits. Pure."""
    held = one.held
    told = why_open(held.decided_at, held.deadline, now)
    if end is not None:
        return Open(one, f"leaked: {end}, and no settle", leaked=True)
    overdue = held.deadline is not None and now - held.deadline > IN_QUEUE
    return Open(one, told if place is None else f"{told}; {place}", leaked=overdue and place is None)


async def _results(log: Log, jobs: set[str], since: datetime, until: datetime) -> dict[str, str]:
    """In words that these jobs have results."""
    found: dict[str, str] = {}
    reader = log.reader()
    keys = {job.rpartition("/")[0].encode() for job in jobs}
    for partition in range(await reader.partitions(RESULTS.name)):
        _, end = await reader.bounds(RESULTS.name, partition)
        async for record in reader.read(
            RESULTS.name, partition, await _first(log, RESULTS.name, partition, since), end
        ):
            if record.key in keys and record.timestamp_ms <= _ms(until):
                told = document(record)
                job = f"{(record.key or b'').decode(errors='replace')}/{told.get('submission', 1)}"
                if job in jobs:
                    found[job] = f"its result is written ({told.get('status')})"
    return found


async def _set_aside(log: Log, jobs: set[str], since: datetime, until: datetime) -> dict[str, str]:
    """In words that these jobs were set aside without a result."""
    found: dict[str, str] = {}
    reader = log.reader()
    for partition in range(await reader.partitions(DLQ.name) if jobs else 0):
        _, end = await reader.bounds(DLQ.name, partition)
        async for record in reader.read(DLQ.name, partition, await _first(log, DLQ.name, partition, since), end):
            without = headers.first(record.headers, headers.HAS_RESULT) is None
            if without and (job := _identity(record)) in jobs and record.timestamp_ms <= _ms(until):
                found[job] = f"it was set aside without a result (novix dlq show {partition}/{record.offset})"
    return found


async def _first(log: Log, topic: str, partition: int, since: datetime) -> int:
    """The first offset that was written at or after an instant, whatever clocks differ by."""
    return await log.find_since(topic, partition, max(0, _ms(since) - SKEW_MS))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


async def _waiting(log: Log, jobs: set[str]) -> tuple[dict[str, str], str | None]:
    """In words where these jobs wait; and where any other may, if not all that waits was looked at."""
    found: dict[str, str] = {}
    beyond: str | None = None
    if not jobs:
        return found, beyond
    for modality, topic in MODALITY_TOPICS.items():
        async for record, behind in _behind(log, worker_group(modality), topic.name):
            beyond = _beyond(topic.name, behind) or beyond
            if (job := _identity(record)) in jobs:
                found[job] = (
                    f"in {topic.name} {record.partition}/{record.offset}, not ended by its workers "
                    f"({count(behind, 'record')} behind)"
                )
    for _, tier in RETRY_TIERS:
        async for record, behind in _behind(log, retry_group(tier), tier.name):
            beyond = _beyond(tier.name, behind) or beyond
            if (job := _identity(record)) in jobs:
                due = instant_of(headers.first(record.headers, headers.NOT_BEFORE))
                until = instant(int(due.timestamp() * 1_000)) if due is not None else "it is due"
                cause = headers.first(record.headers, headers.CAUSE) or "a retry"
                found[job] = f"waits in {tier.name} until {until} ({cause})"
    return found, beyond


def _beyond(topic: str, behind: int) -> str | None:
    if behind <= MOST_BEHIND:
        return None
    return f"it may wait in {topic}, where {behind:,} records of a partition are not ended: not all were looked at"


async def _behind(log: Log, group: str, topic: str) -> AsyncIterator[tuple[Record, int]]:
    """What a group has not committed of a topic, with how much that is in the record's partition."""
    reader = log.reader()
    if not await reader.partitions(topic):
        return
    for partition, lag in (await log.lag(group, topic)).items():
        _, end = await reader.bounds(topic, partition)
        start = end - lag
        async for record in reader.read(topic, partition, start, min(end, start + MOST_BEHIND)):
            yield record, lag


def _identity(record: Record) -> str:
    return headers.first(record.headers, headers.IDENTITY) or ""


def as_documents(found: Iterable[Open], now: datetime) -> list[dict[str, Any]]:
    """As JSON."""
    return [
        {
            "job": one.reservation.job,
            "tenant": one.reservation.held.tenant,
            "job_id": one.reservation.held.job_id,
            "submission": one.reservation.held.submission,
            "decision_id": one.reservation.held.decision_id,
            "reserved_nanousd": one.reservation.held.nanousd,
            "decided_at": one.reservation.held.decided_at.astimezone(UTC).isoformat(),
            "deadline": None if one.reservation.held.deadline is None else one.reservation.held.deadline.isoformat(),
            "age_s": max(0, round((now - one.reservation.held.decided_at).total_seconds())),
            "why": one.why,
            "leaked": one.leaked,
        }
        for one in found
    ]
