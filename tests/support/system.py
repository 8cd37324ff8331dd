"""The real thing on a real broker: router and text worker as processes, a stub provider, and an honest count."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.settings import Settings, resolve
from sandbox.kafka.process import free_port

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
ROUTER = ("-m", "console", "router")
WORKER = ("-m", "console", "worker", "text")
WITHIN_S = 120
PARTITIONS = 3


def chat(job_id: str, tenant: str = "default", text: str = "What do bees make?", **more: Any) -> dict[str, Any]:
    """A chat job for the stub."""
    job_input = {"messages": [{"role": "user", "content": text}], "max_tokens": 16}
    return {"id": job_id, "tenant": tenant, "task": "chat-completion", "model": MODEL, "input": job_input, **more}


@dataclass
class Process:
    """One process of the system, that a test may kill, freeze and start again."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    child: "subprocess.Popen[bytes] | None" = None
    log: Path | None = None
    """Where its standard error goes, appended; None: to the test's own."""
    name: str = ""
    breaks: list[float] = field(default_factory=list)
    """Instants of the wall clock, in seconds, at which it was killed, frozen, thawed, or begun again."""

    def broke(self) -> None:
        """Note this instant: the calls that it has out now, or not committed, may be made again."""
        self.breaks.append(time.time())

    def start(self, **more: str) -> "Process":
        """Start it, with more variables for this once."""
        if self.child is not None:
            self.broke()
        environment = {**os.environ, **self.environment, **more}
        with self.log.open("ab") if self.log else contextlib.nullcontext() as sink:
            self.child = subprocess.Popen([sys.executable, *self.arguments], env=environment, stderr=sink)
        return self

    @property
    def running(self) -> bool:
        """Started, and not ended by itself or by us. A frozen one runs."""
        return self.child is not None and self.child.poll() is None

    def kill(self) -> None:
        """kill -9."""
        assert self.child is not None
        self.broke()
        self.child.kill()
        self.child.wait()

    def terminate(self, within_s: float = 60) -> int:
        """SIGTERM, and the exit code."""
        self.send(signal.SIGTERM)
        return self.wait(within_s)

    def send(self, number: signal.Signals) -> None:
        """A signal, and nothing more."""
        assert self.child is not None
        self.child.send_signal(number)

    def wait(self, within_s: float = 60) -> int:
        """The exit code, once it has ended by itself."""
        assert self.child is not None
        return self.child.wait(within_s)

    def freeze(self) -> None:
        """SIGSTOP: alive for the kernel, deaf to everybody else, until `thaw`."""
        self.broke()
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.broke()
        self.send(signal.SIGCONT)

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status and content of `/healthz`; needs `NOVIX_HEALTH_PORT` in its environment. 0 if nobody answers."""
        url = f"http://127.0.0.1:{self.environment['NOVIX_HEALTH_PORT']}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read())
        except OSError:
            return 0, {}

    def lanes(self) -> list[dict[str, Any]]:
        """The lanes that it tells of, of all its services."""
        state = self.health()[1]
        services = [state, *(value for value in state.values() if isinstance(value, dict))]
        return [lane for service in services for lane in service.get("lanes", ())]

    def stop(self) -> None:
        """SIGTERM, and kill -9 for one that takes it for nothing."""
        if self.running:
            self.thaw()
            self.send(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(30)
            self.kill()


@dataclass
class System:
    """Router, workers and stub of one topic prefix."""

    settings: Settings
    environment: dict[str, str]
    stub_url: str
    logs: Path | None = None
    """Folder for `router.log` and `worker.log`; None: both tell the test's own standard error."""
    crew: int = 1
    """Workers. One takes its id by slot; of several each has an id and a log of its own, `worker-0`, `worker-1`, ..."""
    router: Process = field(init=False)
    workers: list[Process] = field(init=False)

    def __post_init__(self) -> None:
        self.router = self.process(ROUTER, "router")
        names = ["worker"] if self.crew == 1 else [f"worker-{number}" for number in range(self.crew)]
        self.workers = [self.process(WORKER, name, instance="" if self.crew == 1 else name) for name in names]

    def process(self, arguments: tuple[str, ...], name: str, *, instance: str = "") -> Process:
        """A process of this system that answers for its health, and has not started yet."""
        port = free_port("127.0.0.1", random.Random())
        own = {"NOVIX_HEALTH_PORT": str(port)} | ({"NOVIX_INSTANCE_ID": instance} if instance else {})
        return Process(arguments, {**self.environment, **own}, log=self.logs and self.logs / f"{name}.log", name=name)

    @property
    def worker(self) -> Process:
        """The first worker."""
        return self.workers[0]

    @property
    def processes(self) -> list[Process]:
        """The router, and the workers."""
        return [self.router, *self.workers]

    def start(self) -> None:
        """All of them."""
        for process in self.processes:
            process.start()

    def stop(self) -> None:
        """All of them."""
        for process in self.processes:
            process.stop()

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
        "NOVIX_PRICES_POLL_S": "0",
        **more,
    }
    return resolve(environment, {}, {}).settings, environment
