"""What `novix bench models` asks where nobody says: seeded inputs of each task that a program can make up. Pure."""

import random
from collections.abc import Callable
from typing import Any

from console.mix.workload import WORDS, chat, usual_kinds

Make = Callable[[random.Random], dict[str, Any]]
LABELS = ("nature", "food", "weather", "work")


def _sentence(dice: random.Random) -> str:
    return f"{dice.choice(WORDS)} and {dice.choice(WORDS)} in {dice.choice(WORDS)}".capitalize() + "."


def _text(dice: random.Random) -> dict[str, Any]:
    return {"inputs": _sentence(dice)}


SAMPLES: dict[str, Make] = {
    "chat-completion": lambda dice: chat(dice)[1],
    "text-generation": lambda dice: {"inputs": _sentence(dice), "parameters": {"max_new_tokens": 12}},
    "text-classification": _text,
    "token-classification": _text,
    "feature-extraction": _text,
    "summarization": lambda dice: {"inputs": " ".join(_sentence(dice) for _ in range(6))},
    "translation": _text,
    "fill-mask": lambda dice: {"inputs": f"{_sentence(dice)[:-1]} is [MASK]."},
    "zero-shot-classification": lambda dice: {**_text(dice), "parameters": {"candidate_labels": list(LABELS)}},
    "sentence-similarity": lambda dice: {
        "inputs": {"source_sentence": _sentence(dice), "sentences": [_sentence(dice) for _ in range(4)]}
    },
    "question-answering": lambda dice: {
        "inputs": {"question": "What is it about?", "context": " ".join(_sentence(dice) for _ in range(3))}
    },
}


MEDIA = (
    "text-to-image", "image-classification", "image-to-text", "text-to-speech", "audio-classification",
    "automatic-speech-recognition", "document-question-answering",
)  # fmt: skip
"""Tasks whose inputs are those of `novix bench`."""
TASKS = (*sorted(SAMPLES), *sorted(MEDIA))


def inputs(task: str, number: int, seed: int) -> list[dict[str, Any]]:
    """`number` inputs, the same for the same seed. Raises KeyError for a task of which none are made up."""
    dice = random.Random(seed)  # noqa: S311 - a workload, no secret
    if task in MEDIA:
        kinds = [kind for kinds in usual_kinds().values() for kind in kinds]
        kind = next(kind for kind in kinds if kind(random.Random(seed))[0] == task)  # noqa: S311
        return [kind(dice)[1] for _ in range(number)]
    make = SAMPLES[task]
    return [make(dice) for _ in range(number)]
