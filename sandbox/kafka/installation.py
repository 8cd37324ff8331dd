"""A Kafka that can be run here: a Java, the pinned jars, and the JVM's class archive."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.fetch import Say, quiet
from sandbox.kafka.config import argument_file, jvm_arguments
from sandbox.kafka.jars import KAFKA_VERSION, kafka_jars
from sandbox.kafka.java import Java, find_java
from sandbox.kafka.tls import write_secret

AOT_SINCE = 25
"""Java 25 writes its ahead-of-time cache in one run (JEP 514); older ones have dynamic archives (JEP 350)."""

KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
"""All the JVM gets to see: a token in our environment is none of the broker's business."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Where Java and Kafka are on this machine. Nothing of one broker's."""

    java: Java
    classpath: tuple[Path, ...]
    cache: Path

    def command(self, main: str, arguments: Sequence[str], *, flags: Sequence[str] = ()) -> list[str]:
        """The command line that runs `main`."""
        return [str(self.java.executable), *jvm_arguments(main, arguments, classpath=self.classpath, flags=flags)]

    def run_tool(
        self, main: str, arguments: Sequence[str], *, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Kafka's own tools from the jars (`kafka.tools.StorageTool`, ...) and wait for it.

        The arguments may be secret: they travel in a file that only we may read, not on the command line. The exit
        code is the caller's to look at.
        """
        with tempfile.TemporaryDirectory(prefix="novix-kafka-") as folder:
            flags = [f"-Djava.io.tmpdir={folder}"]
            secret = Path(folder) / "arguments"
            told = argument_file(jvm_arguments(main, arguments, classpath=self.classpath, flags=flags))
            write_secret(secret, told.encode())
            return subprocess.run(
                [str(self.java.executable), f"@{secret}"],
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
                env=jvm_environment(os.environ),
                cwd=folder,
            )

    def archive(self, flags: Sequence[str]) -> Path:
        """Where the class archive for this Java, these jars and these JVM flags lies, if it has been made.

        The JVM refuses an archive made by another one or from other jars, so each combination has its own.
        """
        # Times too: the JVM compares them, and a cache that was copied has new ones.
        jars = [(str(jar), jar.stat().st_size, jar.stat().st_mtime_ns) for jar in self.classpath]
        made_from = repr((str(self.java.home), self.java.version, jars, list(flags)))
        key = hashlib.sha256(made_from.encode()).hexdigest()[:16]
        return self.cache / f"kafka-{KAFKA_VERSION}" / f"classes-{key}.jsa"

    def recording(self, archive: Path) -> list[str]:
        """The flags of a run that leaves `archive` behind when it ends well."""
        flag = "AOTCacheOutput" if self._ahead_of_time else "ArchiveClassesAtExit"
        return [f"-XX:{flag}={archive}"]

    def using(self, archive: Path) -> list[str]:
        """The flags of a run that starts from `archive`. A JVM that refuses it warns and starts without."""
        flag = "AOTCache" if self._ahead_of_time else "SharedArchiveFile"
        return [f"-XX:{flag}={archive}"]

    @property
    def _ahead_of_time(self) -> bool:
        return self.java.major >= AOT_SINCE


def install(
    cache: Path, *, environ: Mapping[str, str] = os.environ, java: Java | None = None, say: Say = quiet
) -> Installation:
    """Find or fetch Java and Kafka. With a warm cache it takes about 0.1 s and no network."""
    found = java or find_java(environ, cache=cache, say=say)
    return Installation(found, tuple(kafka_jars(cache, say=say)), cache)


def jvm_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the environment that a JVM of ours gets."""
    return {name: environ[name] for name in KEPT_ENVIRONMENT if name in environ}


def made_archive(archive: Path, train: Callable[[Path], bool], *, say: Say = quiet) -> Path | None:
    """`archive`, made now by `train` if it does not exist yet.

    None while another process is making it, and if it cannot be made: a start without it is two seconds slower,
    nothing else. A Java whose trial run went well (`train` is true) and left none is not tried again.
    """
    import fcntl  # as in fetch.file_lock

    given_up = archive.with_suffix(".none")
    if archive.exists():
        return archive
    with archive.with_suffix(".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        if archive.exists() or given_up.exists():
            return archive if archive.exists() else None
        say("preparing Apache Kafka for quick starts (once, some seconds)")
        with tempfile.TemporaryDirectory(prefix=".train-", dir=archive.parent) as scratch:
            made = Path(scratch) / archive.name
            went_well = train(made)
            if made.exists():
                made.rename(archive)
                return archive
        if went_well:
            given_up.write_text("This Java makes no class archive; delete this file to have it tried again.\n")
        return None


def forget_archive(archive: Path) -> None:
    """Drop an archive with which the broker did not start; the next preparation makes a new one."""
    archive.unlink(missing_ok=True)
