"""What every measurement needs: a broker, a stub provider, Novix processes, and the CPU and memory that they took."""

import asyncio
import contextlib
import json
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.bus import Bus
from runtime.ports import Outgoing
from runtime.settings import Settings, resolve
from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.process import free_port
from schemas.topics import JOBS, TOPICS

PARTITIONS = 6
TICK = os.sysconf("SC_CLK_TCK")
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
OPEN_FILES = 8_192
"""A thousand calls at once are a thousand sockets, in the worker and in the stub."""
STOP_WITHIN_S = 90
ONE_MODEL = {"NOVIX_BULKHEAD_SHARE": "1"}
"""One model does all the work here: it may have all the calls, where an installation keeps a fifth for the others."""


@dataclass(frozen=True)
class World:
    """A running broker and stub provider, and where their files are."""

    folder: Path
    bootstrap: str
    stub_url: str

    def settings(self, prefix: str, **more: str) -> tuple[Settings, dict[str, str]]:
        """Settings under a topic prefix of one's own, and the same as environment for processes."""
        environment = {
            "NOVIX_KAFKA_BOOTSTRAP": self.bootstrap,
            "NOVIX_TOPIC_PREFIX": prefix,
            "NOVIX_HF_ROUTER_URL": self.stub_url,
            "NOVIX_HF_TOKEN": "hf_bench",
            "NOVIX_HOME": str(self.folder / prefix.strip(".")),
            "NOVIX_CATALOGUE": str(self.folder / "catalogue.json"),
            "NOVIX_LOG_LEVEL": "warning",
            **more,
        }
        return resolve(environment, {}, {}).settings, environment

    def behave(self, **how: object) -> None:
        """Tell the stub how to answer from now on, and forget its log."""
        self._ask("/admin/behave", how)
        self._ask("/admin/reset", {})

    def counts(self) -> dict[str, int]:
        """How many calls the stub has seen (`calls`), how many it works on (`in_flight`), and the most at once."""
        told: dict[str, int] = self._ask("/healthz")
        return told

    def calls(self) -> list[tuple[str, int]]:
        """Every call that the stub has seen: whose (`tenant/id`), and the status that it was answered with."""
        return [(job, status) for job, status in self._ask("/admin/calls")]

    def _ask(self, path: str, body: object | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.stub_url + path, data)  # noqa: S310 - our own stub on loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read())


CATALOGUE = {
    "origin": "benchmark: one model of the built-in catalogue, without its limit of 64 calls at once",
    "models": [
        {
            "model": MODEL,
            "tier": "small",
            "offers": [
                {
                    "provider": "auto",
                    "provider_model": MODEL,
                    "dialect": "hf-router",
                    "base": "huggingface",
                    "tasks": ["chat-completion"],
                    "context_tokens": 131_072,
                    "max_in_flight": 2_000,
                    "price": {
                        "input_nanousd_per_million_tokens": 50_000_000,
                        "output_nanousd_per_million_tokens": 100_000_000,
                        "source": "novix-assumed",
                        "as_of": "2026-11-22",
                    },
                }
            ],
        }
    ],
}


@contextmanager
def world() -> Iterator[World]:
    """Start broker and stub; stop them at the end."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))
    with tempfile.TemporaryDirectory(prefix="novix-bench-") as name:
        folder = Path(name)
        (folder / "catalogue.json").write_text(json.dumps(CATALOGUE))
        broker = LocalBroker(folder / "kafka", flags=("-Xmx512m",), say=lambda line: print(line, file=sys.stderr))
        broker.start()
        try:
            with stub() as url:
                yield World(folder, broker.bootstrap, url)
        finally:
            broker.stop()


@contextmanager
def stub() -> Iterator[str]:
    """A provider that answers at once; its address."""
    child = subprocess.Popen([sys.executable, "-m", "sandbox.stub"], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{child.stdout.readline().strip()}"
    finally:
        child.terminate()
        child.wait()


@asynccontextmanager
async def topics(settings: Settings) -> AsyncIterator[Bus]:
    """The topics under a prefix, and a bus to them."""
    async with Bus(settings) as bus:
        await bus.create_topics(TOPICS, partitions=PARTITIONS)
        yield bus


@contextmanager
def process(environment: dict[str, str], *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Python process with the environment, its words in a file of the home; SIGTERM at the end."""
    home = Path(environment["NOVIX_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    with (home / "processes.log").open("ab") as log:
        child = subprocess.Popen([sys.executable, *arguments], env={**os.environ, **environment}, stderr=log)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_WITHIN_S)
        child.kill()
        child.wait()


@contextmanager
def router(environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A router."""
    with process(environment, "-m", "console", "router") as child:
        yield child


@contextmanager
def worker(environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A text worker."""
    with process(environment, "-m", "console", "worker", "text") as child:
        yield child


def with_health(environment: dict[str, str]) -> dict[str, str]:
    """The environment for one process that answers for its health on a port of its own."""
    return {**environment, "NOVIX_HEALTH_PORT": str(free_port("127.0.0.1", random.Random()))}


def health(environment: dict[str, str]) -> dict[str, Any]:
    """What a process says of itself; the environment is that of `with_health`."""
    url = f"http://127.0.0.1:{environment['NOVIX_HEALTH_PORT']}/healthz"
    with urllib.request.urlopen(url, timeout=10) as answer:
        told: dict[str, Any] = json.loads(answer.read())
        return told


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_mb(pid: int) -> float:
    """Largest resident set of a process so far, in MB."""
    return _memory_mb(pid, "VmHWM")


def now_mb(pid: int) -> float:
    """Resident set of a process now, in MB."""
    return _memory_mb(pid, "VmRSS")


def _memory_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def jobs(first: int, end: int, *, characters: int = 400, fields: dict[str, str] | None = None) -> list[Outgoing]:
    """Chat jobs of about 600 bytes, of 24 tenants, each keyed by its tenant as a well-behaved producer does."""
    return [_job(number, characters, fields or {}) for number in range(first, end)]


def _job(number: int, characters: int, fields: dict[str, str]) -> Outgoing:
    tenant = fields.get("tenant", f"tenant-{number % 24}")
    text = (f"Question {number}: " + "what do bees make, and why? " * 40)[:characters]
    document = {
        "id": f"job-{number}",
        "tenant": tenant,
        "task": "chat-completion",
        "model": MODEL,
        "input": {"messages": [{"role": "user", "content": text}], "max_tokens": 64},
        **fields,
    }
    return Outgoing(JOBS.name, tenant.encode(), json.dumps(document).encode())


async def until_count(bus: Bus, topic: str, count: int, within_s: float) -> int:
    """Wait until a topic holds `count` records that a read_committed reader sees, and return how many it saw."""
    seen = 0
    async with asyncio.timeout(within_s):
        async for _ in bus.follow(topic, dict.fromkeys(range(PARTITIONS), 0)):
            seen += 1
            if seen >= count:
                return seen
    return seen


def machine() -> str:
    """The machine in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
