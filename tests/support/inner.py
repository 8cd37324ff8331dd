"""Faults inside a process that a test starts, and in no other: its wall clock is set, its event loop is blocked."""

import os
import signal
from pathlib import Path

from system import Process

INSIDE = Path(__file__).parent / "inside"
CLOCK, BLOCK_S = "INNER_CLOCK", "INNER_BLOCK_S"


def _path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(INSIDE), os.environ.get("PYTHONPATH", "")]))}


class WallClock:
    """The wall clock of every process that is started with `environment`; monotonic time is not touched."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set_ahead(0)

    @property
    def environment(self) -> dict[str, str]:
        """For the processes that go by this clock. aiokafka's compiled half asks the kernel for the time of records;
        the same in Python goes by this clock as well."""
        return _path() | {CLOCK: str(self._file), "AIOKAFKA_NO_EXTENSIONS": "1"}

    def set_ahead(self, seconds: float) -> None:
        """From now on the clock is so many seconds ahead of the true time, or behind if negative."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)  # whoever reads meanwhile reads all of it


def blockable(seconds: float) -> dict[str, str]:
    """The environment of a process whose event loop `block` blocks for so long."""
    return _path() | {BLOCK_S: str(seconds)}


def block(process: Process) -> None:
    """Whatever the event loop's thread is at: it does nothing else for as long as `blockable` said."""
    process.send(signal.SIGUSR1)
