"""Which jobs somebody cancelled: a fold of `inference.control.v1`, and whom to tell at once."""

from collections import OrderedDict
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from pydantic import ValidationError

from runtime.ports import Lease, Record
from schemas.control import ControlEvent

Identity = tuple[str, str, int]
"""Tenant, id, submission."""
MOST = 200_000
"""Cancelled jobs that are remembered, the newest ones: a bound for the memory, far over what people cancel."""


class Cancels:
    """The cancelled submissions. One event loop owns it; `fold` is given to a `Follower`.

    Holds only what cancels: whoever holds the job asks `of` when it begins, and is interrupted through its lease when
    the wish arrives while it works or waits. A wish counts for jobs that were published up to `window` after it: for so
    long an id names one job (`NOVIX_DEDUP_HOURS`), and whoever uses it again later asks for another.
    """

    def __init__(self, window: timedelta = timedelta(hours=24)) -> None:
        self._window = window
        self._cancelled: OrderedDict[Identity, ControlEvent] = OrderedDict()
        self._held: WeakKeyDictionary[Lease, tuple[Identity, datetime]] = WeakKeyDictionary()
        """A lease that nobody has any more (its record was left to another process at rest) is forgotten."""

    def fold(self, record: Record) -> None:
        """Take note of one record of the control topic. What is no control event is passed over."""
        try:
            event = ControlEvent.model_validate_json(record.value or b"")
        except ValidationError:
            return
        identity = (event.tenant, event.job_id, event.submission)
        known = self._cancelled.get(identity)
        if known is None or known.at < event.at:  # the later one counts for every job that the earlier one counts for
            self._cancelled[identity] = event
        self._cancelled.move_to_end(identity)
        if len(self._cancelled) > MOST:
            self._cancelled.popitem(last=False)
        for lease, (held, published) in list(self._held.items()):
            if held == identity and self.of(identity, published) is not None:
                lease.interrupt()  # it breaks a call off: not for a wish that does not count

    def of(self, identity: Identity, published: datetime) -> ControlEvent | None:
        """The wish to cancel this submission of a job that was `published` then, if there is one."""
        wish = self._cancelled.get(identity)
        return wish if wish is not None and published - wish.at <= self._window else None

    def hold(self, identity: Identity, lease: Lease, published: datetime) -> None:
        """Whoever works under `lease` on the submission of a job that was `published` then wants to be interrupted;
        until `release`."""
        self._held[lease] = identity, published

    def release(self, lease: Lease) -> None:
        """The work under `lease` is over. Harmless if it was not held."""
        self._held.pop(lease, None)
