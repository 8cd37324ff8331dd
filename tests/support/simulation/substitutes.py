"""What is put in the place of the operating system's and the network's part while a schedule runs; nothing else is.

Our own code and aiokafka's run as they are. `SUBSTITUTES` names every attribute that is replaced, and why.
"""

import contextlib
import fcntl
import gc
import logging
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pkgutil import resolve_name
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer

from simulation.clients.batches import SimBatchBuilder, SimMemoryRecords
from simulation.clients.wire import create_conn
from simulation.kernel import NOON, START_S, Kernel, SimProcess, current

_TIME = "reads the clock: here the kernel's"
SUBSTITUTES = {
    "aiokafka.client.create_conn": "the socket: here a connection to a `SimBroker`",
    "aiokafka.producer.message_accumulator.DefaultRecordBatchBuilder": "the bytes of a batch; it reads the clock too",
    "aiokafka.consumer.fetcher.MemoryRecords": "the bytes of what was fetched",
    "aiokafka.consumer.consumer.AIOKafkaConsumer.__init__": "how long fetches wait: see `FETCH_WAIT_MS`",
    "aiokafka.client.time": _TIME,
    "aiokafka.cluster.time": _TIME,
    "aiokafka.consumer.fetcher.time": _TIME,
    "aiokafka.consumer.group_coordinator.time": _TIME,
    "aiokafka.consumer.subscription_state.time": _TIME,
    "aiokafka.producer.message_accumulator.time": _TIME,
    "runtime.intents_file.time": _TIME,
    "runtime.clock.SystemClock.now": "the wall clock of the process's machine, which may be wrong",
    "runtime.clock.SystemClock.monotonic": _TIME,
    "os.urandom": "chance: uuid4 is made of it",
    "random._urandom": "chance: SystemRandom and secrets are made of it",
    "os.getpid": "many processes in one",
    "socket.gethostname": "many machines in one",
    "sqlite3.connect": "a killed process's transaction is rolled back; nobody waits for another's lock",
    "fcntl.flock": "a killed process's locks are freed",
    "os.close": "frees a lock as well",
}
"""`random.seed` is called besides: aiokafka shuffles with the module's own dice."""

FETCH_WAIT_MS = {True: 500, False: 5_000}
"""How long a fetch waits for records, in a group (aiokafka's default) and outside of any. The longer one only saves
turns: who reads outside a group fetches all of its partitions at once, and new records end the wait."""
FETCHER_WAKES_MS = 60_000
"""aiokafka's fetcher looks around five times a second although everything that concerns it wakes it."""


class SimTime:
    """The part of the module `time` that is used, in virtual time."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._kernel.monotonic

    def time(self) -> float:
        """Seconds since 1970 on the process's own machine."""
        return wall(self._kernel).timestamp()

    def sleep(self, seconds: float) -> None:
        """Block the whole process: nobody else gets on either, so no schedule should come here often."""
        self._kernel.monotonic += seconds


def wall(kernel: Kernel) -> datetime:
    """What the clock on the wall says to whoever runs; outside of every process, the true time."""
    process = running()
    return process.now() if process is not None else NOON + timedelta(seconds=kernel.monotonic - START_S)


def running() -> SimProcess | None:
    """The process whose code runs, if any does."""
    try:
        return current()
    except LookupError:
        return None


class SimDatabase(sqlite3.Connection):
    """A connection to a file on its machine's disk, which may be full."""

    machine = ""
    kernel: Kernel

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        """Raises `OperationalError` for a statement that writes on a full disk."""
        self._need_room(statement)
        return super().execute(statement, *parameters)

    def executemany(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        """Likewise."""
        self._need_room(statement)
        return super().executemany(statement, *parameters)

    def executescript(self, script: str) -> sqlite3.Cursor:
        """Likewise."""
        self._need_room(script)
        return super().executescript(script)

    def _need_room(self, statement: str) -> None:
        if self.machine and self.machine in self.kernel.locked_disks:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_BUSY, "SQLITE_BUSY"
            raise error
        if self.machine and self.machine in self.kernel.full_disks and statement.lstrip()[:6].upper() in _WRITES:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
            raise error


_WRITES = {"INSERT", "UPDATE", "DELETE", "CREATE", "REPLAC"}


class _Locks:
    """File locks by descriptor: a killed process's are freed, though its descriptors stay open until the end.

    They are not closed at once because the dead process's frames still hold their numbers.
    """

    def __init__(self) -> None:
        self._flock, self._close = fcntl.flock, os.close
        self._held: dict[int, SimProcess] = {}

    def flock(self, handle: Any, operation: int) -> None:
        self._flock(handle, operation)
        process = running()
        if process is None or operation & fcntl.LOCK_UN:
            return
        number = handle if isinstance(handle, int) else handle.fileno()
        self._held[number] = process
        process.on_kill.append(lambda: self._free(number, process))

    def _free(self, number: int, process: SimProcess) -> None:
        if self._held.get(number) is process:  # it may be closed, and another's by now
            self._flock(number, fcntl.LOCK_UN)

    def close(self, handle: int) -> None:
        self._held.pop(handle, None)
        self._close(handle)

    def close_all(self) -> None:
        """What the dead have left open."""
        for number in self._held:
            with contextlib.suppress(OSError):
                self._close(number)
        self._held.clear()


@contextlib.contextmanager
def substituted(kernel: Kernel, *, logs: bool = False) -> Iterator[None]:
    """Have everything that runs meanwhile live in the kernel's world: its time, its chance, its network.

    Ends with `kernel.close()`: what the dead left unfinished is unwound while the substitutes are still in place. Until
    then nothing is collected, for that would run a killed process's `finally`. `logs`: let the programs log.
    """
    time, locks, connect = SimTime(kernel), _Locks(), sqlite3.connect
    consumer = AIOKafkaConsumer.__init__

    def connected(*args: Any, **named: Any) -> sqlite3.Connection:
        named["timeout"] = 0.0
        process = running()
        if process is not None:
            named["factory"] = SimDatabase
        db: SimDatabase = connect(*args, **named)
        if process is not None:
            db.machine, db.kernel = process.machine, kernel
            process.on_kill.append(lambda: _cut_off(db))
        return db

    def consumer_made(self: Any, *topics: str, group_id: str | None = None, **named: Any) -> None:
        named.setdefault("fetch_max_wait_ms", FETCH_WAIT_MS[group_id is not None])
        named.setdefault("consumer_timeout_ms", FETCHER_WAKES_MS)
        consumer(self, *topics, group_id=group_id, **named)

    def pid() -> int:
        process = running()
        return process.pid if process is not None else 1

    def host() -> str:
        process = running()
        return process.machine if process is not None else "world"

    dice = kernel.dice.randbytes
    values: dict[str, Any] = {
        "aiokafka.client.create_conn": create_conn,
        "aiokafka.producer.message_accumulator.DefaultRecordBatchBuilder": SimBatchBuilder,
        "aiokafka.consumer.fetcher.MemoryRecords": SimMemoryRecords,
        "aiokafka.consumer.consumer.AIOKafkaConsumer.__init__": consumer_made,
        "runtime.clock.SystemClock.now": lambda _: wall(kernel),
        "runtime.clock.SystemClock.monotonic": lambda _: kernel.monotonic,
        "os.urandom": dice,
        "random._urandom": dice,
        "os.getpid": pid,
        "socket.gethostname": host,
        "sqlite3.connect": connected,
        "fcntl.flock": locks.flock,
        "os.close": locks.close,
    }
    random.seed(kernel.dice.random())
    was_quiet, told = logging.getLogger("aiokafka").level, structlog.get_config()
    collects = gc.isenabled()
    gc.disable()
    gc.freeze()  # what is there already need not be searched when this world ends
    with contextlib.ExitStack() as undo:
        for name, why in SUBSTITUTES.items():
            undo.callback(_put(name, time if why is _TIME and name not in values else values[name]))
        if not logs:
            logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
            undo.callback(logging.getLogger("aiokafka").setLevel, was_quiet)
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
            undo.callback(lambda: structlog.configure(**told))
        if collects:
            undo.callback(gc.enable)
        undo.callback(gc.unfreeze)
        undo.callback(locks.close_all)
        undo.callback(kernel.close)
        yield


def _put(name: str, value: Any) -> Callable[[], None]:
    """Set an attribute by its full name; what brings the old value back."""
    owner_name, _, attribute = name.rpartition(".")
    owner = resolve_name(owner_name)
    was = vars(owner)[attribute]
    setattr(owner, attribute, value)
    return lambda: setattr(owner, attribute, was)


def _cut_off(db: sqlite3.Connection) -> None:
    """What becomes of a connection whose process is gone: its transaction is undone."""
    with contextlib.suppress(sqlite3.Error):
        db.rollback()
        db.close()
