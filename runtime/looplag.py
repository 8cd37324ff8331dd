"""How late a process's event loop is: what blocks it delays every lane, heartbeat and deadline of the process."""

import asyncio
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any

import structlog

log = structlog.get_logger("novix.process")

TICK_S = 0.1
LATE_S = 0.05
"""A tick that comes later than this is counted."""
_ROOMS = frozenset({"schemas", "runtime", "router", "workers", "hub", "console", "sandbox"})
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class LoopLag:
    """Measures the running loop's lag while the context lasts, and tells of a loop that is blocked while it is.

    A task ticks; a thread looks whether it still does, and logs `loop.blocked` once for each time that it has not for
    `limit`, with the module and line of ours that the loop's thread is at: never a value. A process that was frozen as
    a whole, or holds Python's lock, has its thread frozen too: that is told as `loop.late` when it is over.
    """

    def __init__(self, limit: timedelta, observe: Callable[[float], object] = lambda seconds: None) -> None:
        """`observe` is told of each tick's lag, in seconds."""
        self._limit_s = limit.total_seconds()
        self._observe = observe
        self._ticked = time.monotonic()
        self._longest_s = 0.0
        self._late = 0
        self._blocked = 0
        self._told = 0.0
        """The last tick before the pause that was told of."""
        self._over = threading.Event()

    def __enter__(self) -> "LoopLag":
        self._ticked = time.monotonic()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())
        self._loop_thread = threading.get_ident()
        self._watching = threading.Thread(target=self._watch, name="novix-looplag", daemon=True)
        self._watching.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticking.cancel()
        self._over.set()
        self._watching.join()

    def describe(self) -> dict[str, Any]:
        """Longest lag in milliseconds, ticks that were over 50 ms late, and how often the loop was blocked."""
        return {"longest_ms": round(1_000 * self._longest_s, 1), "late": self._late, "blocked": self._blocked}

    async def _tick(self) -> None:
        while True:
            before = self._ticked
            await asyncio.sleep(TICK_S)
            self._ticked = time.monotonic()
            lag = max(0.0, self._ticked - before - TICK_S)
            self._longest_s = max(self._longest_s, lag)
            self._late += lag > LATE_S
            self._observe(lag)
            if lag >= self._limit_s and self._told != before:  # the thread did not run either
                log.warning("loop.late", for_ms=round(1_000 * lag))

    def _watch(self) -> None:
        pause = min(0.25, self._limit_s / 4)
        looked = time.monotonic()
        while not self._over.wait(pause):
            now, before = time.monotonic(), looked
            looked = now
            ticked = self._ticked
            frozen = now - before > pause + self._limit_s / 2
            if now - ticked <= TICK_S + self._limit_s or ticked == self._told or frozen:
                continue
            self._told = ticked
            self._blocked += 1
            frame = sys._current_frames().get(self._loop_thread)
            log.error("loop.blocked", for_ms=round(1_000 * (now - ticked - TICK_S)), where=place(frame))


def place(frame: FrameType | None) -> str:
    """`module:line` of the innermost frame that is ours, or at least nobody else's: not the standard library's, and of
    no installed package but Novix. Empty if there is none."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        file = frame.f_code.co_filename
        if name.partition(".")[0] in _ROOMS or not (file.startswith(_LIBRARIES) or file.startswith("<")):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
