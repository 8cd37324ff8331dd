"""Texts whose parts are names of something (`token-classification`). Pure.

Words are what stands between spaces; a word's label is that of the entity that covers its first letter, `O` of none. So
models with other tokens than the set's are judged alike. Labels lose the `B-` and `I-` of their chains: a
word of two names side by side counts right for either. F1, precision and recall are micro averages over the words that
are, or are taken for, part of a name, as scikit-learn computes them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hub.evals.intervals import Numbers, bootstrap, bounded
from hub.evals.labelled import Columns, Example, NoExample
from hub.evals.rows import INPUTS, LABELS, field_of, folded, text_of
from schemas.evals import Score

OUTSIDE = "o"
_NONE = ["(none)"]
"""Of a word about which nothing was said."""
TOKENS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "labels", "label")
MOST_WORDS = 5_000


class Tagged:
    """Named entities and the like."""

    def example(self, row: Mapping[str, Any], columns: Columns) -> Example:
        """Words with tags, or a text with spans `[start, end, label]`. Raises `NoExample`."""
        tokens = next((row[name] for name in (columns.input or "", *TOKENS) if isinstance(row.get(name), list)), None)
        if tokens is not None:
            return _tagged(tokens, field_of(row, columns.label, TAGS))
        text = text_of(field_of(row, columns.input, INPUTS), "input")
        told = field_of(row, columns.label, ("spans", "entities", *LABELS))
        if not isinstance(told, list):
            raise NoExample(f"its label is a {type(told).__name__}; a list of spans is wanted")
        spans = [_span(one, len(text)) for one in told]
        return Example({"inputs": text}, _labels(text, spans))

    def completed(self, examples: Sequence[Example]) -> Sequence[Example]:
        """As they are."""
        return examples

    def prediction(self, example: Example, output: Any) -> list[str] | None:
        """A label a word; None: the output is no list of entities. Entities without a place are passed over."""
        if not isinstance(output, list):
            return None
        text = str(example.input["inputs"])
        spans = list[tuple[int, int, str]]()
        for one in output:
            label = one.get("entity_group") or one.get("entity") if isinstance(one, dict) else None
            if isinstance(label, str) and isinstance(one.get("start"), int) and isinstance(one.get("end"), int):
                spans.append((one["start"], one["end"], bare(label)))
        return _labels(text, spans)

    def marks(self, examples: Sequence[Example], predictions: Sequence[Any]) -> Sequence[Sequence[float]]:
        """Each text's words of names that were found, that were given, that there are."""
        both = zip(examples, predictions, strict=True)
        return [_counts(one.label, _NONE * len(one.label) if said is None else said)[:3] for one, said in both]

    def scores(self, examples: Sequence[Example], predictions: Sequence[Any], seed: int) -> tuple[Score, ...]:
        """F1, precision and recall over all words of names, and accuracy over all words; examples are drawn whole."""
        from sklearn.metrics import precision_recall_fscore_support

        true = [list(one.label) for one in examples]
        # No answer names nothing: what is a name was missed, and what is none is not counted for it either.
        both = zip(true, predictions, strict=True)
        said = [_NONE * len(right) if one is None else list(one) for right, one in both]
        flat, given = [w for row in true for w in row], [w for row in said for w in row]
        names = sorted({*flat, *given} - {OUTSIDE, *_NONE})
        n = len(true)
        rows = np.array([_counts(a, b) for a, b in zip(true, said, strict=True)], dtype=np.float64)
        precision, recall, f1 = 0.0, 0.0, 0.0
        if names:
            precision, recall, f1, _ = precision_recall_fscore_support(
                flat, given, labels=names, average="micro", zero_division=0
            )
        found = []
        for metric, value, of in (
            ("f1", f1, lambda s: _ratio(2 * s[:, 0], s[:, 1] + s[:, 2])),
            ("precision", precision, lambda s: _ratio(s[:, 0], s[:, 1])),
            ("recall", recall, lambda s: _ratio(s[:, 0], s[:, 2])),
            ("accuracy", rows[:, 3].sum() / rows[:, 4].sum(), lambda s: _ratio(s[:, 3], s[:, 4])),
        ):
            low, high, method = bounded(float(value), *bootstrap(rows, of, seed), n)
            average = "words" if metric == "accuracy" else "micro"
            score = {"metric": metric, "value": float(value), "low": low, "high": high, "method": method, "n": n}
            found.append(Score.model_validate({**score, "average": average}))
        return tuple(found)


def _counts(true: Sequence[str], said: Sequence[str]) -> list[int]:
    """Words of a name that were found, that were given, that there are; words that are right, and all of them."""
    pairs = list(zip(true, said, strict=True))
    return [
        sum(a == b != OUTSIDE for a, b in pairs),
        sum(b not in (OUTSIDE, *_NONE) for _, b in pairs),
        sum(a != OUTSIDE for a, _ in pairs),
        sum(a == b for a, b in pairs),
        len(pairs),
    ]


def _ratio(above: Numbers, below: Numbers) -> Numbers:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _tagged(tokens: Sequence[Any], tags: Any) -> Example:
    if not isinstance(tags, list) or len(tags) != len(tokens):
        raise NoExample("it has not one tag for each token")
    if not tokens or len(tokens) > MOST_WORDS or not all(isinstance(one, str) and one.split() for one in tokens):
        raise NoExample(f"its tokens are not 1 to {MOST_WORDS} texts")
    if not all(isinstance(one, str) for one in tags):
        raise NoExample("its tags are no texts")
    text, spans = "", list[tuple[int, int, str]]()
    for token, tag in zip(tokens, tags, strict=True):
        start = len(text)
        text += token + " "
        if bare(tag) != OUTSIDE:
            spans.append((start, len(text) - 1, bare(tag)))
    return Example({"inputs": text[:-1]}, _labels(text[:-1], spans))


def _span(one: Any, length: int) -> tuple[int, int, str]:
    if isinstance(one, dict):
        one = [one.get("start"), one.get("end"), one.get("label") or one.get("entity_group")]
    if not isinstance(one, list) or len(one) != 3:
        raise NoExample("a span is no [start, end, label]")
    start, end, label = one
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(label, str)):
        raise NoExample("a span is no [start, end, label]")
    if not 0 <= start < end <= length:
        raise NoExample("a span lies outside its text")
    return start, end, bare(label)


def bare(label: str) -> str:
    """`B-PER` and `I-PER` are `per`."""
    told = folded(label)
    return told[2:] if told[:2] in ("b-", "i-", "e-", "s-", "l-", "u-") and len(told) > 2 else told


def _labels(text: str, spans: Sequence[tuple[int, int, str]]) -> list[str]:
    """A label a word."""
    found, at = list[str](), 0
    ordered = sorted(spans)
    for word in text.split()[:MOST_WORDS]:
        start = text.index(word, at)
        at = start + len(word)
        first = next((place for place in range(start, at) if text[place].isalnum()), start)
        found.append(next((label for begin, end, label in ordered if begin <= first < end), OUTSIDE))
    return found
