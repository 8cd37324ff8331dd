"""The static member id of this process: the lowest slot of this host whose file lock is free.

The kernel frees the lock when the process ends, however it ends: a restart after `kill -9` takes the same slot and is
back in its group at once, without a rebalance.
"""

import fcntl
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

MAX_SLOTS = 10_000


@dataclass(slots=True)
class Instance:
    """A claimed id; held until the process ends or `release` is called."""

    id: str
    _lock: int | None

    def release(self) -> None:
        """Let the slot go."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def claim(group: str, configured: str, folder: Path) -> Instance:
    """Claim an id for a member of `group`: the configured one, else `{host}-{n}` with the lowest free n."""
    if configured:
        return Instance(configured, None)
    slots = folder / "locks" / re.sub(r"[^A-Za-z0-9._-]", "_", group)
    slots.mkdir(parents=True, exist_ok=True)
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:100] or "host"
    for slot in range(MAX_SLOTS):
        lock = os.open(slots / f"{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return Instance(f"{host}-{slot}", lock)
    raise RuntimeError(f"all {MAX_SLOTS} instance slots of {group} are taken in {slots}")
