"""The life of one lane: open, commit in groups, rebuild after any error, close."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

import structlog

from runtime import commit, progress
from runtime.cadence import Cadence
from runtime.lane import Lane, shrink
from runtime.outcome import Application, CannotOpen
from runtime.ports import Clock, LaneId, LogReader, NotReadable, Position, Record, RecordTooLarge, Transaction
from runtime.work import Work
from schemas.topics import AUDIT

log = structlog.get_logger("novix.lane")

REOPEN_WAITS_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)


class Member(Protocol):
    """What a lane needs of its group membership."""

    def held(self) -> set[int]: ...
    @property
    def generation(self) -> int: ...
    async def heartbeat(self) -> bool: ...
    async def poll(self, wait_ms: int, most: int) -> list[Record]: ...
    def pause(self, partition: int) -> None: ...
    def resume(self, partition: int) -> None: ...
    def seek(self, partition: int, offset: int) -> None: ...
    async def committed(self, partition: int) -> Position | None: ...


class PositionLost(Exception):
    """The broker has no record at the offset that was asked for: it was deleted unread, or the log was cut."""

    def __init__(self, partition: int, offset: int) -> None:
        super().__init__(f"offset {offset} of partition {partition} is out of the log's range")
        self.partition = partition
        self.offset = offset


OpenTransaction = Callable[[LaneId], Awaitable[Transaction]]


class LaneStopped(Exception):
    """The lane must neither skip nor replay: somebody has to look."""


class LaneRunner:
    """Runs one lane from its partition's assignment to its revocation. `works` outlives rebuilds."""

    def __init__(
        self, id: LaneId, app: Application, member: Member, open_transaction: OpenTransaction, log_reader: LogReader,
        clock: Clock, cadence: Cadence, works: dict[int, Work], on_free: Callable[[Work], None],
    ) -> None:  # fmt: skip
        self.id = id
        self.lane: Lane | None = None
        """None while it opens, rebuilds, or after it has stopped."""
        self.works = works
        self.stopped: str | None = None
        self.rebuilds = 0
        self.committed_at = clock.monotonic()
        self._app = app
        self._member = member
        self._open_transaction = open_transaction
        self._reader = log_reader
        self._clock = clock
        self._cadence = cadence
        self._on_free = on_free
        self._closing = asyncio.Event()
        self._generation = member.generation
        self._refused: dict[int, int] = {}
        self._shared_limit = commit.SHARED_LIMIT_BYTES

    async def run(self) -> None:
        """Until `close`. Returns once what was settled is committed and the producer is closed."""
        while not self._closing.is_set():
            transaction: Transaction | None = None
            try:
                if self.rebuilds and not await self._may_reopen():
                    return
                transaction = await self._open_transaction(self.id)
                self.lane = await self._open()
                await self._commit_until_closed(self.lane, transaction)
                return
            except (LaneStopped, CannotOpen) as alarm:
                self.stopped = f"{type(alarm).__name__}: {alarm}"
                log.error("lane.stopped", lane=str(self.id), reason=self.stopped)
                await self._closing.wait()
            except Exception as error:
                self.rebuilds += 1
                log.warning("lane.rebuilt", lane=str(self.id), error=type(error).__name__, rebuilds=self.rebuilds)
            finally:
                await self._let_go(transaction)

    def close(self) -> None:
        """Commit what is settled, then let the lane go."""
        self._closing.set()
        if self.lane is not None:
            self.lane.settled.set()
            self.lane.crowded.set()

    async def _open(self) -> Lane:
        """Read where the lane stands, after its producer has fenced every predecessor."""
        position = await self._position()
        try:
            known = progress.decode(position.offset, position.metadata)
        except progress.UnknownProgress as error:
            raise LaneStopped(str(error)) from None
        handler = await self._app.open_lane(self.id, self._reader)
        lane = Lane(self.id, handler, position.offset, known, self._cadence.many)
        for work in list(self.works.values()):
            if self._app.inline or work.offset < position.offset or work.offset in known.finished:
                self._drop(work)  # inline: decided anew from the log; else: its transaction was committed after all
            else:
                work.adopted = False
                work.lease.held = True
        self._member.seek(self.id.partition, position.offset)
        self._member.resume(self.id.partition)
        log.info("lane.opened", lane=str(self.id), offset=position.offset, finished=len(known.finished))
        return lane

    async def _position(self) -> Position:
        position = await self._member.committed(self.id.partition)
        first, end = await self._reader.bounds(self.id.topic, self.id.partition)
        if position is None:
            if await self._has_history():
                raise LaneStopped("its committed offset is gone although it has worked before; set it by hand")
            return Position(first, "")
        if not first <= position.offset:
            raise LaneStopped(f"committed offset {position.offset} is below the log's first, {first}: records are gone")
        if position.offset > end:
            raise LaneStopped(f"committed offset {position.offset} is past the log's end, {end}: the log was cut")
        return position

    async def _has_history(self) -> bool:
        """Whether the lane's audit chain has a beginning: then a missing offset is a loss, not a first start."""
        key = str(self.id).encode()
        for partition in range(await self._reader.partitions(AUDIT.name)):
            first, end = await self._reader.bounds(AUDIT.name, partition)
            try:
                async for record in self._reader.read(AUDIT.name, partition, first, end):
                    if record.key == key:
                        return True
            except NotReadable as error:
                log.warning("lane.history_unread", lane=str(self.id), topic=str(error), taken_for="a first start")
                return False
        return False

    async def _may_reopen(self) -> bool:
        """Wait until a heartbeat was answered in the same generation with the partition still held.

        Else a process that was frozen for long would fence the rightful owner. False: the lane is closing.
        """
        tries = 0
        while not self._closing.is_set():
            wait = REOPEN_WAITS_S[min(tries, len(REOPEN_WAITS_S) - 1)]
            tries += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), wait)
                return False
            held = self.id.partition in self._member.held() and self._member.generation == self._generation
            if held and await self._member.heartbeat() and self._member.generation == self._generation:
                return True
        return False

    async def _commit_until_closed(self, lane: Lane, transaction: Transaction) -> None:
        wait, committed = self._cadence.shortest, 0
        ended = self._clock.monotonic() - self._cadence.longest.total_seconds() * 2
        if self._closing.is_set():  # told to close while it opened
            return
        while True:
            await lane.settled.wait()
            idle = timedelta(seconds=self._clock.monotonic() - ended)
            wait = self._cadence.wait(wait, committed, idle)
            if wait and not self._closing.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lane.crowded.wait(), wait.total_seconds())
            works = lane.take()
            if works:
                await self._commit(lane, transaction, works)
                committed, ended = len(works), self._clock.monotonic()
                self.committed_at = ended
            elif self._closing.is_set():
                return

    async def _commit(self, lane: Lane, transaction: Transaction, works: list[Work]) -> None:
        batch = commit.assemble(lane, works, self._clock.now(), self._shared_limit)
        try:
            await transaction.commit(batch.records, lane.id, batch.position)
        except RecordTooLarge as error:
            self._remember(batch.owners[error.index] if error.index >= 0 else None, error.size_bytes)
            raise
        lane.progress = batch.progress
        lane.handler.committed(batch.facts)
        for work in works:
            self._refused.pop(work.offset, None)
            self._drop(work)
        if lane.paused and not lane.full:
            lane.paused = False
            self._member.resume(lane.id.partition)

    def settled(self, work: Work) -> None:
        """A work's outcome is known: hand it to the lane, in the form that the broker takes."""
        if self.lane is None or not work.adopted or work.done is None:
            return  # it is handed over when its record is read again
        if self.works.get(work.offset) is not work:
            return  # dropped while it was worked on: its lane was rebuilt and the record is handled anew
        if work.offset in self._refused:
            work.done = shrink(work.done, self._refused[work.offset])
        self.lane.settle(work)

    def _remember(self, owner: Work | None, size_bytes: int) -> None:
        """Never send a refused record again as it is: its job ends otherwise, shared records are split finer."""
        if owner is not None:
            self._refused[owner.offset] = size_bytes
        else:
            self._shared_limit = max(16_384, self._shared_limit // 2)

    def _drop(self, work: Work) -> None:
        self.works.pop(work.offset, None)
        if work.done is None:
            work.cancel()
        self._on_free(work)

    async def _let_go(self, transaction: Transaction | None) -> None:
        lane, self.lane = self.lane, None
        self._member.pause(self.id.partition)
        if lane is not None:
            await lane.handler.close()
        if transaction is not None:
            await transaction.close()

    def describe(self) -> dict[str, str | int | None]:
        """The lane's state for /healthz."""
        lane = self.lane
        return {
            "lane": str(self.id),
            "state": "stopped" if self.stopped else "open" if lane else "opening",
            "reason": self.stopped,
            "committable": lane.tracker.committable() if lane else None,
            "open": lane.tracker.open if lane else None,
            "uncommitted": len(lane.pending) if lane else None,
            "works": len(self.works),
            "rebuilds": self.rebuilds,
        }
