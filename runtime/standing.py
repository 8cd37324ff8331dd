"""Where a lane stands in its partition: the committed offset, if the log still has a place for it."""

from collections.abc import Awaitable, Callable

import structlog

from runtime.ports import Clock, LaneId, LogReader, NotReadable, Position
from schemas.topics import AUDIT

log = structlog.get_logger("novix.lane")

SECOND_LOOK_S = 1.0
"""Before a lane is stopped for an offset out of range: somebody has to come, so look twice."""


class LaneStopped(Exception):
    """The lane must neither skip nor replay: somebody has to look."""


async def standing(
    lane: LaneId, committed: Callable[[int], Awaitable[Position | None]], reader: LogReader, clock: Clock
) -> Position:
    """Where to read on. Without a committed offset and without a trace of the lane: at the beginning.

    Raises `LaneStopped` for an offset that is gone or that the log has no place for, whatever `committed` raises, and
    the reader's errors. To be asked after the lane's producer has fenced every predecessor.
    """
    position = await committed(lane.partition)
    if position is None:
        if await _has_history(lane, reader):
            raise LaneStopped("its committed offset is gone although it has worked before; set it by hand")
        first, _ = await reader.bounds(lane.topic, lane.partition)
        return Position(first, "")
    if await _out_of_range(lane, position.offset, reader):
        await clock.sleep(SECOND_LOOK_S)
        if reason := await _out_of_range(lane, position.offset, reader):
            raise LaneStopped(reason)
    return position


async def _out_of_range(lane: LaneId, offset: int, reader: LogReader) -> str:
    """Why the log has no place for a committed offset; empty if it has."""
    first, end = await reader.bounds(lane.topic, lane.partition)
    if offset < first:
        return f"committed offset {offset} is below the log's first, {first}: records are gone"
    if offset > end:
        return f"committed offset {offset} is past the log's end, {end}: the log was cut"
    return ""


async def _has_history(lane: LaneId, reader: LogReader) -> bool:
    """Whether the lane's audit chain has a beginning: then a missing offset is a loss, not a first start."""
    key = str(lane).encode()
    for partition in range(await reader.partitions(AUDIT.name)):
        first, end = await reader.bounds(AUDIT.name, partition)
        records = reader.read(AUDIT.name, partition, first, end)
        try:
            async for record in records:
                if record.key == key:
                    return True
        except NotReadable as error:
            log.warning("lane.history_unread", lane=str(lane), topic=str(error), taken_for="a first start")
            return False
        finally:
            await _close(records)
    return False


async def _close(records: object) -> None:
    """A generator that is not read to its end holds a connection until it is closed."""
    close = getattr(records, "aclose", None)
    if close is not None:
        await close()
