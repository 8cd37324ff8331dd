"""How well sentences are read: accuracy on the labelled requests, by field. Needs no Kafka."""

from bench.figure import Figure
from hub.evals.intervals import wilson
from hub.recommend.labelled import FIELDS, Accuracy, Part, requests
from hub.recommend.labelled import measure as measured

NAME = "requests"
PARTS: tuple[Part, ...] = ("second test", "second development", "unseen", "held out", "development")


def measure(*, quick: bool = False) -> list[Figure]:
    """Read every labelled sentence and compare. Takes seconds."""
    return [figure for half in PARTS for figure in _of(half, measured(one for one in requests() if one.part == half))]


def _of(half: Part, found: Accuracy) -> list[Figure]:
    told = []
    for name in ("all", *FIELDS):
        count = found.untold if name == "untold" else found.n
        right = found.right[name]
        told.append(Figure(NAME, f"{half}: {_LABELS[name]}", 100 * right / count, "%", note=_interval(right, count)))
    told.append(
        Figure(
            NAME,
            f"{half}: constraints found of those labelled",
            100 * found.both / found.asked,
            "%",
            note=f"of {found.asked}",
        )
    )
    told.append(
        Figure(
            NAME,
            f"{half}: told as not understood, without need",
            100 * found.false_alarms / (found.n - found.untold),
            "%",
        )
    )
    return told


_LABELS = {
    "all": "every field right", "task": "task", "modality": "modality", "languages": "languages",
    "constraints": "all constraints", "untold": "conditions that cannot be held are told",
}  # fmt: skip


def _interval(right: int, count: int) -> str:
    low, high = wilson(right, count)
    return f"{right} of {count}; 95 % interval {100 * low:.1f} to {100 * high:.1f} (Wilson)"
