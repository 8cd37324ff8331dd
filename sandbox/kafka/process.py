"""Starting, signalling and recognising one process of ours."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# The Python that becomes the JVM: asks the kernel for a SIGKILL when the parent's thread ends (prctl(2),
# PR_SET_PDEATHSIG = 1; it survives execve), and sees to it that the parent has not gone before that. A preexec_fn
# would do it without another start of Python (20 ms), but may deadlock in a program that has threads.
_DIE_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""

PORTS = range(10_240, 32_768)
"""Below every system's ephemeral ports, on purpose. A client that keeps knocking at an ephemeral port while the broker
is down is one day given that very port as its own end, connects to itself, and the broker cannot come back."""


def spawn(
    command: Sequence[str], *, cwd: Path, output: Path, environ: Mapping[str, str], detach: bool
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own (a Ctrl-C in our terminal is for us), its output appended to a file.

    Unless `detach`, it dies with the thread that called this (Linux; elsewhere it may survive a kill of ours).
    """
    guard = [] if detach else [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
    with output.open("ab") as sink:
        return subprocess.Popen(
            [*guard, *command],
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def is_ours(pid: int, mark: str) -> bool:
    """Whether `pid` runs with `mark` as one of its arguments: a pid in a file may be somebody else's by now."""
    if sys.platform == "linux":
        return mark in _arguments(pid)
    listed = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return mark in listed.stdout


def _arguments(pid: int) -> list[str]:
    """The command line, by Linux; empty if there is no such process, or it has ended or is about to."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")[:-1]
    except OSError:
        return []


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process; one that has just ended is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_until_gone(pid: int, mark: str, *, timeout_s: float, every_s: float = 0.05) -> bool:
    """Whether the process with this mark, not a child of ours, ended in time; its files and ports are closed then.

    (That its command line cannot be read any more is no such sign: memory goes first.)
    """
    if sys.platform == "linux":
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            if (arguments := _arguments(pid)) and mark not in arguments:
                return True  # the number is another process's by now
            ended = select.poll()
            ended.register(handle, select.POLLIN)
            return bool(ended.poll(timeout_s * 1_000))
        finally:
            os.close(handle)
    until = time.monotonic() + timeout_s
    while exists(pid):
        if time.monotonic() >= until:
            return False
        time.sleep(every_s)
    return True


def exists(pid: int) -> bool:
    """Whether there is such a process, ended but unburied ones included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_free(host: str, port: int) -> bool:
    """Whether somebody could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str, dice: random.Random, *, other_than: int | None = None) -> int:
    """A port outside the ephemeral range on which nobody listens. Somebody may be quicker: be ready to ask again."""
    for port in dice.sample(PORTS, 200):
        if port != other_than and is_free(host, port):
            return port
    raise OSError(f"no free port among 200 tried between {PORTS.start} and {PORTS.stop - 1}")


def tail(path: Path, *, since: int = 0, lines: int, at_most_bytes: int = 262_144) -> str:
    """The end of a log file, nothing of it from before byte `since`; empty if there is none.

    A file shorter than `since` has been begun anew, and counts whole.
    """
    try:
        with path.open("rb") as source:
            size = source.seek(0, os.SEEK_END)
            source.seek(max(since if since <= size else 0, size - at_most_bytes))
            text = source.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
