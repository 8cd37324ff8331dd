"""A day of jobs in virtual time: a dedicated endpoint that is always on, one that jobs wake, and serverless.

The rules are the product's own: `router.prices.dedicated` says what the endpoint costs a job and how soon it answers,
`hub.endpoints` decides about wakes and sleeps and meters the cost, `workers.sleeping` says what a waiting job does, and
the sandbox's machine starts, runs and bills. Only jobs, queue and clock are made here.
"""

import heapq
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bench.figure import Figure
from hub.endpoints import observe
from hub.endpoints.decide import next_step
from hub.endpoints.waiting import Lag
from hub.endpoints.wire import Seen
from router.catalogue import Offer
from router.prices.dedicated import offer_of
from runtime.ports import Record
from sandbox.hf.endpoints.machine import Machine, Times
from schemas.assignment import Candidate, Price
from schemas.endpoints import EndpointSpec, EndpointState, Measured
from schemas.topics import ENDPOINTS
from workers.sleeping import Asleep, Rest, Sleeping

NAME = "endpoint_day"
URL = "https://day"
DAY_S = 86_400
DAYS = 7
TICK_S = 5
LOOK_S = 10
"""Between two looks of the controller: `NOVIX_ENDPOINTS_POLL_S`."""
BEGIN = datetime(2026, 11, 23, tzinfo=UTC)
DRAIN_S = 7_200
"""After the last day, for what still waits; it is not charged for."""
DEADLINES_S = ((0.6, 1_800), (0.3, 7_200), (0.1, 120))
"""Share of the jobs, and the time that they have."""


@dataclass(frozen=True)
class Work:
    """What is done, on what. Hourly prices are those of Hugging Face's price page (20 August 2026); how long a call
    takes and what it costs serverless are assumed."""

    name: str
    instance: str
    hour_nanousd: int
    call_s: float
    in_flight: int
    """Calls that a replica works on at a time."""
    serverless_nanousd: int
    """Of one call."""


CHATS = Work("chats", "nvidia-l4", 800_000_000, 4.0, 8, 60_000)
"""An 8B model: 700 tokens in and 200 out, $0.06 and $0.09 a million."""
PICTURES = Work("pictures", "nvidia-l40s", 1_800_000_000, 4.0, 1, 3_000_000)
"""A picture of a megapixel, $0.003."""
LOADS = ((CHATS, 500), (CHATS, 50_000), (PICTURES, 500), (PICTURES, 5_000))


@dataclass(frozen=True)
class Way:
    """How a day's jobs are done."""

    name: str
    dedicated: bool = True
    always_on: bool = False
    batch_wait_s: int = 0
    sleep_after_s: int = 120
    wake_on_lag: bool = True
    fallback: bool = True
    """What a start cannot help goes to serverless; else it is refused at once."""
    by_price: bool = False
    """A job goes to whoever is cheaper when it comes, as policy `cheapest` has it; else to the endpoint."""


WAYS = (
    Way("serverless", dedicated=False),
    Way("always on", always_on=True),
    Way("wake on lag", sleep_after_s=120),
    Way("wake on lag, batches of 10 min", batch_wait_s=600, sleep_after_s=60),
    Way("the cheaper of both", batch_wait_s=600, sleep_after_s=60, by_price=True),
    Way("wake on lag, batches of 10 min, alone", batch_wait_s=600, sleep_after_s=60, fallback=False),
)


@dataclass
class Day:
    """What became of the jobs."""

    cost_nanousd: int = 0
    met: int = 0
    missed: int = 0
    refused: int = 0
    elsewhere: int = 0
    """Done by serverless, because the endpoint could not be there in time, or was dearer."""
    starts: int = 0
    running_s: float = 0.0
    differs_nanousd: int = 0
    """Between what the controller metered and what the sandbox billed."""

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.met + self.missed + self.refused


@dataclass(order=True)
class Job:
    """One that waits, by its deadline."""

    deadline: float
    arrived: float = field(compare=False)
    looks: float = field(compare=False)
    """When it looks again whether the endpoint serves."""


def arrivals(jobs_a_day: int, seed: int = 7) -> Iterator[tuple[float, float]]:
    """Instant and deadline of each job, in seconds: a Poisson process whose rate has a quiet night, a busy morning and
    a busier afternoon. By thinning: Lewis and Shedler, 1979."""
    dice, at, most = random.Random(seed), 0.0, max(_shape(hour) for hour in range(24))
    mean = sum(_shape(hour) for hour in range(24)) / 24
    while True:
        at += dice.expovariate(jobs_a_day / DAY_S * most / mean)
        if at >= DAY_S * DAYS:
            return
        if dice.random() * most <= _shape(at / 3_600 % 24):
            chance, left = dice.random(), DEADLINES_S[-1][1]
            for share, seconds in DEADLINES_S:
                if chance < share:
                    left = seconds
                    break
                chance -= share
            yield at, at + left


def _shape(hour: float) -> float:
    """Work at an hour of the day, against that of the night."""
    return 0.05 + math.exp(-((hour - 10.5) ** 2) / 4) + 1.4 * math.exp(-((hour - 15.5) ** 2) / 5)


def run(way: Way, work: Work, jobs_a_day: int) -> Day:
    """`DAYS` days of jobs, done that way."""
    day = Day()
    if not way.dedicated:
        for _ in arrivals(jobs_a_day):
            day.met += 1
            day.cost_nanousd += work.serverless_nanousd
        return day
    return _Endpoint(way, work, day).run(jobs_a_day)


class _Endpoint:
    """One endpoint through the days. Its first start is before the first job."""

    def __init__(self, way: Way, work: Work, day: Day) -> None:
        self.way, self.work, self.day = way, work, day
        scaling = {
            "min_replicas": int(way.always_on), "max_replicas": 1, "batch_wait_s": way.batch_wait_s,
            "sleep_after_s": way.sleep_after_s, "wake_on_lag": way.wake_on_lag,
        }  # fmt: skip
        spec = EndpointSpec.model_validate(
            {
                "namespace": "acme", "name": "day", "tenant": "default", "model": "acme/8b", "task": "text-generation",
                "instance_type": work.instance, "scaling": scaling,
            }
        )  # fmt: skip
        least = int(way.always_on)
        self.machine = Machine(
            spec.key, "gpu", work.hour_nanousd, least, 1, None if way.always_on else timedelta(minutes=15), BEGIN,
            times=Times(),
        )  # fmt: skip
        self.machine.begin(BEGIN)
        self.state: EndpointState = observe.begun(spec, BEGIN)
        self.offered = self.state, offer_of(self.state)
        self.sleeping = Sleeping()
        self.candidate = Candidate(
            model=spec.model, provider=self.offer.provider, provider_model=spec.model, dialect="endpoint", base_url=URL,
            price=Price(source="", as_of=""), estimate_nanousd=0, ceiling_nanousd=0, max_in_flight=work.in_flight,
        )  # fmt: skip
        self.served = 0
        self.waiting: list[Job] = []
        self.calls: list[float] = []
        self.last_end: float | None = None

    def run(self, jobs_a_day: int) -> Day:
        """All days."""
        coming = arrivals(jobs_a_day)
        following = next(coming, None)
        for at in range(0, DAY_S * DAYS + DRAIN_S, TICK_S):
            now = BEGIN + timedelta(seconds=at)
            self.machine.advance(now)
            if at == DAY_S * DAYS:
                self._account(now)
            while following is not None and following[0] <= at:
                self._arrive(following, at)
                following = next(coming, None)
            self._serve(at, now)
            if at % LOOK_S == 0:
                self._look(at, now)
        self.day.missed += len(self.waiting)
        return self.day

    def _account(self, now: datetime) -> None:
        """What the days have cost, by the sandbox's bill, and whether the controller has metered the same."""
        self._observe(now, Lag())
        bill = self.machine.bill(now)
        self.day.cost_nanousd += bill
        self.day.starts = self.machine.starts
        self.day.running_s = self.machine.billed_minutes(now) * 60
        self.day.differs_nanousd = (self.state.costs.total_nanousd or 0) - bill

    def _arrive(self, job: tuple[float, float], at: float) -> None:
        arrived, deadline = job
        too_late = (self.offer.first_token_ms or 0) / 1_000 + self.work.call_s > deadline - at
        if too_late or (self.way.by_price and self._is_dearer()):
            self._elsewhere(at, deadline)
        else:
            heapq.heappush(self.waiting, Job(deadline, arrived, at))

    @property
    def offer(self) -> Offer:
        """As the router has it now."""
        if self.offered[0] is not self.state:
            self.offered = self.state, offer_of(self.state)
        return self.offered[1]

    def _elsewhere(self, at: float, deadline: float) -> None:
        """To the next candidate; without one it is refused at once."""
        if not self.way.fallback:
            self.day.refused += 1
            return
        self.day.met += at + self.work.call_s <= deadline
        self.day.missed += at + self.work.call_s > deadline
        self.day.elsewhere += 1
        self.day.cost_nanousd += self.work.serverless_nanousd

    def _is_dearer(self) -> bool:
        """Whether a call to the endpoint costs more than serverless, as offers tell it."""
        price = self.offer.price
        if price is None:
            return True
        call_ms = round(self.work.call_s * 1_000)
        return price.nanousd_per_call + price.nanousd_per_compute_ms * call_ms > self.work.serverless_nanousd

    def _serve(self, at: float, now: datetime) -> None:
        while self.calls and self.calls[0] <= at:
            self.last_end = heapq.heappop(self.calls)
        serves, later = self.machine.answers(now), list[Job]()
        while self.waiting and len(self.calls) < self.work.in_flight * max(1, self.machine.ready):
            job = heapq.heappop(self.waiting)
            if job.looks > at:
                later.append(job)
                continue
            rest = self._rest(job, now)
            if isinstance(rest, Asleep):
                job.looks = (rest.until - BEGIN).total_seconds()
                later.append(job)
            elif rest is not None:
                self._elsewhere(at, job.deadline)
            elif serves:
                end = at + self.work.call_s
                heapq.heappush(self.calls, end)
                self.served += 1
                self.day.met += end <= job.deadline
                self.day.missed += end > job.deadline
                self.machine.used(now)
            else:
                self.machine.used(now)  # the call itself wakes it, and is held meanwhile
                later.append(job)
        for job in later:
            heapq.heappush(self.waiting, job)
        self.machine.in_flight = len(self.calls)

    def _rest(self, job: Job, now: datetime) -> Rest | None:
        deadline = BEGIN + timedelta(seconds=job.deadline)
        return None if now >= deadline else self.sleeping.look(self.candidate, now, deadline)

    def _look(self, at: float, now: datetime) -> None:
        cold = self.state.cold_start_s
        in_time = [job.deadline for job in self.waiting if job.deadline > at + cold]
        lag = Lag(
            jobs=len(self.waiting) + len(self.calls),
            oldest=_instant(min((job.arrived for job in self.waiting), default=None)),
            deadline=_instant(min(in_time, default=None)),
            last_end=_instant(self.last_end),
            lost=len(self.waiting) - len(in_time),
        )
        self._observe(now, lag)
        for command in next_step(self.state, lag, now):
            if command.action == "resume":
                self.machine.begin(now)
            else:
                self.machine.sleep(now)
            self._observe(now, lag)  # the controller keeps what the call answers

    def _observe(self, now: datetime, lag: Lag) -> None:
        machine = self.machine
        seen = Seen(
            name="day", id="day", status=machine.state, updated_at=machine.since,  # type: ignore[arg-type]
            url=URL, ready_replicas=machine.ready, target_replicas=machine.target, message="",
            last_used_at=machine.last_used, health_route="/health", document={},
        )  # fmt: skip
        look = observe.Look(
            now, hour_nanousd=self.work.hour_nanousd, healthy=machine.answers(now), lag=lag,
            measured=Measured(attempts=self.served, succeeded=self.served),
        )  # fmt: skip
        before, self.state = self.state, observe.observed(self.state, seen, look)
        if observe.is_news(before, self.state):  # as the topic tells it
            self.sleeping.fold(Record(ENDPOINTS.name, 0, 0, b"acme/day", self.state.encode(), (), 0))


def _instant(at: float | None) -> datetime | None:
    return None if at is None else BEGIN + timedelta(seconds=at)


def measure(*, quick: bool) -> list[Figure]:
    """Every way at each load. Needs no Kafka, and a minute."""
    figures: list[Figure] = []
    for work, jobs_a_day in LOADS[::2] if quick else LOADS:
        for way in WAYS:
            began = time.perf_counter()
            day = run(way, work, jobs_a_day)
            took = time.perf_counter() - began
            hours = day.running_s / 3_600 / DAYS
            name = f"{jobs_a_day:,} {work.name} a day, {way.name}"
            note = (
                f"deadlines met {day.met / day.jobs:.2%} of {day.jobs:,}; missed {day.missed:,}, refused at once "
                f"{day.refused:,}; by serverless {day.elsewhere:,}; {day.starts / DAYS:.1f} starts and {hours:.1f} "
                f"replica-hours a day; simulated in {took:.1f} s"
            )
            figures.append(Figure(NAME, name, day.cost_nanousd / 1e9 / DAYS, "US dollars a day", note=note))
            figures.append(Figure(NAME, "  metered less billed", day.differs_nanousd, "nano-dollars", "0"))
    return figures
