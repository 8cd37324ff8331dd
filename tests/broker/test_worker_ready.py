"""/readyz of a real worker process: it follows whether the provider's door answers; /healthz does not."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from stranger import installation
from system import Process, chat

WITHIN_S = 30


@contextmanager
def provider(port: str = "0") -> Iterator[str]:
    """A stub provider on that port; yields the port."""
    child = subprocess.Popen([sys.executable, "-m", "sandbox.stub", port], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
    finally:
        child.kill()
        child.wait()


def ready(process: Process) -> int:
    """The status of `/readyz`; 0 if nobody answers."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{process.environment['NOVIX_HEALTH_PORT']}/readyz", timeout=5
        ) as told:
            return int(told.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return 0


def until(process: Process, status: int) -> None:
    """Wait for what the process finds out by itself and tells only who asks."""
    end = time.monotonic() + WITHIN_S
    while ready(process) != status:
        assert time.monotonic() < end, process.health()
        time.sleep(0.05)


def test_a_worker_is_not_ready_while_its_provider_is_away_and_healthy_all_the_time(broker, tmp_path, tenant: str):
    with provider() as port:
        url = f"http://127.0.0.1:{port}"
        with installation(broker.bootstrap, tmp_path, NOVIX_HF_ROUTER_URL=url, NOVIX_PROBE_S="0.2") as novix:
            worker = novix.system.worker
            until(worker, 200)
            assert worker.health()[1]["providers"] == {url: "reachable"}

            subprocess.run(["true"], check=True)
