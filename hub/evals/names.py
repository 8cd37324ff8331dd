"""What a model calls the labels of a set: `LABEL_0` for `negative`. Told, or in the model's own configuration; never
guessed. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.evals.labelled import BadSet, LabelledSet
from hub.evals.rows import folded
from hub.evals.spans import OUTSIDE, bare
from schemas import codec

TASKS = frozenset({"text-classification", "token-classification"})
"""Where models answer with labels of their own; `zero-shot-classification` is told which to take."""
MOST_NAMES = 200
MOST_NAME_CHARS = 256
MOST_TOLD, MOST_TOLD_CHARS = 20, 64
"""Of a model's own labels, in a run: a provider may answer anything."""
_NUMBERED = re.compile(r"label_(\d{1,4})")


@dataclass(frozen=True, slots=True)
class Names:
    """From a model's labels to the set's, as both are compared."""

    given: Mapping[str, str] = field(default_factory=dict)
    """By whoever asked; this comes before everything."""
    config: Mapping[str, str] = field(default_factory=dict)
    """`id2label` of the model's configuration, by number: it says what `LABEL_<number>` is, and nothing else."""


@dataclass(slots=True)
class Understood:
    """Predictions in the set's labels, and how they came to be."""

    said: list[Any]
    known: int = 0
    """Labels (of words, where words have labels) that are the set's, mapped ones among them."""
    mapped: dict[str, str] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    unmapped: Counter[str] = field(default_factory=Counter)

    @property
    def is_foreign(self) -> bool:
        """Not one label is the set's: nothing is known of how good the model is, which is not the same as never
        right."""
        return bool(self.unmapped) and not self.known

    def told(self) -> dict[str, Any]:
        """For a run's notes; empty where model and set use the same labels."""
        if not self.mapped and not self.unmapped:
            return {}
        shortened = {name[:MOST_TOLD_CHARS]: to for name, to in sorted(self.mapped.items())[:MOST_TOLD]}
        return {
            "mapped": shortened,
            "from": sorted(self.sources),
            "unmapped": {name[:MOST_TOLD_CHARS]: count for name, count in self.unmapped.most_common(MOST_TOLD)},
            "unmapped_answers": self.unmapped.total(),
        }


def labels_of(labelled: LabelledSet) -> dict[str, str]:
    """The set's labels, by how they are compared."""
    told: Iterable[str] = labelled.labels
    if not told and labelled.task == "token-classification":
        told = {label for one in labelled.examples for label in one.label if label != OUTSIDE}
    elif not told:
        told = {str(one.label) for one in labelled.examples}
    return {as_compared(labelled.task, label): label for label in sorted(told)}


def as_compared(task: str, label: str) -> str:
    """Without capitals; of a part of a text without the sign of its place in a chain."""
    return bare(label) if task == "token-classification" else folded(label)


def given_names(words: Sequence[str], labelled: LabelledSet) -> dict[str, str]:
    """`MODEL'S=SET'S` each; of a part of a text `O` is no name at all. Raises `BadSet`."""
    if words and labelled.task not in TASKS:
        raise BadSet(f"--map is for {' and '.join(sorted(TASKS))}; {labelled.task} has no labels of a model's own")
    if len(words) > MOST_NAMES:
        raise BadSet(f"{len(words)} labels are mapped; at most {MOST_NAMES} can be")
    labels, found = labels_of(labelled), dict[str, str]()
    for word in words:
        name, sign, to = word.partition("=")
        if not sign or not name.strip() or len(word) > MOST_NAME_CHARS:
            raise BadSet(
                f"--map {word[:60]!r}: write LABEL=LABEL, the model's and the set's, {MOST_NAME_CHARS} at most"
            )
        key, label = as_compared(labelled.task, name), as_compared(labelled.task, to)
        if label not in labels and not (labelled.task == "token-classification" and label == OUTSIDE):
            there = ", ".join(sorted(labels)[:MOST_TOLD])
            raise BadSet(f"--map {word[:60]!r}: the set has no such label; it has {len(labels)}: {there[:500]}")
        if found.setdefault(key, label) != label:
            raise BadSet(f"--map {word[:60]!r}: {name[:60]!r} is mapped twice, to different labels")
    return found


def understood(labelled: LabelledSet, said: Sequence[Any], names: Names) -> Understood:
    """The predictions in the set's labels. One that cannot be mapped is no answer; of a part of a text it stays what it
    is, and is a wrong one."""
    found = Understood([])
    if labelled.task not in TASKS:
        found.said = list(said)
        return found
    labels = labels_of(labelled)
    for one in said:
        if one is None:
            found.said.append(None)
        elif isinstance(one, str):
            found.said.append(_mapped(labelled.task, one, labels, names, found))
        else:
            found.said.append([
                word if word == OUTSIDE else _mapped(labelled.task, word, labels, names, found) or word for word in one
            ])  # fmt: skip
    return found


def _mapped(task: str, label: str, labels: Mapping[str, str], names: Names, found: Understood) -> str | None:
    key = as_compared(task, label)
    to, source = names.given.get(key), "given"
    if to is None and key not in labels:
        number = _NUMBERED.fullmatch(key)
        told = names.config.get(str(int(number[1]))) if number else None
        to, source = None if told is None else as_compared(task, told), "config"
        if to not in labels:
            found.unmapped[label] += 1
            return None
    found.known += 1
    if to is None:
        return label
    found.mapped[label] = labels.get(to, to)
    found.sources.add(source)
    return labels.get(to, to)


def wants_config(labelled: LabelledSet, said: Sequence[Any], names: Names) -> bool:
    """Whether an answer has a number for a label: then the model's configuration may say which one it is."""
    return any(
        _NUMBERED.fullmatch(as_compared(labelled.task, one)) for one in understood(labelled, said, names).unmapped
    )


def id2label(config: bytes) -> dict[str, str]:
    """What a model's `config.json` says of its labels, by number; empty where it says nothing usable."""
    try:
        told = codec.parse(config)
    except codec.Undecodable:
        return {}
    listed = told.get("id2label") if isinstance(told, dict) else None
    if not isinstance(listed, dict):
        return {}
    return {
        number: label
        for number, label in list(listed.items())[: MOST_NAMES * 5]
        if number.isdecimal() and number.isascii() and isinstance(label, str) and 0 < len(label) <= MOST_NAME_CHARS
    }
