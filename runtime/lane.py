"""The state of one lane between its opening and its closing or rebuild: what is open, what waits for a transaction."""

import asyncio
from collections import deque
from dataclasses import replace

from runtime.ordering import Backlog, Queues
from runtime.outcome import Done, GiveUp, LaneHandler
from runtime.ports import LaneId
from runtime.progress import HORIZON, Progress
from runtime.tracker import Tracker
from runtime.work import Arrival, Work
from schemas.failure import FailureKind

CROWD_BYTES = 4_194_304
"""Of records that wait: they make a transaction begin at once, and bound what it holds."""


class Lane:
    """One assigned partition, open. Owned by the engine's loop; decides nothing by time."""

    def __init__(
        self, id: LaneId, handler: LaneHandler, base: int, progress: Progress, crowd: int, horizon: int = HORIZON,
        backlog: Backlog | None = None,
    ) -> None:  # fmt: skip
        self.id = id
        self.handler = handler
        self.tracker = Tracker(base, progress.finished)
        self.progress = progress
        self.base = base
        """The committed offset."""
        self.pending: deque[Work] = deque()
        self.held_back: list[Work] = []
        """Settled, but too far above the lowest open record to be told of in the commit metadata."""
        self.settled = asyncio.Event()
        """Something waits for a transaction."""
        self.crowded = asyncio.Event()
        """So much waits that the transaction should begin now."""
        self.pending_bytes = 0
        self.queues: Queues[Arrival] = Queues(backlog or Backlog(CROWD_BYTES, CROWD_BYTES))
        """Records that wait behind another of their key: they are open, and no works yet."""
        self.paused = False
        self.failure: Exception | None = None
        """Set: the lane is rebuilt, or stops, as soon as it looks."""
        self.crowd = crowd
        self._horizon = horizon
        self._noticed = base

    def enter(self, arrival: Arrival) -> bool:
        """Whether work on an open record may begin. Else it waits behind another of its key."""
        record = arrival.record
        return arrival.key is None or self.queues.enter(arrival.key, record.offset, arrival, arrival.size_bytes)

    def settle(self, work: Work) -> None:
        """The work's outcome is known: it waits for the next transaction."""
        self.pending.append(work)
        self.pending_bytes += size_of(work)
        self.settled.set()
        if len(self.pending) >= self.crowd or self.pending_bytes >= CROWD_BYTES:
            self.crowded.set()

    def take(self) -> list[Work]:
        """What the next transaction holds, oldest first."""
        batch: list[Work] = []
        taken = 0
        limit = self.tracker.committable() + self._horizon
        while self.pending and len(batch) < self.crowd and taken < CROWD_BYTES:
            work = self.pending.popleft()
            size = size_of(work)
            if work.offset >= limit:
                self.held_back.append(work)
                self.pending_bytes -= size
                continue
            batch.append(work)
            taken += size
        self.pending_bytes -= taken
        if not self.pending:
            self.settled.clear()
        if len(self.pending) < self.crowd and self.pending_bytes < CROWD_BYTES:
            self.crowded.clear()
        return batch

    def committed(self, base: int, progress: Progress) -> None:
        """A transaction is committed up to `base`: what was held back before it may follow."""
        self.base, self.progress = base, progress
        limit = self.tracker.committable() + self._horizon
        held, self.held_back = self.held_back, []
        for work in held:
            if work.offset < limit:
                self.settle(work)
            else:
                self.held_back.append(work)

    def reach(self, offset: int) -> None:
        """Records up to `offset` were handed out. Wakes the lane if only markers lie behind what is committed."""
        self.tracker.reach(offset)
        if self.behind and self._noticed != self.tracker.committable():
            self._noticed = self.tracker.committable()
            self.settled.set()

    @property
    def behind(self) -> bool:
        """Nothing is open and the committed offset is not at the end of what was handed out."""
        return not self.tracker.open and self.tracker.committable() > self.base

    def fail(self, error: Exception) -> None:
        """Have the lane end with this error: a rebuild, or a stop."""
        self.failure = error
        self.settled.set()
        self.crowded.set()

    @property
    def full(self) -> bool:
        """Nothing more may be read: too many wait behind their key or for a transaction, or the tracker's window is
        used up."""
        waiting = len(self.pending) >= 4 * self.crowd or self.pending_bytes >= 4 * CROWD_BYTES
        return waiting or self.tracker.full or self.queues.full


def size_of(work: Work) -> int:
    """Bytes of the records that a settled work waits with."""
    return sum(len(record.value or b"") for record in work.done.records) if work.done else 0


def shrink(done: Done, size_bytes: int) -> Done:
    """The outcome instead of one whose record is too large for its topic. Never has a record of that size itself.

    The refused record may be a dead letter: `OUTPUT_TOO_LARGE` has a short one.
    """
    if done.shrunk is not None:
        try:
            return replace(done.shrunk(size_bytes), shrunk=None)
        except Exception as error:
            kind, name = FailureKind.INTERNAL, type(error).__name__
            return GiveUp(kind, f"the handler failed with {name} for a smaller outcome", error_type=name)
    message = f"a record of {size_bytes} bytes is larger than its topic takes"
    if isinstance(done, GiveUp):
        message += f"; the job gave up with {done.kind}"
    return GiveUp(FailureKind.OUTPUT_TOO_LARGE, message, facts=done.facts)
