"""What was tested, and on what machine."""

import hashlib
import os
import platform
import subprocess
from pathlib import Path

from sandbox.fetch import default_cache
from sandbox.kafka.jars import KAFKA_VERSION
from sandbox.kafka.java import find_java


def commit(root: Path) -> tuple[str, bool]:
    """The commit that is checked out, and whether what was tested is exactly it (`docs/` aside)."""
    changed = _git(root, "status", "--porcelain", "--", ".", ":!docs").strip()
    return _git(root, "rev-parse", "HEAD").strip(), not changed


def tree(root: Path) -> str:
    """SHA-256 over names and contents of all files that git knows or would, but for prose: it changes no verdict."""
    digest = hashlib.sha256()
    for name in sorted(_git(root, "ls-files", "-co", "-z", "--exclude-standard").split("\0")):
        if name and not name.startswith("docs/") and not name.endswith(".md") and (root / name).is_file():
            digest.update(name.encode() + b"\0" + hashlib.sha256((root / name).read_bytes()).digest())
    return digest.hexdigest()


def machine() -> dict[str, str]:
    """Processor, cores, memory, kernel, and the versions that matter."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "CPU": model,
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Java": find_java(os.environ, cache=default_cache()).version,
        "Apache Kafka": KAFKA_VERSION,
    }


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout
