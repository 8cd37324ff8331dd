"""The labelled requests that come with Novix, and how well `analyse` reads them. Pure but for reading the file.

One JSON object a line: the sentence, to which part it belongs, the task, the
modality, the languages and the constraints that a person reads in it; `untold`: it also has a condition that Novix has
no way to hold, which must be told as not understood.
"""

import functools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Literal

from hub.recommend.analyse import analyse
from schemas import codec
from schemas.recommendation import TaskAnalysis, TaskDescription

Part = Literal["development", "held out", "unseen", "second development", "second test"]
"""`unseen`: written after the lexicon had been made, and never tuned on. The second set was written later:
its test half was measured once before and once after its development half was worked on."""
AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""Now, for the labels of "this year"."""
UNLABELLED = ("denied_languages", "denied_tasks")
"""Fields of constraints that the labels leave out."""
FIELDS = ("task", "modality", "languages", "constraints", "untold")


@dataclass(frozen=True, slots=True)
class Request:
    """One labelled sentence."""

    sentence: str
    part: Part
    task: str | None
    modality: str | None
    languages: frozenset[str]
    constraints: dict[str, Any]
    untold: bool = False


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many of `n` requests were read as labelled."""

    n: int
    right: dict[str, int]
    """By field; `all` for those right in every field. `untold` counts the requests that have such a condition only."""
    untold: int
    """Requests with a condition that must be told as not understood."""
    false_alarms: int
    """Requests without one of which a part was told as not understood all the same."""
    asked: int
    """Constraints that the labels have."""
    found: int
    """Constraints that were read."""
    both: int
    """Constraints of the labels that were read with their value."""


@functools.cache
def requests() -> tuple[Request, ...]:
    """All labelled requests, as they stand in the file."""
    text = resources.files("hub").joinpath("data", "requests.jsonl").read_text("utf-8")
    return tuple(_request(codec.decode(line.encode())) for line in text.splitlines())


def _request(row: dict[str, Any]) -> Request:
    constraints = {name: _value(value) for name, value in row["constraints"].items()}
    languages = frozenset(row["languages"])
    return Request(
        row["sentence"], row["part"], row["task"], row["modality"], languages, constraints, bool(row.get("untold"))
    )


def _value(value: Any) -> Any:
    return frozenset(value) if isinstance(value, list | tuple) else value


def _read(found: TaskAnalysis) -> dict[str, Any]:
    told = found.constraints.model_dump(exclude_defaults=True)
    return {name: _value(value) for name, value in told.items() if name not in UNLABELLED}


def wrong(request: Request, found: TaskAnalysis) -> dict[str, tuple[Any, Any]]:
    """The fields that were not read as labelled: (labelled, read). Constraints are compared one by one, exactly."""
    read = _read(found)
    pairs = {
        "task": (request.task, found.task),
        "modality": (request.modality, found.modality),
        "languages": (request.languages, frozenset(found.languages)),
        "constraints": (request.constraints, read),
        "untold": (request.untold, request.untold and bool(found.not_understood)),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def measure(labelled: Iterable[Request]) -> Accuracy:
    """How well they are read."""
    right: Counter[str] = Counter()
    n = untold = alarms = asked = read = both = 0
    for request in labelled:
        found = analyse(TaskDescription(sentence=request.sentence), at=AT)
        faults = wrong(request, found)
        n += 1
        right.update(name for name in FIELDS if name not in faults and (name != "untold" or request.untold))
        right["all"] += not faults
        untold += request.untold
        alarms += bool(found.not_understood) and not request.untold
        values = _read(found)
        asked, read = asked + len(request.constraints), read + len(values)
        both += sum(values.get(name) == value for name, value in request.constraints.items())
    return Accuracy(n, {name: right[name] for name in (*FIELDS, "all")}, untold, alarms, asked, read, both)
