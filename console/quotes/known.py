"""What a quote is made from: prices, rules, accounts, breakers, budgets and dedicated endpoints as the topics have them
now, and what jobs like these have paid. Reads, outside any group; nothing is written."""

import heapq
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from console import endpoints
from console.exits import CommandError, Exit
from console.kafka import Log, connected
from console.money.joined import Ended
from console.money.reading import read
from router.accounts import Accounts
from router.calibration import Calibration, Observed
from router.catalogue import load
from router.money.books import Books
from router.prices.dedicated import egress, with_endpoints
from router.purse import NO_PURSE, Line, Purse
from router.quote import Quote, foreseen, quote
from router.ruling import Ruling
from router.state import State
from router.view import View
from runtime.outcome import CannotOpen
from runtime.partitions import home_partition
from runtime.ports import LaneId, Record
from runtime.settings import Loaded
from schemas.job import InferenceJob
from schemas.topics import BREAKERS, BUDGETS, DECISIONS, JOBS, LEDGER, POLICIES, PRICES, REGISTRY, ROUTER_GROUP, Topic

HISTORY = timedelta(days=7)
MOST_OBSERVED = 100_000
"""Jobs whose history is kept in mind, the newest."""


LEFT_OUT = "the catalogue's own prices, no registry, no rules, no accounts, no breakers, no budgets, no endpoints"
"""What stands in the place of what the topics tell, where they are not read."""


class Known:
    """What is known now, for quoting one job after the other. Budgets are read once a home, when a job asks for it."""

    def __init__(self, loaded: Loaded, log: Log | None = None) -> None:
        self._log = log
        self._books: dict[int, Books | None] = {}
        self._promised: Counter[tuple[str, str]] = Counter()
        """(tenant, budget) -> what jobs that were quoted together would have spent of it."""
        self.settings = loaded.settings
        self.base = load(loaded.settings)
        """The catalogue without dedicated endpoints."""
        self.state = State(loaded.settings, self.base)
        self.calibration = Calibration()
        self.notes: list[str] = []
        """What is not known, and what stands in its place."""

    @property
    def prices(self) -> str:
        """Whose prices they are."""
        return f"prices@{self.state.prices.version}" if self._log is not None else "the catalogue's own"

    async def quote(self, job: InferenceJob, now: datetime, *, together: bool = False) -> Quote:
        """What `job` would cost now, its tenant's budgets and open breakers considered; `together`: as if each job that
        was quoted so before it had paid what was predicted."""
        purse = await self._purse(job, now)
        if together:
            purse = Purse(tuple(self._less(job.tenant, line) for line in purse.lines))
        view = self._view(job, purse, now)
        one = quote(job, view, self.calibration, now=now)
        if together and one.verdict == "assigned":
            for line in purse.lines:
                if line.holds_for(one.model, one.provider):
                    self._promised[job.tenant, line.id] += one.predicted
        return one

    async def ruling(self, job: InferenceJob, now: datetime) -> tuple[Ruling, Ruling]:
        """What is decided about `job` now; and the same, or for one that waits what it will be when its turn comes."""
        return foreseen(job, self._view(job, await self._purse(job, now), now), now=now)

    def _view(self, job: InferenceJob, purse: Purse, now: datetime) -> View:
        return self.state.view(job.tenant, now).at(purse=purse, shut=self.state.health.shut(now))

    async def _purse(self, job: InferenceJob, now: datetime) -> Purse:
        books = await self._of(job.tenant, now)
        return NO_PURSE if books is None else books.purse(job, now)

    def _less(self, tenant: str, line: Line) -> Line:
        return replace(line, spent_nanousd=line.spent_nanousd + self._promised[tenant, line.id])

    async def _of(self, tenant: str, now: datetime) -> Books | None:
        """The money of the tenant's home; None where there is no log, or no hard budget asks for it."""
        if self._log is None or not self.state.accounts.budgets_of(tenant):
            return None
        reader = self._log.reader()
        home = home_partition(tenant, await reader.partitions(JOBS.name))
        if home not in self._books:
            try:
                lane = LaneId(ROUTER_GROUP, JOBS.name, home)
                self._books[home] = await Books.open(lane, reader, self.state.accounts, now)
            except CannotOpen as error:
                self._books[home] = None
                self.notes.append(f"budgets of partition {home} cannot be read ({type(error).__name__}): none counts")
        return self._books[home]


async def known(loaded: Loaded, log: Log, now: datetime, *, history: bool = True) -> Known:
    """Everything that the topics tell; without `history` not what jobs have paid. Raises `CommandError` where Kafka
    does not answer."""
    found = Known(loaded, log)
    state = found.state
    folds = {
        PRICES: state.prices.fold,
        POLICIES: state.rules.fold,
        BUDGETS: state.accounts.fold,
        REGISTRY: state.registry.fold,
        BREAKERS: state.health.fold,
    }
    for topic, fold in folds.items():
        async for record in _all(log, topic):
            fold(record)
    states = (await endpoints.read(log)).states.values()
    state.offer(with_endpoints(found.base, states, egress(loaded.settings)))
    if not history:
        return found
    observed = await _history(log, state.accounts, now)
    for one in observed:
        found.calibration.fold(one)
    if not observed:
        found.notes.append(f"no history: no job of the last {HISTORY.days} days has paid; intervals are 0 to ceiling")
    return found


@asynccontextmanager
async def knowing(loaded: Loaded, now: datetime, *, history: bool = True) -> AsyncIterator[Known]:
    """As `known`, for the length of the block; where Kafka does not answer, what settings and catalogue alone say, with
    a note."""
    asked = False
    try:
        async with connected(loaded) as log:
            found = await known(loaded, log, now, history=history)
            asked = True
            yield found
            return
    except CommandError as error:
        if asked or error.code is not Exit.UNREACHABLE:
            raise
    found = Known(loaded)
    found.notes.append(f"Kafka does not answer: {LEFT_OUT}{', no history' if history else ''}")
    yield found


async def _all(log: Log, topic: Topic) -> AsyncIterator[Record]:
    """A topic from its beginning to its present end; nothing where it does not exist."""
    reader = log.reader()
    for partition in range(await reader.partitions(topic.name)):
        first, end = await reader.bounds(topic.name, partition)
        async for record in reader.read(topic.name, partition, first, end):
            yield record


async def _history(log: Log, accounts: Accounts, now: datetime) -> list[Observed]:
    """What jobs of the last days were expected to pay and paid, in the order of their decisions."""
    reader = log.reader()
    if not (await reader.partitions(DECISIONS.name) and await reader.partitions(LEDGER.name)):
        return []
    newest: list[tuple[datetime, int, Observed]] = []
    number = 0

    def take(ended: Ended) -> None:
        nonlocal number
        one = observed(ended)
        if one is None:
            return
        number += 1
        (heapq.heappush if len(newest) < MOST_OBSERVED else heapq.heappushpop)(newest, (ended.at, number, one))

    await read(log, accounts, take, since=now - HISTORY)
    return [one for _, _, one in sorted(newest, key=lambda row: row[:2])]


def observed(ended: Ended) -> Observed | None:
    """A job that was called, with what its first candidate was expected to cost and what it paid in all; None for one
    that nobody called. Pure."""
    reservation, entry = ended.reservation, ended.entry
    if reservation is None or not reservation.held.places or not (entry.charges or entry.called_ms):
        return None
    held = reservation.held
    expected = min(reservation.expected_nanousd or held.estimates[0], held.nanousd)
    model, _ = held.places[0]
    return Observed(reservation.task or "", model, held.tenant, expected, entry.cost_nanousd, entry.called_ms)
