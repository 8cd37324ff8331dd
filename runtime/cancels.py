"""Which jobs somebody cancelled: a fold of `inference.control.v1`, and whom to tell at once."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from runtime.ports import Lease, Record
from schemas.control import ControlEvent

Identity = tuple[str, str, int]
"""Tenant, id, submission."""
MOST = 200_000
"""Cancelled jobs that are remembered, the newest ones: a bound for the memory, far over what people cancel."""


class Cancels:
    """The cancelled submissions. One event loop owns it; `fold` is given to a `Follower`.

    Holds only what cancels: whoever holds the job asks `by` when it begins, and is interrupted through its lease when
    the wish arrives while it works or waits.
    """

    def __init__(self) -> None:
        self._cancelled: OrderedDict[Identity, ControlEvent] = OrderedDict()
        self._held: dict[Identity, list[Lease]] = {}

    def fold(self, record: Record) -> None:
        """Take note of one record of the control topic. What is no control event is passed over."""
        try:
            event = ControlEvent.model_validate_json(record.value or b"")
        except ValidationError:
            return
        identity = (event.tenant, event.job_id, event.submission)
        self._cancelled[identity] = event
        self._cancelled.move_to_end(identity)
        if len(self._cancelled) > MOST:
            self._cancelled.popitem(last=False)
        for lease in list(self._held.get(identity, ())):
            lease.interrupt()

    def of(self, identity: Identity) -> ControlEvent | None:
        """The wish to cancel this submission, if there is one."""
        return self._cancelled.get(identity)

    def hold(self, identity: Identity, lease: Lease) -> None:
        """Whoever works on the submission under `lease` wants to be interrupted; until `release`."""
        self._held.setdefault(identity, []).append(lease)

    def release(self, identity: Identity, lease: Lease) -> None:
        """The work under `lease` is over. Harmless if it was not held."""
        leases = self._held.get(identity)
        if leases is not None and lease in leases:
            leases.remove(lease)
            if not leases:
                del self._held[identity]

    @contextmanager
    def holding(self, identity: Identity, lease: Lease) -> Iterator[None]:
        """`hold` for the length of a block."""
        self.hold(identity, lease)
        try:
            yield
        finally:
            self.release(identity, lease)
