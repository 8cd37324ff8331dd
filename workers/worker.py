"""The text worker: assigned jobs in, results out. The shell that reads like the story and holds no rule of its own."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from runtime.breaker import BreakerKey, Breakers, Permit
from runtime.credentials import CredentialError, Credentials
from runtime.http import AsyncBaseTransport
from runtime.limits import Limits, NoSlotError, Slot
from runtime.outcome import Abandoned, Done, GiveUp, Outcome, RetryAt
from runtime.ports import Clock, Delivery, Dice, LaneId, LogReader, Outgoing, Record, Resumed
from runtime.settings import Settings
from schemas.assignment import Candidate
from schemas.failure import FailureKind
from schemas.result import Who
from schemas.topics import TEXT, worker_group
from workers.assigned import Assigned, read_assigned
from workers.attempt import answered_attempt, failed_attempt, health
from workers.call import Bounds, Caller
from workers.ending import Ending, ended, undecodable
from workers.errors import ProviderError
from workers.modalities import TASKS
from workers.progress import Progress, WaitName
from workers.providers import PROVIDERS
from workers.providers.common import call_headers
from workers.retry import Again, Refused, RetryPolicy, Stop, after_failure, before_call, possible
from workers.wording import told

Key = BreakerKey


class WorkerApplication:
    """Serves the text tasks. One `handle` makes at most one call to a provider.

    Limits, breakers and credentials are the process's own and shared by its lanes; `limits` and `breakers` are keyed by
    (provider, model) and run on `clock.monotonic`.
    """

    group = worker_group("text")
    topic = TEXT.name
    inline = False
    custody = ""

    def __init__(
        self,
        settings: Settings,
        http: AsyncBaseTransport,
        credentials: Credentials,
        limits: Limits[Key],
        breakers: Breakers,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self.settings = settings
        self.call = Caller(http, clock)
        self.credentials = credentials
        self.limits = limits
        self.breakers = breakers
        self.clock = clock
        self.dice = dice
        self.policy = RetryPolicy(settings.max_retries + 1, settings.backoff_factor_s, settings.backoff_max_s)

    def describe(self) -> dict[str, Any]:
        """Nothing beside the lanes."""
        return {}

    def order_of(self, record: Record) -> None:
        """None yet."""

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> "WorkerLane":
        """Nothing to read: a worker's state is in its records."""
        return WorkerLane(self)


class WorkerLane:
    """The work of one lane. Keeps nothing between records."""

    def __init__(self, app: WorkerApplication) -> None:
        self._app = app

    async def handle(self, delivery: Delivery) -> Outcome:
        """Make at most one call for one assigned job.

        Returns an outcome for every fault of the provider's, and of ours while a call is out. Raises `Abandoned` where
        the partition is no longer held, and else only for a fault of ours.
        """
        job = read_assigned(delivery.record)
        if isinstance(job, str):
            return undecodable(job)
        progress = _progress(delivery).back(self._app.clock.now())
        refused: dict[int, Refused] = {}
        while True:
            step = before_call(progress.tried, job.terms, refused, now=self._app.clock.now())
            if isinstance(step, Stop):
                return self._stopped(delivery, job, progress, step)
            turned_away = refused.pop(step.candidate, None)
            if turned_away is not None and not turned_away.trial:
                return RetryAt(step.when, turned_away.kind, self._at_rest(progress, step, "breaker"))
            progress = replace(progress, tried=replace(progress.tried, candidate=step.candidate))
            alone = set(possible(progress.tried, job.terms)) <= {step.candidate, *refused}
            progress, leave = await self._leave(delivery, job, progress, alone=alone)
            if isinstance(leave, Refused):
                refused[step.candidate] = leave
                continue
            slot, permit = leave
            try:
                with permit:
                    return await self._attempt(delivery, job, progress, permit)
            finally:
                slot.release()

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        """`failed/internal`, with the job's copy among the dead letters; the fault is named by its class alone."""
        name = type(error).__name__
        job = read_assigned(delivery.record)
        if isinstance(job, str):
            return GiveUp(FailureKind.INTERNAL, f"the worker failed with {name}: {job}", error_type=name)
        now = self._app.clock.now()
        ending = Ending(FailureKind.INTERNAL, f"the worker failed with {name}", error_type=name)
        return ended(job, _progress(delivery).back(now), ending, arrived_at=delivery.arrived_at, now=now)

    def postpone(self, delivery: Delivery, retry: RetryAt) -> None:
        """It waits in memory."""

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        """A worker's outcomes share no record."""
        return []

    def committed(self, facts: list[Any]) -> None:
        """A worker decides nothing from what it has written."""

    async def close(self) -> None:
        """Nothing was opened."""

    async def _leave(
        self, delivery: Delivery, job: Assigned, progress: Progress, *, alone: bool
    ) -> tuple[Progress, "tuple[Slot[Key], Permit] | Refused"]:
        """Wait for a slot, then ask the breaker: only who could call at once may take the one trial.

        With nobody else to ask (`alone`), another job's trial is waited for.
        """
        app, candidate, deadline = self._app, job.candidates[progress.tried.candidate], job.assignment.deadline
        if not _carries(candidate, job.job.task):
            message = f"the dialect {candidate.dialect!r} of {candidate.provider} does not carry the task"
            return progress, Refused(FailureKind.UNKNOWN_PROVIDER, deadline, message)
        key = BreakerKey(candidate.provider, candidate.model)
        slot = app.limits.slot(key, candidate.max_in_flight, deadline=self._monotonic(deadline))
        while True:
            since = app.clock.now()
            try:
                with _waiting(delivery):
                    await slot.acquire()
            except NoSlotError as error:
                kind = FailureKind.RATE_LIMITED if error.because == "hold" else FailureKind.DEADLINE_PASSED
                message = f"no slot of {key} came free in time ({error.because})"
                return progress.waited("slot", since, app.clock.now()), Refused(kind, deadline, message)
            progress = progress.waited("slot", since, app.clock.now())
            answer = app.breakers.admit(key)
            if isinstance(answer, Permit):
                return progress, (slot, answer)
            slot.release()
            if answer.because == "trial" and alone:
                since = app.clock.now()
                with _waiting(delivery):
                    answer = await app.breakers.wait(key, deadline=self._monotonic(deadline))
                progress = progress.waited("breaker", since, app.clock.now())
                if isinstance(answer, Permit):
                    answer.neither()  # it is asked for again with a slot in hand
                    continue
            opens = app.clock.now() + timedelta(seconds=answer.retry_at - app.clock.monotonic())
            message = f"the breaker of {key} is open"
            return progress, Refused(FailureKind.BREAKER_OPEN, opens, message, trial=answer.because == "trial")

    async def _attempt(self, delivery: Delivery, job: Assigned, progress: Progress, permit: Permit) -> Outcome:
        """Call once, and say what it leads to."""
        app, candidate = self._app, job.candidates[progress.tried.candidate]
        started_at, began = app.clock.now(), app.clock.monotonic()
        if started_at >= job.assignment.deadline:
            return self._stopped(delivery, job, progress, Stop(FailureKind.DEADLINE_PASSED, "no time was left to call"))
        try:
            token = app.credentials.current()
        except CredentialError as error:
            return self._stopped(delivery, job, progress, Stop(FailureKind.UNAUTHORIZED, str(error)))
        if not delivery.lease.held:
            raise Abandoned
        dialect = PROVIDERS[candidate.dialect]
        ask = TASKS[job.job.task].ask(job.job.input, job.assignment.parameters, candidate)
        headers = call_headers(job.job.tenant, job.job.id, app.settings.hf_bill_to)
        call = dialect.request(ask, candidate, headers)
        bearer = token.get_secret_value() if token is not None else None
        error_type = ""
        try:
            called = await app.call(call, ask, dialect, bearer, self._bounds(job, started_at))
        except ProviderError as error:
            failure = error.with_traceback(None)  # it holds this frame, and the frame the call: a circle
        except Exception as error:
            # Ours, but the call is out and may be charged: it must not be forgotten with the exception.
            error_type = type(error).__name__
            failure = ProviderError(FailureKind.INTERNAL, f"the worker failed with {error_type}")
        else:
            permit.succeeded()
            took = timedelta(seconds=app.clock.monotonic() - began)
            called = called.redacted(app.credentials.redact)
            progress = answered_attempt(progress, candidate, called, started_at, took)
            served = Who(model=candidate.model, provider=called.provider or candidate.provider)
            ending = Ending(output=called.answer.output, served=served, adapted=called.adapted)
            return ended(job, progress, ending, arrived_at=delivery.arrived_at, now=app.clock.now())
        took = timedelta(seconds=app.clock.monotonic() - began)
        failure.message = told(failure.message, job.texts, app.credentials.redact)
        failure.request_id = app.credentials.redact(failure.request_id or "") or None
        health(failure.kind)(permit)
        progress = failed_attempt(progress, candidate, failure, started_at, took)
        return self._failed(delivery, job, progress, failure, error_type)

    def _bounds(self, job: Assigned, now: datetime) -> Bounds:
        settings, left = self._app.settings, (job.assignment.deadline - now).total_seconds()
        connect_s, read_s = min(settings.connect_timeout_s, left), min(settings.read_timeout_s, left)
        return Bounds(connect_s, read_s, left, settings.max_response_bytes)

    def _failed(
        self, delivery: Delivery, job: Assigned, progress: Progress, error: ProviderError, error_type: str
    ) -> Outcome:
        """Wait and ask again, ask elsewhere, or stop."""
        app, now = self._app, self._app.clock.now()
        if error.retry_after is not None:
            # The refusal is the model's, not the job's: whoever asks it next waits as well.
            candidate = job.candidates[progress.tried.candidate]
            longest = min(error.retry_after.total_seconds(), app.policy.max_s)
            app.limits.hold(BreakerKey(candidate.provider, candidate.model), app.clock.monotonic() + longest)
        step = after_failure(error, progress.tried, job.terms, now=now, jitter=app.dice(), policy=app.policy)
        if isinstance(step, Stop):
            return self._stopped(delivery, job, progress, step, error_type)
        return RetryAt(step.when, error.kind, self._at_rest(progress, step, "retry"))

    def _at_rest(self, progress: Progress, step: Again, name: WaitName) -> Progress:
        chosen = replace(progress, tried=replace(progress.tried, candidate=step.candidate))
        return chosen.rest(name, self._app.clock.now())

    def _stopped(self, delivery: Delivery, job: Assigned, progress: Progress, stop: Stop, error_type: str = "") -> Done:
        ending = Ending(stop.kind, stop.message, error_type=error_type)
        return ended(job, progress, ending, arrived_at=delivery.arrived_at, now=self._app.clock.now())

    def _monotonic(self, instant: datetime) -> float:
        clock = self._app.clock
        return clock.monotonic() + (instant - clock.now()).total_seconds()


@contextlib.contextmanager
def _waiting(delivery: Delivery) -> Iterator[None]:
    """A block that waits to begin a call: whoever drains may cancel it, and nothing is lost."""
    if not delivery.lease.held:
        raise Abandoned
    delivery.lease.waiting = True
    try:
        yield
    finally:
        delivery.lease.waiting = False


def _progress(delivery: Delivery) -> Progress:
    return delivery.memo if isinstance(delivery.memo, Progress) else Progress(delivery.arrived_at)


def _carries(candidate: Candidate, task: str) -> bool:
    dialect = PROVIDERS.get(candidate.dialect)
    return dialect is not None and task in dialect.tasks and task in TASKS


def text_application(
    settings: Settings,
    http: AsyncBaseTransport,
    credentials: Credentials,
    limits: Limits[Key],
    breakers: Breakers,
    clock: Clock,
    dice: Dice,
) -> WorkerApplication:
    """The text worker on these parts of the world; `limits` and `breakers` must run on `clock.monotonic`."""
    return WorkerApplication(settings, http, credentials, limits, breakers, clock, dice)
