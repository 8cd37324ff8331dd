"""The demonstration itself: real Kafka, real small models, a kill, and books that agree."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from PIL import Image

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

    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    assert "jobs in 29, results out 29, lost 0, duplicates 0" in done.stdout
    assert "difference 0 nano-dollars" in done.stdout
    assert "kill -9 of the worker" in done.stdout
    assert re.search(
        r"a hard budget of \$0.00002: 12 jobs published, [1-9]\d* done, [1-9]\d* refused in time", done.stdout
    )
    assert re.search(
        r"one of them, thrifty-\d+: \S+ \(quoted \S+, reserved \S+, priced by brief/1 prices@", done.stdout
    )
    assert ": it balances" in done.stdout
    assert "open $0.00 in 0 reservations" in done.stdout
    for modality in ("text", "image", "audio", "multimodal"):
        assert re.search(rf"^{modality}: \d+ jobs?, paid \$0\.0*[1-9]", done.stdout, re.MULTILINE), modality
    assert re.search(r"transcript: audio/\w+, [\d,]+ bytes, [\d.]+ s, blob://", done.stdout)  # heard by reference
    assert not (tmp_path / "home" / "state.json").exists()
    (folder,) = (tmp_path / "made").iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "image.png", "speech.flac", "transcript.txt", "page.png", "page.txt"
    }  # fmt: skip
    with Image.open(folder / "image.png") as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (256, 256))
        assert len(set(image.convert("L").tobytes())) > 20  # something is drawn there
    samples, rate = soundfile.read(folder / "speech.flac")
    assert len(samples) > 5 * rate
    assert samples.std() > 0.01  # no silence
    assert "birds" in (folder / "transcript.txt").read_text().lower()  # heard in what was spoken
    with Image.open(folder / "page.png") as page:
        page.load()
    assert "captain" in (folder / "page.txt").read_text().lower()


def test_a_demo_that_cannot_write_its_files_says_so_before_it_starts_anything(tmp_path: Path):
    (tmp_path / "made").write_text("a file where the folder should be")

    done = subprocess.run(
        [sys.executable, "-m", "console", "demo", "--output", str(tmp_path / "made")],
        env={**os.environ, "NOVIX_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert str(tmp_path / "made") in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_demo_interrupted_while_it_starts_leaves_nothing_running_and_no_empty_folder(tmp_path: Path):
    state = tmp_path / "home" / "state.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "demo", "--output", str(tmp_path / "made")],
        env={**os.environ, "NOVIX_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # the interrupt of a terminal goes to the command and to its `novix up`
        text=True,
    )
    until = time.monotonic() + 60
    while not state.exists() and time.monotonic() < until:
        time.sleep(0.05)

    os.killpg(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=120)

    assert process.returncode == 130, told
    assert not state.exists(), told
    assert not list((tmp_path / "made").iterdir())
