"""How well the complexity score tells hard prompts from easy ones: against the labelled set in the repository.

`python -m bench complexity` prints the figures; `docs/generate.py` writes them to `docs/complexity.md` and finds drift.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from bench.figure import Figure, median
from router.complexity import SCORER, WEIGHTS, score

NAME = "complexity"
SET = "complexity.jsonl"
THRESHOLD = 0.4
BINS = 5


@dataclass(frozen=True, slots=True)
class Labelled:
    """One prompt of the set, its score, and whether it was labelled hard."""

    prompt: str
    score: float
    is_hard: bool
    is_held_out: bool
    lang: str


def measure(*, quick: bool) -> list[Figure]:
    """The report's figures, and the time that one score takes."""
    rows = labelled()
    held = [row for row in rows if row.is_held_out]
    times = []
    for row in rows[:: 8 if quick else 1]:
        began = time.thread_time_ns()
        for _ in range(20):
            score("chat-completion", _chat(row.prompt))
        times.append((time.thread_time_ns() - began) / 20_000)
    return [
        Figure(NAME, "prompts", len(rows), ""),
        Figure(NAME, "AUC, held out", auc(held), "", note=f"{len(held)} prompts that no weight was chosen by"),
        Figure(NAME, f"accuracy at {THRESHOLD}, held out", accuracy(held), ""),
        Figure(NAME, "time: p50", median(times), "us", "under 100 us"),
        Figure(NAME, "time: longest", max(times), "us", "under 100 us"),
    ]


def labelled() -> list[Labelled]:
    """The set as it lies in the repository, scored."""
    text = resources.files("router").joinpath("data", SET).read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    return [
        Labelled(
            row["prompt"], score("chat-completion", _chat(row["prompt"])), row["label"] == "hard", row["held_out"],
            row["lang"],
        )
        for row in rows
    ]  # fmt: skip


def auc(rows: Sequence[Labelled]) -> float:
    """The share of pairs, one hard and one easy, in which the hard one scores higher; ties count half.

    That is the area under the ROC curve (Hanley and McNeil, "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", 1982)."""
    hard = [row.score for row in rows if row.is_hard]
    easy = [row.score for row in rows if not row.is_hard]
    above = sum((one > other) + 0.5 * (one == other) for one in hard for other in easy)
    return above / (len(hard) * len(easy))


def accuracy(rows: Sequence[Labelled], threshold: float = THRESHOLD) -> float:
    """The share of prompts that the threshold sends to the tier of their label."""
    return sum((row.score >= threshold) == row.is_hard for row in rows) / len(rows)


def report() -> str:
    """The page: figures that do not depend on the machine."""
    rows = labelled()
    tuned, held = [row for row in rows if not row.is_held_out], [row for row in rows if row.is_held_out]
    parts = {"all": rows, "tuned on": tuned, "held out": held}
    lines = [
        f"Scorer `{SCORER}`; a prompt counts as hard from a score of {THRESHOLD} on.",
        "",
        "| prompts | number | hard | AUC | accuracy | easy, to the large tier | hard, to the small tier |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, part in parts.items():
        wrong_easy = sum(row.score >= THRESHOLD and not row.is_hard for row in part)
        wrong_hard = sum(row.score < THRESHOLD and row.is_hard for row in part)
        lines.append(
            f"| {name} | {len(part)} | {sum(row.is_hard for row in part)} | {auc(part):.3f} | {accuracy(part):.3f} "
            f"| {wrong_easy} | {wrong_hard} |"
        )
    lines += ["", "By language, all prompts:", "", "| language | number | AUC | accuracy |", "|---|---|---|---|"]
    for lang in sorted({row.lang for row in rows}):
        part = [row for row in rows if row.lang == lang]
        lines.append(f"| {lang} | {len(part)} | {auc(part):.3f} | {accuracy(part):.3f} |")
    lines += ["", "How reliable a score is, all prompts:", "", "| score | prompts | of them hard |", "|---|---|---|"]
    for at in range(BINS):
        low, high = at / BINS, (at + 1) / BINS
        part = [row for row in rows if low <= row.score < high or (at == BINS - 1 and row.score == high)]
        share = f"{sum(row.is_hard for row in part) / len(part):.2f}" if part else "none"
        lines.append(f"| {low:.1f} to {high:.1f} | {len(part)} | {share} |")
    lines += ["", "| feature | adds at most |", "|---|---|"]
    lines += [f"| {name} | {most:.2f} |" for name, most in WEIGHTS.items()]
    return "\n".join(lines) + "\n"


def _chat(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}]}
