"""Speech by eSpeak NG, a formant synthesiser: the system's program, else the library of a package. Blocking.

eSpeak NG is GPL-3.0. Either way it runs as a process of its own, one for each text, and is no part of this one.
"""

import shutil
import subprocess
import sys
import wave
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np

from sandbox.hf.sound import Sound

PROGRAM = "espeak-ng"
VOICE = "en-us"
WORDS_A_MINUTE = "130"
"""Slower than eSpeak NG's own 175: speech recognition then understands it."""
LIMIT_S = 60.0
"""The longest that speaking a text may take; a whole page takes less than one."""


class Failed(Exception):
    """eSpeak NG ended with a fault; its own words may quote the text, so they are not kept."""


class Espeak:
    """Starts in some 50 ms and keeps nothing in memory. `find` looks a program up by its name."""

    def __init__(self, find: Callable[[str], str | None] = shutil.which) -> None:
        self._program = find(PROGRAM)

    @property
    def by(self) -> str:
        """Which eSpeak NG speaks, for people."""
        return f"the system's {PROGRAM}" if self._program else "libespeak-ng of the package espeakng-loader"

    def load(self) -> None:
        """Nothing to do: every text has a process of its own."""

    def speak(self, text: str) -> Sound:
        """The text as speech; without samples where nothing in it can be said. Raises `Failed`."""
        said = text.replace("\0", " ").encode("utf-8", "replace")
        return self._by_program(said) if self._program else _by_library(said)

    def _by_program(self, text: bytes) -> Sound:
        told = _run([str(self._program), "-v", VOICE, "-s", WORDS_A_MINUTE, "--stdin", "--stdout"], text, Path.cwd())
        if not told:
            return _sound(b"", 1)
        with wave.open(BytesIO(told)) as spoken:  # its header cannot know the length: what is there counts
            return _sound(spoken.readframes(len(told)), spoken.getframerate())


def _by_library(text: bytes) -> Sound:
    import espeakng_loader

    child = Path(__file__).with_name("espeak_child.py")
    command = [sys.executable, "-I", "-S", str(child), espeakng_loader.get_library_path()]
    command += [VOICE, WORDS_A_MINUTE]
    rate, _, samples = _run(command, text, Path(espeakng_loader.get_data_path()).parent).partition(b"\n")
    return _sound(samples, int(rate))


def _run(command: list[str], text: bytes, folder: Path) -> bytes:
    try:
        done = subprocess.run(command, input=text, capture_output=True, cwd=folder, timeout=LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise Failed from None
    if done.returncode != 0:
        raise Failed
    return done.stdout


def _sound(samples: bytes, rate: int) -> Sound:
    whole = np.frombuffer(samples[: len(samples) // 2 * 2], dtype="<i2")
    return Sound((whole / np.float32(32768)).astype(np.float32), rate)
