"""How each task is evaluated: a row as an example, an answer as a prediction, predictions as scores. Pure.

| task | a row | scores |
|---|---|---|
| text-classification, zero-shot-classification | `input`, `label` | accuracy, F1, precision, recall (macro) |
| token-classification | `tokens` and `tags`, or `input` and spans | F1, precision, recall (micro), accuracy |
| question-answering | `question`, `context`, `label` (one answer or several) | exact match as accuracy, F1 of words |
| automatic-speech-recognition | `input` (a payload), `label` | word error rate |
| sentence-similarity, feature-extraction | `query`, `texts`, `label` (how good each is) | nDCG of the first ten |
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hub.evals import spans, speech, texts
from hub.evals.labelled import BadSet, Columns, Example
from hub.evals.ranks import Embedded, Similar
from schemas.evals import Score


class Way(Protocol):
    """How one task is evaluated."""

    def example(self, row: Mapping[str, Any], columns: Columns) -> Example:
        """Raises `NoExample`."""

    def completed(self, examples: Sequence[Example]) -> Sequence[Example]:
        """The examples once all are known: a zero-shot job names the labels of all of them."""

    def prediction(self, example: Example, output: Any) -> Any:
        """What a job's output says; None: nothing that could be right."""

    def marks(self, examples: Sequence[Example], predictions: Sequence[Any]) -> Sequence[Sequence[float]]:
        """What each example brings to the first score, as `schemas.evals.EvalRun.marks` keeps it."""

    def scores(self, examples: Sequence[Example], predictions: Sequence[Any], seed: int) -> tuple[Score, ...]:
        """The scores of all examples, those without a prediction (None) as wrong answers; the first is the quality."""


WAYS: dict[str, Way] = {
    "text-classification": texts.Classified(),
    "zero-shot-classification": texts.ZeroShot(),
    "question-answering": texts.Answered(),
    "token-classification": spans.Tagged(),
    "automatic-speech-recognition": speech.Heard(),
    "sentence-similarity": Similar(),
    "feature-extraction": Embedded(),
}


def way_of(task: str) -> Way:
    """Raises `BadSet` for a task that is not evaluated."""
    found = WAYS.get(task)
    if found is None:
        raise BadSet(f"{task[:64]!r} is not evaluated; these are: {', '.join(sorted(WAYS))}")
    return found
