"""What else was written while a job was on its way: audit, ledger, spans, retry topics, breakers, alerts, wishes.

Each topic is read in the partitions alone that the job's keys and lanes name, and in its own times alone.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from console.answers import document
from console.index.spans import decode_spans
from console.telling.evidence import (
    TOLD_LATE_MS,
    Deed,
    Entry,
    Evidence,
    Parked,
    Spell,
    Window,
    dicts,
    is_about,
    milliseconds,
    number,
    providers_of,
    submission_of,
    until_of,
    ways_of,
)
from console.telling.reach import Reach
from runtime.later import instant_of
from runtime.partitions import home_partition, partition_of
from runtime.ports import LaneId, Record
from schemas import headers
from schemas.topics import (
    ALERTS,
    AUDIT,
    BREAKERS,
    CONTROL,
    JOBS,
    LEDGER,
    MODALITY_TOPICS,
    RETRY_TIERS,
    ROUTER_GROUP,
    SPANS,
    retry_group,
    worker_group,
)

MOST_KEYS = 8
"""Providers whose breakers are looked up."""
BREAKER_LOOK_BACK = 2_000


async def look_around(reach: Reach, found: Evidence) -> None:
    """Add to `found` what these topics know of it."""
    windows = ways_of(found)
    work, tiers = _work_of(found), [tier for _, tier in RETRY_TIERS]
    lanes = await _lanes(reach, found, work)
    await _audit(reach, found, lanes, windows)
    told_of = {str(deed.detail.get(name)) for deed in found.deeds for name in ("tier", "from", "to")}
    waiting = found.result(max(found.submissions, default=1)) is None
    parked_in = [tier for tier in tiers if waiting or tier.name in told_of]
    if parked_in and work is not None:
        later = [
            LaneId(retry_group(tier), tier.name, partition)
            for tier in parked_in
            for partition in await reach.partition(tier.name, work[1])
        ]
        await _audit(reach, found, later, windows)
        for tier in parked_in:
            await _parked(reach, found, tier.name, work[1], windows)
    await _ledger(reach, found, windows)
    await _spans(reach, found, lanes, windows)
    await _breakers(reach, found, windows)
    await _alerts(reach, found, windows)
    if waiting or any(result.get("status") == "cancelled" for result in found.results):
        await _wishes(reach, found, windows)
    found.deeds.sort(key=lambda deed: (deed.at_ms, deed.sequence))
    found.ledger.sort(key=lambda entry: entry.submission)
    found.spells.sort(key=lambda spell: (spell.start_ms, spell.end_ms))


def _work_of(found: Evidence) -> tuple[str, str] | None:
    """Its modality, and the key of its assigned record; None for a job that no worker sees."""
    named = [str(one["modality"]) for one in found.decisions if one.get("modality") in MODALITY_TOPICS]
    if not named:
        return None
    order = found.arrival.job.get("ordering_key") if found.arrival is not None else None
    return named[-1], f"{found.tenant}/{order if isinstance(order, str) and order else found.job_id}"


async def _lanes(reach: Reach, found: Evidence, work: tuple[str, str] | None) -> list[LaneId]:
    """The lanes that had it in hand: of the partition where it entered, of its home, of its modality's topic."""
    partitions = {found.arrival.partition} if found.arrival is not None else set()
    if count := await reach.partitions(JOBS.name):
        partitions.add(home_partition(found.tenant, count))
    lanes = [LaneId(ROUTER_GROUP, JOBS.name, partition) for partition in sorted(partitions)]
    if work is not None:
        topic = MODALITY_TOPICS[work[0]].name
        lanes += [
            LaneId(worker_group(work[0]), topic, partition) for partition in await reach.partition(topic, work[1])
        ]
    return lanes


async def _of_lanes(
    reach: Reach, topic: str, lanes: Iterable[LaneId], windows: list[Window]
) -> AsyncIterator[tuple[str, Record]]:
    """The records that these lanes wrote, each once, with the lane's name."""
    names = {str(lane).encode(): str(lane) for lane in lanes}
    count, seen = await reach.partitions(topic), set[tuple[int, int]]()
    where = sorted({partition_of(name, count) for name in names}) if count else []
    for since, until in windows:
        async for record in reach.window(topic, where, since, until):
            if record.key in names and (record.partition, record.offset) not in seen:
                seen.add((record.partition, record.offset))
                yield names[record.key], record


async def _audit(reach: Reach, found: Evidence, lanes: list[LaneId], windows: list[Window]) -> None:
    mine, plain = found.job_id.encode(), found.job_id.isascii() and found.job_id.isalnum()
    async for lane, record in _of_lanes(reach, AUDIT.name, lanes, windows):
        if plain and mine not in (record.value or b""):
            continue
        batch = document(record)
        for one in dicts(batch.get("entries")):
            if (one.get("tenant"), one.get("job_id")) != (found.tenant, found.job_id):
                continue
            told = one.get("submission")
            found.deeds.append(
                Deed(
                    milliseconds(one.get("at")) or record.timestamp_ms,
                    str(one.get("action")),
                    one["detail"] if isinstance(one.get("detail"), dict) else {},
                    lane,
                    number(batch.get("sequence")),
                    record.partition,
                    record.offset,
                    told if isinstance(told, int) else None,
                )
            )


async def _parked(reach: Reach, found: Evidence, topic: str, key: str, windows: list[Window]) -> None:
    identity, seen = f"{found.tenant}/{found.job_id}/", set[tuple[int, int]]()
    for since, until in windows:
        async for record in reach.window(topic, await reach.partition(topic, key), since, until):
            named = headers.first(record.headers, headers.IDENTITY) or ""
            ours = named.startswith(identity) and named[len(identity) :].isdigit()
            if not ours or (record.partition, record.offset) in seen:
                continue
            seen.add((record.partition, record.offset))
            moments = (headers.first(record.headers, name) for name in (headers.WAITS_SINCE, headers.NOT_BEFORE))
            began_ms, until_ms = (
                None if at is None else int(at.timestamp() * 1_000) for at in map(instant_of, moments)
            )
            cause = headers.first(record.headers, headers.CAUSE) or "unknown"
            found.parked.append(
                Parked(topic, record.partition, record.offset, began_ms, until_ms, cause, int(named[len(identity) :]))
            )


async def _ledger(reach: Reach, found: Evidence, windows: list[Window]) -> None:
    """The ends of its reservations, by the decisions that made them."""
    decided = {one["decision_id"]: submission_of(one) for one in found.decisions if one.get("decision_id")}
    home, seen = await reach.partition(LEDGER.name, found.tenant), set[str]()
    for since, until in windows if decided else []:
        async for record in reach.window(LEDGER.name, home, since, until):
            if not any(str(name).encode() in (record.value or b"") for name in decided):
                continue
            for one in dicts(document(record).get("entries")):
                named = one.get("decision_id")
                if not isinstance(named, str) or named not in decided or named in seen:
                    continue
                seen.add(named)
                found.ledger.append(
                    Entry(
                        record.partition,
                        record.offset,
                        str(one.get("kind")),
                        number(one.get("cost_nanousd")),
                        sum(number(c.get("nanousd")) for c in dicts(one.get("charges")) if c.get("ambiguous")),
                        decided[named],
                        str(one.get("by") or ""),
                    )
                )


async def _spans(reach: Reach, found: Evidence, lanes: list[LaneId], windows: list[Window]) -> None:
    traces = {str(one["trace_id"]) for one in (*found.results, *found.decisions) if one.get("trace_id")}
    needles = {trace: bytes.fromhex(trace) for trace in traces if len(trace) == 32 and _is_hex(trace)}
    seen = set[str]()
    async for _, record in _of_lanes(reach, SPANS.name, lanes, windows):
        if not any(needle in (record.value or b"") for needle in needles.values()):
            continue
        for span in decode_spans(record.value or b""):
            if span.trace_id in needles and span.span_id not in seen:
                seen.add(span.span_id)
                found.spells.append(
                    Spell(span.name, span.start_ns / 1e6, span.end_ns / 1e6, span.error, span.attributes)
                )


async def _breakers(reach: Reach, found: Evidence, windows: list[Window]) -> None:
    """The newest state of each of its providers up to its end. The topic is compacted: older ones may be gone."""
    until = until_of(windows)
    for key in providers_of(found)[:MOST_KEYS]:
        for partition in await reach.partition(BREAKERS.name, key):
            search, states = (
                await reach.backwards(BREAKERS.name, partition, until and until + TOLD_LATE_MS),
                list[Any](),
            )
            before = reach.records
            while not states and not search.ended and reach.records - before < BREAKER_LOOK_BACK:
                states = [document(one) for one in await search.step(_keyed(key))]
            found.breakers += [state for state in states[-1:] if "undecodable" not in state]


async def _alerts(reach: Reach, found: Evidence, windows: list[Window]) -> None:
    """What was told of its tenant, or of a provider that it was for, while it was on its way."""
    subjects = providers_of(found)
    everywhere, seen = range(await reach.partitions(ALERTS.name)), set[tuple[int, int]]()
    for since, until in windows:
        async for record in reach.window(ALERTS.name, everywhere, since, until):
            alert = document(record)
            if is_about(alert, found.tenant, subjects) and (record.partition, record.offset) not in seen:
                seen.add((record.partition, record.offset))
                found.alerts.append(alert)


async def _wishes(reach: Reach, found: Evidence, windows: list[Window]) -> None:
    key = f"{found.tenant}/{found.job_id}"
    where, seen = await reach.partition(CONTROL.name, key), set[int]()
    for since, until in windows:
        async for record in reach.window(CONTROL.name, where, since, until):
            if record.key == key.encode() and record.offset not in seen:
                seen.add(record.offset)
                found.wishes.append(document(record))


def _keyed(key: str) -> Any:
    return lambda record: record.key == key.encode()


def _is_hex(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 16
    except ValueError:
        return False
