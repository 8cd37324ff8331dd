"""Landscapes by a one-step consistency model (adaptive-terrain-diffusion), drawn as shaded relief. Blocking.

The model makes height maps from noise and knows no words: a prompt chooses the noise, nothing else.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.hf.picture import Pixels

Heights = NDArray[np.float32]

TILE = 128
"""Points a side that the model makes at once; larger maps are blended from tiles."""
STEP = 96
SIGMA = 80.0
"""Standard deviation of the noise that the model was distilled to begin from."""
TALLEST, BEND = 22.16864013671875, 0.1
"""Metres of the model's highest point, and the bend of the asinh scale that its output is in."""

RAMP = np.array([(46, 94, 78), (122, 148, 86), (196, 178, 120), (150, 118, 92), (245, 245, 245)], dtype=np.float64)
"""Colours from the lowest point to the highest."""


class Terrain:
    """One model of 45 MB, loaded at the first call (0.4 s); a tile takes some 0.25 s on one core."""

    def __init__(self, weights: Callable[[], Path], *, threads: int) -> None:
        self._weights = weights
        self._threads = threads
        self._session: Any = None

    def load(self) -> None:
        """Fetch the weights if they are not in the cache, check them, and load them."""
        if self._session is None:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
            self._session = onnxruntime.InferenceSession(
                str(self._weights()), options, providers=["CPUExecutionProvider"]
            )

    def draw(self, prompt: str, seed: int | None, width: int, height: int) -> Pixels:
        """A landscape seen from above. The same for the same prompt, seed and size."""
        digest = hashlib.sha256(f"{seed}:{prompt}".encode("utf-8", "replace")).digest()
        dice = np.random.default_rng(int.from_bytes(digest[:16], "big"))
        return relief(heights(self._tiles(dice, width, height)))

    def _tiles(self, dice: np.random.Generator, width: int, height: int) -> Heights:
        """The model's output over the whole map: overlapping tiles of one noise, blended by Hann windows."""
        self.load()
        wide, high = max(width, TILE), max(height, TILE)
        noise = dice.standard_normal((high, wide), dtype=np.float32) * np.float32(SIGMA)
        ruggedness = np.array([dice.random()], dtype=np.float32)
        ramp = np.maximum(np.hanning(TILE), 1e-3)
        blend = np.outer(ramp, ramp).astype(np.float32)
        total, weight = np.zeros_like(noise), np.zeros_like(noise)
        for top in starts(high):
            for left in starts(wide):
                at = np.s_[top : top + TILE, left : left + TILE]
                feed = {
                    "noisy": noise[at][None, None],
                    "sigma": np.full(1, SIGMA, dtype=np.float32),
                    "difficulty": ruggedness,
                }
                total[at] += self._session.run(["denoised"], feed)[0][0, 0] * blend
                weight[at] += blend
        return np.asarray(total / weight, dtype=np.float32)[:height, :width]


def starts(length: int) -> list[int]:
    """Where tiles begin so that they cover `length` points, each overlapping the next."""
    return [*range(0, length - TILE, STEP), length - TILE]


def heights(raw: Heights) -> Heights:
    """The model's output, an asinh scale in -1 to 1, as metres from 0 to `TALLEST`."""
    unit = np.clip((raw + 1) / 2, 0, 1)
    metres: Heights = (BEND * np.sinh(unit * np.arcsinh(TALLEST / BEND))).astype(np.float32)
    return metres


def relief(metres: Heights) -> Pixels:
    """Colours by height, shaded as if the light came from the upper left."""
    low, high = float(metres.min()), float(metres.max())
    level = (metres - low) / max(high - low, 1e-6) * (len(RAMP) - 1)
    colours = np.stack([np.interp(level, range(len(RAMP)), RAMP[:, band]) for band in range(3)], axis=-1)
    down, right = np.gradient(metres * (8.0 / max(high - low, 1e-6)))
    shade = (1 + right + down) / np.sqrt(3 * (1 + right**2 + down**2))  # Lambert: the normal times the light
    lit = colours * np.clip(0.45 + 0.95 * shade, 0.3, 1.35)[..., None]
    return np.asarray(np.clip(lit, 0, 255), dtype=np.uint8)
