"""Reading the text in an image, by RapidOCR on onnxruntime. All calls block: run them on the seat's thread."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MAX_RATIO = 4
"""Of an image's sides, as detection gets it: what it needs of memory is bounded by that."""

DETECTION, RECOGNITION = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text as it was read, and how sure the model is of it."""

    text: str
    score: float


class RapidOcr:
    """Two models in the package (finding lines, reading them), loaded at the first call.

    Their files are named: a model that RapidOCR chooses by itself it would download.
    """

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._reader: Any = None

    def load(self) -> None:
        """Open both models."""
        if self._reader is not None:
            return
        import rapidocr

        models = Path(rapidocr.__file__).parent / "models"
        self._reader = rapidocr.RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,  # which way up a line is: a third model, for photographs
                "Det.model_path": str(models / DETECTION),
                "Rec.model_path": str(models / RECOGNITION),
                "EngineConfig.onnxruntime.intra_op_num_threads": self._threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._reader(np.full((64, 64, 3), 255, dtype=np.uint8))  # opens the first; the second opens at its first line

    def read(self, image: Image.Image) -> list[Line]:
        """The lines of text, from top to bottom; none if there is no text."""
        self.load()
        found = self._reader(np.ascontiguousarray(np.asarray(stout(image))[:, :, ::-1]))  # BGR, as OpenCV has it
        if found.txts is None:
            return []
        pairs = zip(found.txts, found.scores, strict=True)
        return [Line(str(text), float(score)) for text, score in pairs if text.strip()]


def stout(image: Image.Image) -> Image.Image:
    """The image with white beside it, where it is a strip: detection scales the shorter side up to 736 pixels."""
    size = max(image.width, image.height // MAX_RATIO), max(image.height, image.width // MAX_RATIO)
    if size == image.size:
        return image
    padded = Image.new("RGB", size, "white")
    padded.paste(image)
    return padded
