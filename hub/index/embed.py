"""Static embeddings of texts, and the file that holds those of all rows.

The vectors are WordLlama's (`l2_supercat_256`, MIT): a text is the mean of its tokens' vectors, scaled to length one.
They are read from its package without importing it: its import sets up logging for the whole process. 256 numbers a
text are kept as int8 (`round(x * SCALE)`). Their signs alone, 32 bytes a row, stay in memory and find the nearest of
half a million in milliseconds, to be told apart by the int8 numbers of the few that are left.
"""

import functools
import importlib.util
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 256
SCALE = 400.0
"""The largest component of a text's vector is about 0.2, a single word's 0.3; what is over 127 / 400 is cut."""
BATCH = 512
"""Texts whose new words are cut at once."""
WORDS_KEPT = 50_000
LEAST_POOL = 400
"""Rows whose signs are nearest: among them the nearest are looked for by their numbers."""
CODE_WORDS = DIMENSIONS // 64
GROW_ROWS = 8_192
COUNTED_ROWS = 8_192
PAGE_ROWS = 4_096 // DIMENSIONS
"""Rows of one page of the system's cache."""

Vectors = NDArray[np.float32]
Bytes = NDArray[np.int8]
Codes = NDArray[np.uint64]


class Embedder:
    """Texts to vectors. Any thread may call."""

    def __init__(self) -> None:
        """Load the package's own files. Raises FileNotFoundError where they are not."""
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        home = _home()
        (table,) = load_file(home / "weights" / "l2_supercat_256.safetensors").values()
        # Sums of half-precision rows take twenty times as long.
        self._table = table.astype(np.float32)
        self._tokenizer: Any = Tokenizer.from_file(str(home / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._ids: dict[str, list[int]] = {}
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector for each text; of a text without words, zeros."""
        found = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for at in range(0, len(texts), BATCH):
            said = [text.split() for text in texts[at : at + BATCH]]
            with self._lock:
                self._learn({word for words in said for word in words})
                cut = [[token for word in words for token in self._ids[word]] for words in said]
            for number, ids in enumerate(cut, at):
                if ids:
                    mean = self._table[ids].sum(axis=0)
                    found[number] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return found

    def _learn(self, words: set[str]) -> None:
        """Cut new words into tokens. A text's tokens are those of its words: names and tags use the same ones again and
        again, and cutting them took most of the time."""
        if len(self._ids) > WORDS_KEPT:
            self._ids.clear()
        new = sorted(words - self._ids.keys())
        most = len(self._table) - 1
        for word, one in zip(new, self._tokenizer.encode_batch_fast(new, add_special_tokens=False), strict=True):
            self._ids[word] = [min(token, most) for token in one.ids]


@functools.cache
def shared() -> Embedder:
    """The process's own: its table has 32 MB. Raises FileNotFoundError."""
    return Embedder()


def _home() -> Path:
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package wordllama is not installed")
    return Path(spec.origin).parent


def quantised(vectors: Vectors) -> Bytes:
    """As they are kept."""
    return np.asarray(np.clip(np.rint(vectors * SCALE), -127, 127), dtype=np.int8)


def codes(vectors: Bytes) -> Codes:
    """The signs of each, 256 bits."""
    return np.packbits(vectors > 0, axis=1).view(np.uint64)


def cosines(query: Vectors, vectors: Bytes) -> Vectors:
    """The cosine of a query (of length one) with each; 0 for vectors without length."""
    there = vectors.astype(np.float32)
    norms = np.linalg.norm(there, axis=1)
    return np.asarray(there @ query / np.maximum(norms, 1e-6), dtype=np.float32)


class VectorFile:
    """One row of `DIMENSIONS` int8 numbers for each row of the index; their signs are read at opening.

    Read by single rows, not mapped: mapped pages that were once touched stay in this process's memory. Written before
    the transaction that names the row commits: a row that SQLite knows has its vector.
    """

    def __init__(self, path: Path, rows: int, *, writes: bool) -> None:
        """Open for `rows` rows at least, or for those that are there. Raises OSError, ValueError (too short)."""
        self._writes = writes
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT if writes else os.O_RDONLY, 0o600)
        try:
            have = os.fstat(self._fd).st_size // DIMENSIONS
            if have < rows and rows > 1:
                raise ValueError(f"{path.name} has {have} vectors, the index {rows} rows")
            self.codes = np.zeros((have, CODE_WORDS), dtype=np.uint64)
            for at in range(0, rows if have else 0, GROW_ROWS):
                some = self._rows_from(at, min(rows, at + GROW_ROWS) - at)
                self.codes[at : at + len(some)] = codes(some)
            self._grow(GROW_ROWS if writes else 0)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; again does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def put(self, rows: Sequence[int], vectors: Bytes) -> None:
        """Write vectors; they are on the disk when this returns."""
        if not len(rows):
            return
        need = max(rows) + 1
        if need > len(self.codes):
            self._grow(need + max(GROW_ROWS, need // 8))
        for row, vector in zip(rows, vectors, strict=True):
            os.pwrite(self._fd, vector.tobytes(), row * DIMENSIONS)
        self.codes[np.asarray(rows)] = codes(vectors)
        self._flush()

    def _flush(self) -> None:
        os.fdatasync(self._fd)

    def read(self, rows: NDArray[np.int64]) -> Bytes:
        """The vectors of some rows."""
        order = np.argsort(rows)
        ordered = rows[order]
        # All pages are asked for before the first is read: the disk brings them at once, not one after the other.
        for page in np.unique(ordered // PAGE_ROWS).tolist():
            os.posix_fadvise(self._fd, page * PAGE_ROWS * DIMENSIONS, PAGE_ROWS * DIMENSIONS, os.POSIX_FADV_WILLNEED)
        told = b"".join(os.pread(self._fd, DIMENSIONS, row * DIMENSIONS) for row in ordered.tolist())
        found = np.empty((len(rows), DIMENSIONS), dtype=np.int8)
        found[order] = np.frombuffer(told, dtype=np.int8).reshape(-1, DIMENSIONS)
        return found

    def nearest(self, query: Vectors, mask: NDArray[np.bool_] | None, most: int) -> tuple[NDArray[np.int64], Vectors]:
        """The rows nearest to a query, and their cosines, nearest first, among those that `mask` lets through."""
        code = codes(quantised(query[None, :]))[0]
        rows = np.arange(len(self.codes)) if mask is None else np.flatnonzero(mask)
        if not len(rows):
            return rows, np.zeros(0, dtype=np.float32)
        apart = self._apart(code, rows)
        pool = min(len(rows), max(LEAST_POOL, 8 * most))
        near = rows[np.argpartition(apart, pool - 1)[:pool]] if pool < len(rows) else rows
        found = cosines(query, self.read(near))
        order = np.lexsort((near, -found))[:most]
        return near[order], found[order]

    def _apart(self, code: Codes, rows: NDArray[np.int64]) -> NDArray[np.uint16]:
        """How many signs of rows, which are in order, differ from a code. Piece by piece: what all rows would need in
        between has tens of megabytes, and asking the system for them takes longer than counting."""
        found = np.empty(len(rows), dtype=np.uint16)
        for at in range(0, len(rows), COUNTED_ROWS):
            some = rows[at : at + COUNTED_ROWS]
            first, last = int(some[0]), int(some[-1]) + 1
            among = self.codes[first:last] if last - first == len(some) else self.codes[some]
            differing = np.bitwise_count(among ^ code)
            apart = differing[:, 0].astype(np.uint16)
            for part in range(1, CODE_WORDS):  # a sum along so short an axis takes five times as long
                apart += differing[:, part]
            found[at : at + len(some)] = apart
        return found

    def _rows_from(self, first: int, count: int) -> Bytes:
        told = os.pread(self._fd, count * DIMENSIONS, first * DIMENSIONS)
        return np.frombuffer(told, dtype=np.int8).reshape(-1, DIMENSIONS)

    def _grow(self, rows: int) -> None:
        """Make room for so many rows; what is there stays."""
        if rows <= len(self.codes):
            return
        os.ftruncate(self._fd, rows * DIMENSIONS)
        longer = np.zeros((rows, CODE_WORDS), dtype=np.uint64)
        longer[: len(self.codes)] = self.codes
        self.codes = longer
