"""The one place that acts on outcomes: from a handler's answer to a work that waits for its transaction or its time."""

from dataclasses import replace
from datetime import datetime, timedelta

from runtime.outcome import Done, GiveUp, Hold, LaneHandler, Outcome, RetryAt
from runtime.ports import Delivery
from schemas.failure import FailureKind


def settled(handler: LaneHandler, delivery: Delivery, outcome: Outcome | Exception) -> Done | RetryAt | Hold:
    """What a handler's answer, or the exception it raised, amounts to. Total: a fault of ours is an outcome as well.

    Exceptions of a handler are told by class name alone: their messages may hold content.
    """
    return faulted(handler, delivery, outcome) if isinstance(outcome, Exception) else outcome


def faulted(handler: LaneHandler, delivery: Delivery, error: Exception) -> Done:
    """What it means for the record that its handler raised, or broke a rule of the engine's. Total."""
    name = type(error).__name__
    try:
        return handler.fault(delivery, error)
    except Exception as second:
        message = f"the handler failed with {name}, and with {type(second).__name__} when asked what that means"
        return GiveUp(FailureKind.INTERNAL, message, error_type=name)


def wait_before(retry: RetryAt, now: datetime) -> timedelta:
    """How long the record rests; never negative."""
    return max(timedelta(0), retry.when - now)


def rests(retry: RetryAt, now: datetime, *, longest: timedelta, draining: bool) -> bool:
    """Whether the wait passes in memory. Else the record is to wait elsewhere, if its handler can write it there.

    A process that drains keeps nothing in memory; `longest` is the longest wait that passes there.
    """
    return retry.in_memory and not draining and wait_before(retry, now) <= longest


def elsewhere(handler: LaneHandler, delivery: Delivery, retry: RetryAt) -> Done | None:
    """The outcome of a record that goes to wait elsewhere; None for one that cannot. Total, as `settled` is."""
    try:
        return handler.postpone(delivery, retry)
    except Exception as error:
        return faulted(handler, replace(delivery, memo=retry.memo), error)
