"""Many processes in one thread, in virtual time, with one source of chance.

Each simulated process has an event loop of its own; the kernel turns them one step at a time, in an order that the dice
choose. So a process can be frozen (its loop is not turned, what arrives waits), or killed (its loop is never turned
again: no `finally`, no `except` and no callback of it runs any more, as after `kill -9`), while the others go on.
"""

import asyncio
import gc
import heapq
import itertools
import random
import sys
from asyncio import events
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""When every schedule begins."""
START_S = 1_000.0
"""What monotonic clocks say then."""
STEP_S = 2e-5
"""What a turn of a loop takes: time moves on even where nobody waits."""
THREAD_S = 0.004
"""The longest that work handed to a thread takes, by dice."""

_current: ContextVar["SimProcess | None"] = ContextVar("simulated process", default=None)


class Stuck(Exception):
    """No timer is set and nobody has anything to do, or the time given has passed."""


class Timer:
    """Something that the world does at an instant."""

    __slots__ = ("do",)

    def __init__(self, do: Callable[[], None]) -> None:
        self.do: Callable[[], None] | None = do

    def cancel(self) -> None:
        """It does not happen."""
        self.do = None


class _NoSelector:
    def select(self, _: float | None) -> list[Any]:
        return []


class SimLoop(asyncio.BaseEventLoop):
    """One process's event loop, turned by the kernel. No sockets; a thread's work is done in a later turn."""

    _selector = _NoSelector()

    def __init__(self, kernel: "Kernel", process: "SimProcess") -> None:
        super().__init__()
        self.kernel = kernel
        self.process = process
        self.deaf = False

    def time(self) -> float:
        return self.kernel.monotonic

    def next_at(self) -> float | None:
        """When it has something to do: now or before if it is ready; None if it waits for others."""
        if self._ready:  # type: ignore[attr-defined]
            return self.kernel.monotonic
        scheduled = self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
        return scheduled[0].when() if scheduled else None

    def turn(self) -> None:
        """Run what is ready once."""
        events._set_running_loop(self)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)  # type: ignore[attr-defined]
        try:
            self._run_once()  # type: ignore[attr-defined]
        finally:
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(None)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """A thread's work takes a moment, and dies and freezes with its process."""
        future: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                answer = func(*args)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(answer)

        self.call_later(self.kernel.dice.uniform(0, THREAD_S), work)
        return future

    def clear(self) -> None:
        """Forget everything that was to be done, and complain of nothing any more."""
        self.deaf = True
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.deaf:
            self.kernel.complain(f"{self.process}: {context.get('message')}: {context.get('exception')!r}")

    def _process_events(self, _: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""


class SimProcess:
    """One process on one machine. `stop` is its SIGTERM."""

    def __init__(self, kernel: "Kernel", name: str, pid: int) -> None:
        self.kernel = kernel
        self.name = name
        self.pid = pid
        self.loop = SimLoop(kernel, self)
        self.alive = True
        self.frozen = False
        self.skew = timedelta(0)
        """By how much its machine's wall clock is wrong."""
        self.ended: BaseException | bool | None = None
        """None while it runs, True when its main function has returned, else what it raised."""
        self.on_kill: list[Callable[[], None]] = []
        """What the operating system does for a process that dies: locks are freed, open transactions rolled back."""
        self.stopping: asyncio.Event | None = None
        self.task: asyncio.Task[Any] | None = None

    def __str__(self) -> str:
        return f"{self.name}#{self.pid}"

    def deliver(self, do: Callable[..., None], *args: Any) -> None:
        """Have something happen in the process, as soon as it runs. Nothing happens in a dead one."""
        if self.alive:
            self.loop.call_soon(do, *args)

    def stop(self) -> None:
        """SIGTERM."""
        if self.stopping is not None:
            self.deliver(self.stopping.set)

    def kill(self) -> None:
        """`kill -9`, between two steps of its loop."""
        if self.alive:
            self.alive = False
            self._release()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP now, SIGCONT after `seconds`."""
        if self.alive and not self.frozen:
            self.frozen = True
            self.kernel.call_later(seconds, self._thaw)

    def now(self) -> datetime:
        """What its wall clock says."""
        return NOON + timedelta(seconds=self.kernel.monotonic - START_S) + self.skew

    def _thaw(self) -> None:
        self.frozen = False

    def _release(self) -> None:
        while self.on_kill:
            self.on_kill.pop()()

    def _begin(self, main: Callable[[asyncio.Event], Coroutine[Any, Any, Any]]) -> None:
        async def run() -> None:
            self.stopping = asyncio.Event()
            await main(self.stopping)

        def ended(task: "asyncio.Task[Any]") -> None:
            error = None if task.cancelled() else task.exception()
            self.ended = True if error is None else error
            if self.alive:
                self.alive = False
                self._release()

        token = _current.set(self)
        try:
            self.task = self.loop.create_task(run())
            self.task.add_done_callback(ended)
        finally:
            _current.reset(token)


class Kernel:
    """Time, chance and processes of one schedule."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.monotonic = START_S
        self.processes: list[SimProcess] = []
        self.complaints: list[str] = []
        """What no schedule may bring about, whatever goes wrong in it; told by the kernel and the simulated Kafka."""
        self.steps = 0
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    def complain(self, what: str) -> None:
        """Note something that must never happen."""
        if len(self.complaints) < 100:
            self.complaints.append(f"{self.monotonic - START_S:.3f} s: {what}")

    def call_later(self, seconds: float, do: Callable[[], None]) -> Timer:
        """The world does something in a while. World code has no running loop and must not wait."""
        timer = Timer(do)
        heapq.heappush(self._timers, (self.monotonic + max(0.0, seconds), next(self._count), timer))
        return timer

    def start(self, name: str, main: Callable[[asyncio.Event], Coroutine[Any, Any, Any]]) -> SimProcess:
        """A new process whose main function gets the event that SIGTERM sets."""
        process = SimProcess(self, name, pid=len(self.processes) + 1)
        self.processes.append(process)
        process._begin(main)
        return process

    def run(self, until: Callable[[], bool], within_s: float) -> None:
        """Turn the world until something is true. Raises `Stuck` if nobody has anything left to do, or after
        `within_s` virtual seconds."""
        last = self.monotonic + within_s
        while not until():
            if self.monotonic > last:
                raise Stuck(f"not after {within_s:g} s")
            self._turn()

    def _turn(self) -> None:
        now = self.monotonic
        timers = self._timers
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            if timer.do is not None:
                timer.do()
        soonest, ready = timers[0][0] if timers else None, []
        for process in self.processes:
            if not process.alive or process.frozen:
                continue
            at = process.loop.next_at()
            if at is None:
                continue
            if at <= now:
                ready.append(process)
            elif soonest is None or at < soonest:
                soonest = at
        if ready:
            process = ready[0] if len(ready) == 1 else self.dice.choice(ready)
            process.loop.turn()
            self.steps += 1
            self.monotonic = now + STEP_S
        elif soonest is None:
            raise Stuck("nobody has anything to do")
        else:
            self.monotonic = max(now, soonest)

    def close(self) -> None:
        """Let everything go, when the verdict is spoken. What the dead left unfinished is unwound only now, by the
        garbage collector, and nobody wants to hear of it."""
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            for process in self.processes:
                process.kill()
                for task in asyncio.all_tasks(process.loop):
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                process.loop.clear()
                process.task = process.stopping = None
            self.processes.clear()
            self._timers.clear()
            gc.collect()
        finally:
            sys.unraisablehook = hook


def current() -> SimProcess:
    """The process whose code runs. Raises `LookupError` outside of every process."""
    loop = events._get_running_loop()
    if isinstance(loop, SimLoop):
        return loop.process
    raise LookupError("no simulated process runs")
