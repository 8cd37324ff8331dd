"""Which tasks the meaning of a sentence is near to, by examples: for sentences that say a task in words of their own.

Static word vectors (`hub.index.embed`), no language model: a sentence's vector is the mean of its words', and a task's
nearness the mean of the cosines of its two nearest examples. It proposes a task where the lexicon says little, and
never a condition.
"""

import functools
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from hub.index.embed import Embedder, shared

if TYPE_CHECKING:
    from hub.index.embed import Vectors

NEAREST = 2
"""Examples of a task that count."""


@dataclass(frozen=True, slots=True)
class Examples:
    """All examples: their tasks in order, and a row of `vectors` for each."""

    tasks: tuple[str, ...]
    vectors: "Vectors"
    embedder: Embedder


@functools.cache
def examples() -> Examples | None:
    """The examples that come with Novix; None where the word vectors are not installed."""
    try:
        embedder = shared()
    except (ImportError, OSError):
        return None
    tasks, phrases, task = [], [], ""
    text = resources.files("hub").joinpath("data", "examples.txt").read_text("utf-8")
    for line in text.splitlines():
        told = line.split("#", 1)[0].strip()
        if told.startswith("["):
            task = told[1:-1]
        elif told:
            tasks.append(task)
            phrases.append(told)
    return Examples(tuple(tasks), embedder.embed(phrases), embedder)


def nearness(sentence: str) -> dict[str, float]:
    """By task, how near it is: cosines, rounded so that the last bits of another machine's sums change nothing."""
    known = examples()
    if known is None:
        return {}
    cosines = known.vectors @ known.embedder.embed([sentence])[0]
    by_task: dict[str, list[float]] = {}
    for task, cosine in zip(known.tasks, cosines.tolist(), strict=True):
        by_task.setdefault(task, []).append(cosine)
    return {task: round(float(np.mean(sorted(found)[-NEAREST:])), 3) for task, found in by_task.items()}
