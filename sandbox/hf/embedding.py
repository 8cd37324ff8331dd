"""What can be told from embeddings: similarity, zero-shot labels, sentiment. Pure; vectors have length one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

TEMPERATURE = 0.01
"""E5's softmax temperature: "Text Embeddings by Weakly-Supervised Contrastive Pre-training", Wang et al., 2022."""

HYPOTHESIS = "This example is {}."
"""The default `hypothesis_template` of the zero-shot pipeline."""

PRAISE = (
    "This is wonderful, I love it.",
    "An excellent product, I am very happy with it.",
    "A great experience, highly recommended.",
    "I am delighted.",
    "The best I have ever had.",
)
COMPLAINT = (
    "This is terrible, I hate it.",
    "An awful product, I am very unhappy with it.",
    "A bad experience, not recommended.",
    "I am disappointed.",
    "The worst I have ever had.",
)


def hypotheses(labels: Sequence[str], template: str | None, *, multi_label: bool) -> list[str]:
    """The sentences to compare a text with: one for each label; with `multi_label`, then one for its negation."""
    form = template or HYPOTHESIS
    if "{}" not in form:
        form += " {}"
    said = [form.replace("{}", label) for label in labels]
    return said + [form.replace("{}", f"not {label}") for label in labels] if multi_label else said


def zero_shot(text: Vectors, sentences: Vectors, labels: Sequence[str], *, multi_label: bool) -> list[dict[str, Any]]:
    """`[{label, score}]`, best first. One label: a softmax over all. Several: each label against its own negation."""
    cosines = sentences @ text / TEMPERATURE
    if not multi_label:
        return ranked(labels, softmax(cosines))
    said, denied = cosines[: len(labels)], cosines[len(labels) :]
    return ranked(labels, np.asarray((1 + np.tanh((said - denied) / 2)) / 2, dtype=np.float32))


def similarity(source: Vectors, sentences: Vectors) -> list[float]:
    """The cosine of each sentence with the source, in -1 to 1."""
    return [min(1.0, max(-1.0, float(cosine))) for cosine in sentences @ source]


def centroids(praise: Vectors, complaint: Vectors) -> Vectors:
    """The directions of praise and complaint: mean embeddings, scaled to length one."""
    means = np.stack([praise.mean(axis=0), complaint.mean(axis=0)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def sentiment(text: Vectors, between: Vectors) -> list[dict[str, Any]]:
    """`[{label, score}]` for POSITIVE and NEGATIVE, best first."""
    return ranked(("POSITIVE", "NEGATIVE"), softmax(between @ text / TEMPERATURE))


def softmax(values: Vectors) -> Vectors:
    """Shares that add up to one."""
    grown = np.exp(values - values.max())
    return np.asarray(grown / grown.sum(), dtype=np.float32)


def ranked(labels: Sequence[str], scores: Vectors) -> list[dict[str, Any]]:
    """Labels with their scores, best first; equal scores keep the labels' order."""
    pairs = sorted(zip(labels, scores, strict=True), key=lambda pair: -float(pair[1]))
    return [{"label": label, "score": float(score)} for label, score in pairs]
