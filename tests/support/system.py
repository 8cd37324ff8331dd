"""The real thing on a real broker: router and text worker as processes, a stub provider, and an honest count."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.bus import Bus
from runtime.ports import Outgoing, Record
from runtime.settings import Settings, resolve
from schemas.topics import JOBS, RESULTS

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
ROUTER = ("-m", "console", "router")
WORKER = ("-m", "console", "worker", "text")
WITHIN_S = 120
PARTITIONS = 3


def chat(job_id: str, tenant: str = "default", text: str = "What do bees make?", **more: Any) -> dict[str, Any]:
    """A chat job for the stub."""
    job_input = {"messages": [{"role": "user", "content": text}], "max_tokens": 16}
    return {"id": job_id, "tenant": tenant, "task": "chat-completion", "model": MODEL, "input": job_input, **more}


def outgoing(job: dict[str, Any]) -> Outgoing:
    """The job as a record, keyed by its tenant."""
    return Outgoing(JOBS.name, job["tenant"].encode(), json.dumps(job).encode())


@dataclass
class Process:
    """One process of the system, that a test may kill and start again."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    child: "subprocess.Popen[bytes] | None" = None
    log: Path | None = None
    """Where its standard error goes, appended; None: to the test's own."""

    def start(self) -> "Process":
        environment = {**os.environ, **self.environment}
        with self.log.open("ab") if self.log else contextlib.nullcontext() as sink:
            self.child = subprocess.Popen([sys.executable, *self.arguments], env=environment, stderr=sink)
        return self

    def kill(self) -> None:
        """kill -9."""
        assert self.child is not None
        self.child.kill()
        self.child.wait()

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(60)

    def stop(self) -> None:
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(30)
            self.child.kill()
            self.child.wait()


@dataclass
class System:
    """Router, worker and stub of one topic prefix."""

    settings: Settings
    environment: dict[str, str]
    stub_url: str
    logs: Path | None = None
    """Folder for `router.log` and `worker.log`; None: both tell the test's own standard error."""
    router: Process = field(init=False)
    worker: Process = field(init=False)

    def __post_init__(self) -> None:
        self.router = Process(ROUTER, self.environment, log=self.logs and self.logs / "router.log")
        self.worker = Process(WORKER, self.environment, log=self.logs and self.logs / "worker.log")

    def start(self) -> None:
        self.router.start()
        self.worker.start()

    def stop(self) -> None:
        self.router.stop()
        self.worker.stop()

    def stub(self, path: str, body: object | None = None) -> Any:
        """Ask the stub, or tell it something."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.stub_url + path, data, method="GET" if body is None else "POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own stub on loopback
            return json.loads(answer.read())

    def calls(self) -> Counter[str]:
        """How often the stub was called, by trace header (`tenant/id`)."""
        return Counter(trace for trace, _ in self.stub("/admin/calls"))


@contextmanager
def stub() -> Iterator[str]:
    """A stub provider of one's own; yields its URL."""
    child = subprocess.Popen([sys.executable, "-m", "sandbox.stub"], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{child.stdout.readline().strip()}"
    finally:
        child.kill()
        child.wait()


def settings_for(
    bootstrap: str, prefix: str, home: Path, stub_url: str, **more: str
) -> tuple[Settings, dict[str, str]]:
    """Settings, and the same as the environment of processes."""
    environment = {
        "NOVIX_KAFKA_BOOTSTRAP": bootstrap,
        "NOVIX_TOPIC_PREFIX": prefix,
        "NOVIX_HOME": str(home),
        "NOVIX_HF_ROUTER_URL": stub_url,
        "NOVIX_HF_TOKEN": "hf_canarytokencanarytokencanary",
        "NOVIX_LOG_LEVEL": "warning",
        "NOVIX_LOG_FORMAT": "json",
        **more,
    }
    return resolve(environment, {}, {}).settings, environment


async def read_all(bus: Bus, topic: str) -> list[Record]:
    """Everything that a read_committed reader sees now."""
    reader = bus.reader()
    found: list[Record] = []
    for partition in range(await reader.partitions(topic)):
        first, end = await reader.bounds(topic, partition)
        found += [record async for record in reader.read(topic, partition, first, end)]
    return found


async def until_distinct(bus: Bus, count: int, topic: str = RESULTS.name, within_s: float = WITHIN_S) -> list[Record]:
    """Wait until the topic has `count` distinct keys; then read it all once more, so that duplicates show."""
    keys: set[bytes | None] = set()
    async with asyncio.timeout(within_s):
        async for record in bus.follow(topic, dict.fromkeys(range(await bus.reader().partitions(topic)), 0)):
            keys.add(record.key)
            if len(keys) >= count:
                break
    return await read_all(bus, topic)
