"""An asyncio loop in virtual time: nobody waits, and a program in which everything waits for ever is caught."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

LONGEST_S = 1_000_000.0
"""No program of ours takes eleven days."""
STEP_S = 1e-6
"""What one turn of the loop takes: time moves on even where nobody waits."""
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Stuck(Exception):
    """No timer is set and nothing is ready, or it went on for days: the program would hang."""


class _Selector(selectors.DefaultSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or self.loop.at > LONGEST_S:
            raise Stuck
        self.loop.at += max(STEP_S, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer. For programs without sockets and threads."""

    def __init__(self) -> None:
        self.at = 1_000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.at


class LoopClock:
    """A `Clock` that tells the loop's time."""

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.monotonic() - 1_000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
