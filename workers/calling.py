"""One call of one job, from its note before to the job's progress after. Returns the answer; raises what else came.

A call may take several requests (a queue that is polled, a result that is fetched): one note, one attempt.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from runtime.breaker import BreakerKey
from runtime.cancels import Cancels
from runtime.failpoints import hit
from runtime.intents import Intents
from runtime.outcome import Abandoned
from runtime.ports import Clock
from runtime.settings import Settings
from schemas import codec
from schemas.failure import FailureKind
from schemas.result import Attempt
from workers.advice import advised
from workers.attempt import aborted_attempt, answered_attempt, failed_attempt
from workers.call import Called, Caller, Errand
from workers.deltas import Deltas
from workers.errors import ProviderError
from workers.leave import Leave
from workers.ready import Ready
from workers.recall import CallEnd
from workers.retry import Refused
from workers.room import Share
from workers.sending import Bounds
from workers.turn import Turn
from workers.wording import told

Key = BreakerKey


LOOK_AGAIN_S = 0.1
"""Whether a lease in doubt is cleared up."""


class NoTimeLeft(Exception):
    """The deadline passed before the call could begin."""

    def __str__(self) -> str:
        return "no time was left to call"


class NotSure(Exception):
    """The partition may have become another's, or nothing of it can be committed now; no call was begun."""


@dataclass(slots=True, eq=False)
class NoLongerAllowed(Exception):
    """Its candidate was taken away before the call could begin."""

    refused: Refused


@dataclass(slots=True, eq=False)
class CallFailed(Exception):
    """A call was made and gave no answer; the turn's progress has it."""

    error: ProviderError
    error_type: str = ""
    """Class name of the exception behind a fault of ours."""


class Calls:
    """Makes calls of one process, each noted in `intents` before it is made."""

    def __init__(
        self, settings: Settings, caller: Caller, redact: Callable[[str], str], intents: Intents, cancels: Cancels,
        clock: Clock, deltas: Deltas | None = None,
    ) -> None:  # fmt: skip
        """`redact` takes credentials out of a text. `deltas` is told pieces of answers as they come."""
        self._settings = settings
        self._call = caller
        self._redact = redact
        self._deltas = deltas
        self._intents = intents
        self._cancels = cancels
        self._clock = clock

    async def one(
        self, turn: Turn, ready: Ready, leave: Leave, lane: str, share: Share,
        forbids: Callable[[Turn], Refused | None], *, alone: bool,
    ) -> Called:  # fmt: skip
        """Make the call that `leave` was given for; the turn's progress has it afterwards, however it ended.

        `share` holds the memory of its answer. `forbids` is asked last, when the note is written. Raises `CallFailed`;
        and before anything was sent `NoTimeLeft`, `NoLongerAllowed`, `NotSure`, `IntentsUnavailable`, or `Abandoned`
        where the partition is no longer held. If it is cancelled because the job was, the attempt counts; if for
        another reason its note says that it was cut, for whoever takes the record up.
        """
        place, lease = (lane, turn.job.record.offset, len(turn.progress.attempts) + 1), turn.delivery.lease
        if not lease.held or (lease.leaving and lease.uncalled):
            raise Abandoned
        if self._clock.now() >= turn.deadline:
            raise NoTimeLeft
        lease.uncalled = False
        await self._intents.begin(*place, _intent(turn, self._clock.now(), alone))
        started_at = self._clock.now()
        if not lease.held or started_at >= turn.deadline:
            self._intents.withdraw(*place)
            raise NoTimeLeft if lease.held else Abandoned
        if not lease.sure():
            self._intents.withdraw(*place)  # nobody is to count a call that waits
            raise NotSure
        if (gone := forbids(turn)) is not None:
            self._intents.withdraw(*place)
            raise NoLongerAllowed(gone)
        try:
            called = await self._made(turn, ready, leave, share, started_at)
        except CallFailed as failed:
            self._intents.end(*place, _end(turn, emitted=failed.error.emitted))
            raise
        except asyncio.CancelledError:
            self._intents.end(*place, _cut(turn, started_at))
            raise
        self._intents.end(*place, _end(turn))
        return called

    async def until_sure(self, turn: Turn) -> bool:
        """Until one may pay for the turn's record beyond doubt, or its deadline: whether that took time. Raises
        `Abandoned`. To be asked before a slot is: who has one keeps it from others, and a breaker may open meanwhile.
        """
        lease, waited = turn.delivery.lease, False
        while not lease.sure() and self._clock.now() < turn.deadline:
            if not lease.held or lease.leaving:
                raise Abandoned
            waited = True
            with turn.waiting():
                await self._clock.sleep(LOOK_AGAIN_S)
        return waited

    async def pieces_told(self) -> None:
        """What was told of streamed answers so far has been published, unless that takes too long."""
        if self._deltas is not None:
            await self._deltas.settled()

    async def _made(self, turn: Turn, ready: Ready, leave: Leave, share: Share, started_at: datetime) -> Called:
        candidate, job, began = turn.candidate, turn.job, self._clock.monotonic()
        error_type = ""
        told_to = None
        if job.job.stream and self._deltas is not None:
            told_to = self._deltas.of(job, candidate, len(turn.progress.attempts) + 1)
        bounds = self._bounds(turn, started_at)
        errand = Errand(ready.call, ready.ask, ready.access, bounds, told_to, ready.headers)
        hit("before_call")
        try:
            called = await self._call(errand, share)
        except ProviderError as error:
            failure = error.with_traceback(None)  # it holds this frame, and the frame the call: a circle
        except asyncio.CancelledError:
            if self._cancels.of(job.identity, job.published) is not None:
                turn.progress = aborted_attempt(turn.progress, candidate, started_at, self._since(began))
            raise
        except Exception as error:
            # Ours, but the call is out and may be charged: it must not be forgotten with the exception.
            error_type = type(error).__name__
            failure = ProviderError(FailureKind.INTERNAL, f"the worker failed with {error_type}")
        else:
            hit("after_call")
            leave.answered(self._since(began))
            called = called.redacted(self._redact)
            turn.progress = answered_attempt(turn.progress, candidate, called, started_at, self._since(began))
            return called
        hit("after_call")
        took = self._since(began)
        said = told(failure.message, job.texts, self._redact)
        others = [one.provider for one in job.assignment.candidates if one.model == candidate.model]
        failure.message = advised(failure, said, model=candidate.model, provider=candidate.provider, others=others)
        failure.request_id = self._redact(failure.request_id or "") or None
        leave.failed(failure.kind, took)
        turn.progress = failed_attempt(turn.progress, candidate, failure, started_at, took)
        raise CallFailed(failure, error_type)

    def _bounds(self, turn: Turn, now: datetime) -> Bounds:
        settings, left = self._settings, (turn.deadline - now).total_seconds()
        connect_s, read_s = min(settings.connect_timeout_s, left), min(settings.read_timeout_s, left)
        return Bounds(connect_s, read_s, left, settings.max_response_bytes)

    def _since(self, began: float) -> timedelta:
        return timedelta(seconds=self._clock.monotonic() - began)


def _intent(turn: Turn, now: datetime, alone: bool) -> str:
    """An `Intent` as JSON, made without the model: this is done for every call."""
    tenant, job_id, submission = turn.job.identity
    candidate = turn.candidate
    note = {
        "tenant": tenant,
        "job_id": job_id,
        "submission": submission,
        "candidate": turn.progress.tried.candidate,
        "model": candidate.model,
        "provider": candidate.provider,
        "ceiling_nanousd": candidate.ceiling_nanousd,
        "began_at": now,
        "alone": alone,
    }
    return codec.encode(note).decode()


def _cut(turn: Turn, started_at: datetime) -> str:
    """The end of a call that we broke off: it may be charged, and no process has died of it."""
    candidate = turn.candidate
    attempt = Attempt(
        attempt=0, model=candidate.model, provider=candidate.provider, started_at=started_at, waited_ms=0,
        duration_ms=0, kind=FailureKind.INTERRUPTED, cost_nanousd=candidate.ceiling_nanousd, ambiguous=True,
    )  # fmt: skip
    return CallEnd(attempt=attempt, source="estimated").model_dump_json()


def _end(turn: Turn, *, emitted: bool = False) -> str:
    attempt, charge = turn.progress.attempts[-1], turn.progress.charges[-1]
    return CallEnd.made(attempt=attempt, source=charge.source, emitted=emitted).plain().decode()
