"""`novix console` as a process beside an installation, and asking it over HTTP."""

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stranger import Stranger
from system import Process

from sandbox.kafka.process import free_port

WITHIN_S = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page answered; redirects are not followed."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class _Still(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Nowhere."""


@dataclass
class Console:
    """The pages of one installation."""

    process: Process
    origin: str
    token: str = ""

    def get(self, path: str) -> Answer:
        """Ask for a page, as a script does. Status 0: nobody answers."""
        request = urllib.request.Request(self.origin + path)  # noqa: S310 - our own pages on loopback
        if self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        try:
            with urllib.request.build_opener(_Still).open(request, timeout=20) as answer:
                headers = _lower(answer.headers)
                # A stream of events has no end: its first line shows that it is one.
                endless = headers.get("content-type", "").startswith("text/event-stream")
                return Answer(answer.status, headers, answer.readline() if endless else answer.read())
        except urllib.error.HTTPError as refusal:
            return Answer(refusal.code, _lower(refusal.headers), refusal.read())
        except OSError:
            return Answer(0, {}, b"")

    def wait(self, enough: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
        """Until it shows what is wanted: nobody tells a process outside when a page would have changed."""
        until = time.monotonic() + within_s
        while not enough():
            assert self.process.running, "the console has ended by itself"
            assert time.monotonic() < until, f"no {what} after {within_s} s"
            time.sleep(0.1)

    def job(self, tenant: str, job_id: str) -> Any:
        """A job as its page's JSON tells it; None: it is not known yet."""
        answer = self.get(f"/api/jobs/{quote(tenant, safe='')}/{quote(job_id, safe='')}")
        return answer.json if answer.status == 200 else None

    def ended(self, tenant: str, job_id: str) -> Any:
        """The same, once it shows the job's end."""
        told: list[Any] = []

        def is_over() -> bool:
            found = self.job(tenant, job_id)
            told[:] = [found]
            return found is not None and found["submissions"][0]["result"] is not None

        self.wait(is_over, f"end of {tenant}/{job_id}")
        return told[0]


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def console(novix: Stranger, log: Path, *, token: str = "", **settings: str) -> Iterator[Console]:
    """The pages of a running installation on a port of their own, until the block ends."""
    port = free_port("127.0.0.1", random.Random())
    own = {"NOVIX_CONSOLE_PORT": str(port), "NOVIX_CONSOLE_TOKEN": token, **settings}
    process = Process(("-m", "console", "console"), {**novix.system.environment, **own}, log=log, name="console")
    shown = Console(process, f"http://127.0.0.1:{port}", token)
    process.start()
    try:
        shown.wait(lambda: shown.get("/healthz").status == 200, "console")
        yield shown
    finally:
        process.stop()
