"""How many jobs a tenant may have assigned in a minute: one instant a tenant, no clock, no I/O.

The generic cell rate algorithm (ITU-T I.371, "virtual scheduling"): each job is due one interval after the one before,
and may come earlier than due by a tolerance. It is the token bucket, kept as the one instant at which it is full again.
"""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from router.terms import FREE, Terms, Turn

MINUTE_NS = 60_000_000_000
TOLERANCE_NS = 500_000_000
"""Half a second's worth may come at once, beside one job: in any minute 0.83 % more than the rate. And whoever looks
every half second lets no job be lost by looking late."""
MOST_TENANTS = 100_000
"""Whose last job was long enough ago is forgotten; beyond this, whoever came first is: it has one burst too many."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rates:
    """The rates of the tenants of one lane.

    In any minute (half-open) a tenant has at most its rate, half a second's worth and one job; with enough work, and
    looked at every half second, no less than its rate. Another rate holds from the next look on. A clock that is set
    back, however far, costs a tenant at most one burst; one that is set forward gives it one.
    """

    def __init__(self) -> None:
        self._due: OrderedDict[str, int] = OrderedDict()
        """When each tenant's next job would be due, in nanoseconds since 1970; whose last job came last is last."""

    def look(self, terms: Terms, now: datetime) -> Turn:
        """Whether one more job of the tenant may be assigned now, and if not, when."""
        rate = terms.requests_per_minute
        if rate is None:
            return FREE
        at = _ns(now)
        early = self._due_of(terms.tenant, at, interval(rate)) - TOLERANCE_NS
        if early <= at:
            return FREE
        return Turn(False, _instant(early), f"{rate} requests a minute (tier {terms.tier})")

    def take(self, terms: Terms, now: datetime) -> None:
        """One job of the tenant is assigned now."""
        rate = terms.requests_per_minute
        if rate is None:
            self._due.pop(terms.tenant, None)
            return
        at, step = _ns(now), interval(rate)
        self._due[terms.tenant] = min(max(at, self._due_of(terms.tenant, at, step)), at + TOLERANCE_NS) + step
        self._due.move_to_end(terms.tenant)
        self._forget(at)

    def _due_of(self, tenant: str, at: int, step: int) -> int:
        """Never further away than a burst brings it: else the clock was set back, or the rate was lower before."""
        due, furthest = self._due.get(tenant, 0), at + TOLERANCE_NS + step
        if due > furthest:
            due = self._due[tenant] = furthest
        return due

    def _forget(self, at: int) -> None:
        """Two at most for each that comes, so that none stays for ever and nobody waits for the sweep."""
        for _ in range(2):
            first = next(iter(self._due))
            if self._due[first] > at and len(self._due) <= MOST_TENANTS:
                return
            if len(self._due) > 1:
                del self._due[first]

    def __len__(self) -> int:
        return len(self._due)


def interval(requests_per_minute: int) -> int:
    """The time between two jobs, in nanoseconds."""
    return MINUTE_NS // requests_per_minute


def _ns(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1_000


def _instant(since_1970_ns: int) -> datetime:
    """Rounded up to the microsecond: a job is never allowed before its time."""
    return _EPOCH + timedelta(microseconds=-(-since_1970_ns // 1_000))
