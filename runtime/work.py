"""One record that a process is working on."""

import asyncio
from dataclasses import dataclass

from runtime.outcome import Done
from runtime.ports import Delivery, Lease, Record


@dataclass(slots=True, eq=False)
class Work:
    """A record from its admission until its outcome is committed.

    Outlives its lane: after a rebuild, or when a revoked partition comes back, the same work is adopted by the new
    lane, and what was paid for is not paid for again.
    """

    record: Record
    delivery: Delivery
    lease: Lease
    task: "asyncio.Task[None] | None" = None
    done: Done | None = None
    """The outcome, once it is known; it waits for its transaction."""
    adopted: bool = True
    """Known to the present lane's tracker. False: it waits for its record to be read again."""
    counted: bool = False
    """It takes a place in the process's window."""
    rest: "asyncio.Future[None] | None" = None
    """Its wait for the next attempt."""

    @property
    def offset(self) -> int:
        """Its record's offset."""
        return self.record.offset

    @property
    def size_bytes(self) -> int:
        """What its record takes in memory, roughly."""
        return len(self.record.value or b"")

    def cancel(self) -> None:
        """Stop working on it; a call in flight is aborted."""
        self.lease.held = False
        if self.rest is not None:
            self.rest.cancel()
        elif self.task is not None and not self.task.done():
            self.task.cancel()
