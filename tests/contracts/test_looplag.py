"""A loop that is blocked is told of while it is, with the place and without a value."""

import asyncio
import threading
import time
from datetime import timedelta

import structlog

from runtime.looplag import LoopLag, place

LIMIT = timedelta(milliseconds=100)


def block(told: threading.Event) -> None:
    """Holds the loop until the watching thread has noticed; no longer than a test may hang."""
    secret = "CANARY"
    assert told.wait(20), secret
    time.sleep(0.5)  # still the same pause


async def test_a_blocked_loop_is_told_of_once_while_it_is_blocked_and_where():
    told = threading.Event()
    events: list[dict] = []

    def keep(_logger: object, _method: str, event: dict) -> dict:
        events.append(event)
        if event["event"] == "loop.blocked":
            told.set()
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    try:
        with LoopLag(LIMIT) as lag:
            await asyncio.sleep(0.3)
            block(told)
            await asyncio.sleep(0.3)
            shown = lag.describe()
    finally:
        structlog.reset_defaults()

    blocked = [event for event in events if event["event"] == "loop.blocked"]
    assert len(blocked) == 1
    assert blocked[0]["where"].startswith(f"{__name__}:")
    assert "CANARY" not in str(events)
    assert shown["blocked"] == 1
    assert shown["longest_ms"] >= 500
    assert shown["late"] >= 1


async def test_a_loop_that_only_waits_is_not_blocked():
    with LoopLag(timedelta(seconds=5)) as lag:
        await asyncio.sleep(0.5)
        assert lag.describe()["blocked"] == 0


def test_nothing_of_ours_has_no_place():
    assert place(None) == ""
