"""The processes of one competitor: started together, measured together, killed together."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.peers.competitors import Command
from bench.world import cpu_s, peak_mb

STOP_WITHIN_S = 15.0


class Crew:
    """Some processes; what they say goes to one file."""

    def __init__(self, commands: Sequence[Command], log: Path) -> None:
        self._commands = commands
        self._log = log
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """All of them, anew."""
        with self._log.open("ab") as sink:
            self._children = [
                subprocess.Popen(told, env={**os.environ, **more}, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
                for told, more in self._commands
            ]

    def cpu_s(self) -> list[float]:
        """User and system seconds of each process so far. Raises RuntimeError if one has ended."""
        self.alive()
        return [cpu_s(child.pid) for child in self._children]

    def peak_mb(self) -> list[float]:
        """Largest resident set of each so far, in MB."""
        self.alive()
        return [peak_mb(child.pid) for child in self._children]

    def alive(self) -> None:
        """Raises RuntimeError, with the end of what they said, if a process has ended."""
        codes = [code for child in self._children if (code := child.poll()) is not None]
        if codes:
            raise RuntimeError(f"ended with {codes}: {self._log.read_text(errors='replace')[-400:]}")

    def kill(self) -> None:
        """kill -9, all at once."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()

    def stop(self) -> None:
        """SIGTERM, and kill -9 for whoever takes long."""
        for child in self._children:
            child.send_signal(signal.SIGTERM)
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(STOP_WITHIN_S)
        self.kill()
