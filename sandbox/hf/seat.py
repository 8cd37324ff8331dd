"""One seat before each engine: calls wait in order, one runs, on a thread of its own, off the event loop."""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

Chunk = dict[str, Any]
Emit = Callable[[Chunk], bool]
"""Hands one piece on, from the engine's thread; True asks the engine to stop."""


@dataclass(slots=True)
class Timing:
    """How long a call waited until its work began and how long that took, in whole milliseconds.

    Waiting includes the loading of a model that was not there yet: nobody pays for that. Compute is rounded up: no
    work that was done is free.
    """

    queued_ms: int = 0
    compute_ms: int = 0

    def __add__(self, other: "Timing") -> "Timing":
        """Of two steps, one after the other."""
        return Timing(self.queued_ms + other.queued_ms, self.compute_ms + other.compute_ms)


class Seat:
    """Runs one piece of work at a time, first come first served."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"seat-{name}")

    async def run(self, load: Callable[[], None], work: Callable[[], T]) -> tuple[T, Timing]:
        """Run `load`, then `work`, on the seat's thread and return its value; raises what they raise."""
        timing = Timing()
        value = await asyncio.wrap_future(self.submit(load, work, timing))
        return value, timing

    def stream(self, load: Callable[[], None], work: Callable[[Emit], None]) -> "Stream":
        """Begin `work`, which hands on pieces as it makes them. Call from the event loop; close what it returns."""
        return Stream(self, load, work)

    def submit(self, load: Callable[[], None], work: Callable[[], T], timing: Timing) -> "Future[T]":
        """Queue `work`; `timing` is filled in as it begins and ends."""
        asked = time.monotonic()

        def seated() -> T:
            load()
            began = time.monotonic()
            timing.queued_ms = int((began - asked) * 1000)
            try:
                return work()
            finally:
                timing.compute_ms = math.ceil((time.monotonic() - began) * 1000)

        return self._executor.submit(seated)

    def close(self) -> None:
        """Take no more work; what runs goes on to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Stream:
    """The pieces of one running call, in order.

    Bounded by the model's context: an engine makes at most one piece a token, so nothing more is kept in memory.
    """

    def __init__(self, seat: Seat, load: Callable[[], None], work: Callable[[Emit], None]) -> None:
        self.timing = Timing()
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self._stop = threading.Event()
        self._done = asyncio.wrap_future(seat.submit(load, lambda: self._work(work), self.timing))
        self._done.add_done_callback(lambda _: self._pieces.put_nowait(None))

    def _work(self, work: Callable[[Emit], None]) -> None:
        if not self._stop.is_set():  # given up while it waited: the seat goes to the next at once
            work(self._emit)

    def _emit(self, piece: Chunk) -> bool:
        if self._stop.is_set():
            return True
        try:
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
        except RuntimeError:  # the loop has closed under us: the server is going down
            return True
        return False

    async def next(self) -> Chunk | None:
        """The next piece, or None at the end. Raises what the engine raised."""
        piece = await self._pieces.get()
        if piece is None:
            self._pieces.put_nowait(None)
            await self._done
        return piece

    def stop(self) -> None:
        """Ask the engine to stop at its next token, or not to begin; safe to call more than once, from any thread."""
        self._stop.set()

    async def close(self) -> list[Chunk]:
        """Stop and wait until the engine has let go of the seat; return what was not taken. `timing` is final then."""
        self.stop()
        await asyncio.wait([self._done])
        if not self._done.cancelled():
            self._done.exception()  # whoever closes early does not care; unasked, asyncio would log it
        late = []
        while not self._pieces.empty():
            late.append(self._pieces.get_nowait())
        return [piece for piece in late if piece is not None]
