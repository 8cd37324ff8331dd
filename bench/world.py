"""What every measurement needs: a broker, a stub provider, Novix processes, and the CPU and memory that they took."""

import asyncio
import contextlib
import json
import os
import platform
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

from runtime.bus import Bus
from runtime.ports import Outgoing
from runtime.settings import Settings, resolve
from sandbox.kafka.broker import LocalBroker
from schemas.topics import JOBS, TOPICS

PARTITIONS = 6
TICK = os.sysconf("SC_CLK_TCK")
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


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
            "NOVIX_LOG_LEVEL": "warning",
            **more,
        }
        return resolve(environment, {}, {}).settings, environment

    def behave(self, **how: object) -> None:
        """Tell the stub how to answer from now on, and forget its log."""
        for path, body in (("/admin/behave", how), ("/admin/reset", {})):
            request = urllib.request.Request(self.stub_url + path, json.dumps(body).encode(), method="POST")  # noqa: S310
            urllib.request.urlopen(request, timeout=10).read()  # noqa: S310 - our own stub on loopback

    def stub_counts(self) -> dict[str, int]:
        """How many calls the stub has seen, and the most at once."""
        with urllib.request.urlopen(self.stub_url + "/healthz", timeout=10) as answer:  # noqa: S310
            counts: dict[str, int] = json.loads(answer.read())
            return counts


@contextmanager
def world() -> Iterator[World]:
    """Start broker and stub; stop them at the end."""
    with tempfile.TemporaryDirectory(prefix="novix-bench-") as name:
        folder = Path(name)
        broker = LocalBroker(folder / "kafka", flags=("-Xmx512m",), say=lambda line: print(line, file=sys.stderr))
        broker.start()
        stub = subprocess.Popen([sys.executable, "-m", "sandbox.stub"], stdout=subprocess.PIPE, text=True)
        try:
            assert stub.stdout is not None
            port = stub.stdout.readline().strip()
            yield World(folder, broker.bootstrap, f"http://127.0.0.1:{port}")
        finally:
            stub.terminate()
            stub.wait()
            broker.stop()


@asynccontextmanager
async def topics(settings: Settings) -> AsyncIterator[Bus]:
    """The topics under a prefix, and a bus to them."""
    async with Bus(settings) as bus:
        await bus.create_topics(TOPICS, partitions=PARTITIONS)
        yield bus


@contextmanager
def process(environment: dict[str, str], *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Python process with the environment; SIGTERM at the end."""
    child = subprocess.Popen([sys.executable, *arguments], env={**os.environ, **environment})
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(90)
        child.kill()
        child.wait()


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_mb(pid: int) -> float:
    """Largest resident set of a process so far, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def jobs(first: int, end: int, *, characters: int = 400) -> list[Outgoing]:
    """Chat jobs of about 600 bytes, of 24 tenants, each keyed by its tenant as a well-behaved producer does."""
    return [_job(number, characters) for number in range(first, end)]


def _job(number: int, characters: int) -> Outgoing:
    tenant = f"tenant-{number % 24}"
    text = (f"Question {number}: " + "what do bees make, and why? " * 40)[:characters]
    document = {
        "id": f"job-{number}",
        "tenant": tenant,
        "task": "chat-completion",
        "model": MODEL,
        "input": {"messages": [{"role": "user", "content": text}], "max_tokens": 64},
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
