"""What the suites of the command line share."""

import os
from contextlib import asynccontextmanager

import pytest
from console_world import MemoryLog
from endpoints_world import play  # noqa: F401 - as below
from hub_rounds import world  # noqa: F401 - as below
from hub_wire import wire  # noqa: F401 - as below
from known_records import explored  # noqa: F401
from sandbox_models import page, sandbox, speech  # noqa: F401 - fixtures, made when a test asks for them
from typer.testing import CliRunner

from console import kafka
from console.cli import app


@pytest.fixture
def log(monkeypatch):
    """A Kafka in memory behind every command."""
    log = MemoryLog()

    @asynccontextmanager
    async def bus(_):
        yield log

    monkeypatch.setattr(kafka, "_bus", bus)
    return log


@pytest.fixture
def novix(monkeypatch, tmp_path):
    """Run a command in this process, in an empty folder, with no settings but those given."""
    for name in [name for name in os.environ if name.startswith(("NOVIX_", "HF_", "AI_PROVIDER"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NOVIX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments, stdin=None, **environment):
        return CliRunner().invoke(app, [str(part) for part in arguments], input=stdin, env=environment)

    return run
