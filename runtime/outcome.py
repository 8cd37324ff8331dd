"""What a handler answers: it is a function from a record to one of these; `runtime/settle.py` alone acts on it."""

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, Protocol

from runtime.ports import Delivery, LaneId, LogReader, Outgoing, Record, Resumed
from runtime.telemetry import SpanDraft
from schemas.audit import AuditEntry
from schemas.failure import FailureKind
from schemas.values import frozen


@frozen
class Publish:
    """The record is done: these records, facts, audit entries and spans go into the lane's next transaction."""

    records: tuple[Outgoing, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    spans: tuple[SpanDraft, ...] = ()
    facts: tuple[Any, ...] = ()
    """What `LaneHandler.seal` turns into the transaction's shared records (a router's decisions)."""
    shrunk: "Callable[[int], Publish | GiveUp] | None" = None
    """The outcome instead, if the broker refuses one of `records` for its size in bytes."""


@frozen
class GiveUp:
    """The record is done and did not succeed: a copy of it, with the reason, goes to the dead letters.

    `records` is what is published beside it: the typed result, if there is anybody to tell.
    """

    kind: FailureKind
    message: str
    records: tuple[Outgoing, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    spans: tuple[SpanDraft, ...] = ()
    facts: tuple[Any, ...] = ()
    error_type: str = ""
    """Class name of the exception behind it, if any."""
    shrunk: "Callable[[int], Publish | GiveUp] | None" = None


@frozen
class RetryAt:
    """Come back with this record at `when`. It holds no call's slot while it waits.

    A short wait passes in memory; for a longer one, and in a drain, `LaneHandler.postpone` may write it elsewhere.
    """

    when: datetime
    kind: FailureKind
    memo: object = None
    in_memory: bool = True
    """False: leave through `postpone` however short the wait is."""


@frozen
class Hold:
    """An inline application's: keep the record, uncommitted, without a place among what is handled now; the handler
    ends it later by `Delivery.lease.end(done)`.

    The records behind it go on, up to `progress.WINDOW` offsets above the lowest that is held, and while the bytes of
    all of them fit the process's window. It is dropped with its lane (a rebuild, or as soon as a partition is revoked
    or the process drains), and read again by the next: its lease ends nothing then, and the handler forgets it at last
    when its `close` is called.
    """


class CannotOpen(Exception):
    """Raised by `open_lane` for what no new try mends: the lane stops by the subclass's name, and somebody looks."""


class Abandoned(Exception):
    """Raised by `handle` to leave a record undone: it stays uncommitted and its next owner does it.

    For work that waits while the process drains, or whose partition is no longer held: nothing has been called.
    """


Done = Publish | GiveUp
Outcome = Publish | GiveUp | RetryAt | Hold


class LaneHandler(Protocol):
    """The work of one lane, from its opening to its closing or rebuild."""

    async def handle(self, delivery: Delivery) -> Outcome:
        """Do the work of one record. Faults of the world are outcomes; raises only for a fault of ours."""
        ...

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        """The outcome for a `handle` that raised: a typed failure where somebody can be told, else a dead letter."""
        ...

    def postpone(self, delivery: Delivery, retry: RetryAt) -> Publish | None:
        """The record as it goes to wait elsewhere until `retry.when`, with what `retry.memo` remembers.

        None: it cannot, and waits in memory however long that is (a record whose order counts).
        """
        ...

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        """The shared records of one transaction, from all its outcomes' facts; each about `limit_bytes` at most."""
        ...

    def committed(self, facts: list[Any]) -> None:
        """The transaction with these facts is committed: fold them into what the lane decides from."""
        ...

    def owed(self, base: int) -> str:
        """The journals (`progress.journals`) of calls that predecessors began for records from the committed offset
        `base` on, and that no committed outcome accounts for: they stay named beside ours while the lane is open, and
        when it closes. Empty: there are none."""
        ...

    def overtaken(self, offset: int) -> bool:
        """Whether somebody else may have called for that record since this process opened the lane before: what it
        remembers of the record is not all then, and the record is handled anew."""
        ...

    async def close(self) -> None:
        """The lane closes or is rebuilt: drop what was not committed, release what was opened."""
        ...


class CallsNobody:
    """What a handler that makes no call says of calls."""

    def owed(self, base: int) -> str:
        """See `LaneHandler`."""
        return ""

    def overtaken(self, offset: int) -> bool:
        """See `LaneHandler`."""
        return False


class Application(Protocol):
    """Somebody's work on somebody's topic: what the engine runs."""

    @property
    def group(self) -> str:
        """Consumer group, without prefix."""
        ...

    @property
    def topic(self) -> str:
        """Input topic, without prefix."""
        ...

    @property
    def inline(self) -> bool:
        """True: records of a lane are handled one after the other in their order, and after a rebuild all that was not
        committed is handled again from the log (a router). False: each in a task of its own, and what is in flight or
        settled survives a rebuild (a worker)."""
        ...

    @property
    def custody(self) -> str:
        """The journal in which this process notes each call before it makes it (12 hex digits); empty: it keeps none.

        Travels in the commit metadata while the lane is open: a successor knows where to look."""
        ...

    def describe(self) -> dict[str, Any]:
        """What /healthz shows beside the lanes."""
        ...

    def order_of(self, record: Record) -> Hashable | None:
        """What the record must keep its place among: of those with an equal answer one at a time is worked on, in the
        order of their offsets. None: it has no order."""
        ...

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> LaneHandler:
        """Make ready for one lane. Called after its producer has fenced every predecessor."""
        ...
