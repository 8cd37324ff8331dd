"""Where a published figure comes from: the machine, what ran on it, and the commit."""

import importlib.metadata
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.world import machine
from sandbox.kafka.jars import KAFKA_VERSION

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "proof"
SCRATCH = FOLDER.parents[1] / "build" / "proof"
"""For runs that are too short to be published."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One run's circumstances, as a page shows them and a file keeps them."""

    machine: str
    memory_gb: float
    kernel: str
    commit: str
    """Short name; with `+changes` where files differed from it."""
    began: str
    """UTC."""
    command: str
    load: float
    """Load average of the last minute when it began: what else ran here."""
    versions: dict[str, str]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """A list for a page."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        host = f"{self.machine}, {self.memory_gb:.0f} GB, Linux {self.kernel}"
        return [
            f"- machine: {host}; load average {self.load:.1f} at the start",
            f"- commit: {self.commit}; begun {self.began}",
            f"- command: `{self.command}`",
            f"- versions: {versions}",
        ]


def origin(command: str, *packages: str, **more: str) -> Origin:
    """Of a run that begins now; versions of these packages, and others by name."""
    versions = {"Apache Kafka": KAFKA_VERSION} | {name: importlib.metadata.version(name) for name in packages} | more
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return Origin(machine(), memory, platform.release(), _commit(), began, command, os.getloadavg()[0], versions)


def _commit() -> str:
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        return name + ("+changes" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git here)"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=FOLDER.parents[1], capture_output=True, text=True, check=True)
    return done.stdout.strip()
