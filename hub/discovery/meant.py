"""What a query means beyond its words: the task, languages, fields, size, library and licence that it speaks of.

`hub.recommend.analyse` reads them. Here they are wishes: they move hits up, and bring some that have other words, but
never take one away. Pure over an index's columns; under its lock.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from hub.discovery.filters import Masks
from hub.discovery.lexicon import RELATED
from hub.index.columns import UNKNOWN, Columns, Mask
from hub.index.store import Index
from hub.recommend.analyse import analyse
from hub.recommend.constraints import is_license
from schemas.recommendation import TaskAnalysis, TaskDescription

MOST_CHARS = 300
"""A longer text is not read for its meaning: it is a document, and reading it takes milliseconds."""
KEPT = 4_096
TASK, LANGUAGE, FIELD, SIZE, LIBRARY, LICENCE = 5.0, 3.0, 2.0, 2.0, 2.0, 2.0
"""What each wish weighs beside the others."""
NEAR = 0.6
"""What a near task counts, or a model that is called multilingual where a language is meant."""
_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""Only for phrases of time, which are no wish here: the same text means the same every day."""
_MANY = ("mul", "multilingual")
Rows = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing that is meant: which rows have it, which have something near."""

    says: str
    weight: float
    whole: Mask
    near: Mask | None = None

    def values(self, rows: Rows) -> Scores:
        """1, `NEAR` or 0 of each row."""
        found = self.whole[rows].astype(np.float64)
        return found if self.near is None else np.maximum(found, NEAR * self.near[rows])


@functools.lru_cache(maxsize=KEPT)
def read(text: str) -> TaskAnalysis | None:
    """What a text means; None where it says nothing that is known, or is long."""
    said = text.strip()
    if not said or len(said) > MOST_CHARS:
        return None
    found = analyse(TaskDescription(sentence=said), at=_AT)
    asked = found.constraints
    sized = asked.min_parameters is not None or asked.max_parameters is not None or asked.max_bytes is not None
    anything = found.tasks or found.languages or found.domains or asked.libraries or asked.licenses or sized
    return found if anything else None


_COMPARED = ("min_parameters", "max_parameters", "max_bytes", "max_memory_bytes", "min_downloads", "min_likes",
             "max_latency_ms", "max_nanousd_per_mtok", "max_nanousd_per_request", "min_context_tokens")  # fmt: skip


_ADDRESS = re.compile(r"\s*(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?:models/)?", re.IGNORECASE)
_BEHIND = re.compile(r"(?<=\S)/(?:tree|blob|resolve|discussions|raw)/.*$|[?#].*$", re.DOTALL)
_A_MODEL = re.compile(r"(?<=\S)\s+(?:models?|weights|checkpoints?|modell?e?|modelos?)\s*$", re.IGNORECASE)


def called(text: str) -> str:
    """What a query calls a model: of an address of the Hub the id, and without the word "model" at its end."""
    address = _ADDRESS.match(text)
    if address is not None:
        return _BEHIND.sub("", text[address.end() :])
    return _A_MODEL.sub("", text)


def searched(text: str) -> str:
    """A query without the words of its limits: in no name stands "under 3b", and "3b" alone is another's name."""
    meant = read(text)
    for one in () if meant is None else meant.understood:
        if one.name in _COMPARED and len(one.words.split()) > 1:
            text = text.replace(one.words, " ", 1)
    return text if text.strip() else ""


def own_words(text: str) -> tuple[str, ...]:
    """The words of a query that are neither a task, a language nor a condition: a name's, as like as not."""
    meant = read(text)
    return () if meant is None else tuple(meant.topic.split())


def wishes(index: Index, masks: Masks, text: str, *, named: bool) -> tuple[Wish, ...]:
    """What a query wishes, over all rows. `named`: something is called just so; then a task that only the nearest
    examples suggest is none that was meant."""
    meant = read(text)
    if meant is None or (named and meant.task is not None and not _spoken(meant)):
        return ()
    return tuple(_wishes(index, masks, meant))


def _spoken(meant: TaskAnalysis) -> bool:
    """Whether words of the query name the task."""
    return any(one.name == "task" and one.words for one in meant.understood)


def values(told: Iterable[Wish], rows: Rows) -> Scores:
    """How much of what is meant each row has: the wishes' values by their weights, 0 to 1."""
    found, whole = np.zeros(len(rows)), 0.0
    for wish in told:
        found += wish.weight * wish.values(rows)
        whole += wish.weight
    return found / whole if whole else found


def says(told: Iterable[Wish], row: int) -> str:
    """Which wishes a row has, and which not."""
    have: list[str] = []
    lacks: list[str] = []
    for wish in told:
        value = float(wish.values(np.array([row]))[0])
        (have if value == 1 else lacks).append(f"{wish.says} nearly" if 0 < value < 1 else wish.says)
    return "; ".join(filter(None, [", ".join(have), f"not {', '.join(lacks)}" if lacks else ""]))


def _wishes(index: Index, masks: Masks, meant: TaskAnalysis) -> Iterator[Wish]:
    columns, asked = index.columns, meant.constraints
    if meant.tasks:
        first = meant.tasks[0]
        others = dict.fromkeys([*RELATED.get(first, ()), *meant.tasks[1:]])
        yield Wish(first, TASK, masks.doing(first), _any(columns, map(masks.doing, others)))
    many = _any(columns, map(masks.speaking, _MANY)) | masks.tagged("multilingual") if meant.languages else None
    for code in meant.languages:
        if code == "mul" and many is not None:
            yield Wish("multilingual", LANGUAGE, many)
        else:
            yield Wish(f"language {code}", LANGUAGE / len(meant.languages), masks.speaking(code), many)
    for domain in meant.domains:
        yield Wish(f"field {domain}", FIELD / len(meant.domains), masks.in_field(domain))
    if asked.min_parameters is not None or asked.max_parameters is not None:
        low, high = asked.min_parameters or 0, asked.max_parameters
        sizes = columns["parameters"]
        fits = (sizes != UNKNOWN) & (sizes >= low) & (sizes <= (high if high is not None else np.iinfo(np.int64).max))
        yield Wish(f"{low:,} to {high:,} parameters" if high is not None else f"{low:,} parameters", SIZE, fits)
    if asked.max_bytes is not None:
        sizes = columns["size_bytes"]
        yield Wish(f"{asked.max_bytes:,} bytes at most", SIZE, (sizes != UNKNOWN) & (sizes <= asked.max_bytes))
    if asked.libraries:
        for_it = _any(columns, (masks.of_library(one) | masks.tagged(one) for one in asked.libraries))
        yield Wish(f"library {' or '.join(asked.libraries)}", LIBRARY, for_it)
    if asked.licenses:
        fits = [
            number
            for number, shown in index.reader.execute("SELECT id, shown FROM word WHERE field = 'license'")
            if any(is_license(shown, shown, one) for one in asked.licenses)
        ]
        yield Wish(f"licence {' or '.join(asked.licenses)}", LICENCE, np.isin(columns["license"], fits))


def _any(columns: Columns, masks: Iterable[Mask]) -> Mask:
    found = np.zeros(columns.size, dtype=np.bool_)
    for mask in masks:
        found |= mask
    return found
