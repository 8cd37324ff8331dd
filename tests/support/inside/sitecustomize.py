"""What a test may do inside a process that it starts: set its wall clock, and block its event loop.

Python imports this before anything else of a process whose `PYTHONPATH` names this folder; `tests/support/inner.py`
gives that environment. Both faults come from outside while the process runs. Monotonic time stays what it is.
"""

import ctypes
import datetime as real
import gc
import os
import signal
import time
from pathlib import Path
from typing import Any

CLOCK, BLOCK_S = "INNER_CLOCK", "INNER_BLOCK_S"
LOOK_AGAIN_S = 0.02


class _Shift:
    """Seconds that the wall clock is ahead, as a file says; looked at every 20 ms at most."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next_at = 0.0
        self._seconds = 0.0

    def __call__(self) -> float:
        now = time.monotonic()
        if now >= self._next_at:
            self._seconds, self._next_at = float(self._path.read_text() or 0), now + LOOK_AGAIN_S
        return self._seconds


def _shift_clock(shift: _Shift) -> None:
    """Have `time.time`, `time.time_ns` and `datetime.now` tell the wall time with the shift."""
    seconds, nanoseconds, instant = time.time, time.time_ns, real.datetime.now

    def now(cls: type[real.datetime], tz: real.tzinfo | None = None) -> real.datetime:
        return instant(tz) + real.timedelta(seconds=shift())

    time.time = lambda: seconds() + shift()
    time.time_ns = lambda: nanoseconds() + int(shift() * 1e9)
    # The class is the interpreter's own and others hold it by name already: its method table is changed in place.
    [table] = gc.get_referents(real.datetime.__dict__)
    table["now"] = classmethod(now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(real.datetime))


def _block(*_: Any) -> None:
    """Nothing else runs in the main thread meanwhile: that is where the event loop is."""
    time.sleep(float(os.environ[BLOCK_S]))


if CLOCK in os.environ:
    _shift_clock(_Shift(Path(os.environ[CLOCK])))
if BLOCK_S in os.environ:
    signal.signal(signal.SIGUSR1, _block)
