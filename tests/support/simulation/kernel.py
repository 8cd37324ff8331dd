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
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

NOON = datetime(2026, 11, 22, 11, 59, 52, tzinfo=UTC)
"""When every schedule begins: shortly before an hour turns, for budgets of an hour."""
START_S = 1_000.0
"""What monotonic clocks say then."""
STEP_S = 2e-5
"""What a turn of a loop takes: time moves on even where nobody waits."""
THREAD_S = 0.004
"""The longest that work handed to a thread takes, by dice."""


_running: "SimProcess | None" = None
"""The process whose code runs; None while the world acts."""


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


class SimFuture(asyncio.Future[Any]):
    """A future whose hash is its number: asyncio keeps futures in sets, whose order would else be that of addresses."""

    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SimTask(asyncio.Task[Any]):
    """A task whose hash is its number, likewise."""

    def __init__(self, number: int, coroutine: Any, loop: asyncio.AbstractEventLoop, **more: Any) -> None:
        self.number = number
        super().__init__(coroutine, loop=loop, **more)

    def __hash__(self) -> int:
        return self.number


class SimHandle(events.Handle):
    """A callback that waits for its turn."""

    __slots__ = ()

    def __init__(self, callback: Callable[..., Any], args: Sequence[Any], loop: Any, context: Context | None) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class SimLoop(asyncio.BaseEventLoop):
    """One process's event loop, turned by the kernel. No sockets; a thread's work is done in a later turn."""

    def __init__(self, kernel: "Kernel", process: "SimProcess") -> None:
        self.ready: deque[events.Handle] = deque()
        super().__init__()
        self.ready.clear()
        self._at: list[tuple[float, int, events.TimerHandle]] = []
        self.kernel = kernel
        self.process = process
        self.deaf = False
        number = kernel.next_number
        self.set_task_factory(lambda loop, coroutine, **more: SimTask(number(), coroutine, loop, **more))

    def create_future(self) -> asyncio.Future[Any]:
        return SimFuture(self.kernel.next_number(), self)

    def time(self) -> float:
        return self.kernel.monotonic

    def is_running(self) -> bool:
        """aiokafka asks, and only from within."""
        return True

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> "SimHandle":
        handle = SimHandle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> events.TimerHandle:
        return self.call_at(self.kernel.monotonic + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> events.TimerHandle:
        handle = events.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._at, (when, self.kernel.next_number(), handle))
        return handle

    def next_at(self) -> float | None:
        """When it has something to do if nothing is ready; None if it waits for others."""
        at = self._at
        while at:
            if not at[0][2]._cancelled:
                return at[0][0]
            heapq.heappop(at)
        return None

    def turn(self, now: float) -> None:
        """Run what is ready once, and what is due. As asyncio does, which would look for sockets besides."""
        at, ready = self._at, self.ready
        while at and at[0][0] <= now:
            ready.append(heapq.heappop(at)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def enter(self) -> None:
        """What runs from now on runs in this loop."""
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)  # type: ignore[attr-defined]

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

        self.call_later(self.kernel.dice.uniform(0, self.kernel.slow_disks.get(self.process.machine, THREAD_S)), work)
        return future

    def clear(self) -> None:
        """Forget everything that was to be done, and complain of nothing any more."""
        self.deaf = True
        self.ready.clear()
        self._at.clear()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        message, error = str(context.get("message")), context.get("exception")
        never_looked_at = "was never retrieved" in message  # told when it is let go: aiokafka's habit
        # aiokafka 0.14 takes a batch that was given back and expired out of its table again: only a flush looks there.
        taken_twice = isinstance(error, KeyError) and "MessageAccumulator._pop_batch" in message
        if not self.deaf and not never_looked_at and not taken_twice:
            self.kernel.complain(f"{self.process}: {message}: {error!r}")

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""


class SimProcess:
    """One process on one machine. `stop` is its SIGTERM."""

    def __init__(self, kernel: "Kernel", name: str, pid: int, machine: str = "machine-0") -> None:
        self.kernel = kernel
        self.name = name
        self.machine = machine
        """Its host's name."""
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
        self.remains: set[asyncio.Task[Any]] = set()
        """Of one that was killed, what it was about: held, for a task that nobody holds is unwound."""
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
            self.remains = asyncio.all_tasks(self.loop)
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
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            self.ended = True if error is None else error
            if self.alive:
                self.alive = False
                self._release()

        self.task = self.loop.create_task(run())
        self.task.add_done_callback(ended)


class Kernel:
    """Time, chance and processes of one schedule."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.monotonic = START_S
        self.processes: list[SimProcess] = []
        self.complaints: list[str] = []
        """What no schedule may bring about, whatever goes wrong in it; told by the kernel and the simulated Kafka."""
        self.servers: dict[str, Any] = {}
        """The simulated brokers by their address (`host:port`), as `bootstrap_servers` names them."""
        self.full_disks: set[str] = set()
        """Machines on whose disks nothing can be written now."""
        self.locked_disks: set[str] = set()
        """Machines whose files of notes somebody else has locked."""
        self.slow_disks: dict[str, float] = {}
        """Machines on which a thread's work takes up to so many seconds."""
        self.steps = 0
        self._entered: SimLoop | None = None
        """The loop that asyncio takes for the running one: changed only when another process has its turn."""
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self.next_number: Callable[[], int] = itertools.count(1).__next__
        """For whatever needs an order of its own."""

    def complain(self, what: str) -> None:
        """Note something that must never happen."""
        if len(self.complaints) < 100:
            self.complaints.append(f"{self.monotonic - START_S:.3f} s: {what}")

    def call_later(self, seconds: float, do: Callable[[], None]) -> Timer:
        """The world does something in a while. World code has no running loop and must not wait."""
        timer = Timer(do)
        heapq.heappush(self._timers, (self.monotonic + max(0.0, seconds), next(self._count), timer))
        return timer

    def start(
        self, name: str, main: Callable[[asyncio.Event], Coroutine[Any, Any, Any]], machine: str = "machine-0"
    ) -> SimProcess:
        """A new process on a machine, whose main function gets the event that SIGTERM sets."""
        process = SimProcess(self, name, len(self.processes) + 1, machine)
        self.processes.append(process)
        process._begin(main)
        return process

    def run(self, until: Callable[[], bool], within_s: float) -> None:
        """Turn the world until something is true. Raises `Stuck` if nobody has anything left to do, or after
        `within_s` virtual seconds."""
        last = self.monotonic + within_s
        outer, hooks = events._get_running_loop(), sys.get_asyncgen_hooks()
        try:
            while not until():
                if self.monotonic > last:
                    raise Stuck(f"not after {within_s:g} s")
                self._turn()
        finally:
            self._entered = None
            events._set_running_loop(outer)
            sys.set_asyncgen_hooks(*hooks)

    def _turn(self) -> None:
        now = self.monotonic
        timers = self._timers
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            if timer.do is not None:
                timer.do()
        ready, soonest = [], timers[0][0] if timers else None
        for process in self.processes:
            if not process.alive or process.frozen:
                continue
            if process.loop.ready:
                ready.append(process)
                continue
            at = process.loop.next_at()
            if at is None:
                continue
            if at <= now:
                ready.append(process)
            elif soonest is None or at < soonest:
                soonest = at
        if ready:
            self._let_run(ready[0] if len(ready) == 1 else self.dice.choice(ready), now)
            self.steps += 1
            self.monotonic = now + STEP_S
        elif soonest is None:
            raise Stuck("nobody has anything to do")
        else:
            self.monotonic = max(now, soonest)

    def _let_run(self, process: SimProcess, now: float) -> None:
        global _running  # noqa: PLW0603 - asyncio's own is slower to set and to ask, and says nothing while the world acts
        loop = process.loop
        if loop is not self._entered:
            self._entered = loop
            loop.enter()
        _running = process
        try:
            loop.turn(now)
        finally:
            _running = None

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
                process.remains.clear()
            self.processes.clear()
            self._timers.clear()
            gc.collect()
        finally:
            sys.unraisablehook = hook


def current() -> SimProcess:
    """The process whose code runs. Raises `LookupError` outside of every process."""
    if _running is None:
        raise LookupError("no simulated process runs")
    return _running
