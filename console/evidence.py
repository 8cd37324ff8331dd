"""What the topics know of one job: its arrival, its decisions, its results, its dead letters.

Reads few partitions and, where a time is known, from that time on: a job's decision lies in its tenant's home
partition, its results in the partition of `tenant/id`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.answers import document, of_job, result_key
from console.kafka import Log
from runtime.partitions import home_partition
from runtime.ports import Record
from schemas import codec, headers
from schemas.job import DEFAULT_TENANT
from schemas.topics import DECISIONS, DLQ, JOBS, RESULTS

SKEW_MS = 60_000
"""Clocks of producers and of ours may differ by so much before a search by time misses."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The job's own record."""

    partition: int
    offset: int
    timestamp_ms: int
    size_bytes: int
    job: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A copy that was set aside, with its reason; never its content."""

    partition: int
    offset: int
    timestamp_ms: int
    message: str
    from_topic: str
    has_result: bool


@dataclass(slots=True)
class Evidence:
    """All that was found of (tenant, job_id). Decisions and results in the order of their submissions."""

    tenant: str
    job_id: str
    arrival: Arrival | None = None
    decisions: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


async def find(log: Log, tenant: str, job_id: str) -> Evidence | None:
    """Gather what there is; None if no topic knows the job."""
    found = Evidence(tenant, job_id)
    found.results = await _results(log, tenant, job_id, since_ms=None)
    since_ms = _began(found.results)
    found.decisions = await _decisions(log, tenant, job_id, since_ms)
    if not found.decisions and since_ms is not None:
        found.decisions = await _decisions(log, tenant, job_id, None)
    if not found.results and found.decisions:
        # The results topic may have grown since this key was written: look into all of it, from the decision on.
        decided_ms = _milliseconds(found.decisions[0].get("decided_at"))
        found.results = await _results(log, tenant, job_id, since_ms=decided_ms)
    found.arrival = await _arrival(log, found)
    found.dead_letters = await _dead_letters(log, tenant, job_id, since_ms or _told_at(found))
    known = found.results or found.decisions or found.arrival or found.dead_letters
    return found if known else None


async def ending(log: Log, tenant: str, job_id: str) -> Evidence:
    """Its decisions and results alone: which submission is the newest, and whether it has ended. Maybe nothing."""
    found = Evidence(tenant, job_id)
    found.results = await _results(log, tenant, job_id, since_ms=None)
    found.decisions = await _decisions(log, tenant, job_id, _began(found.results[-1:]))
    if not found.decisions and found.results:
        found.decisions = await _decisions(log, tenant, job_id, None)
    return found


def submission_of(told: dict[str, Any]) -> int:
    """Which submission a decision or a result is about."""
    return _submission(told)


async def _results(log: Log, tenant: str, job_id: str, since_ms: int | None) -> list[dict[str, Any]]:
    """By key in its own partition; with a time, in every partition from then on."""
    reader = log.reader()
    count = await reader.partitions(RESULTS.name)
    key = result_key(tenant, job_id).decode()
    where = [home_partition(key, count)] if since_ms is None and count else range(count)
    wanted = of_job(tenant, job_id)
    results = [
        document(record)
        for partition in where
        async for record in _since(log, RESULTS.name, partition, since_ms)
        if wanted(record)
    ]
    return sorted(results, key=_submission)


async def _decisions(log: Log, tenant: str, job_id: str, since_ms: int | None) -> list[dict[str, Any]]:
    count = await log.reader().partitions(DECISIONS.name)
    if not count:
        return []
    found: dict[int, dict[str, Any]] = {}
    async for record in _since(log, DECISIONS.name, home_partition(tenant, count), since_ms):
        if job_id.encode() not in (record.value or b"") and job_id.isascii() and job_id.isalnum():
            continue  # cheaper than decoding a batch of hundreds; ids that JSON may escape are decoded
        for decision in document(record).get("decisions") or []:
            if (decision.get("tenant"), decision.get("job_id")) == (tenant, job_id):
                found[_submission(decision)] = decision
    return [found[submission] for submission in sorted(found)]


async def _arrival(log: Log, found: Evidence) -> Arrival | None:
    """The record that the last result or decision names; without either, a search through the jobs."""
    reader = log.reader()
    for told in [*reversed(found.results), *reversed(found.decisions)]:
        match told.get("received"):
            case {"partition": int(partition), "offset": int(offset)}:
                async for record in reader.read(JOBS.name, partition, offset, offset + 1):
                    return _as_arrival(record)
                return None  # older than the topic's retention
            case _:
                continue
    count = await reader.partitions(JOBS.name)
    if not count:
        return None
    home = home_partition(found.tenant, count)
    for partition in sorted(range(count), key=lambda number: number != home):
        async for record in _since(log, JOBS.name, partition, None):
            if _is_job(record, found.tenant, found.job_id):
                return _as_arrival(record)
    return None


async def _dead_letters(log: Log, tenant: str, job_id: str, since_ms: int | None) -> list[DeadLetter]:
    reader = log.reader()
    identity = f"{tenant}/{job_id}/"
    letters = []
    for partition in range(await reader.partitions(DLQ.name)):
        async for record in _since(log, DLQ.name, partition, since_ms):
            named = headers.first(record.headers, headers.IDENTITY) or ""
            ours = named.startswith(identity) and named[len(identity) :].isdigit()
            if ours or _is_job(record, tenant, job_id):
                letters.append(
                    DeadLetter(
                        partition,
                        record.offset,
                        record.timestamp_ms,
                        headers.first(record.headers, headers.DLQ_MESSAGE) or "no reason given",
                        headers.first(record.headers, headers.DLQ_TOPIC) or "unknown",
                        headers.first(record.headers, headers.HAS_RESULT) is not None,
                    )
                )
    return letters


async def _since(log: Log, topic: str, partition: int, since_ms: int | None) -> AsyncIterator[Record]:
    """A partition's records from an instant on, or from its beginning, up to its present end."""
    reader = log.reader()
    start, end = await reader.bounds(topic, partition)
    if since_ms is not None:
        start = max(start, await log.find_since(topic, partition, max(0, since_ms - SKEW_MS)))
    async for record in reader.read(topic, partition, start, end):
        yield record


def _is_job(record: Record, tenant: str, job_id: str) -> bool:
    try:
        value = codec.decode(record.value or b"")
    except codec.Undecodable:
        return False
    return isinstance(value, dict) and value.get("id") == job_id and value.get("tenant", DEFAULT_TENANT) == tenant


def _as_arrival(record: Record) -> Arrival:
    return Arrival(record.partition, record.offset, record.timestamp_ms, len(record.value or b""), document(record))


def _submission(told: dict[str, Any]) -> int:
    number = told.get("submission", 1)
    return number if isinstance(number, int) else 1


def _began(results: list[dict[str, Any]]) -> int | None:
    """When the first of these submissions was published by our own clock, in ms: a producer's clock may be ahead."""
    moments = []
    for result in results:
        received = result.get("received") or {}
        completed = _milliseconds(result.get("completed_at"))
        total = (result.get("timing_ms") or {}).get("total")
        if completed is not None:
            moments.append(completed - total if isinstance(total, int) else completed)
        if isinstance(received.get("timestamp_ms"), int):
            moments.append(received["timestamp_ms"])
    return min(moments, default=None)


def _told_at(found: Evidence) -> int | None:
    moments = [moment for decision in found.decisions if (moment := _milliseconds(decision.get("decided_at")))]
    return min(moments, default=None)


def _milliseconds(instant: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(instant).timestamp() * 1_000)
    except (TypeError, ValueError):
        return None
