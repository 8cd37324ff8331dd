"""The jobs of a mix: so many of each modality, in an order and with inputs that a seed decides. Pure.

The mix that the project's brief draws is 40 % text, 30 % image, 20 % speech and 10 % multimodal.
"""

import base64
import io
import json
import math
import random
import re
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

MODALITIES = ("text", "image", "audio", "multimodal")
USUAL = "40/30/20/10"
MOST_COST_NANOUSD = 50_000_000
PAGE = Path(__file__).parents[2] / "examples" / "demo-media.jsonl"
RATE_HZ, SECONDS = 16_000, 1.0
WORDS = ("bees", "honey", "winter", "flowers", "a queen", "the hive", "wax", "pollen", "a garden", "the sun")
_SHARES = re.compile(r"[0-9]{1,3}(/[0-9]{1,3}){3}")


class BadMix(ValueError):
    """A text that is no mix."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of text, image, audio and multimodal, in percent of the jobs."""

    shares: tuple[int, int, int, int]

    @classmethod
    def read(cls, text: str) -> Self:
        """`40/30/20/10`. Raises `BadMix`."""
        if not _SHARES.fullmatch(text):
            raise BadMix(f"{text[:40]!r}: must be text/image/speech/multimodal in percent, like {USUAL}")
        text_, image, audio, multimodal = (int(part) for part in text.split("/"))
        shares = (text_, image, audio, multimodal)
        if sum(shares) != 100:
            raise BadMix(f"{text!r}: the shares are {sum(shares)} % together; they must be 100 %")
        return cls(shares)

    def counts(self, jobs: int) -> dict[str, int]:
        """How many of each modality, together `jobs`: by largest remainders, so each within one of its share."""
        exact = [share * jobs / 100 for share in self.shares]
        counts = [math.floor(one) for one in exact]
        by_rest = sorted(range(len(exact)), key=lambda at: (counts[at] - exact[at], at))
        for at in by_rest[: jobs - sum(counts)]:
            counts[at] += 1
        return dict(zip(MODALITIES, counts, strict=True))


Input = Callable[[random.Random], tuple[str, dict[str, Any]]]
"""Gives a task and an input."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a workload."""

    modality: str
    document: dict[str, Any]


def workload(mix: Mix, jobs: int, seed: int, tenant: str, kinds: dict[str, Sequence[Input]] | None = None) -> list[Job]:
    """The same for the same arguments, but for the tenant. `kinds` are what each modality asks for: what small real
    models do, unless something else is given."""
    dice, of = random.Random(seed), usual_kinds() if kinds is None else kinds  # noqa: S311 - a workload, no secret
    modalities = [name for name, number in mix.counts(jobs).items() for _ in range(number)]
    dice.shuffle(modalities)
    made = []
    for number, modality in enumerate(modalities):
        task, task_input = dice.choice(of[modality])(dice)
        document = {"id": f"{modality}-{number}", "tenant": tenant, "task": task, "input": task_input}
        made.append(Job(modality, {**document, "max_cost_nanousd": MOST_COST_NANOUSD}))
    return made


def usual_kinds() -> dict[str, Sequence[Input]]:
    """Of the sandbox's own models, each with a task that it does quickly."""
    page = _page()
    return {
        "text": (
            chat,
            lambda dice: ("text-classification", {"inputs": _sentence(dice)}),
            lambda dice: ("feature-extraction", {"inputs": _sentence(dice)}),
        ),
        "image": (
            lambda dice: ("text-to-image", {"inputs": _sentence(dice)}),
            *[lambda _: ("image-classification", {"inputs": page})] * 2,
            lambda _: ("image-to-text", {"inputs": page}),
        ),
        "audio": (
            lambda dice: ("text-to-speech", {"inputs": _sentence(dice)}),
            lambda dice: ("audio-classification", {"inputs": tone(dice)}),
            lambda dice: ("automatic-speech-recognition", {"inputs": tone(dice)}),
        ),
        "multimodal": (
            lambda dice: ("document-question-answering", {"inputs": {"image": page, "question": _question(dice)}}),
        ),
    }


def chat(dice: random.Random) -> tuple[str, dict[str, Any]]:
    """A short question and a short answer."""
    messages = [{"role": "user", "content": _question(dice)}]
    return "chat-completion", {"messages": messages, "max_tokens": dice.choice((8, 12, 16))}


def tone(dice: random.Random) -> str:
    """A second of one note, as a `data:` URI."""
    hertz = dice.uniform(200, 800)
    samples = (round(8_000 * math.sin(2 * math.pi * hertz * at / RATE_HZ)) for at in range(int(RATE_HZ * SECONDS)))
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE_HZ)
        sound.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
    return "data:audio/wav;base64," + base64.b64encode(written.getvalue()).decode()


def _sentence(dice: random.Random) -> str:
    return f"{dice.choice(WORDS)} and {dice.choice(WORDS)} in {dice.choice(WORDS)}".capitalize()


def _question(dice: random.Random) -> str:
    return f"What about {dice.choice(WORDS)} and {dice.choice(WORDS)}?"


def _page() -> str:
    """A page of text as a picture: the demonstration's own."""
    lines = (json.loads(line) for line in PAGE.read_text(encoding="utf-8").splitlines())
    return next(str(job["input"]["inputs"]) for job in lines if job["task"] == "image-to-text")
