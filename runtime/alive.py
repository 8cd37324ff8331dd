"""Whether a process of this machine lives: each holds a lock on a file of its own, freed by the kernel at its end."""

import fcntl
import os
from pathlib import Path


class Lives:
    """The processes that share the files `{stem}.{name}.alive`; names are made up anew for each process."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._mine: tuple[str, int] | None = None

    def claim(self, name: str) -> None:
        """This process lives, from now on, as `name`."""
        if self._mine is None:
            handle = os.open(self._of(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._mine = name, handle

    def end(self) -> None:
        """Not any more."""
        if self._mine is not None:
            (name, handle), self._mine = self._mine, None
            self._of(name).unlink(missing_ok=True)
            os.close(handle)

    def lives(self, name: str) -> bool:
        """Whether a process has claimed this name and has not ended since; a frozen one lives."""
        try:
            handle = os.open(self._of(name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            self._of(name).unlink(missing_ok=True)
            return False
        finally:
            os.close(handle)

    def _of(self, name: str) -> Path:
        return self._stem.with_name(f"{self._stem.name}.{name}.alive")
