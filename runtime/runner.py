"""The life of one lane: open, commit in groups, rebuild after any error, close."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace
from datetime import timedelta

import structlog

from runtime import audit, commit, failpoints, progress
from runtime.blame import Blame
from runtime.cadence import Cadence
from runtime.chain_end import PositionOutdated, chain_end, held_against
from runtime.lane import Lane
from runtime.membership import Member, PositionLost
from runtime.metrics.lanes import LaneMeter, Written
from runtime.ordering import Backlog
from runtime.outcome import Application, CannotOpen, LaneHandler
from runtime.ports import Clock, LaneId, LogReader, Position, Resumed, Transaction
from runtime.progress import HORIZON, MetadataTooLarge, Progress
from runtime.saying import Saying
from runtime.standing import LaneStopped, may_reopen, quietly, refuse_a_cut_log, standing, unless
from runtime.telemetry_tail import Tail
from runtime.vitals import Pulse
from runtime.work import Arrival, Work
from schemas.audit import AuditEntry
from schemas.topics import AUDIT

log = structlog.get_logger("novix.lane")

MARKERS_WAIT_S = 1.0
"""Before a transaction that only moves the offset past markers."""
LATE_COMMIT_S = 1.0
"""A commit that takes longer may fail: what is paid for meanwhile would be paid for again."""


OpenTransaction = Callable[[LaneId], Awaitable[Transaction]]


class WorkLost(Exception):
    """A record is open and nobody works on it: the lane reads again from what is committed."""


class LaneRunner:
    """Runs one lane from its partition's assignment to its revocation. `works` outlives rebuilds."""

    def __init__(
        self, id: LaneId, app: Application, member: Member, open_transaction: OpenTransaction, log_reader: LogReader,
        clock: Clock, cadence: Cadence, backlog: Backlog, works: dict[int, Work], on_free: Callable[[Work], None],
        on_open: Callable[[], None], tail: Tail, meter: LaneMeter, saying: Saying, present: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.id = id
        self.lane: Lane | None = None
        """None while it opens, rebuilds, or after it has stopped."""
        self.works = works
        self.unadopted: set[int] = set()
        """Offsets of works that wait for their record to be read again by the open lane."""
        self.stopped: str | None = None
        """Why nothing more is read. What was read before may still be committed."""
        self.hindrance: str | None = None
        """Why the lane cannot open yet, where that is not our fault and somebody may have to look."""
        self.leaving = False
        """The partition is being taken away: nothing is begun any more."""
        self.rebuilds = 0
        self.base: int | None = None
        """What was last known to be committed."""
        self.end: int | None = None
        """The partition's end when the broker was last asked."""
        self.finished = self.committed = 0
        """Records whose outcome became known, and was committed, so far."""
        self.pulse = Pulse()
        self._app = app
        self._member = member
        self._open_transaction = open_transaction
        self._reader = log_reader
        self._clock = clock
        self._cadence = cadence
        self._backlog = backlog
        self._on_free = on_free
        self._on_open = on_open
        self._tail = tail
        self._meter = meter
        self._saying = saying
        self._present = present
        self._committing_since: float | None = None
        self._transaction: Transaction | None = None
        self._closing = asyncio.Event()
        self._generation = member.generation
        self._failures = 0
        """Since the last commit."""
        self._blame = Blame(cadence.many)
        self._forgotten: set[int] = set()
        """Records left undone that may have been called: what their calls came to stands in the journal alone."""

    async def run(self) -> None:
        """Until `close`. Returns once what was settled is committed and the producer is closed."""
        while not self._closing.is_set():
            try:
                if await self._may_open() and await unless(self._closing, self._open()):
                    await self._commit_until_closed()
            except (LaneStopped, CannotOpen) as alarm:
                self._stop(alarm)
                await self._let_go()
                await self._closing.wait()
            except Exception as error:
                self.hindrance = str(error) if isinstance(error, PositionOutdated) else None
                self.rebuilds += 1
                self._failures += 1
                self._meter.rebuilt()
                log.warning(
                    "lane.rebuilt", lane=str(self.id), error=type(error).__name__, rebuilds=self.rebuilds,
                    reason=self.hindrance,
                )  # fmt: skip
            finally:
                await self._let_go()

    def sure(self) -> bool:
        """Whether one may pay for a record of this lane now: the partition is this process's beyond doubt, and as far
        as can be told the outcome will be committed. In a lane that stopped they go on: to wait would keep their slots
        from other lanes."""
        since = self._committing_since
        late = since is not None and self._clock.monotonic() - since > LATE_COMMIT_S
        return self._present() and not late and (self.lane is not None or self.stopped is not None)

    def leave(self) -> None:
        """Begin nothing any more; what is under way may still end, and be committed. What is held may not: as long as
        some of it ended, the partition would not be let go."""
        self.leaving = True
        for work in self.works.values():
            work.lease.leaving = True
        self._member.pause(self.id.partition)
        self.drop_held()

    def close(self) -> None:
        """Commit what is settled, then let the lane go."""
        self.leave()
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
        self._meter.stopped(type(alarm).__name__)
        log.error("lane.stopped", lane=str(self.id), reason=self.stopped)

    # open

    async def _may_open(self) -> bool:
        """The first time at once. False: the lane is closing."""
        if not self.rebuilds:
            return not self._closing.is_set()
        tries = max(0, self._failures - 1)
        return await may_reopen(self._member, self.id.partition, self._generation, tries, self._closing)

    async def _open(self) -> None:
        """Read where the lane stands, after its producer has fenced every predecessor; then let records come."""
        self._transaction = await self._open_transaction(self.id)
        position = await standing(self.id, self._member.committed, self._reader, self._clock)
        try:
            known = progress.decode(position.offset, position.metadata)
        except progress.UnknownProgress as error:
            raise LaneStopped(str(error)) from None
        if position.metadata:
            known = held_against(known, position.metadata, await chain_end(self.id, self._reader, self._clock))
        resumed = Resumed(position.offset, known.finished, known.custody)
        handler = await self._app.open_lane(self.id, self._reader, resumed)
        try:
            self.base = position.offset  # a lane that cannot write its first commit is stuck, if records wait for it
            mine = replace(known, custody=progress.journals(self._app.custody, handler.owed(position.offset)))
            if mine != known or not position.metadata:
                known = await self._take(self._transaction, position.offset, known, mine)
        except BaseException:
            await quietly(self.id, handler.close())
            raise
        if self._closing.is_set():
            await quietly(self.id, handler.close())
            return
        self._begin(handler, position.offset, known)

    async def _take(self, transaction: Transaction, offset: int, known: Progress, mine: Progress) -> Progress:
        """Before the first record flows: say in whose journals the calls stand that were made, and will be; at a first
        opening also where the lane begins, or each later one of a lane without work would search the whole audit for a
        trace of it (`standing`). The audit is told too: an answer from before is then seen to be old (`chain_end`).

        A broker that takes less metadata than Kafka's default is told with the next commit; it has fewer finished.
        """
        if self._blame.horizon < HORIZON:
            return known
        detail = {"offset": offset, "custody": mine.custody}
        taken = AuditEntry(at=self._clock.now(), action="lane.taken", detail=detail)
        batch = audit.link(str(self.id), mine.sequence + 1, mine.head, [taken])
        mine = replace(mine, sequence=batch.sequence, head=batch.hash)
        position = Position(offset, progress.encode(offset, mine))
        began = self._clock.monotonic()
        try:
            await transaction.commit([audit.record(batch)], self.id, position)
        except Exception as error:
            self._meter.failed(type(error).__name__, self._clock.monotonic() - began)
            if isinstance(error, MetadataTooLarge):
                self._blame.failed([], error, None)
            raise
        written = Written(Counter([AUDIT.name]), Counter(), Counter([taken.action]), 0)
        self._meter.committed(0, written, self._clock.monotonic() - began)
        return mine

    def _begin(self, handler: LaneHandler, base: int, known: Progress) -> None:
        """Let records come. Nothing waits here: no record may come between the seek and the lane's tracker."""
        lane = Lane(self.id, handler, base, known, self._blame.crowd, self._blame.horizon, self._backlog)
        self.lane, self.base, self.hindrance = lane, base, None
        anew: set[Hashable] = set()
        for work in sorted(self.works.values(), key=lambda work: work.offset):
            over = work.offset < base or work.offset in known.finished  # its transaction was committed after all
            # Behind a record that is handled anew the later ones of its key are too, or they would end before it.
            if over or self._app.inline or work.key in anew or handler.overtaken(work.offset):
                self.drop(work)  # decided anew from the log, if it is not over
                if not over and work.key is not None:
                    anew.add(work.key)
            else:
                work.adopted = False
                work.lease.held, work.lease.leaving, work.lease.sure = True, False, self.sure
                self.unadopted.add(work.offset)
        self._member.seek(self.id.partition, base)
        if not self.stopped:
            self._member.resume(self.id.partition)
        self._on_open()
        self._meter.opened()
        log.info("lane.opened", lane=str(self.id), offset=base, finished=len(known.finished))

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
        known = lane.progress.custody
        if known and known != self._custody_after(lane, []) and not self.stopped:
            await self._commit(lane, transaction, [])

    async def _gather(self, enough: asyncio.Event, seconds: float) -> None:
        """Let outcomes gather; a lane that closes does not wait."""
        if seconds and not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), seconds)

    async def _commit(self, lane: Lane, transaction: Transaction, works: list[Work]) -> None:
        if self.stopped:
            await refuse_a_cut_log(self.id, lane.tracker.received, self._reader, self.stopped)
        batch: commit.Batch | None = None
        custody = self._custody_after(lane, works)
        failpoints.hit("before_commit")
        began = self._committing_since = self._clock.monotonic()
        try:
            batch = commit.assemble(lane, works, self._clock.now(), self._blame.shared_limit, custody, self._tail)
            await transaction.commit(batch.records, lane.id, batch.position)
        except Exception as error:
            owner = batch.owner_of(error) if batch is not None else None
            self._blame.failed([work.offset for work in works], error, owner.offset if owner is not None else None)
            self._meter.failed(type(error).__name__, self._clock.monotonic() - began)
            raise
        finally:
            self._committing_since = None
        ended = self._clock.monotonic()
        self._meter.committed(len(works), batch.written, ended - began)
        self._saying.say(str(lane.id), batch.entries, ended)
        lane.crowd = self._blame.committed([work.offset for work in works])
        self._failures = 0
        self.base = batch.position.offset
        self.committed += len(works)
        lane.committed(batch.position.offset, batch.progress)
        lane.handler.committed(batch.facts)
        for work in works:
            self.drop(work)
        if lane.paused and not lane.full and not self.stopped:
            lane.paused = False
            self._member.resume(lane.id.partition)

    def _custody_after(self, lane: Lane, works: list[Work]) -> str:
        """The journals to name in the commit of `works`: ours, unless the lane closes with no call under way, and those
        of calls which nobody has accounted for."""
        called = {work.offset for work in self.works.values() if not work.lease.uncalled} | self._forgotten
        begun = bool(called - {work.offset for work in works})
        ours = self._app.custody if begun or not self._closing.is_set() else ""
        return progress.journals(ours, lane.handler.owed(lane.base))

    # works

    def adopt(self, work: Work) -> None:
        """The work's record was read again: from now on it is the open lane's."""
        work.adopted = True
        self.unadopted.discard(work.offset)
        if self.lane is not None and work.key is not None and work.done is None:
            self.lane.queues.resume(work.key, work.offset)
        self.settled(work)

    def next_of(self, work: Work) -> Arrival | None:
        """The work's outcome is known: the record that has waited behind it and may begin now."""
        if self.lane is None or work.key is None:
            return None
        return self.lane.queues.leave(work.key, work.offset)

    def settled(self, work: Work) -> None:
        """A work's outcome is known: hand it to the lane, in the form that the broker takes."""
        if self.lane is None or not work.adopted or work.done is None:
            return  # it is handed over when its record is read again
        if self.works.get(work.offset) is not work:
            return  # dropped while it was worked on: its lane was rebuilt and the record is handled anew
        work.done = self._blame.as_taken(self.id, work.record, work.done)
        self.lane.settle(work)

    def forget(self, work: Work, *, again: bool) -> None:
        """The work was abandoned: its next owner does it. If the open lane waits for it, that reads it `again`."""
        if self.works.get(work.offset) is not work:
            return
        del self.works[work.offset]
        self.unadopted.discard(work.offset)
        if not work.lease.uncalled:
            self._forgotten.add(work.offset)
        if again and self.lane is not None and work.adopted and not self.leaving:
            self.lane.fail(WorkLost())

    def may_commit(self, work: Work) -> bool:
        """Whether the work's outcome has a chance to be committed before the lane is opened by somebody else."""
        if not self.stopped:
            return True
        return self.lane is not None and work.adopted

    def drop(self, work: Work) -> None:
        """The work is over, or another takes its place."""
        self._forgotten.discard(work.offset)
        self.works.pop(work.offset, None)
        self.unadopted.discard(work.offset)
        if work.done is None:
            work.cancel()
        self._on_free(work)

    def drop_held(self) -> None:
        """Leave what is held to the next owner."""
        for work in [work for work in self.works.values() if work.on_hold and work.done is None]:
            self.drop(work)

    # close

    async def _let_go(self) -> None:
        lane, self.lane = self.lane, None
        transaction, self._transaction = self._transaction, None
        self.unadopted.clear()
        self._member.pause(self.id.partition)
        self.drop_held()  # who would have ended it is closed
        if lane is not None:
            lane.queues.clear()
            await quietly(self.id, lane.handler.close())
        if transaction is not None:
            await quietly(self.id, transaction.close())
