"""What the suites of the command line share."""

import os

import pytest
from typer.testing import CliRunner

from console.cli import app


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
