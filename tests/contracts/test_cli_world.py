"""The command line around a world and a process: status, down, doctor, help, and how a process ends."""

import json
import os
import signal
import subprocess
import sys

import pytest

from console.supervisor import Supervisor
from runtime.settings import resolve

# a world


@pytest.mark.parametrize(
    ("variables", "starts", "says"),
    [
        ({}, False, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, False, ""),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            False, "OTEL_EXPORTER_OTLP_PROTOCOL",
        ),
    ],
)  # fmt: skip
def test_a_relay_starts_where_spans_are_wanted_and_one_that_cannot_send_keeps_no_world_down(
    monkeypatch, tmp_path, variables, starts, says
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said = []
    loaded = resolve({"NOVIX_HOME": str(tmp_path)}, {}, {})
    world = Supervisor(loaded, hf="local", broker="local", workers_in="one", say=said.append)

    assert ("relay" in world._ports()) is starts
    assert [says in line for line in said] == [True] * bool(says)


def test_without_a_world_status_ends_with_3_and_down_has_nothing_to_do(novix):
    nothing = novix("status", "--json")

    assert (nothing.exit_code, json.loads(nothing.stdout)["up"]) == (3, False)
    assert novix("down").exit_code == 0


def test_a_world_whose_supervisor_was_killed_counts_as_down(novix, tmp_path):
    stale = {"environment": {}, "processes": [], "supervisor": os.getpid(), "mark": "somebody else", "started_at": "x"}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "state.json").write_text(json.dumps(stale))

    assert novix("status").exit_code == 3
    assert novix("down").exit_code == 0  # and this test's own process, whose pid it names, lives on
    assert not (tmp_path / "home" / "state.json").exists()


def test_down_ends_only_processes_that_carry_its_mark(novix, tmp_path):
    mark = f"novix.router={tmp_path / 'home'}"
    sleep = "import time; time.sleep(60)"
    ours = subprocess.Popen([sys.executable, "-X", mark, "-c", sleep])
    theirs = subprocess.Popen([sys.executable, "-c", sleep])
    process = {"phase": "healthy", "mark": mark, "address": "", "health": None, "log": "", "started_at": "x"}
    stale = {
        "environment": {},
        "processes": [
            {"name": "router", "pid": ours.pid, **process},
            {"name": "console", "pid": theirs.pid, **process},
        ],
        "supervisor": 0,
        "mark": "none",
        "started_at": "x",
    }
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "state.json").write_text(json.dumps(stale))
    try:
        # A child of this test stays a zombie until it is waited for, and a zombie has no command line.
        assert novix("down").exit_code == 0
        assert ours.wait(10) == -signal.SIGTERM
        assert theirs.poll() is None
    finally:
        theirs.kill()
        theirs.wait()
        ours.kill()


def test_doctor_tells_what_is_missing_and_what_to_type(novix, tmp_path):
    done = novix("doctor", "--json", NOVIX_HF_TOKEN_FILE=str(tmp_path / "none"))
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}

    assert done.exit_code == 1
    assert findings["Hugging Face token"]["state"] == "missing"
    assert str(tmp_path / "none") in findings["Hugging Face token"]["type_this"]
    assert {"Python", "Java", "disk", "open files", "Kafka", "sandbox packages"} <= set(findings)


# the process


def novix_process(*arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOVIX_", "HF_"))}
    return subprocess.run(
        [sys.executable, "-m", "console", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**kept, **environment},
    )


def test_kafka_that_does_not_answer_ends_with_4_and_names_the_address(tmp_path):
    done = novix_process("results", NOVIX_KAFKA_BOOTSTRAP="127.0.0.1:1", NOVIX_HOME=str(tmp_path))

    assert done.returncode == 4
    assert "127.0.0.1:1 (NOVIX_KAFKA_BOOTSTRAP from environment)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_names_every_exit_code_and_imports_no_kafka_client():
    script = (
        "import sys; sys.argv = ['novix', '--help']\n"
        "from console.cli import main\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'aiokafka', 'faststream', 'starlette', 'aiohttp', 'jinja2', 'opentelemetry'} & set(sys.modules)\n"
        "    sys.stderr.write('heavy: ' + ' '.join(sorted(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0
    assert done.stderr == "heavy: "
    for code in ("0 done", "1 it was tried", "2 bad settings", "3 not met", "4 Kafka", "130 interrupted"):
        assert code in " ".join(done.stdout.split())


def test_a_reader_that_has_seen_enough_ends_nothing_badly(tmp_path):
    command = f"{sys.executable} -m console config show | head -1"
    kept = {**os.environ, "NOVIX_HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False, env=kept
    )

    assert done.returncode == 0
    assert done.stderr == ""
