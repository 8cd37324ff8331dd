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
        [sys.executable, "-m", "console", "demo", "--output", str(tmp_path / "made")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "jobs in 29, results out 29, lost 0, duplicates 0" in done.stdout
    assert "difference 0 nano-dollars" in done.stdout
    assert "kill -9 of the worker" in done.stdout
    assert all(modality in done.stdout for modality in ("text", "image", "audio", "multimodal"))
    assert not (tmp_path / "home" / "state.json").exists()
    (folder,) = (tmp_path / "made").iterdir()
    made = {path.stem if path.suffix != ".txt" else path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(made) == {"image", "speech", "transcript.txt", "page", "page.txt"}
    assert made["image"].startswith(b"\x89PNG") or made["image"].startswith(b"\xff\xd8")
    assert made["speech"].startswith((b"RIFF", b"fLaC"))
    assert b"birds" in made["transcript.txt"]  # heard in what was spoken
    assert b"captain" in made["page.txt"].lower()
