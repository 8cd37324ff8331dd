"""Which jobs somebody cancelled: a fold of `inference.control.v1`, and whom to tell at once."""

from collections import OrderedDict
from datetime import datetime, timedelta
from weakref import ReferenceType, WeakKeyDictionary, ref

from pydantic import ValidationError

from runtime.ports import Lease, Record
from schemas.control import ControlEvent

Identity = tuple[str, str, int]
"""Tenant, id, submission."""
MOST = 200_000
"""Cancelled jobs that are remembered, the newest ones: a bound for the memory, far over what people cancel."""

SWEEP_BEYOND = 1_000


class Cancels:
    """The cancelled submissions. One event loop owns it; `fold` is given to a `Follower`.

    Holds only what cancels: whoever holds the job asks `of` when it begins, and is interrupted through its lease when
    the wish arrives while it works or waits. A wish counts for jobs that were published up to `window` after it: for so
    long an id names one job (`NOVIX_DEDUP_HOURS`), and whoever uses it again later asks for another.
    """

    def __init__(self, window: timedelta = timedelta(hours=24)) -> None:
        self._window = window
        self.wishes = 0
        """How many were folded: who holds thousands of jobs looks at them when there are more."""
        self._cancelled: OrderedDict[Identity, ControlEvent] = OrderedDict()
        self._held: WeakKeyDictionary[Lease, tuple[Identity, datetime]] = WeakKeyDictionary()
        """A lease that nobody has any more (its record was left to another process at rest) is forgotten."""
        self._by: dict[Identity, list[ReferenceType[Lease]]] = {}
        """The same by identity: thousands of wishes may come while thousands of jobs are held. What was forgotten above
        stays here until it is swept."""

    def fold(self, record: Record) -> None:
        """Take note of one record of the control topic. What is no control event is passed over."""
        try:
            event = ControlEvent.model_validate_json(record.value or b"")
        except ValidationError:
            return
        self.wishes += 1
        identity = (event.tenant, event.job_id, event.submission)
        known = self._cancelled.get(identity)
        if known is None or known.at < event.at:  # the later one counts for every job that the earlier one counts for
            self._cancelled[identity] = event
        self._cancelled.move_to_end(identity)
        if len(self._cancelled) > MOST:
            self._cancelled.popitem(last=False)
        for found in list(self._by.get(identity, ())):
            lease = found()
            held = self._held.get(lease) if lease is not None else None
            if lease is not None and held is not None and self.of(identity, held[1]) is not None:
                lease.interrupt()  # it breaks a call off: not for a wish that does not count

    def of(self, identity: Identity, published: datetime) -> ControlEvent | None:
        """The wish to cancel this submission of a job that was `published` then, if there is one."""
        wish = self._cancelled.get(identity)
        return wish if wish is not None and published - wish.at <= self._window else None

    def hold(self, identity: Identity, lease: Lease, published: datetime) -> None:
        """Whoever works under `lease` on the submission of a job that was `published` then wants to be interrupted;
        until `release`."""
        self._held[lease] = identity, published
        self._by.setdefault(identity, []).append(ref(lease))
        if len(self._by) > 2 * len(self._held) + SWEEP_BEYOND:
            self._sweep()

    def release(self, lease: Lease) -> None:
        """The work under `lease` is over. Harmless if it was not held."""
        held = self._held.pop(lease, None)
        if held is not None:
            others = [other for other in self._by.get(held[0], ()) if other() not in (None, lease)]
            if others:
                self._by[held[0]] = others
            else:
                self._by.pop(held[0], None)

    def _sweep(self) -> None:
        self._by = {}
        for lease, (identity, _) in self._held.items():
            self._by.setdefault(identity, []).append(ref(lease))
