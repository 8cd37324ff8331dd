"""The state of one lane between its opening and its closing or rebuild: what is open, what waits for a transaction."""

import asyncio
from collections import deque
from dataclasses import replace

from runtime.outcome import Done, GiveUp, LaneHandler
from runtime.ports import LaneId
from runtime.progress import Progress
from runtime.tracker import Tracker
from runtime.work import Work
from schemas.failure import FailureKind

CROWD_BYTES = 4_194_304
"""Of records that wait: they make a transaction begin at once, and bound what it holds."""


class Lane:
    """One assigned partition, open. Owned by the engine's loop; decides nothing by time."""

    def __init__(self, id: LaneId, handler: LaneHandler, base: int, progress: Progress, crowd: int) -> None:
        self.id = id
        self.handler = handler
        self.tracker = Tracker(base, progress.finished)
        self.progress = progress
        self.pending: deque[Work] = deque()
        self.settled = asyncio.Event()
        """Something waits for a transaction."""
        self.crowded = asyncio.Event()
        """So much waits that the transaction should begin now."""
        self.pending_bytes = 0
        self.paused = False
        self._crowd = crowd

    def settle(self, work: Work) -> None:
        """The work's outcome is known: it waits for the next transaction."""
        self.pending.append(work)
        self.pending_bytes += size_of(work)
        self.settled.set()
        if len(self.pending) >= self._crowd or self.pending_bytes >= CROWD_BYTES:
            self.crowded.set()

    def take(self) -> list[Work]:
        """What the next transaction holds, oldest first."""
        batch: list[Work] = []
        taken = 0
        while self.pending and len(batch) < self._crowd and taken < CROWD_BYTES:
            batch.append(self.pending.popleft())
            taken += size_of(batch[-1])
        self.pending_bytes -= taken
        if not self.pending:
            self.settled.clear()
        if len(self.pending) < self._crowd and self.pending_bytes < CROWD_BYTES:
            self.crowded.clear()
        return batch

    @property
    def full(self) -> bool:
        """Nothing more may be read: the window is used up, or transactions lag behind."""
        waiting = len(self.pending) >= 4 * self._crowd or self.pending_bytes >= 4 * CROWD_BYTES
        return waiting or self.tracker.full


def size_of(work: Work) -> int:
    """Bytes of the records that a settled work waits with."""
    return sum(len(record.value or b"") for record in work.done.records) if work.done else 0


def shrink(done: Done, size_bytes: int) -> Done:
    """The outcome instead of one whose record is too large for its topic. Never has a record of that size itself.

    The refused record may be a dead letter: `OUTPUT_TOO_LARGE` has a short one.
    """
    if done.shrunk is not None:
        return replace(done.shrunk(size_bytes), shrunk=None)
    message = f"a record of {size_bytes} bytes is larger than its topic takes"
    if isinstance(done, GiveUp):
        message += f"; the job gave up with {done.kind}"
    return GiveUp(FailureKind.OUTPUT_TOO_LARGE, message, facts=done.facts)
