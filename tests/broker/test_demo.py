"""The demonstration itself: real Kafka, real small models, a kill, and books that agree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.broker, pytest.mark.models]


def test_the_demo_loses_nothing_doubles_nothing_and_pays_what_it_is_billed(tmp_path: Path):
    environment = {**os.environ, "NOVIX_HOME": str(tmp_path / "home")}

    done = subprocess.run(
        [sys.executable, "-m", "console", "demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "jobs in 22, results out 22, lost 0, duplicates 0" in done.stdout
    assert "difference 0 nano-dollars" in done.stdout
    assert "kill -9 of the text worker" in done.stdout
    assert not (tmp_path / "home" / "state.json").exists()
