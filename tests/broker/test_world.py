"""`novix up`, `status` and `down` as processes: a world that stands, heals, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.topics import JOBS, MODALITY_TOPICS, RETRY_TIERS

pytestmark = pytest.mark.broker

WITHIN_S = 60


@pytest.fixture
def novix(broker, prefix, tmp_path):
    """Run `novix` on the session's broker, with a home of its own and a provider that nobody calls."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOVIX_", "HF_"))}
    own = {
        "NOVIX_HOME": str(tmp_path / "home"),
        "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap,
        "NOVIX_TOPIC_PREFIX": prefix,
        "NOVIX_HF_ROUTER_URL": "http://127.0.0.1:9",
        "NOVIX_SESSION_TIMEOUT_MS": "10000",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "console", *arguments],
            cwd=tmp_path,
            env={**kept, **own},
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * WITHIN_S,
        )

    yield run
    run("down", "--timeout", "30")


def processes(novix):
    told = json.loads(novix("status", "--json").stdout)
    return {process["name"]: process for process in told["processes"]}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # a zombie has none
    except OSError:
        return False


def test_a_world_stands_heals_and_leaves_nothing_behind(novix, tmp_path):
    up = novix("up", "--json", "--timeout", str(WITHIN_S))
    assert up.returncode == 0, up.stderr
    first = processes(novix)
    # Broker and provider are somebody else's.
    assert set(first) == {"router", "worker", "console", "alerts", "audit", "endpoints", "hub-sync"}
    assert all(process["healthz"]["ok"] for process in first.values())
    told, until = json.loads(novix("status", "--json").stdout), time.monotonic() + WITHIN_S
    while sorted(entry["partition"] for entry in told["dedup"]) != list(range(6)):
        assert time.monotonic() < until, f"a process may be well before its lanes are open: {told['dedup']}"
        time.sleep(0.2)
        told = json.loads(novix("status", "--json").stdout)
    assert {entry["topic"] for entry in told["lag"].values()} == {
        JOBS.name, *(topic.name for topic in MODALITY_TOPICS.values()), *(tier.name for _, tier in RETRY_TIERS),
    }  # fmt: skip
    assert {entry["total"] for entry in told["lag"].values()} == {0}
    assert (told["ill_lanes"], told["breakers"]) == ([], [])

    again = novix("up")
    assert (again.returncode, "it is up already" in again.stdout) == (0, True)
    assert processes(novix).keys() == first.keys()

    for name in first:
        os.kill(first[name]["pid"], signal.SIGKILL)
    until = time.monotonic() + WITHIN_S
    while novix("status").returncode != 0:
        assert time.monotonic() < until, (tmp_path / "home" / "logs" / "supervisor.log").read_text()
    healed = processes(novix)
    assert all(process["restarts"] == 1 for process in healed.values())
    assert {name: process["address"] for name, process in healed.items()} == {
        name: process["address"] for name, process in first.items()
    }

    down = novix("down")
    assert down.returncode == 0, down.stderr
    assert not [name for name, process in healed.items() if alive(process["pid"])]
    assert not (tmp_path / "home" / "state.json").exists()
    assert novix("status").returncode == 3


def test_a_world_that_cannot_stand_says_why_and_leaves_nothing_behind(novix, tmp_path):
    """The pages' port is taken: the supervisor gives up, and so does the command."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / ".env").write_text(f"NOVIX_CONSOLE_PORT={port}\n")

        up = novix("up", "--timeout", str(WITHIN_S))

    assert up.returncode == 1
    assert f"NOVIX_CONSOLE_PORT={port}" in up.stderr
    assert not (tmp_path / "home" / "state.json").exists()


def test_children_of_a_killed_supervisor_end_and_the_next_command_knows(novix, tmp_path):
    assert novix("up", "--timeout", str(WITHIN_S)).returncode == 0
    told = json.loads(novix("status", "--json").stdout)

    os.kill(told["supervisor"], signal.SIGKILL)

    until = time.monotonic() + WITHIN_S
    while any(alive(process["pid"]) for process in told["processes"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert novix("status").returncode == 3
    assert novix("up", "--timeout", str(WITHIN_S)).returncode == 0
