"""`novix up` on a bare machine with a warm cache: how long until the first answer of a real model."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.figure import Figure
from bench.world import World

NAME = "up"
WITHIN_S = 120


def measure(world: World, *, quick: bool) -> list[Figure]:
    """A world of its own beside this one: broker, local Hugging Face, router, worker, pages. Never quicker."""
    with tempfile.TemporaryDirectory(prefix="novix-up-") as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("NOVIX_", "HF_"))}
        environment |= {"NOVIX_HOME": home} | _kept("NOVIX_CACHE")
        began = time.monotonic()
        try:
            _novix(environment, Path(home), "up")
            up_s = time.monotonic() - began
            result = _novix(environment, Path(home), "run", "What do bees make?", "--max-tokens", "16")
            first_s = time.monotonic() - began
        finally:
            _novix(environment, Path(home), "down")
    served = (result.get("served") or {}).get("model", "nobody")
    return [
        Figure(NAME, "novix up returns", up_s, "s", note="downloads and models in the cache; the rest new"),
        Figure(NAME, "first real result", first_s, "s", "under 15", f"{result.get('status')}, served by {served}"),
    ]


def _kept(name: str) -> dict[str, str]:
    return {name: os.environ[name]} if name in os.environ else {}


def _novix(environment: dict[str, str], folder: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "console", *arguments, "--json"],
        env={**environment, "PYTHONPATH": os.getcwd()}, cwd=folder, capture_output=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"novix {arguments[0]} ended with {done.returncode}: {done.stderr[-500:]!r}") from None
    return told
