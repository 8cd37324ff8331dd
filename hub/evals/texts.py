"""Texts with one right label, and questions with a right answer. Pure.

scikit-learn computes accuracy, F1, precision and recall; a label that was not given (no answer, or one outside the
set's labels) is a wrong one. Macro: each label of the set counts alike, whatever its number of examples.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hub.evals.intervals import Numbers, bootstrap, bounded, means, wilson
from hub.evals.labelled import MOST_LABELS, BadSet, Columns, Example, NoExample
from hub.evals.rows import INPUTS, LABELS, field_of, folded, label_text, text_of
from schemas.evals import Score

NO_ANSWER = ""
MOST_ANSWERS = 20


class Classified:
    """`text-classification`: the label of the highest score."""

    def example(self, row: Mapping[str, Any], columns: Columns) -> Example:
        """Raises `NoExample`."""
        asked = text_of(field_of(row, columns.input, INPUTS), "input")
        return Example({"inputs": asked}, label_text(field_of(row, columns.label, LABELS)))

    def completed(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Raises `BadSet` for more labels than anybody classifies by."""
        _labels(examples)
        return examples

    def prediction(self, example: Example, output: Any) -> str | None:
        """The label of the highest score."""
        return best_label(output)

    def marks(self, examples: Sequence[Example], predictions: Sequence[Any]) -> Sequence[Sequence[float]]:
        """1 right, 0 wrong."""
        return [
            (float(said is not None and folded(said) == folded(str(one.label))),)
            for one, said in zip(examples, predictions, strict=True)
        ]

    def scores(self, examples: Sequence[Example], predictions: Sequence[Any], seed: int) -> tuple[Score, ...]:
        """Accuracy, then F1, precision and recall as means over the labels."""
        return classification([str(one.label) for one in examples], list(predictions), seed)


class ZeroShot(Classified):
    """`zero-shot-classification`: every job names all labels of the set."""

    def completed(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Each example with the labels of all."""
        labels = sorted(_labels(examples))
        return [Example({**one.input, "parameters": {"candidate_labels": labels}}, one.label) for one in examples]


def _labels(examples: Sequence[Example]) -> set[str]:
    labels = {str(one.label) for one in examples}
    if len(labels) > MOST_LABELS:
        raise BadSet(f"the set has {len(labels)} different labels; it may have {MOST_LABELS}")
    return labels


def best_label(output: Any) -> str | None:
    """The label of the highest score in a list of `{"label", "score"}`; the first of equals."""
    rows = output[0] if isinstance(output, list) and output and isinstance(output[0], list) else output
    if not isinstance(rows, list):
        return None
    told = [row for row in rows if isinstance(row, dict) and isinstance(row.get("label"), str)]
    scored = [row for row in told if isinstance(row.get("score"), int | float)]
    if not scored:
        return str(told[0]["label"]) if told else None
    return str(max(scored, key=lambda row: float(row["score"]))["label"])


def classification(labels: Sequence[str], predictions: Sequence[str | None], seed: int) -> tuple[Score, ...]:
    """The scores of one label each. None: no answer, a wrong one."""
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    true = [folded(label) for label in labels]
    said = [NO_ANSWER if one is None else folded(one) for one in predictions]
    names = sorted(set(true))
    n, right = len(true), sum(a == b for a, b in zip(true, said, strict=True))
    low, high = wilson(right, n)
    accuracy = float(accuracy_score(true, said))
    scores = [Score(metric="accuracy", value=accuracy, low=low, high=high, method="wilson", n=n)]
    rows, counts = _cells(true, said, names)
    for metric, average, of in _SCORES:
        precision, recall, f1, _ = precision_recall_fscore_support(
            true, said, labels=names, average=average, zero_division=0
        )
        value = float({"precision": precision, "recall": recall, "f1": f1}[metric])
        low, high, method = bounded(value, *bootstrap(rows, _averaged(of, len(names), average), seed, counts), n)
        score = {"metric": metric, "value": value, "low": low, "high": high, "average": average}
        scores.append(Score.model_validate({**score, "method": method, "n": n}))
    return tuple(scores)


def _cells(true: Sequence[str], said: Sequence[str], names: Sequence[str]) -> tuple[Numbers, Any]:
    """What each pair of a right and a given label adds to a label's hits, to how often it was given, and to how often
    it was right; and how many examples there are of each pair."""
    place = {name: at for at, name in enumerate(names)}
    pairs = sorted(Counter(zip(true, said, strict=True)).items())
    rows = np.zeros((len(pairs), 3 * len(names)))
    for at, ((right, given), _) in enumerate(pairs):
        rows[at, 2 * len(names) + place[right]] = 1
        if given in place:
            rows[at, len(names) + place[given]] = 1
            rows[at, place[right]] = right == given
    return rows, np.array([number for _, number in pairs], dtype=np.int64)


def _averaged(of: Any, width: int, average: str) -> Any:
    def value(sums: Numbers) -> Numbers:
        hits, given, right = (sums[:, at * width : (at + 1) * width] for at in range(3))
        if average == "micro":
            hits, given, right = (part.sum(axis=1, keepdims=True) for part in (hits, given, right))
        # A label that a draw has not is in no mean, as it would be in none of a set without it.
        there = (right + given) > 0
        total: Numbers = (of(hits, given, right) * there).sum(axis=1)
        mean: Numbers = total / np.maximum(there.sum(axis=1), 1)
        return mean

    return value


def _ratio(above: Numbers, below: Numbers) -> Numbers:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _f1(hits: Numbers, given: Numbers, right: Numbers) -> Numbers:
    return _ratio(2 * hits, given + right)


def _precision(hits: Numbers, given: Numbers, _: Numbers) -> Numbers:
    return _ratio(hits, given)


def _recall(hits: Numbers, _: Numbers, right: Numbers) -> Numbers:
    return _ratio(hits, right)


_SCORES = (
    ("f1", "macro", _f1), ("precision", "macro", _precision), ("recall", "macro", _recall), ("f1", "micro", _f1)
)  # fmt: skip
"""After accuracy, in this order."""


class Answered:
    """`question-answering`: a span of the context that answers a question; one right answer, or several."""

    def example(self, row: Mapping[str, Any], columns: Columns) -> Example:
        """Raises `NoExample`."""
        both = row.get(columns.input or "input")
        source = both if isinstance(both, dict) else row
        question = text_of(source.get("question"), "question")
        context = text_of(source.get("context"), "context")
        told = field_of(row, columns.label, ("answers", *LABELS))
        if isinstance(told, dict):  # SQuAD's own form
            told = told.get("text")
        answers = [told] if isinstance(told, str) else told
        if not isinstance(answers, list) or not all(isinstance(one, str) for one in answers):
            raise NoExample("its label is neither a text nor a list of texts")
        return Example({"inputs": {"question": question, "context": context}}, answers[:MOST_ANSWERS])

    def completed(self, examples: Sequence[Example]) -> Sequence[Example]:
        """As they are."""
        return examples

    def prediction(self, example: Example, output: Any) -> str | None:
        """The answer of the highest score."""
        rows = output if isinstance(output, list) else [output]
        told = [row for row in rows if isinstance(row, dict) and isinstance(row.get("answer"), str)]
        if not told:
            return None
        return str(max(told, key=lambda row: _number(row.get("score")))["answer"])

    def marks(self, examples: Sequence[Example], predictions: Sequence[Any]) -> Sequence[Sequence[float]]:
        """1 an exact match, 0 none."""
        return [
            (float(said is not None and any(a == b for a, b in _pairs(one, said))),)
            for one, said in zip(examples, predictions, strict=True)
        ]

    def scores(self, examples: Sequence[Example], predictions: Sequence[Any], seed: int) -> tuple[Score, ...]:
        """Exact match as accuracy, then the F1 of words, each with the best of the right answers."""
        exact, shared = list[bool](), list[float]()
        for one, said in zip(examples, predictions, strict=True):
            pairs = _pairs(one, said or "")
            exact.append(said is not None and any(a == b for a, b in pairs))
            shared.append(0.0 if said is None else max(_word_f1(a, b) for a, b in pairs))
        n = len(exact)
        low, high = wilson(sum(exact), n)
        accuracy = Score(metric="accuracy", value=sum(exact) / n, low=low, high=high, method="wilson", n=n)
        mean = float(np.mean(shared))
        low, high, method = bounded(mean, *means(np.array(shared), seed), n)
        return accuracy, Score(metric="f1", value=mean, low=low, high=high, method=method, n=n, average="words")


def _pairs(example: Example, said: str) -> list[tuple[list[str], list[str]]]:
    """The words that were said beside those of each right answer; beside none where there is no answer."""
    return [(_words(said), _words(answer)) for answer in example.label] or [(_words(said), [])]


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_SIGNS = str.maketrans("", "", string.punctuation)


def _words(text: str) -> list[str]:
    """Words as answers are compared: no capitals, no signs, no articles (the rule of SQuAD, Rajpurkar et al. 2016)."""
    return _ARTICLES.sub(" ", text.casefold().translate(_NO_SIGNS)).split()


def _word_f1(said: Sequence[str], right: Sequence[str]) -> float:
    if not said or not right:
        return float(said == right)
    shared = sum((Counter(said) & Counter(right)).values())
    return 2 * shared / (len(said) + len(right))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
