"""Who may be assigned now and who waits: the lane's room, its tenants' rates, and how full the workers' queues are.

No clock, no I/O. A job waits in the room (`router/room.py`) for its turn among the others, its tenant's rate, or money;
the room keeps those apart that wait for different workers or different budgets, so that none of them holds up another.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from router.ahead import Ahead
from router.purse import Purse
from router.rates import Rates
from router.room import Waiter, WaitingRoom
from router.terms import Terms, Turn
from schemas.ledger import LedgerEntry
from schemas.values import frozen


@frozen
class Started:
    """What the lane remembers of a job that it has assigned."""

    destination: str
    """`destination_of` its first candidate."""
    expected: Mapping[tuple[str, str], int]
    """What a call of each candidate, (provider, model), will probably cost."""


MOST_OVERTAKEN = 12_000
"""Offsets that may go by while one job waits for money or an instant. A little more (`runtime.progress.WINDOW`), and
the lane would read no further, whosever jobs come."""


class Admission:
    """One lane's. `terms_of` says what a tenant may have now, `ahead` makes the limit of one destination's work."""

    def __init__(self, terms_of: Callable[[str], Terms], ahead: Callable[[], Ahead]) -> None:
        self._room = WaitingRoom()
        self._rates = Rates()
        self._terms_of = terms_of
        self._new_ahead = ahead
        self._ahead: dict[str, Ahead] = {}
        self._late: deque[tuple[Waiter, bool]] = deque()
        """Taken out of the room and not decided yet: those that are late, cancelled or overtaken, and whether they may
        wait on if they still must."""
        self._started: dict[str, Started] = {}
        """Jobs that are assigned and have not ended, by identity and submission: two dead letters of one id that are
        driven again are under way at once."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._room) + len(self._late)

    def turn(self, terms: Terms, now: datetime) -> Turn:
        """What the tenant's rate says of one more job."""
        return self._rates.look(terms, now)

    def may_start(self, tenant: str, destination: str, now: datetime) -> bool:
        """Whether a job that has just come may be assigned at once: nobody waits for a turn, nobody of its tenant for
        anything, and its workers' queue has room."""
        return not self._room.keeps_back(tenant) and self._of(destination).may(now)

    def wait(self, waiter: Waiter) -> None:
        """A job that has just come begins to wait."""
        self._room.enter(waiter)

    def wait_on(self, waiter: Waiter, *, for_money: bool, until: datetime | None) -> None:
        """A job whose turn it was goes on waiting, in its place: for a reservation of its tenant to end, or until an
        instant; with neither, for its next turn."""
        self._room.put_back(replace(waiter, needs_settle=for_money, not_before=until))

    def due(self, now: datetime, reached: int, excess_bytes: int = 0) -> Iterator[tuple[Waiter, bool]]:
        """Those that are to be decided now, taken out one after the other, each with whether it may wait on: then it is
        given back (`wait_on`) before the next.

        Who waits for money or an instant may not, if it holds back a lane that has read up to `reached`, or a process
        whose waiting jobs have `excess_bytes` too many.
        """
        self._late.extend((waiter, True) for waiter in self._room.expired(now))
        self._late.extend((one, False) for one in self._room.overtaken(reached - MOST_OVERTAKEN, excess_bytes))
        while self._late:  # the caller may stop at any of them
            yield self._late.popleft()
        while self._may_anybody(now) and (waiter := self._room.next(now, lambda one: self._may(one, now))) is not None:
            yield waiter, True

    def interrupted(self) -> None:
        """Somebody cancelled jobs: those of them that wait here are due."""
        found = [waiter for waiter in self._room if waiter.delivery.lease.interrupted]
        self._late.extend((waiter, True) for waiter in found if self._room.remove(waiter))

    def has_room(self, destination: str, now: datetime) -> bool:
        """Whether one more job may go there now."""
        return self._of(destination).may(now)

    def assigned(self, identity: str, submission: int, started: Started, terms: Terms, now: datetime) -> None:
        """The job goes to its worker now: it takes a place ahead, and counts for its tenant's rate."""
        name = f"{identity}/{submission}"
        self._of(started.destination).assigned(name, now)
        self._started[name] = started
        self._rates.take(terms, now)

    def ended(self, entry: LedgerEntry, now: datetime) -> Started | None:
        """A job of the lane ended, and its reservation with it. What was said of it when it was assigned; None: that
        was before the lane was opened."""
        name = f"{entry.tenant}/{entry.job_id}/{entry.submission}"
        started = self._started.pop(name, None)
        if started is not None:
            was_called = bool(entry.called_ms) or entry.status == "expired"
            self._of(started.destination).ended(name, entry.waited_ms if was_called else None, now)
        self.stir(entry.tenant)
        return started

    def unassigned(self, identity: str, submission: int, tenant: str, now: datetime) -> bool:
        """It is not assigned; whether it had been: then nobody will tell its end, and what it had is free."""
        name = f"{identity}/{submission}"
        started = self._started.pop(name, None)
        if started is None:
            return False
        self._of(started.destination).ended(name, None, now)
        self.stir(tenant)
        return True

    def stir(self, tenant: str) -> None:
        """Money of this tenant moved: who waits for it is asked again."""
        self._room.settled(tenant)

    def stir_all(self) -> None:
        """Budgets, prices or rules changed."""
        for tenant in {waiter.tenant for waiter in self._room}:
            self._room.settled(tenant)

    def wakes_at(self, now: datetime) -> datetime | None:
        """When somebody is due by time alone; a rate's time is not told."""
        return self._room.wakes_at(now)

    def everybody(self) -> list[Waiter]:
        """All that wait."""
        return [*(waiter for waiter, _ in self._late), *self._room]

    @property
    def bytes(self) -> int:
        """Of the records of those that wait."""
        return self._room.bytes

    def describe(self) -> dict[str, object]:
        """Who waits, for /healthz."""
        return {
            "waiting": self._room.describe(),
            "ahead": {destination: one.describe() for destination, one in sorted(self._ahead.items())},
        }

    def _may_anybody(self, now: datetime) -> bool:
        """Not while the queues of all the workers that somebody waits for are full: then nobody need be asked."""
        return any(self._of(destination).may(now) for destination in self._room.destinations())

    def _may(self, waiter: Waiter, now: datetime) -> bool:
        """Whether to decide it now. Who is over its rate waits on, unless its tenant chose to be refused."""
        if not self._of(waiter.destination).may(now):
            return False
        terms = self._terms_of(waiter.tenant)
        return terms.over_limit == "refuse" or self._rates.look(terms, now).allowed

    def _of(self, destination: str) -> Ahead:
        found = self._ahead.get(destination)
        if found is None:
            found = self._ahead[destination] = self._new_ahead()
        return found


def destination_of(modality: str, provider: str, model: str) -> str:
    """Whose queue a job goes to. A modality's workers serve all their models, but each has its own slots and its own
    breaker: one that does not get on holds up nobody who goes elsewhere."""
    return f"{modality} {provider}/{model}"


def queue_of(destination: str, purse: Purse) -> str:
    """Where a job stands in its tenant's line: with those of the same destination and the same hard budgets."""
    return " ".join((destination, *sorted(line.id for line in purse.lines if line.hard)))
