"""Texts in the order of their nearness to another (`sentence-similarity`, `feature-extraction`): nDCG of the first ten.

scikit-learn computes it: gains `relevance`, discount `log2(rank + 1)` (Järvelin and Kekäläinen, "Cumulated gain-based
evaluation of IR techniques", ACM TOIS 20, 2002). Equal predictions share their gains. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hub.evals.intervals import bounded, means
from hub.evals.labelled import Columns, Example, NoExample
from hub.evals.rows import field_of, text_of
from schemas.evals import Score

FIRST = 10
MOST_TEXTS = 200
QUERIES = ("query", "source_sentence", "input", "anchor")
TEXTS = ("texts", "sentences", "documents", "candidates")
RELEVANCES = ("label", "labels", "relevance", "relevances", "scores")


class Similar:
    """`sentence-similarity`: the model itself says how near."""

    def example(self, row: Mapping[str, Any], columns: Columns) -> Example:
        """Raises `NoExample`."""
        query, texts, relevances = _row(row, columns)
        return Example({"inputs": {"source_sentence": query, "sentences": texts}}, relevances)

    def completed(self, examples: Sequence[Example]) -> Sequence[Example]:
        """As they are."""
        return examples

    def prediction(self, example: Example, output: Any) -> list[float] | None:
        """One number a text; None: not as many numbers as texts."""
        if not isinstance(output, list) or len(output) != len(example.label):
            return None
        return [float(one) for one in output] if all(_is_finite(one) for one in output) else None

    def marks(self, examples: Sequence[Example], predictions: Sequence[Any]) -> Sequence[Sequence[float]]:
        """Each query's nDCG; 0 without an answer."""
        from sklearn.metrics import ndcg_score

        return [
            (0.0 if said is None else float(ndcg_score([one.label], [said], k=FIRST)),)
            for one, said in zip(examples, predictions, strict=True)
        ]

    def scores(self, examples: Sequence[Example], predictions: Sequence[Any], seed: int) -> tuple[Score, ...]:
        """The mean over all queries; one without an answer found nothing."""
        each = [value for (value,) in self.marks(examples, predictions)]
        value = float(np.mean(each))
        low, high, method = bounded(value, *means(np.array(each), seed), len(each))
        score = Score(metric="ndcg", value=value, low=low, high=high, method=method, n=len(each))
        return (score.model_copy(update={"average": f"first {FIRST}"}),)


class Embedded(Similar):
    """`feature-extraction`: cosines of the texts' vectors with the query's."""

    def example(self, row: Mapping[str, Any], columns: Columns) -> Example:
        """Raises `NoExample`."""
        query, texts, relevances = _row(row, columns)
        return Example({"inputs": [query, *texts]}, relevances)

    def prediction(self, example: Example, output: Any) -> list[float] | None:
        """Cosines; None: not one vector of one length for each text."""
        if not isinstance(output, list) or len(output) != len(example.label) + 1:
            return None
        try:
            vectors = np.asarray(output, dtype=np.float64)
        except (ValueError, TypeError):
            return None
        if vectors.ndim == 3:  # one vector a token: their mean stands for the text
            vectors = vectors.mean(axis=1)
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            return None
        lengths = np.linalg.norm(vectors, axis=1)
        if not lengths.all():
            return None
        unit = vectors / lengths[:, None]
        return [float(one) for one in unit[1:] @ unit[0]]


def _row(row: Mapping[str, Any], columns: Columns) -> tuple[str, list[str], list[float]]:
    query = text_of(field_of(row, columns.input, QUERIES), "query")
    texts = field_of(row, "", TEXTS)
    relevances = field_of(row, columns.label, RELEVANCES)
    if not isinstance(texts, list) or not all(isinstance(one, str) and one.strip() for one in texts):
        raise NoExample("its texts are no list of texts")
    if not 2 <= len(texts) <= MOST_TEXTS:
        raise NoExample(f"its texts are not 2 to {MOST_TEXTS}")
    if not isinstance(relevances, list) or len(relevances) != len(texts):
        raise NoExample("it has not one relevance for each text")
    if not all(_is_finite(one) and one >= 0 for one in relevances) or not any(relevances):
        raise NoExample("its relevances are not numbers from 0 on, one of them above 0")
    return query, list(texts), [float(one) for one in relevances]


def _is_finite(one: Any) -> bool:
    return isinstance(one, int | float) and not isinstance(one, bool) and bool(np.isfinite(one))
