"""Where a lane stands in its partition: the committed offset, if the log still has a place for it. When it may open."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from runtime.membership import Member
from runtime.partitions import partition_of
from runtime.ports import Clock, LaneId, LogReader, NotReadable, Position
from runtime.progress import ANEW
from schemas.topics import AUDIT

log = structlog.get_logger("novix.lane")

SECOND_LOOK_S = 1.0
"""Before a lane is stopped for an offset out of range: somebody has to come, so look twice."""


REOPEN_WAITS_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
CLOSE_S = 5.0
"""For a handler or a producer to let go; the group waits for it."""


class LaneStopped(Exception):
    """The lane must neither skip nor replay: somebody has to look."""


async def may_reopen(member: Member, partition: int, generation: int, tries: int, closing: asyncio.Event) -> bool:
    """After a rebuild: wait until a heartbeat was answered in the same generation with the partition still held. Else
    a process that was frozen for long would fence the rightful owner. The more `tries` failed, the longer the pause.

    False: the lane is closing.
    """
    while not closing.is_set():
        wait = REOPEN_WAITS_S[min(tries, len(REOPEN_WAITS_S) - 1)]
        tries += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), wait)
            return False
        held = partition in member.held() and member.generation == generation
        if held and await member.heartbeat() and member.generation == generation:
            return True
    return False


async def unless(closing: asyncio.Event, opening: Coroutine[Any, Any, None]) -> bool:
    """Whether it came to its end. A lane may take minutes to open; who closes it does not wait for that."""
    task = asyncio.ensure_future(opening)
    closed = asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        closed.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_S)
    if closing.is_set() and (not task.done() or task.cancelled()):
        return False
    await task
    return True


async def quietly(lane: LaneId, closing: Coroutine[Any, Any, None]) -> None:
    """What was opened for a lane cannot keep it from ending."""
    try:
        await asyncio.wait_for(closing, CLOSE_S)
    except Exception as error:
        log.warning("lane.close_failed", lane=str(lane), error=type(error).__name__)


async def standing(
    lane: LaneId, committed: Callable[[int], Awaitable[Position | None]], reader: LogReader, clock: Clock
) -> Position:
    """Where to read on. Without a committed offset and without a trace of the lane: at the beginning.

    Raises `LaneStopped` for an offset that is gone, that has lost what stood beside it, or that the log has no place
    for, whatever `committed` raises, and
    the reader's errors. To be asked after the lane's producer has fenced every predecessor.
    """
    position = await committed(lane.partition)
    if position is None:
        if await _has_history(lane, reader):
            raise LaneStopped("its committed offset is gone although it has worked before; set it by hand")
        first, _ = await reader.bounds(lane.topic, lane.partition)
        return Position(first, "")
    if not position.metadata and await _has_history(lane, reader):
        # Kafka's own tools set offsets without it. Taken as it is, each of these outcomes would be written twice.
        raise LaneStopped(
            f"what stood beside its committed offset {position.offset} is gone: which records above it are finished. "
            f"Set both from a copy, or {ANEW!r} as metadata, which does all of them again"
        )
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


async def refuse_a_cut_log(lane: LaneId, received: int, reader: LogReader, reason: str) -> None:
    """What was read before a lane lost its place may be committed while the log still reaches that far.

    One that was cut is another log: an offset of the old one, committed, would skip what is written to the new one.
    Raises `LaneStopped` for such a log, with the `reason` that the lane had stopped for.
    """
    _, end = await reader.bounds(lane.topic, lane.partition)
    if received > end:
        raise LaneStopped(f"{reason}; the log ends at {end}, and {received} were read")


async def _has_history(lane: LaneId, reader: LogReader) -> bool:
    """Whether the lane's audit chain has a beginning: then a missing offset is a loss, not a first start.

    Looked for where the lane writes, then in the other partitions: there may have been fewer of them.
    """
    key = str(lane).encode()
    count = await reader.partitions(AUDIT.name)
    home = partition_of(key, count) if count else 0
    for partition in sorted(range(count), key=lambda one: one != home):
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
