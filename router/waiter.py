"""A job that waits in the router for its turn. A value."""

from datetime import datetime

from runtime.ports import Delivery
from runtime.waiting import Priority
from schemas.values import frozen


@frozen
class Waiter:
    """One job whose record is held (`runtime.outcome.Hold`), with what its turn depends on."""

    delivery: Delivery
    tenant: str
    priority: Priority
    identity: str
    """Unique among those that wait."""
    digest: str
    """Of its content: a second record of the same identity is the same job, or another one."""
    deadline: datetime
    cost_nanousd: int = 0
    """What it is expected to cost: what it counts against its tenant's share."""
    weight: int = 1
    """Its tenant's share beside others; the last one told holds."""
    ordering_key: str | None = None
    """Jobs of one key of a tenant begin in the order in which they came, whatever their priorities."""
    not_before: datetime | None = None
    """It cannot begin earlier: a rate, or a budget's next window."""
    needs_settle: bool = False
    """It cannot begin before a reservation of its tenant ends (`WaitingRoom.settled`), or `not_before` has come."""
    destination: str = ""
    """Whose queue it goes to (`admission.destination_of`)."""
    queue: str = ""
    """Where it stands in its tenant's line: nobody in it is held up by who waits for something else."""

    @property
    def size_bytes(self) -> int:
        """What its record takes in memory, roughly."""
        return len(self.delivery.record.value or b"")
