"""Notes of calls, made before each call: after a crash they say which calls were out. One file a machine and group.

The file is an SQLite write-ahead log, shared by the processes of the machine. It outlives a process that is killed, not
a machine that loses power (`synchronous=NORMAL`). What a note says is its writer's affair: text, kept as it is.

Whoever takes a lane over finds in the commit metadata whose notes to read (`Resumed.custody`): the id of this file, or
that of a file on another machine.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import structlog

from runtime import intents_file
from runtime.intents_file import Place

log = structlog.get_logger("novix.intents")

GATHER_S = 0.01
"""Between two writes: notes that come meanwhile go into one."""
LAZY_S = 0.25
"""How long an end, or what may be forgotten, waits for a note that must be written anyway."""
CLOSE_S = 5.0


class IntentsUnavailable(Exception):
    """The note could not be written: no call may be made. Names the fault's class and place, nothing of the note."""


@dataclass(frozen=True, slots=True)
class Left:
    """A note of a call whose record has no committed outcome."""

    offset: int
    attempt: int
    owner: str
    begun: str
    ended: str | None
    """None: the call was out when the process ended, or is out still."""
    order: int
    """Grows with the time at which the notes were made."""
    alive: bool = False
    """The owner still runs: it lost the lane, and the call may be out yet."""
    mine: bool = False
    """This process is the owner. What it has in memory of the record knows of the call already; a record that it left
    undone and reads again does not."""

    @property
    def ref(self) -> str:
        """Names the note among those of its lane."""
        return f"{self.owner}/{self.offset}/{self.attempt}"


class Intents(Protocol):
    """Where calls are noted."""

    @property
    def custody(self) -> str:
        """The journal's id: 12 hex digits; empty if nothing is noted."""
        ...

    def describe(self) -> dict[str, Any]:
        """State for /healthz."""
        ...

    async def begin(self, lane: str, offset: int, attempt: int, note: str) -> None:
        """The call may be made when this returns. Raises `IntentsUnavailable`. If it is cancelled nothing is noted."""
        ...

    def end(self, lane: str, offset: int, attempt: int, note: str) -> None:
        """The call is over. Written soon; a crash before that leaves it out."""
        ...

    def withdraw(self, lane: str, offset: int, attempt: int) -> None:
        """The call was not made after all."""
        ...

    def forget(self, lane: str, offsets: Iterable[int]) -> None:
        """The outcomes of these records are committed: their notes, everybody's, are needed no more."""
        ...

    async def left(self, lane: str, base: int, finished: Collection[int], custody: str) -> dict[int, list[Left]]:
        """What is noted of this lane, by offset: at or above `base` and not `finished`.

        Everything else is removed, and all of it with an empty `custody`: the last owner closed the lane cleanly, or it
        is another log. Afterwards `custody` names the journal that was read. Raises `IntentsUnavailable`.
        """
        ...


class NoIntents:
    """Notes nothing: after a crash nobody knows which calls were out."""

    custody = ""

    def describe(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    async def begin(self, lane: str, offset: int, attempt: int, note: str) -> None:
        """Nothing."""

    def end(self, lane: str, offset: int, attempt: int, note: str) -> None:
        """Nothing."""

    def withdraw(self, lane: str, offset: int, attempt: int) -> None:
        """Nothing."""

    def forget(self, lane: str, offsets: Iterable[int]) -> None:
        """Nothing."""

    async def left(self, lane: str, base: int, finished: Collection[int], custody: str) -> dict[int, list[Left]]:
        """Nothing."""
        return {}


@dataclass(slots=True)
class _Batch:
    """What the next write holds."""

    begun: dict[Place, str] = field(default_factory=dict)
    waiting: "list[asyncio.Future[None]]" = field(default_factory=list)
    ended: dict[Place, str] = field(default_factory=dict)
    withdrawn: set[Place] = field(default_factory=set)
    forgotten: set[tuple[str, int]] = field(default_factory=set)

    @property
    def lazy(self) -> bool:
        """Something waits, and nobody for it."""
        return bool(self.ended or self.withdrawn or self.forgotten)


class IntentFile:
    """`Intents` in a file. One event loop owns it; one thread writes. `async with` opens and closes it.

    In the place of a file that is damaged comes another, with another id: whoever looks for the old id does not find
    it, and counts what cannot be known.
    """

    def __init__(self, path: Path) -> None:
        self.owner = secrets.token_hex(6)
        """This process, this time."""
        self._file = intents_file.IntentsFile(path, self.owner)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="intents")
        self._batch = _Batch()
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._next_at = 0.0
        self._trouble = ""
        self._custody = ""

    async def __aenter__(self) -> "IntentFile":
        await self._run(self._file.open)
        self._custody = self._file.id
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), CLOSE_S)
        if self._timer is not None:
            self._timer.cancel()
        await self._run(self._file.end)
        self._thread.shutdown(wait=False)

    @property
    def custody(self) -> str:
        """The id of the file that is open."""
        return self._custody

    def describe(self) -> dict[str, Any]:
        """State for /healthz."""
        return {"journal": self._custody, "trouble": self._trouble or None}

    async def begin(self, lane: str, offset: int, attempt: int, note: str) -> None:
        """See `Intents`."""
        place = (lane, offset, attempt)
        written = asyncio.get_running_loop().create_future()
        self._batch.begun[place] = note
        self._batch.withdrawn.discard(place)  # what was withdrawn is an earlier call that was not made
        self._batch.waiting.append(written)
        self._soon(GATHER_S)
        try:
            await written
        except asyncio.CancelledError:
            self.withdraw(*place)
            raise

    def end(self, lane: str, offset: int, attempt: int, note: str) -> None:
        """See `Intents`."""
        self._batch.ended[lane, offset, attempt] = note
        self._soon(LAZY_S)

    def withdraw(self, lane: str, offset: int, attempt: int) -> None:
        """See `Intents`."""
        self._batch.begun.pop((lane, offset, attempt), None)
        self._batch.withdrawn.add((lane, offset, attempt))
        self._soon(LAZY_S)

    def forget(self, lane: str, offsets: Iterable[int]) -> None:
        """See `Intents`."""
        self._batch.forgotten.update((lane, offset) for offset in offsets)
        if self._batch.forgotten:
            self._soon(LAZY_S)

    async def flush(self) -> None:
        """Have what is noted by now written, as far as that can be."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
        if self._batch.begun or self._batch.lazy:
            if self._timer is not None:
                self._timer.cancel()
            await asyncio.wait({self._writing or self._start()})

    async def left(self, lane: str, base: int, finished: Collection[int], custody: str) -> dict[int, list[Left]]:
        """See `Intents`."""
        await self.flush()
        try:
            rows = await self._run(self._file.left, lane, base, finished, bool(custody))
        except Exception as error:
            raise self._unavailable(error) from None
        self._custody = self._file.id  # a file that was found damaged has been replaced
        found: dict[int, list[Left]] = {}
        for offset, *rest in rows:
            found.setdefault(offset, []).append(Left(offset, *rest))
        return found

    # writing

    def _soon(self, within_s: float) -> None:
        """Have what is noted written within that time; a write that runs is followed by the next at its end."""
        if self._writing is not None:
            return
        loop = asyncio.get_running_loop()
        at = max(loop.time(), self._next_at) if within_s == GATHER_S else loop.time() + within_s
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer, self._timer_at = loop.call_at(at, self._start), at

    def _start(self) -> "asyncio.Task[None]":
        self._timer = None
        self._writing = asyncio.get_running_loop().create_task(self._write())
        self._writing.add_done_callback(self._written)
        return self._writing

    def _written(self, task: "asyncio.Task[None]") -> None:
        self._writing = None
        self._next_at = asyncio.get_running_loop().time() + GATHER_S
        if self._batch.begun:
            self._soon(GATHER_S)
        elif self._batch.lazy:
            self._soon(LAZY_S)

    async def _write(self) -> None:
        batch, self._batch = self._batch, _Batch()
        try:
            await self._run(self._file.write, batch.begun, batch.ended, batch.withdrawn, batch.forgotten)
        except Exception as error:  # whatever it is, somebody waits to be told
            failure = self._unavailable(error)
            for waiting in batch.waiting:
                if not waiting.done():
                    waiting.set_exception(failure)
            self._keep(batch)
            return
        self._custody, self._trouble = self._file.id, ""
        for waiting in batch.waiting:
            if not waiting.done():
                waiting.set_result(None)

    def _keep(self, batch: _Batch) -> None:
        """What nobody waits for is written another time; newer notes of the same call win."""
        self._batch.ended = {**batch.ended, **self._batch.ended}
        self._batch.withdrawn |= batch.withdrawn - self._batch.begun.keys()
        self._batch.forgotten |= batch.forgotten

    def _unavailable(self, error: Exception) -> IntentsUnavailable:
        name = getattr(error, "sqlite_errorname", None) or type(error).__name__
        if self._trouble != name:
            log.error("intents.unavailable", error=name)
        self._trouble = name
        return IntentsUnavailable(f"the file of intents cannot be written: {name}")

    async def _run(self, work: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
