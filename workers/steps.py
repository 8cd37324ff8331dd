"""One turn of one job: who is called now, and what that leads to. The story; its rules are in `retry` and `recall`."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from runtime.breaker import BreakerKey, Breakers
from runtime.cancels import Cancels
from runtime.capture import Capture
from runtime.credentials import CredentialError
from runtime.intents import IntentsUnavailable
from runtime.limits import Limits
from runtime.metrics.work import WorkMeter
from runtime.outcome import Abandoned, Done, Outcome, RetryAt
from runtime.ports import Clock, Dice
from runtime.registry import Registry, on_the_wire
from runtime.waiting import REFUSED_PER_S, Ration
from schemas.assignment import Candidate
from schemas.failure import FAILURES, FailureKind
from schemas.result import Who
from workers.call import Called
from workers.calling import CallFailed, Calls, NoLongerAllowed, NoTimeLeft, NotSure
from workers.ending import Ending
from workers.errors import ProviderError
from workers.leave import Crowded, Gate, Leave
from workers.postpone import STAY_WAIT, is_ordered
from workers.progress import WaitName
from workers.ready import NotReady, Readiness
from workers.recall import has_crashed, is_suspect
from workers.retry import Again, Refused, RetryPolicy, Stop, after_failure, backoff, before_call, possible
from workers.room import AnswerRoom
from workers.shown import CredentialRefused, Credits
from workers.sleeping import Asleep, Sleeping, TooLate
from workers.thrift import Thrift
from workers.turn import Turn
from workers.wording import told

K = FailureKind
RENAMED = frozenset({K.NOT_FOUND, K.GONE})
"""After one of these the model may have another name at its provider."""
CROWDED_WAIT = timedelta(seconds=5)
"""For a job whose model has its share of the places in which jobs wait."""
UNREAD_WAIT = timedelta(seconds=1)
"""While the registry that a job was assigned from is not known here."""
UNNOTED_WAIT = timedelta(seconds=1)
"""While calls cannot be noted."""
UNREADY_WAIT = timedelta(seconds=5)
"""Before a candidate is looked at again for whose call something was not had that may come."""
BUDGET_WAIT = timedelta(seconds=60)
"""For a retry without budget, at most; half of it at least, so that not all come back at once."""


class Steps:
    """Takes the turns of one process's jobs. `limits` and `breakers` run on `clock.monotonic`."""

    def __init__(
        self, calls: Calls, readiness: Readiness, room: AnswerRoom, limits: Limits[BreakerKey], breakers: Breakers,
        thrift: Thrift, cancels: Cancels, policy: RetryPolicy, clock: Clock, dice: Dice, *, longest_rest: timedelta,
        capture: Capture | None = None, meter: WorkMeter | None = None, sleeping: Sleeping | None = None,
        registry: Registry | None = None,
    ) -> None:  # fmt: skip
        """`room` bounds all answers in memory together. `longest_rest`: a longer wait passes in a retry topic.
        `capture` keeps what was asked and answered. `sleeping`: the dedicated endpoints as they are. `registry`: what
        was withdrawn since the job was assigned."""
        self._registry = Registry() if registry is None else registry
        self._sleeping = Sleeping() if sleeping is None else sleeping
        self._calls = calls
        self._readiness = readiness
        self._room = room
        self._gate = Gate(limits, breakers, clock, meter)
        self._thrift = thrift
        self.credits = Credits(clock)
        self._cancels = cancels
        self._policy = policy
        self._clock = clock
        self._dice = dice
        self._longest_rest = longest_rest
        self._capture = capture
        self._leaving = Ration(REFUSED_PER_S)
        self._suspects = asyncio.Lock()
        """Held while a job is called that may be what kills the processes."""

    async def outcome(self, turn: Turn, lane: str, *, died_alone: bool, calls_before: int) -> Outcome:
        """Make at most one call, and say what it leads to.

        `died_alone`: the last process died while it called this job and no other suspect. `calls_before`: of the
        progress's attempts, those that were known before the notes of other processes were read.
        """
        try:
            if wish := self._cancels.of(turn.job.identity, turn.job.published):
                return turn.cancelled(wish.by, self._clock.now())
            if has_crashed(turn.progress, died_alone):
                message = f"{turn.progress.deaths} processes died while this job was called; it is not tried again"
                return turn.stopped(Stop(K.CRASHED, message), self._clock.now())
            recalled = turn.progress.attempts[calls_before:]
            if kinds := [one.kind for one in recalled if one.kind not in (None, K.INTERRUPTED)]:
                error = ProviderError(kinds[-1], f"the last call, of a process that has ended, was {kinds[-1]}")
                if (before := self._after(turn, error)) is not None:
                    return before
            if not is_suspect(turn.progress):
                return await self._gathered(turn, lane, alone=False)
            return await self._alone(turn, lane)
        except asyncio.CancelledError:
            outcome = self._cut_short(turn)
            if outcome is None:
                raise
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            return outcome

    async def _alone(self, turn: Turn, lane: str) -> Outcome:
        """One suspect at a time: if the process dies, it was this one or somebody who has died less often."""
        since = self._clock.now()
        try:
            with turn.waiting():
                async with asyncio.timeout(max(0.0, (turn.deadline - since).total_seconds())):
                    await self._suspects.acquire()
        except TimeoutError:
            stop = Stop(K.DEADLINE_PASSED, "other jobs that may have ended processes were called until the deadline")
            return turn.stopped(stop, self._clock.now())
        finally:
            turn.progress = turn.progress.waited("suspect", since, self._clock.now())
        try:
            return await self._gathered(turn, lane, alone=True)
        finally:
            self._suspects.release()

    async def _gathered(self, turn: Turn, lane: str, *, alone: bool) -> Outcome:
        """Have at hand what the input names, then call: no slot is held while a stranger's server is slow."""
        if self._clock.now() < turn.deadline:
            try:
                await self._readiness.gathered(turn)
            except NotReady as missing:
                return self._unready(turn, missing.error)
        return await self._until_called(turn, lane, alone=alone)

    async def _until_called(self, turn: Turn, lane: str, *, alone: bool) -> Outcome:
        """Find somebody who may be called now, and call."""
        refused: dict[int, Refused] = {}
        while True:
            now = self._clock.now()
            step = before_call(turn.progress.tried, turn.job.terms, refused, now=now)
            if isinstance(step, Stop):
                return turn.stopped(step, now)
            turned_away = refused.pop(step.candidate, None)
            if turned_away is not None and not turned_away.trial:
                return self._left_alone(turn, step, turned_away.kind)
            turn.choose(step.candidate)
            if (gone := self._withdrawn(turn)) is not None:
                refused[step.candidate] = gone
                continue
            rest = self._sleeping.look(turn.candidate, now, turn.deadline)
            if isinstance(rest, Asleep):
                return self._asleep(turn, rest)
            if rest is not None:
                kind = K.TOO_SLOW if isinstance(rest, TooLate) else K.NOT_FOUND
                refused[step.candidate] = Refused(kind, turn.deadline, rest.message)
                continue
            is_retry = turn.was_called
            if is_retry and not self._thrift.has_budget(turn.key):
                return self._without_budget(turn)
            if await self._calls.until_sure(turn):
                continue
            nobody_else = set(possible(turn.progress.tried, turn.job.terms)) <= {step.candidate, *refused}
            try:
                leave = await self._gate.leave(turn, alone=nobody_else, patient=is_ordered(turn.job.record))
            except Crowded:
                return self._crowded(turn)
            if isinstance(leave, Refused):
                refused[step.candidate] = leave
                continue
            outcome = await self._take(leave, turn, lane, alone=alone, is_retry=is_retry)
            if isinstance(outcome, Refused):
                refused[step.candidate] = outcome
            elif outcome is not None:
                return outcome

    async def _take(
        self, leave: Leave, turn: Turn, lane: str, *, alone: bool, is_retry: bool
    ) -> Outcome | Refused | None:  # fmt: skip
        """Call with this leave, and give it back. None: the lease came into doubt; nobody was called."""
        try:
            held = self._held_back(turn, is_retry=is_retry) or self._withdrawn(turn)
            return held or await self._call(turn, leave, lane, alone)
        except NotSure:
            return None
        finally:
            leave.release()

    def _withdrawn(self, turn: Turn) -> Refused | None:
        """Why the turn's candidate may not be called any more; None: it may. Looked at before a slot is waited for,
        again behind it, and once more when the call is noted: each wait may be long."""
        candidate, tenant = turn.candidate, turn.job.identity[0]
        for name in (candidate.model, on_the_wire(candidate.model, candidate.provider_model)):
            if name and (gone := self._registry.withdrawn(name, tenant)):
                return Refused(K.NOT_APPROVED, turn.deadline, f"the registry: {name[:256]} was {gone}")
        return None

    async def _call(self, turn: Turn, leave: Leave, lane: str, alone: bool) -> Outcome | Refused:
        """Call once, and say what it leads to. `Refused`: this candidate cannot be called, and was not."""
        asked = turn.candidate
        try:
            with self._room.share() as share:
                async with self._readiness.call(turn) as ready:
                    asked = ready.access.candidate
                    if turn.progress.unready:
                        turn.progress = replace(turn.progress, unready=0)
                    with self.credits.shown(asked.provider, ready.access.authorization):
                        called = await self._calls.one(turn, ready, leave, lane, share, self._withdrawn, alone=alone)
                self._thrift.succeeded(turn.key)
                return await self._answered(turn, called)
        except NotReady as missing:
            return self._not_ready(turn, missing)
        except NoLongerAllowed as gone:
            return gone.refused
        except (NoTimeLeft, CredentialError) as error:
            kind = K.UNAUTHORIZED if isinstance(error, CredentialError) else K.DEADLINE_PASSED
            return turn.stopped(Stop(kind, str(error)), self._clock.now())
        except IntentsUnavailable as error:
            return self._unnoted(turn, error)
        except CallFailed as failed:
            return await self._failed(turn, asked, failed)

    async def _answered(self, turn: Turn, called: Called) -> Done:
        """The end of a job whose call was answered: its output is stored where a record cannot hold it."""
        if turn.job.job.stream:
            await self._calls.pieces_told()
        try:
            output = await self._readiness.stored(turn, called.answer, called.size)
        except ProviderError as error:
            return turn.ended(Ending(error.kind, error.message, adapted=called.adapted), self._clock.now())
        if self._capture is not None:
            turn.progress = replace(turn.progress, captured=await self._capture.of(turn.input, output))
        served = Who.made(model=turn.candidate.model, provider=called.provider or turn.candidate.provider)
        return turn.ended(Ending(output=output, served=served, adapted=called.adapted), self._clock.now())

    def _not_ready(self, turn: Turn, missing: NotReady) -> Outcome | Refused:
        """No call was made. What is wrong with the job ends it or is waited for; else the others may still do it."""
        error, now = missing.error, self._clock.now()
        if missing.of_the_job:
            return self._unready(turn, error)
        passes = FAILURES[error.kind].retryable or isinstance(missing, CredentialRefused)
        until = min(now + UNREADY_WAIT, turn.deadline) if passes else turn.deadline
        return Refused(error.kind, until, told(error.message, turn.job.texts, self._readiness.redact))

    def _unready(self, turn: Turn, error: ProviderError) -> Outcome:
        """What the job itself brings cannot be had or used: wait for what may come, else end. No attempt either way."""
        now, unready = self._clock.now(), turn.progress.unready + 1
        message = told(error.message, turn.job.texts, self._readiness.redact)
        if FAILURES[error.kind].retryable and now >= turn.deadline:
            return turn.stopped(Stop(K.DEADLINE_PASSED, message), now)
        wait = min(backoff(unready, self._dice(), self._policy), self._longest_rest)
        if not FAILURES[error.kind].retryable or unready >= self._policy.attempts or now + wait >= turn.deadline:
            return turn.stopped(Stop(error.kind, message), now)
        turn.progress = replace(turn.progress, unready=unready)
        return RetryAt(now + wait, error.kind, turn.rest("ready", now))

    async def _failed(self, turn: Turn, asked: Candidate, failed: CallFailed) -> Outcome:
        """Wait and ask again, ask elsewhere, or stop. Who met a credential that nobody takes waits for another one."""
        error = failed.error
        if error.retry_after is not None:
            longest = timedelta(seconds=self._policy.max_s)
            self._gate.hold(turn.key, min(error.retry_after, longest))
        tried = turn.progress.tried
        renamed = error.kind in RENAMED and not error.accepted and tried.calls < self._policy.attempts
        if renamed and await self._readiness.has_moved(turn, asked):
            turn.progress = replace(turn.progress, tried=replace(tried, unfit=tried.unfit - {tried.candidate}))
            return self._rest(turn, Again(tried.candidate, self._clock.now()), error.kind, "retry")
        step, again = self._next(turn, error), self._clock.now() + UNREADY_WAIT
        refused = error.kind is K.UNAUTHORIZED and self.credits.refuses(asked.provider)
        if refused and isinstance(step, Stop) and tried.calls < self._policy.attempts and again < turn.deadline:
            turn.progress = replace(turn.progress, tried=replace(tried, unfit=tried.unfit - {tried.candidate}))
            return self._rest(turn, Again(tried.candidate, again), error.kind, "ready")
        if isinstance(step, Stop):
            return turn.stopped(step, self._clock.now(), failed.error_type)
        return self._rest(turn, step, error.kind, "retry")

    def _after(self, turn: Turn, error: ProviderError) -> Outcome | None:
        """What a call that failed before a crash leads to; None: it is time to call again."""
        step, now = self._next(turn, error), self._clock.now()
        if isinstance(step, Stop):
            return turn.stopped(step, now)
        if step.when > now:
            return self._rest(turn, step, error.kind, "retry")
        turn.choose(step.candidate)
        return None

    def _next(self, turn: Turn, error: ProviderError) -> Again | Stop:
        return after_failure(
            error, turn.progress.tried, turn.job.terms, now=self._clock.now(), jitter=self._dice(), policy=self._policy
        )

    def _rest(self, turn: Turn, step: Again, kind: FailureKind, name: WaitName) -> RetryAt:
        turn.choose(step.candidate)
        return RetryAt(step.when, kind, turn.rest(name, self._clock.now()))

    def _left_alone(self, turn: Turn, step: Again, kind: FailureKind) -> RetryAt:
        """Until a breaker lets somebody try. Of those who would wait elsewhere a few a second may go there; the others
        stay and ask again: the window fills, and the partition is paused."""
        now, rest = self._clock.now(), self._rest(turn, step, kind, "breaker" if kind is K.BREAKER_OPEN else "ready")
        leaves = not is_ordered(turn.job.record) and rest.when - now > self._longest_rest
        if not leaves or self._leaving.take(self._clock.monotonic()):
            return rest
        return replace(rest, when=now + STAY_WAIT)

    def _crowded(self, turn: Turn) -> Outcome:
        """Wait elsewhere: this is no attempt."""
        now = self._clock.now()
        if now + CROWDED_WAIT >= turn.deadline:
            return turn.stopped(Stop(K.DEADLINE_PASSED, f"no slot of {turn.key} came free in time (crowded)"), now)
        turn.progress = replace(turn.progress, bounces=turn.progress.bounces + 1)
        return RetryAt(now + CROWDED_WAIT, K.RATE_LIMITED, turn.rest("slot", now), in_memory=False)

    def _asleep(self, turn: Turn, rest: Asleep) -> RetryAt:
        """Wait elsewhere until its endpoint may serve: this is no attempt, and nobody was called."""
        turn.progress = replace(turn.progress, bounces=turn.progress.bounces + 1)
        return RetryAt(rest.until, K.MODEL_LOADING, turn.rest("ready", self._clock.now()), in_memory=False)

    def _held_back(self, turn: Turn, *, is_retry: bool) -> Outcome | None:
        """What keeps a job from calling that may at last, for what came about while it waited; None: nothing."""
        if turn.delivery.lease.leaving:
            return self._stays(turn)
        if unread := self._registry.behind(turn.job.assignment.registry):
            return self._unread(turn, unread)
        if is_retry and not self._thrift.may_retry(turn.key):  # others came before it
            return self._without_budget(turn)
        return None

    def _stays(self, turn: Turn) -> RetryAt:
        """Its partition is being taken away: it is not called here unless that comes back. Raises `Abandoned` for a job
        that has been through nothing: its next owner knows as much as we do, and its place here is free."""
        if not turn.progress.attempts:
            raise Abandoned
        now = self._clock.now()
        return RetryAt(now, turn.progress.attempts[-1].kind or K.INTERRUPTED, turn.rest("slot", now))

    def _without_budget(self, turn: Turn) -> Outcome:
        """A retry that others' successes do not pay for: later, and no attempt, or the end."""
        now, last = self._clock.now(), turn.progress.attempts[-1].kind or K.INTERNAL
        when = now + BUDGET_WAIT * (1 + self._dice()) / 2
        if when >= turn.deadline:
            used_up = f"the retry budget of {turn.key} is used up, and the deadline is before the next try"
            return turn.stopped(Stop(last, f"the last call ended with {last}; {used_up}"), now)
        return RetryAt(when, last, turn.rest("budget", now), in_memory=False)

    def _unread(self, turn: Turn, why: str) -> Outcome:
        """What was withdrawn is not known: wait until it is. Meanwhile the window fills and reading stops."""
        now = self._clock.now()
        if now + UNREAD_WAIT >= turn.deadline:
            return turn.stopped(Stop(K.DEADLINE_PASSED, f"the registry: {why}"), now)
        return RetryAt(now + UNREAD_WAIT, K.INTERNAL, turn.rest("ready", now))

    def _unnoted(self, turn: Turn, error: IntentsUnavailable) -> Outcome:
        """No paid call without its note: wait until it can be written. Meanwhile the window fills and reading stops."""
        now = self._clock.now()
        if now + UNNOTED_WAIT >= turn.deadline:
            return turn.stopped(Stop(K.INTERNAL, str(error)), now)
        return RetryAt(now + UNNOTED_WAIT, K.INTERNAL, turn.rest("intent", now))

    def _cut_short(self, turn: Turn) -> Done | RetryAt | None:
        """What a cancelled turn amounts to; None: it goes through."""
        now, lease = self._clock.now(), turn.delivery.lease
        if lease.interrupted and (wish := self._cancels.of(turn.job.identity, turn.job.published)):
            return turn.cancelled(wish.by, now)
        if (lease.draining or lease.leaving) and turn.cut_waiting and turn.progress.attempts:
            kind = turn.progress.attempts[-1].kind or K.INTERRUPTED
            return RetryAt(now, kind, turn.rest("slot", now), in_memory=False)
        return None
