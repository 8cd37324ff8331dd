"""One record at its handler: attempt after attempt, with rests between them, until its outcome is known."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import structlog

from runtime.outcome import Abandoned, Done, Hold, LaneHandler, Outcome, RetryAt
from runtime.ports import Clock
from runtime.settle import elsewhere, faulted, rests, settled, wait_before
from runtime.telemetry import told_trace
from runtime.work import Work

log = structlog.get_logger("novix.engine")

PARKED_LOOK_S = 0.1
"""Between two looks whether the partition of a record that is due has come back."""


async def until_done(handler: LaneHandler, work: Work, clock: Clock, longest_rest: timedelta) -> Done | Hold:
    """Hand the work to its handler until it has an outcome, or is held for one (inline alone).

    A wait up to `longest_rest` passes here; a longer one, and any in a drain or as the partition is taken away, where
    the handler's `postpone` puts it.
    Raises `Abandoned` for a record that its next owner shall do, and CancelledError if the work is cancelled.
    """
    work.lease.poke = work.nudge
    try:
        while True:
            answer = await _ask(handler, work)
            if answer is None:
                work.delivery = replace(work.delivery, attempt=work.delivery.attempt + 1)
                continue
            decided = settled(handler, work.delivery, answer)
            if isinstance(decided, Hold) and work.task is not None:
                return faulted(handler, work.delivery, TypeError("only an inline application holds a record"))
            if not isinstance(decided, RetryAt):
                return decided
            if done := await _wait(handler, work, decided, clock, longest_rest):
                return done
            work.delivery = replace(work.delivery, attempt=work.delivery.attempt + 1, memo=decided.memo)
    finally:
        work.lease.poke = None


async def _wait(
    handler: LaneHandler, work: Work, retry: RetryAt, clock: Clock, longest_rest: timedelta
) -> Done | None:  # fmt: skip
    """Until the next attempt: None. Or the outcome of a record that waits elsewhere, for the length of its wait or
    because its partition goes. Raises `Abandoned`."""
    now = clock.now()
    asked = not rests(retry, now, longest=longest_rest, draining=work.lease.draining)
    if asked and (done := elsewhere(handler, work.delivery, retry)):
        return done
    due = clock.monotonic() + wait_before(retry, now).total_seconds()  # whatever the wall clock does meanwhile
    while not work.lease.draining:
        if not _is_away(work):  # who comes to rest while its partition is taken away is nudged by nobody
            await _rest(work, clock, max(0.0, due - clock.monotonic()))
        if _is_away(work):
            if work.lease.held and not asked:
                asked = True
                if done := elsewhere(handler, work.delivery, _as_of_now(retry, due, clock)):
                    return done  # what it has been through goes with it: the next owner may not find our notes
            while _is_away(work):
                await _rest(work, clock, PARKED_LOOK_S)  # its partition may come back; called now it could only give up
            over = work.lease.interrupted or clock.monotonic() >= due
        else:
            over = True  # its time has come, or it was interrupted
        if over and not work.lease.draining:
            return None
    if not asked and (done := elsewhere(handler, work.delivery, _as_of_now(retry, due, clock))):
        return done
    raise Abandoned


def _as_of_now(retry: RetryAt, due: float, clock: Clock) -> RetryAt:
    """The same wait by the wall clock as it is now: it may have been set since the wait began."""
    left = timedelta(seconds=max(0.0, due - clock.monotonic()))
    return replace(retry, when=clock.now() + left)


def _is_away(work: Work) -> bool:
    """Its partition is being taken away, or is. What an inline application holds goes with its lane."""
    return work.task is not None and (work.lease.leaving or not work.lease.held) and not work.lease.draining


async def _rest(work: Work, clock: Clock, seconds: float) -> None:
    """Wait, or be nudged. Raises CancelledError if the work is cancelled."""
    rest = work.rest = asyncio.get_running_loop().create_future()
    sleeping = asyncio.ensure_future(clock.sleep(seconds))
    sleeping.add_done_callback(lambda _: _end(rest))
    work.lease.waiting = True
    try:
        await rest
    finally:
        work.rest = None
        work.lease.waiting = False
        sleeping.cancel()


def _end(rest: "asyncio.Future[None]") -> None:
    if not rest.done():
        rest.set_result(None)


async def _ask(handler: LaneHandler, work: Work) -> Outcome | Exception | None:
    """The handler's answer, or what it raised. None: it was nudged, did not catch that, and is to be asked again.

    A handler that catches a nudge and answers need not have told its task so (`uncancel`): the cancellation is over.
    """
    task = asyncio.current_task()
    work.nudged = False
    try:
        return await handler.handle(work.delivery)
    except Abandoned:
        raise
    except asyncio.CancelledError:
        from_outside = (task.cancelling() if task is not None else 0) - work.nudged
        if not work.lease.held or from_outside > 0:
            raise
        if not work.nudged:
            return RuntimeError("the handler was cancelled from inside")
        if work.lease.draining or work.lease.leaving:
            raise Abandoned from None
        return None
    except Exception as error:
        record, trace = work.record, told_trace(work.record.headers)
        log.error(
            "handler failed", error=type(error).__name__, topic=record.topic, partition=record.partition,
            offset=record.offset, trace_id=trace.trace_id if trace is not None else None,
        )  # fmt: skip
        return error
    finally:
        if work.nudged and task is not None and task.cancelling():
            task.uncancel()


def is_cancelled() -> bool:
    """Whether the running task itself is being cancelled, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
