"""The life of one lane: open, commit in groups, rebuild after any error, close."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Coroutine
from datetime import timedelta
from typing import Any, Protocol

import structlog

from runtime import commit, progress
from runtime.blame import Blame
from runtime.cadence import Cadence
from runtime.lane import Lane, shrink
from runtime.outcome import Application, CannotOpen
from runtime.ports import Clock, LaneId, LogReader, Position, Record, RecordTooLarge, Resumed, Transaction
from runtime.standing import LaneStopped, standing
from runtime.work import Work

log = structlog.get_logger("novix.lane")

REOPEN_WAITS_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
CLOSE_S = 5.0
"""For a handler or a producer to let go; the group waits for it."""
MARKERS_WAIT_S = 1.0
"""Before a transaction that only moves the offset past markers."""


class Member(Protocol):
    """What a lane needs of its group membership."""

    def held(self) -> set[int]: ...
    @property
    def generation(self) -> int: ...
    async def heartbeat(self) -> bool: ...
    async def poll(self, wait_ms: int, most: int, only: Collection[int] | None = None) -> list[Record]:
        """At most `most` records, of partitions that are not paused, and of `only` if given. Raises `PositionLost`.

        Takes the records in the same step of the loop in which it returns: whoever asks then for a partition's lane or
        position gets those that the records belong to.
        """
        ...

    def position(self, partition: int) -> int | None:
        """The offset behind the last record handed out and the markers that follow it; None before the first seek."""
        ...

    def pause(self, partition: int) -> None: ...
    def resume(self, partition: int) -> None: ...
    def seek(self, partition: int, offset: int) -> None: ...
    async def committed(self, partition: int) -> Position | None:
        """What the group has committed; None only if the coordinator says that there is nothing."""
        ...


class PositionLost(Exception):
    """The broker has no record at the offset that was asked for: it was deleted unread, or the log was cut."""

    def __init__(self, partition: int, offset: int) -> None:
        super().__init__(f"offset {offset} of partition {partition} is out of the log's range")
        self.partition = partition
        self.offset = offset


OpenTransaction = Callable[[LaneId], Awaitable[Transaction]]


class WorkLost(Exception):
    """A record is open and nobody works on it: the lane reads again from what is committed."""


class LaneRunner:
    """Runs one lane from its partition's assignment to its revocation. `works` outlives rebuilds."""

    def __init__(
        self, id: LaneId, app: Application, member: Member, open_transaction: OpenTransaction, log_reader: LogReader,
        clock: Clock, cadence: Cadence, works: dict[int, Work], on_free: Callable[[Work], None],
        on_open: Callable[[], None],
    ) -> None:  # fmt: skip
        self.id = id
        self.lane: Lane | None = None
        """None while it opens, rebuilds, or after it has stopped."""
        self.works = works
        self.unadopted: set[int] = set()
        """Offsets of works that wait for their record to be read again by the open lane."""
        self.stopped: str | None = None
        """Why nothing more is read. What was read before may still be committed."""
        self.rebuilds = 0
        self.committed_at = clock.monotonic()
        self._app = app
        self._member = member
        self._open_transaction = open_transaction
        self._reader = log_reader
        self._clock = clock
        self._cadence = cadence
        self._on_free = on_free
        self._on_open = on_open
        self._transaction: Transaction | None = None
        self._closing = asyncio.Event()
        self._generation = member.generation
        self._failures = 0
        """Since the last commit."""
        self._blame = Blame(cadence.many)

    async def run(self) -> None:
        """Until `close`. Returns once what was settled is committed and the producer is closed."""
        while not self._closing.is_set():
            try:
                if await self._may_open() and await self._unless_closing(self._open()):
                    await self._commit_until_closed()
            except (LaneStopped, CannotOpen) as alarm:
                self._stop(alarm)
                await self._closing.wait()
            except Exception as error:
                self.rebuilds += 1
                self._failures += 1
                log.warning("lane.rebuilt", lane=str(self.id), error=type(error).__name__, rebuilds=self.rebuilds)
            finally:
                await self._let_go()

    def close(self) -> None:
        """Commit what is settled, then let the lane go."""
        self._closing.set()
        if self.lane is not None:
            self.lane.settled.set()
            self.lane.crowded.set()

    def lose(self, lost: PositionLost) -> None:
        """Read no further: records are gone. What was read goes on to its end."""
        self._stop(lost)
        self._member.pause(self.id.partition)

    def _stop(self, alarm: Exception) -> None:
        self.stopped = f"{type(alarm).__name__}: {alarm}"
        log.error("lane.stopped", lane=str(self.id), reason=self.stopped)

    # open

    async def _may_open(self) -> bool:
        """The first time at once; later after a pause, once a heartbeat was answered in the same generation with the
        partition still held. Else a process that was frozen for long would fence the rightful owner.

        False: the lane is closing.
        """
        tries = max(0, self._failures - 1)
        while self.rebuilds and not self._closing.is_set():
            wait = REOPEN_WAITS_S[min(tries, len(REOPEN_WAITS_S) - 1)]
            tries += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), wait)
                return False
            held = self.id.partition in self._member.held() and self._member.generation == self._generation
            if held and await self._member.heartbeat() and self._member.generation == self._generation:
                return True
        return not self._closing.is_set()

    async def _unless_closing(self, opening: Coroutine[Any, Any, None]) -> bool:
        """Whether it came to its end. A lane may take minutes to open; who closes it does not wait for that."""
        task = asyncio.ensure_future(opening)
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({task, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CLOSE_S)
        if self._closing.is_set() and (not task.done() or task.cancelled()):
            return False
        await task
        return True

    async def _open(self) -> None:
        """Read where the lane stands, after its producer has fenced every predecessor; then let records come."""
        self._transaction = await self._open_transaction(self.id)
        position = await standing(self.id, self._member.committed, self._reader, self._clock)
        try:
            known = progress.decode(position.offset, position.metadata)
        except progress.UnknownProgress as error:
            raise LaneStopped(str(error)) from None
        resumed = Resumed(position.offset, known.finished)
        handler = await self._app.open_lane(self.id, self._reader, resumed)
        if self._closing.is_set():
            await self._quietly(handler.close())
            return
        # From here on nothing waits: no record may come between the seek and the lane's tracker.
        lane = Lane(self.id, handler, position.offset, known, self._blame.crowd, self._blame.horizon)
        self.lane = lane
        for work in list(self.works.values()):
            if self._app.inline or work.offset < position.offset or work.offset in known.finished:
                self.drop(work)  # inline: decided anew from the log; else: its transaction was committed after all
            else:
                work.adopted = False
                work.lease.held = True
                self.unadopted.add(work.offset)
        self._member.seek(self.id.partition, position.offset)
        if not self.stopped:
            self._member.resume(self.id.partition)
        self._on_open()
        log.info("lane.opened", lane=str(self.id), offset=position.offset, finished=len(known.finished))

    # commit

    async def _commit_until_closed(self) -> None:
        lane, transaction = self.lane, self._transaction
        if lane is None or transaction is None:
            return
        wait, committed = self._cadence.shortest, 0
        ended = self._clock.monotonic() - self._cadence.longest.total_seconds() * 2
        while lane.pending or not self._closing.is_set():
            await lane.settled.wait()
            if lane.failure is not None:
                raise lane.failure
            if lane.pending:
                wait = self._cadence.wait(wait, committed, timedelta(seconds=self._clock.monotonic() - ended))
                await self._gather(lane.crowded, wait.total_seconds())
            elif lane.behind:
                lane.settled.clear()
                await self._gather(lane.settled, MARKERS_WAIT_S)
            works = lane.take()
            if works or lane.behind:
                await self._commit(lane, transaction, works)
                committed, ended = len(works), self._clock.monotonic()
                self.committed_at = ended

    async def _gather(self, enough: asyncio.Event, seconds: float) -> None:
        """Let outcomes gather; a lane that closes does not wait."""
        if seconds and not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), seconds)

    async def _commit(self, lane: Lane, transaction: Transaction, works: list[Work]) -> None:
        batch: commit.Batch | None = None
        try:
            batch = commit.assemble(lane, works, self._clock.now(), self._blame.shared_limit)
            await transaction.commit(batch.records, lane.id, batch.position)
        except Exception as error:
            owner = _owner(batch, error)
            self._blame.failed([work.offset for work in works], error, owner.offset if owner is not None else None)
            raise
        lane.crowd = self._blame.committed([work.offset for work in works])
        self._failures = 0
        lane.committed(batch.position.offset, batch.progress)
        lane.handler.committed(batch.facts)
        for work in works:
            self.drop(work)
        if lane.paused and not lane.full and not self.stopped:
            lane.paused = False
            self._member.resume(lane.id.partition)

    # works

    def adopt(self, work: Work) -> None:
        """The work's record was read again: from now on it is the open lane's."""
        work.adopted = True
        self.unadopted.discard(work.offset)
        self.settled(work)

    def settled(self, work: Work) -> None:
        """A work's outcome is known: hand it to the lane, in the form that the broker takes."""
        if self.lane is None or not work.adopted or work.done is None:
            return  # it is handed over when its record is read again
        if self.works.get(work.offset) is not work:
            return  # dropped while it was worked on: its lane was rebuilt and the record is handled anew
        for size in self._blame.refused(work.offset):
            own = commit.own_records(self.id, work.record, work.done)
            if any(len(record.value or b"") >= size for record in own):  # handled anew it may have become another
                work.done = shrink(work.done, size)
        work.done = self._blame.instead(work.offset) or work.done
        self.lane.settle(work)

    def forget(self, work: Work, *, again: bool) -> None:
        """The work was abandoned: its next owner does it. If the open lane waits for it, that reads it `again`."""
        if self.works.get(work.offset) is not work:
            return
        del self.works[work.offset]
        self.unadopted.discard(work.offset)
        if again and self.lane is not None and work.adopted and not self._closing.is_set():
            self.lane.fail(WorkLost())

    def may_commit(self, work: Work) -> bool:
        """Whether the work's outcome has a chance to be committed before the lane is opened by somebody else."""
        if not self.stopped:
            return True
        return self.lane is not None and work.adopted

    def drop(self, work: Work) -> None:
        """The work is over, or another takes its place."""
        self.works.pop(work.offset, None)
        self.unadopted.discard(work.offset)
        if work.done is None:
            work.cancel()
        self._on_free(work)

    # close

    async def _let_go(self) -> None:
        lane, self.lane = self.lane, None
        transaction, self._transaction = self._transaction, None
        self.unadopted.clear()
        self._member.pause(self.id.partition)
        if lane is not None:
            await self._quietly(lane.handler.close())
        if transaction is not None:
            await self._quietly(transaction.close())

    async def _quietly(self, closing: Coroutine[Any, Any, None]) -> None:
        """What was opened for a lane cannot keep it from ending."""
        try:
            await asyncio.wait_for(closing, CLOSE_S)
        except Exception as error:
            log.warning("lane.close_failed", lane=str(self.id), error=type(error).__name__)

    def describe(self) -> dict[str, str | int | None]:
        """The lane's state for /healthz."""
        lane = self.lane
        return {
            "lane": str(self.id),
            "state": "stopped" if self.stopped else "open" if lane else "opening",
            "reason": self.stopped,
            "committable": lane.tracker.committable() if lane else None,
            "open": lane.tracker.open if lane else None,
            "uncommitted": len(lane.pending) + len(lane.held_back) if lane else None,
            "works": len(self.works),
            "rebuilds": self.rebuilds,
        }


def _owner(batch: commit.Batch | None, error: Exception) -> Work | None:
    """Whose record was refused for its size, if it was one of a work's own."""
    return batch.owners[error.index] if batch and isinstance(error, RecordTooLarge) and error.index >= 0 else None
