"""Speech and what was said (`automatic-speech-recognition`): word error rate. Pure.

jiwer counts the words that were exchanged, lost and added, over those that were said. Capitals and signs do not
count. An answer that did not come lost every word.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from hub.evals.intervals import bootstrap, bounded
from hub.evals.labelled import Columns, Example, NoExample
from hub.evals.rows import INPUTS, field_of, text_of
from schemas.evals import Score


class Heard:
    """Recordings with their texts. An input is a payload, or `@file` (`console/payload_files.py`)."""

    def example(self, row: Mapping[str, Any], columns: Columns) -> Example:
        """Raises `NoExample`."""
        told = field_of(row, columns.input, ("audio", *INPUTS))
        if isinstance(told, list) and told and isinstance(told[0], dict):  # as the dataset viewer tells a recording
            told = told[0].get("src")
        label = text_of(
            field_of(row, columns.label, ("transcription", "sentence", "label", "expected", "transcript", "text")),
            "label",
        )
        if not _words(label):
            raise NoExample("its label has no word")
        sound = text_of(told, "input")
        return Example({"inputs": sound}, label, urlsplit(sound).path if sound.startswith(("http:", "https:")) else "")

    def completed(self, examples: Sequence[Example]) -> Sequence[Example]:
        """As they are."""
        return examples

    def prediction(self, example: Example, output: Any) -> str | None:
        """What was heard."""
        told = output.get("text") if isinstance(output, dict) else None
        return told if isinstance(told, str) else None

    def marks(self, examples: Sequence[Example], predictions: Sequence[Any]) -> Sequence[Sequence[float]]:
        """Each recording's wrong words, and its words."""
        import jiwer

        rows = list[tuple[int, int]]()
        for one, said in zip(examples, predictions, strict=True):
            right, heard = _words(str(one.label)), _words(said or "")
            if not heard:
                rows.append((len(right), len(right)))
                continue
            told = jiwer.process_words(" ".join(right), " ".join(heard))
            rows.append((told.substitutions + told.deletions + told.insertions, len(right)))
        return rows

    def scores(self, examples: Sequence[Example], predictions: Sequence[Any], seed: int) -> tuple[Score, ...]:
        """Errors over words, all recordings together; recordings are drawn whole."""
        rows = self.marks(examples, predictions)
        numbers = np.array(rows, dtype=np.float64)
        value = float(numbers[:, 0].sum() / numbers[:, 1].sum())
        drawn = bootstrap(numbers, lambda sums: sums[:, 0] / sums[:, 1], seed)
        low, high, method = bounded(value, *drawn, len(rows))
        return (Score(metric="wer", value=value, low=low, high=high, method=method, n=len(rows)),)


def _words(text: str) -> list[str]:
    """Words without capitals and signs; an apostrophe within a word stays."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    kept = "".join(char if char.isalnum() or char == "'" else " " for char in plain)
    return [word for part in kept.split() if (word := part.strip("'"))]
