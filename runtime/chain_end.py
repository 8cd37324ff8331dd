"""The end of a lane's own audit chain, against the position that Kafka says it has committed.

Outcomes, audit batch and offset are committed in one transaction: whoever is told of an older offset than the chain has
seen would write each outcome since then a second time.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import structlog

from runtime import audit
from runtime.partitions import partition_of
from runtime.ports import Clock, LaneId, LogReader, NotReadable, Record
from runtime.progress import ANEW, Progress
from runtime.settled import settled
from schemas import codec
from schemas.topics import AUDIT

log = structlog.get_logger("novix.lane")

BLOCKS = (200, 800, 3_200, 12_800)
"""Offsets that are read, block after block, from the topic's end backwards: the last batch of a lane that worked a
moment ago stands in the first. One further back is not found, and such a lane is believed."""


class PositionOutdated(Exception):
    """Kafka answers with an older position than the lane has committed: it is asked again later."""


async def chain_end(lane: LaneId, reader: LogReader, clock: Clock) -> Progress | None:
    """Sequence and head of the lane's newest audit batch; None if it is not among the last 17,000 offsets of its
    partition of the audit topic, or the topic may not be read. To be asked after the lane's producer has fenced every
    predecessor: then each batch of the lane is committed or never will be."""
    key = str(lane).encode()
    count = await reader.partitions(AUDIT.name)
    if not count:
        return None
    partition = partition_of(key, count)
    first, upper, _ = await settled(reader, AUDIT.name, partition, clock)
    for block in BLOCKS:
        lower = max(first, upper - block)
        newest = await _newest(key, reader.read(AUDIT.name, partition, lower, upper), lane)
        if newest is not None or lower == first:
            return newest
        upper = lower
    return None


async def _newest(key: bytes, records: AsyncIterator[Record], lane: LaneId) -> Progress | None:
    values: list[bytes] = []
    try:
        async for record in records:
            if record.key == key and record.value is not None:
                values.append(record.value)
    except NotReadable as error:
        log.warning("lane.history_unread", lane=str(lane), topic=str(error), taken_for="what is committed")
    return next((link for value in reversed(values) if (link := _link(value)) is not None), None)


def _link(value: bytes) -> Progress | None:
    """What a batch says of its place; None for a record that is none: whoever may write there may have left it."""
    if not audit.verify(value):
        return None
    told = codec.decode(value)
    return Progress(told["sequence"], told["hash"]) if isinstance(told["sequence"], int) else None


def held_against(known: Progress, metadata: str, end: Progress | None) -> Progress:
    """The progress to go on from: `known`, read from `metadata`, where the chain's `end` is not ahead of it.

    A lane that an operator lets begin `ANEW` goes on with the chain that is there. Raises `PositionOutdated`.
    """
    if end is None:
        return known
    if metadata == ANEW:
        return replace(known, sequence=end.sequence, head=end.head)
    if end.sequence > known.sequence:
        raise PositionOutdated(
            f"its committed position knows of {known.sequence} audit batches, and its chain has {end.sequence}: the "
            "group's coordinator answers with an older one. Restart the broker that coordinates the group; if it goes "
            f"on, set the offset, and {ANEW!r} as metadata"
        )
    return known
