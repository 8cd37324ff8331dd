"""A past that can be decided again: jobs, histories and decisions, made by the router's own state and deciders."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from router.arrival import Arrival, read_arrival
from router.arrivals import Arrivals
from router.case import Case
from router.catalogue import Catalogue, load
from router.decide import Ruling, decide
from router.facts import Fact, fact_of, sealed
from router.feedback import NO_LESSONS, Lessons
from router.history import History, Told
from router.purse import NO_PURSE, Purse
from router.replay import Replayed, batch_of, compared
from router.snapshot import catalogue_records
from router.state import State
from router.terms import FREE, Turn
from router.whatif.past import Ended, ended_of
from runtime.partitions import home_partition
from runtime.ports import LaneId, Outgoing, Record
from runtime.settings import Settings
from schemas import codec
from schemas.accounts import ACCOUNTS, AccountRecord
from schemas.assignment import Price
from schemas.base import Contract
from schemas.job import ReadableJob, Unreadable
from schemas.policies import POLICY_EVENTS, PolicyRecord
from schemas.prices import PriceEvent
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.result import Attempt, JobResult, Received, Who
from schemas.topics import BUDGETS, DECISIONS, JOBS, OFFERS, POLICIES, PRICES, REGISTRY, RESULTS, ROUTER_GROUP, Topic

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARTITIONS = 3
SANDBOX = "http://127.0.0.1:9"


class Counting:
    """Numbers a lane's batches as its books do."""

    def __init__(self) -> None:
        self._last = 0

    def sealed(self, decision_ids: Any, batches: int) -> int:
        first, self._last = self._last + 1, self._last + batches
        return first


class PastWorld:
    """Tell it prices, rules and accounts, give it jobs: everything stands in `records`, as on the topics."""

    def __init__(self, catalogue: Catalogue | None = None, **settings: Any) -> None:
        self.now = BEGAN
        self.records: dict[tuple[str, int], list[Record]] = {}
        self.results: dict[str, dict[str, Any]] = {}
        """By decision id."""
        self._counting = Counting()
        self._forgotten: dict[tuple[str, int], int] = {}
        self.start(catalogue, **settings)

    def start(self, catalogue: Catalogue | None = None, **settings: Any) -> None:
        """A router starts, perhaps with another catalogue and other settings than the one before it."""
        told = {"home": Path("/nonexistent"), "hf_router_url": SANDBOX, "sandbox_url": SANDBOX, **settings}
        self.settings = Settings(**told)
        self.catalogue = catalogue or load(self.settings)
        self.state = State(self.settings, self.catalogue)
        state = self.state
        for topic, fold in (
            (PRICES, state.prices.fold), (POLICIES, state.rules.fold), (BUDGETS, state.accounts.fold),
            (REGISTRY, state.registry.fold),
        ):  # fmt: skip
            for record in self.records.get((topic.name, 0), ()):
                fold(record)
        for out in catalogue_records(self.catalogue, self.now):
            self.append(out)

    def append(self, out: Outgoing, partition: int = 0) -> Record:
        """Write one record."""
        where = partition if out.partition is None else out.partition
        place = out.topic, where
        rows = self.records.setdefault(place, [])
        stamp = int(self.now.timestamp() * 1000) if out.timestamp_ms is None else out.timestamp_ms
        offset = self._forgotten.get(place, 0) + len(rows)
        rows.append(Record(out.topic, where, offset, out.key, out.value, out.headers, stamp))
        return rows[-1]

    def forget(self, place: tuple[str, int]) -> None:
        """The records of a partition are gone; offsets go on."""
        self._forgotten[place] = self._forgotten.get(place, 0) + len(self.records[place])
        self.records[place].clear()

    def _say(self, topic: Topic, told: Contract, fold: Any) -> None:
        fold(self.append(Outgoing(topic.name, None, told.encode(), partition=0)))

    def price(self, provider: str, model: str, **more: Any) -> None:
        """Somebody states a price, from now on. `price` None: it is withdrawn."""
        told = more.pop("price", {"input_nanousd_per_million_tokens": 5_000_000})
        price = None if told is None else Price.model_validate({"source": "told", "as_of": "2026-11-22", **told})
        told = {"source": "operator", "valid_from": self.now, "seen_at": self.now, **more}
        event = PriceEvent(provider=provider, model=model, price=price, **told)
        self._say(PRICES, event, self.state.prices.fold)

    def rule(self, **event: Any) -> None:
        """A policy, tier, alert rule or value."""
        told = POLICY_EVENTS.validate_python({"at": self.now, **event})
        self._say(POLICIES, PolicyRecord(event=told), self.state.rules.fold)

    def account(self, **event: Any) -> None:
        """An organisation, tenant, budget or transfer."""
        told = ACCOUNTS.validate_python({"at": self.now, **event})
        self._say(BUDGETS, AccountRecord(event=told), self.state.accounts.fold)

    def registry(self, **event: Any) -> None:
        """An admission, rules, an alias or facts."""
        told = REGISTRY_EVENTS.validate_python({"at": self.now, **event})
        self._say(REGISTRY, RegistryRecord(event=told), self.state.registry.fold)

    def turn(self, **span: float) -> None:
        """Time passes."""
        self.now += timedelta(**span)

    def decide(
        self, job: Mapping[str, Any] | bytes, *, purse: Purse = NO_PURSE, turn: Turn = FREE,
        shut: frozenset[tuple[str, str]] = frozenset(), lessons: Lessons = NO_LESSONS, published_ms: int | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> tuple[Arrival, Ruling, Fact | None]:  # fmt: skip
        """Publish a job and decide it as a home lane does. One that waits leaves no decision."""
        value = job if isinstance(job, bytes) else codec.encode(job)
        tenant = "default" if isinstance(job, bytes) else job.get("tenant", "default")
        home = home_partition(tenant, PARTITIONS)
        record = self.append(Outgoing(JOBS.name, None, value, headers, home, published_ms))
        arrival = read_arrival(record, self.now, PARTITIONS, "")
        assert not isinstance(arrival, Unreadable)
        self.turn(microseconds=700)
        view = self.state.view(arrival.reading.tenant, self.now).at(purse, turn, shut, lessons)
        case = Case(arrival, LaneId(ROUTER_GROUP, JOBS.name, home), 1, self.now, self.now)
        if isinstance(arrival.reading, ReadableJob):
            ruling = decide(arrival.reading.job, view, published=arrival.published, now=self.now)
        else:
            ruling = Ruling("rejected", self.now, 0, arrival.reading.kind, arrival.reading.message)
        if ruling.verdict == "waiting":
            return arrival, ruling, None
        fact = fact_of(case, ruling, view.versions)
        for out in sealed(case.lane, [fact], 10**6, self._counting):
            self.append(out)
        return arrival, ruling, fact

    def served(self, arrival: Arrival, ruling: Ruling, *, usage: dict[str, int], ms: int, paid: int) -> None:
        """The job ends well at its first candidate."""
        first = ruling.candidates[0]
        attempt = Attempt(
            attempt=1, model=first.model, provider=first.provider, started_at=self.now, waited_ms=0, duration_ms=ms,
            cost_nanousd=paid,
        )  # fmt: skip
        result = JobResult(
            job_id=arrival.reading.id, tenant=arrival.reading.tenant, status="succeeded",
            task=arrival.reading.job.task if isinstance(arrival.reading, ReadableJob) else None,
            asked=Who(model="auto", provider="auto"), served=Who(model=first.model, provider=first.provider),
            usage=usage, cost_nanousd=paid, cost_source="computed", attempts=[attempt],
            received=Received(topic=JOBS.name, partition=arrival.home, offset=arrival.record.offset, timestamp_ms=0),
            decision_id=arrival.decision_id, completed_at=self.now + timedelta(milliseconds=ms),
        )  # fmt: skip
        self.results[arrival.decision_id] = codec.decode(result.encode())
        self.append(Outgoing(RESULTS.name, arrival.identity.encode(), result.encode(), partition=arrival.home))

    @property
    def ended(self) -> dict[str, Ended]:
        """What the commands keep of the results, by decision id."""
        told = {name: ended_of(result) for name, result in self.results.items()}
        return {name: one for name, one in told.items() if one is not None}

    @property
    def history(self) -> History:
        """The histories as another machine reads them; what is told later is there as well."""

        def of(topic: Topic) -> Sequence[Record]:
            return self.records.setdefault((topic.name, 0), [])

        return History(Told(of(PRICES), of(POLICIES), of(BUDGETS), of(OFFERS), of(REGISTRY)))

    def arrivals(self) -> Arrivals:
        """All jobs, ready to be asked for."""
        arrivals = Arrivals(PARTITIONS, "")
        for (topic, _), rows in self.records.items():
            for record in rows if topic == JOBS.name else ():
                arrivals.add(record)
        return arrivals

    def replayed(self, history: History | None = None) -> Replayed:
        """Every decision made again and compared."""
        told, again, arrivals = Replayed(), history or self.history, self.arrivals()
        for (topic, _), rows in sorted(self.records.items()):
            for record in rows if topic == DECISIONS.name else ():
                for stored, stands in batch_of(record):
                    told.note(compared(stored, stands, arrivals.take(stored), again))
        return told
