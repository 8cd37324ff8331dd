"""A worker as the lane engine sees it: assigned jobs in, results out. `steps.py` tells what happens between."""

from collections.abc import Hashable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from runtime.breaker import BreakerKey, Breakers
from runtime.cancels import Cancels
from runtime.capture import Capture
from runtime.credentials import Credentials
from runtime.http import AsyncBaseTransport
from runtime.intents import Intents, NoIntents
from runtime.limits import Limits
from runtime.metrics.work import WorkMeter
from runtime.outcome import Abandoned, Done, GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Clock, Delivery, Dice, LaneId, Lease, LogReader, Outgoing, Record, Resumed
from runtime.probe import Probes
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.tally import Tally
from schemas.failure import FailureKind
from schemas.topics import MODALITY_TOPICS, worker_group
from workers.access import Doors
from workers.assigned import Assigned, read_assigned
from workers.call import Caller
from workers.calling import Calls
from workers.carried import taken_up
from workers.deltas import Deltas
from workers.ending import Fact, undecodable
from workers.fetching import Fetching
from workers.inheritance import Inheritance
from workers.keys import Keys
from workers.mapping import Mappings
from workers.patience import Patience
from workers.postpone import is_ordered, postponed, stays
from workers.progress import Progress
from workers.ready import STORE_S, Payloads, Readiness
from workers.retry import RetryPolicy, Stop
from workers.room import AnswerRoom
from workers.settlement import sealed
from workers.sleeping import Sleeping
from workers.steps import Steps
from workers.thrift import Thrift
from workers.turn import Turn

Key = BreakerKey
SECONDS = frozenset({"retry_at", "held_until"})
"""Monotonic instants: shown as what is left to them."""
WAITING_SHARE = 1
"""Jobs that may wait for a slot, for each job that may be in flight."""


def window_of(settings: Settings) -> int:
    """How many records of one modality a process has in hand at most."""
    return settings.max_in_flight * (1 + WAITING_SHARE)


class Workshop:
    """What the workers of one process share, whatever their modalities. `async with` ends what still runs.

    `limits` and `breakers` are keyed by (provider, model) and run on `clock.monotonic`. Without `payloads` nothing
    travels by reference; without `fetching` no answer's address is fetched; without `deltas` no piece is published.
    """

    def __init__(
        self, settings: Settings, http: AsyncBaseTransport, credentials: Credentials, limits: Limits[Key],
        breakers: Breakers, clock: Clock, dice: Dice, *, intents: Intents | None = None, cancels: Cancels | None = None,
        keys: Keys | None = None, payloads: Payloads | None = None, fetching: Fetching | None = None,
        deltas: Deltas | None = None, mappings: Mappings | None = None, store_s: float = STORE_S,
        capture: Capture | None = None, meter: WorkMeter | None = None, sleeping: Sleeping | None = None,
        registry: Registry | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.limits = limits
        self.breakers = breakers
        self.clock = clock
        self.intents = intents or NoIntents()
        self.cancels = cancels or Cancels()
        self.deltas = deltas
        self.capture = capture
        self.meter = meter = meter or WorkMeter()
        breakers.on_change(lambda key: meter.moved(*key, breakers.views()[key].state))
        limits.on_hold(lambda key, _: meter.held(*key))
        self.probes: Probes | None = None
        """Who looks whether the providers answer; the process's to open."""
        self._caller = Caller(
            http, clock, AnswerRoom(settings.max_in_flight_bytes, settings.max_response_bytes), fetching=fetching,
            patience=Patience(poll_s=settings.poll_s),
        )  # fmt: skip
        mappings = mappings or Mappings(http, settings.hf_hub_url, clock, max_age_s=settings.mapping_s)
        doors = Doors(settings, credentials, keys or Keys())
        readiness = Readiness(settings, doors, mappings, payloads, clock, store_s=store_s)
        self.steps = Steps(
            Calls(settings, self._caller, readiness.redact, self.intents, self.cancels, clock, deltas),
            readiness,
            self._caller.room,
            limits,
            breakers,
            Thrift(settings.retry_budget, settings.retry_budget_least, clock),
            self.cancels,
            RetryPolicy(settings.max_retries + 1, settings.backoff_factor_s, settings.backoff_max_s),
            clock,
            dice,
            longest_rest=timedelta(seconds=settings.retry_in_memory_s),
            meter=meter,
            capture=capture,
            sleeping=sleeping,
            registry=registry,
        )

    async def __aenter__(self) -> "Workshop":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._caller.settled()

    @property
    def ready(self) -> bool:
        """Whether a call that comes now is begun: every provider answers, and calls can be noted."""
        return (self.probes is None or self.probes.all_reachable) and not self.intents.describe().get("trouble")

    def describe(self) -> dict[str, Any]:
        """Limits, breakers, notes and deltas, as /healthz shows them."""
        now = self.clock.monotonic()
        return {
            "limits": _shown(self.limits.view(), now),
            "breakers": _shown(self.breakers.views(), now),
            "intents": self.intents.describe(),
            **({"capture": self.capture.describe()} if self.capture is not None else {}),
            **({"refused_credentials": refused} if (refused := self.steps.credits.describe()) else {}),
            **({"deltas": self.deltas.describe()} if self.deltas is not None else {}),
            **({"providers": self.probes.view()} if self.probes is not None else {}),
        }


class WorkerApplication:
    """Serves the tasks of one modality. One `handle` makes at most one call to a provider."""

    inline = False

    def __init__(self, workshop: Workshop, modality: str = "text") -> None:
        """Raises KeyError for a modality that there is not."""
        self.group = worker_group(modality)
        self.topic = MODALITY_TOPICS[modality].name
        self.workshop = workshop
        self.clock = workshop.clock
        self.intents = workshop.intents
        self.cancels = workshop.cancels
        self.steps = workshop.steps
        self.tally = Tally()
        self.inherited = Inheritance(self.intents, window=window_of(workshop.settings))

    @property
    def custody(self) -> str:
        """The journal in which calls are noted."""
        return self.intents.custody

    def describe(self) -> dict[str, Any]:
        """What the process's workers share, and what was counted here, as /healthz shows it."""
        return {**self.workshop.describe(), **self.tally.describe()}

    def order_of(self, record: Record) -> Hashable | None:
        """The key of a record whose job has an ordering key."""
        return record.key if is_ordered(record) else None

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> "WorkerLane":
        """Look which calls were out when the lane's last process ended. Raises `IntentsUnavailable`."""
        await self.inherited.look(lane, log, resumed)
        return WorkerLane(self, str(lane))


class WorkerLane:
    """The work of one lane."""

    def __init__(self, app: WorkerApplication, lane: str = "") -> None:
        self._app = app
        self._lane = lane
        self._broken: dict[Lease, Turn] = {}
        """Turns that a fault of ours has ended, until `fault` is asked what that means."""

    async def handle(self, delivery: Delivery) -> Outcome:
        """Make at most one call for one assigned job.

        Returns an outcome for every fault of the provider's, and of ours while a call is out. Raises `Abandoned` where
        the partition is no longer held, or there is no memory to read the record, and else only for a fault of ours;
        `fault` knows what was paid by then.
        """
        try:
            job = read_assigned(delivery.record)
        except MemoryError:
            raise Abandoned from None
        if isinstance(job, str):
            called = self._app.inherited.may_have_called(self._lane, delivery.record.offset)
            return undecodable(delivery.record, job, self._app.clock.now(), uncalled=not called)
        app, outcome = self._app, None
        delivery.lease.uncalled = delivery.lease.uncalled or delivery.attempt == 1
        turn = Turn(delivery, job, self._progress(delivery, job))
        known = len(turn.progress.attempts)
        died_alone = app.inherited.take(self._lane, turn)
        app.cancels.hold(job.identity, delivery.lease, job.published)
        try:
            outcome = await app.steps.outcome(turn, self._lane, died_alone=died_alone, calls_before=known)
        except Abandoned:
            raise
        except Exception:
            self._broken[delivery.lease] = turn
            raise
        finally:
            if not isinstance(outcome, RetryAt):  # a job at rest is held on to: it may be cancelled there
                app.cancels.release(delivery.lease)
        return outcome

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        """`failed/internal`, with the job's copy among the dead letters; the fault is named by its class alone."""
        name = type(error).__name__
        job = read_assigned(delivery.record)
        if isinstance(job, str):
            return GiveUp(FailureKind.INTERNAL, f"the worker failed with {name}: {job}", error_type=name)
        turn = self._broken.pop(delivery.lease, None) or Turn(delivery, job, self._progress(delivery, job))
        return turn.stopped(Stop(FailureKind.INTERNAL, f"the worker failed with {name}"), self._app.clock.now(), name)

    def postpone(self, delivery: Delivery, retry: RetryAt) -> Publish | None:
        """The job with what it has been through, for a retry topic.

        None for one that must keep its place or may not leave yet; in a drain, and while its partition is taken away,
        for one that nothing has happened to.
        """
        job, progress = read_assigned(delivery.record), retry.memo
        if isinstance(job, str) or not isinstance(progress, Progress) or is_ordered(delivery.record):
            return None
        now = self._app.clock.now()
        going = delivery.lease.draining or delivery.lease.leaving
        if going and retry.in_memory and not progress.attempts:
            return None
        if not going and stays(progress, retry, now):
            return None
        self._app.cancels.release(delivery.lease)
        return postponed(job, progress, retry, now)

    def seal(self, facts: list[Fact], limit_bytes: int) -> list[Outgoing]:
        """How the jobs' reservations ended (`LedgerBatch`), at their homes."""
        return sealed(self._lane, [fact.settled for fact in facts if fact.settled is not None], limit_bytes)

    def committed(self, facts: list[Fact]) -> None:
        """The outcomes are there: they count, and nobody needs to know any more which calls were made for them."""
        self._app.inherited.forget(self._lane, [fact.offset for fact in facts])
        for fact in facts:
            self._app.tally.attempts_failed(fact.attempts_failed)
            if fact.status is not None:
                self._app.tally.job_ended(fact.status, fact.kind)
            if fact.ended is not None:
                self._app.workshop.meter.ended(fact.ended)
            if fact.settled is not None:
                self._app.workshop.meter.released(fact.settled.released_nanousd)

    def owed(self, base: int) -> str:
        """The journal of calls that processes before have made, or this one of records that it left undone."""
        return self._app.inherited.owed(self._lane, base)

    def overtaken(self, offset: int) -> bool:
        """Notes, or a journal that nobody here can read, were not there when the lane was opened before."""
        return self._app.inherited.overtaken(self._lane, offset)

    async def close(self) -> None:
        """Nothing was opened."""

    def _progress(self, delivery: Delivery, job: Assigned) -> Progress:
        """What is remembered: from the turn before, from a retry topic, or nothing yet."""
        now, carried = self._app.clock.now(), job.envelope.carried
        if isinstance(delivery.memo, Progress):
            return delivery.memo.back(now)
        return taken_up(carried).back(now) if carried is not None else Progress(delivery.arrived_at)


def _shown(views: Mapping[Key, Any], now: float) -> dict[str, dict[str, Any]]:
    """Views by the key's name; instants of the monotonic clock as seconds that are left, others as ISO 8601."""

    def shown(name: str, value: Any) -> Any:
        if name in SECONDS and value is not None:
            return max(0.0, round(value - now, 1))
        return value.isoformat() if isinstance(value, datetime) else value

    return {str(key): {name: shown(name, value) for name, value in asdict(view).items()} for key, view in views.items()}
