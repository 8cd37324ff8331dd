"""Apache Kafka's jars, pinned and checked: no dependency is resolved, so nobody's answer can change what runs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

from sandbox.fetch import FetchError, Say, check, file_lock, quiet

KAFKA_VERSION = "4.2.0"
DOWNLOAD_MB = 45
DOWNLOADS_AT_ONCE = 6
TIMEOUT_S = 60
"""For connecting and for each read from the repository."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of `jars.sha256`."""

    sha256: str
    path: PurePosixPath
    """In a Maven repository: group as folders / artifact / version / file."""

    @property
    def coordinate(self) -> tuple[str, str, str]:
        """Group, artifact and version."""
        *group, artifact, version, _ = self.path.parts
        return ".".join(group), artifact, version


def parse_jars(text: str) -> list[Jar]:
    """Read the pinned list, in class path order."""
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return [Jar(sha256, PurePosixPath(path)) for sha256, path in lines]


def pinned_jars() -> list[Jar]:
    """The list that ships with the sandbox."""
    return parse_jars(files("sandbox.kafka").joinpath("jars.sha256").read_text(encoding="utf-8"))


def kafka_jars(cache: Path, *, say: Say = quiet, jars: Sequence[Jar] | None = None) -> list[Path]:
    """The class path of the broker: every jar present in the cache and of the pinned sha256.

    What is missing is fetched from Maven Central by jgo; with a warm cache there is no network, and jgo is not
    imported. Raises `ChecksumError`, which names the file, for a jar that is not the pinned one, and
    `FetchError` when one cannot be had.
    """
    wanted = pinned_jars() if jars is None else jars
    return cached_jars(cache / f"kafka-{KAFKA_VERSION}", wanted, f"Apache Kafka {KAFKA_VERSION}", DOWNLOAD_MB, say=say)


def cached_jars(home: Path, wanted: Sequence[Jar], what: str, megabytes: int, *, say: Say = quiet) -> list[Path]:
    """`kafka_jars` for any list of jars, in a folder of their own; `what` and `megabytes` announce the download."""
    with file_lock(home.parent / f".{home.name}.lock"):
        missing = [jar for jar in wanted if not (home / jar.path.name).exists()]
        if missing:
            say(f"downloading {what}: {len(missing)} of {len(wanted)} jars, {megabytes} MB in all")
            home.mkdir(parents=True, exist_ok=True)
            _fetch(missing, home)
            say(f"fetched {what} in {home}")
        return [check(home / jar.path.name, jar.sha256) for jar in wanted]


def _fetch(jars: Sequence[Jar], home: Path) -> None:
    """Each jar is checked beside its place and then moved in, so that the cache holds no half of one."""
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise FetchError("fetching jars needs jgo; run: pip install 'novix[sandbox]'") from error
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as scratch:
        maven = MavenContext(repo_cache=Path(scratch), local_repos=[], timeout=TIMEOUT_S)

        def fetch(jar: Jar) -> None:
            group, artifact, version = jar.coordinate
            try:
                found = maven.project(group, artifact).at_version(version).artifact().resolve()
            except (OSError, RuntimeError, ValueError) as error:  # requests' exceptions are OSErrors
                raise FetchError(f"{group}:{artifact}:{version} could not be fetched: {error}") from error
            check(Path(found), jar.sha256).rename(home / jar.path.name)

        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            list(pool.map(fetch, jars))
