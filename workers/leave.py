"""Leave to call one model of one provider: a slot, then the breaker's permit."""

from datetime import datetime, timedelta

from runtime.breaker import Breakers, Permit
from runtime.limits import Limits, NoSlotError, Slot
from runtime.metrics.work import WorkMeter
from runtime.ports import Clock
from schemas.assignment import Candidate
from schemas.failure import FAILURES, FailureKind
from schemas.values import frozen
from workers.attempt import tell_health
from workers.modalities import TASKS
from workers.pace import Pace
from workers.providers import PROVIDERS
from workers.retry import Refused
from workers.turn import Key, Turn

K = FailureKind
OVERLOAD = frozenset({K.RATE_LIMITED, K.OVERLOADED})
"""What tells a limit that there were too many calls at once."""


MOVES_ON = timedelta(seconds=1)
"""A queue in which nobody waits longer is no crowd, however many stand in it."""


class Crowded(Exception):
    """The model has its share of the places in which jobs wait: this one is to wait elsewhere."""


@frozen
class Leave:
    """A slot and a permit for one call. `release` them when it is over."""

    slot: Slot[Key]
    permit: Permit
    pace: Pace[Key]
    meter: WorkMeter

    def answered(self, took: timedelta) -> None:
        """The call gave an answer."""
        self.meter.called(*self.permit.key, "ok")
        self.pace.took(self.permit.key, took)
        self.slot.tell("ok", took.total_seconds())
        self.permit.succeeded(took.total_seconds())

    def failed(self, kind: FailureKind, took: timedelta) -> None:
        """The call failed: what that says about the provider's health, and about how much it can take."""
        self.meter.called(*self.permit.key, kind)
        self.pace.took(self.permit.key, took)
        if kind in OVERLOAD:
            self.slot.tell("limited", took.total_seconds())
        elif FAILURES[kind].counts_for_breaker:
            self.slot.tell("failed", took.total_seconds())
        tell_health(self.permit, kind, took.total_seconds())

    def release(self) -> None:
        """The call is over, or was not made."""
        self.permit.neither()
        self.slot.release()


class Gate:
    """Gives leave. `limits` and `breakers` run on `clock.monotonic`."""

    def __init__(self, limits: Limits[Key], breakers: Breakers, clock: Clock, meter: WorkMeter | None = None) -> None:
        self._limits = limits
        self._breakers = breakers
        self._clock = clock
        self._meter = meter or WorkMeter()
        self._pace: Pace[Key] = Pace()

    async def leave(self, turn: Turn, *, alone: bool, patient: bool) -> Leave | Refused:
        """Wait for a slot, then ask the breaker: only who could call at once may take the one trial.

        With nobody else to ask (`alone`), another job's trial is waited for. Raises `Crowded` for a job that is not
        `patient`, unless its model's queue moves on so fast that it is no crowd.
        """
        candidate, deadline, key = turn.candidate, turn.deadline, turn.key
        if not carries(candidate, turn.job.job.task):
            message = f"the dialect {candidate.dialect!r} of {candidate.provider} does not carry the task"
            return Refused(K.UNKNOWN_PROVIDER, deadline, message)
        while True:
            slot = self._limits.slot(
                key, candidate.max_in_flight, deadline=self._monotonic(deadline), priority=turn.job.job.priority,
                patient=patient,
            )  # fmt: skip
            try:
                await self._slot(turn, slot)
            except NoSlotError as error:
                if error.because == "crowded":
                    if not self._moves_on(key):
                        raise Crowded from None
                    patient = True
                    continue
                kind = K.RATE_LIMITED if error.because == "hold" else K.DEADLINE_PASSED
                return Refused(kind, deadline, f"no slot of {key} came free in time ({error.because})")
            answer = self._breakers.admit(key)
            if isinstance(answer, Permit):
                return Leave(slot, answer, self._pace, self._meter)
            slot.release()
            if answer.because == "trial" and alone:
                since = self._clock.now()
                try:
                    with turn.waiting():
                        answer = await self._breakers.wait(key, deadline=self._monotonic(deadline))
                finally:
                    turn.progress = turn.progress.waited("breaker", since, self._clock.now())
                if isinstance(answer, Permit):
                    answer.neither()  # it is asked for again with a slot in hand
                    continue
            opens = self._clock.now() + timedelta(seconds=answer.retry_at - self._clock.monotonic())
            trial = answer.because == "trial"
            return Refused(K.BREAKER_OPEN, opens, f"the breaker of {key} is open", trial=trial)

    def hold(self, key: Key, span: timedelta) -> None:
        """A refusal is the model's, not the job's: whoever asks it next waits as well."""
        self._limits.hold(key, self._clock.monotonic() + span.total_seconds())

    def _moves_on(self, key: Key) -> bool:
        view = self._limits.view_of(key)
        if view is None:
            return False
        wait = self._pace.wait(key, before=view.waiting, at_once=view.limit)
        return wait is not None and wait <= MOVES_ON

    async def _slot(self, turn: Turn, slot: Slot[Key]) -> None:
        if turn.delivery.lease.held and slot.acquire_now():  # as nearly always: nobody has waited
            return
        since = self._clock.now()
        name = "slot" if self._limits.held_until(turn.key) is None else "throttle"
        try:
            with turn.waiting():
                await slot.acquire()
        finally:
            turn.progress = turn.progress.waited(name, since, self._clock.now())

    def _monotonic(self, instant: datetime) -> float:
        return self._clock.monotonic() + (instant - self._clock.now()).total_seconds()


def carries(candidate: Candidate, task: str) -> bool:
    """Whether the candidate's dialect can speak of the task."""
    dialect = PROVIDERS.get(candidate.dialect)
    return dialect is not None and task in dialect.tasks and task in TASKS
