"""A whole application from one function: what `runtime/` needs besides a handler, with the answers of most."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any

from runtime.outcome import CallsNobody, Done, GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Delivery, LaneId, LogReader, Outgoing, Record, Resumed
from schemas.failure import FailureKind

Handle = Callable[[Delivery], Awaitable[Outcome]]


def unordered(record: Record) -> Hashable | None:
    """No record need keep its place."""


@dataclass(frozen=True, slots=True)
class FunctionApplication:
    """Runs `handle` on each record of `topic`, many at once, as the consumer group `group` (both without prefix).

    What it raises makes a dead letter (`internal`); a `RetryAt` waits in memory however long it is.
    """

    group: str
    topic: str
    handle: Handle
    inline: bool = False
    order: Callable[[Record], Hashable | None] = unordered
    custody: str = ""

    def describe(self) -> dict[str, Any]:
        """Nothing beside the lanes."""
        return {}

    def order_of(self, record: Record) -> Hashable | None:
        """What the record must keep its place among."""
        return self.order(record)

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> "FunctionHandler":
        """Nothing to read or to make ready."""
        return FunctionHandler(self.handle)


class FunctionHandler(CallsNobody):
    """One lane of it. Keeps nothing."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def handle(self, delivery: Delivery) -> Outcome:
        """What the function answers."""
        return await self._handle(delivery)

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        """A dead letter that names the exception's class, and no content."""
        name = type(error).__name__
        return GiveUp(FailureKind.INTERNAL, f"the handler failed with {name}", error_type=name)

    def postpone(self, delivery: Delivery, retry: RetryAt) -> Publish | None:
        """There is nowhere else to wait."""
        return None

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        """No shared records."""
        return []

    def committed(self, facts: list[Any]) -> None:
        """Nothing is decided from what is committed."""

    async def close(self) -> None:
        """Nothing was opened."""
