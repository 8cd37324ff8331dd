"""Speech recognition by faster-whisper (CTranslate2). All calls block: run them on the seat's thread."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.hf.sound import Samples


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words, and when in the sound they are said, in seconds."""

    text: str
    start: float
    end: float


class Whisper:
    """One model in 8 bits, loaded at the first call (about 0.5 s). `folder` gives its files; nothing else is read."""

    def __init__(self, folder: Callable[[], Path], *, threads: int) -> None:
        self._folder = folder
        self._threads = threads
        self._model: Any = None

    def load(self) -> None:
        """Fetch the weights if they are not in the cache, check them, and load them."""
        self._loaded()

    def transcribe(self, samples: Samples, *, beams: int, max_new_tokens: int | None) -> list[Piece]:
        """What is said in `samples` (16 kHz), in English, by beam search: the same for the same sound."""
        pieces, _ = self._loaded().transcribe(
            samples,
            language="en",
            beam_size=beams,
            temperature=0.0,
            max_new_tokens=max_new_tokens,
            condition_on_previous_text=False,
        )
        return [Piece(piece.text, float(piece.start), float(piece.end)) for piece in pieces]

    def _loaded(self) -> Any:
        if self._model is None:
            from faster_whisper import WhisperModel

            self._model = WhisperModel(
                str(self._folder()),
                device="cpu",
                compute_type="int8",
                cpu_threads=self._threads,
                num_workers=1,
                local_files_only=True,
            )
        return self._model
