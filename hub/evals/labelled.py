"""Labelled sets: what is asked, and the right answer; from files, or pages of the Hub's dataset viewer. Pure.

No message tells an input or a label: these are somebody's data. It tells the line, what is missing, sizes and limits.
"""

import contextlib
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas import codec

if TYPE_CHECKING:
    from hub.evals.ways import Way

MOST_EXAMPLES = 10_000
MOST_LINE_BYTES = 262_144
"""Of one example: what a job may have inline."""
MOST_BYTES = 67_108_864
"""Of a file."""
MOST_TOLD = 20
MOST_LABELS = 200
NAMED = "text-classification"
"""The task whose examples have one label each, in the model's own words."""
MAX_NAME_CHARS = 256


class BadSet(ValueError):
    """No labelled set; the message names line, size and limit."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question and its right answer, in the form of its task (`hub.evals.ways`)."""

    input: dict[str, Any]
    """A job's input."""
    label: Any
    identity: str = ""
    """What stands for the input in the set's digest, where that is but a way to it: a sound's file has a path, and at
    the viewer an address with a signature that expires. Empty: the input itself."""


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Examples of one task."""

    name: str
    task: str
    examples: tuple[Example, ...]
    split: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows that are no example, by what they lack."""
    labels: tuple[str, ...] = ()
    """All that the set has, also of rows beyond the examples, where labels are names; empty: those of the examples."""

    @property
    def digest(self) -> str:
        """sha256 over the examples in their order: runs with the same digest were asked the same."""
        told = [[one.identity or one.input, one.label] for one in self.examples]
        return "sha256:" + hashlib.sha256(codec.canonical({"task": self.task, "examples": told})).hexdigest()


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a row hold what; empty: by the names that are usual for the task."""

    input: str = ""
    label: str = ""


class NoExample(ValueError):
    """A row is no example of the task; the message says what it lacks, in words that are the same for all such rows."""


def rows_of(name: str, data: bytes) -> Iterator[dict[str, Any]]:
    """The rows of a file: `.csv` with a header, else JSON lines. Raises `BadSet`."""
    if len(data) > MOST_BYTES:
        raise BadSet(f"{name} has {len(data)} bytes; a set may have {MOST_BYTES}")
    if name.casefold().endswith((".csv", ".tsv")):
        yield from _table(name, data, "\t" if name.casefold().endswith(".tsv") else ",")
        return
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        if len(line) > MOST_LINE_BYTES:
            raise BadSet(f"{name} line {number} has {len(line)} bytes; an example may have {MOST_LINE_BYTES}")
        try:
            row = codec.parse(line)
        except codec.Undecodable:
            raise BadSet(f"{name} line {number} ({len(line)} bytes) is no JSON; one object a line is wanted") from None
        if not isinstance(row, dict):
            raise BadSet(f"{name} line {number} is a {type(row).__name__}; one object a line is wanted")
        yield row


def _table(name: str, data: bytes, delimiter: str) -> Iterator[dict[str, Any]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSet(f"{name} is no UTF-8: byte {error.start} of {len(data)}") from None
    if "\0" in text:
        raise BadSet(f"{name} has a NUL character; it is no table")
    csv.field_size_limit(MOST_LINE_BYTES)
    try:
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for row in table:
            if None in row or None in row.values():
                wide = len(table.fieldnames or ())
                raise BadSet(f"{name} line {table.line_num} has another number of columns than its header, {wide}")
            yield dict(row)
    except csv.Error as error:
        raise BadSet(f"{name}: {str(error)[:100]}; a field may have {MOST_LINE_BYTES} characters") from None


def labelled(
    name: str, task: str, rows: Iterable[Mapping[str, Any]], columns: Columns, *, limit: int, split: str = "",
    classes: Sequence[str] = (),
) -> LabelledSet:  # fmt: skip
    """The first `limit` examples among the rows. Raises `BadSet` where none is.

    The labels of a classification are those of all rows, and `classes`, names that the set's source tells beside them.
    """
    from hub.evals.ways import way_of

    way, found, left_out = way_of(task), list[Example](), Counter[str]()
    most, left = min(limit, MOST_EXAMPLES), iter(rows)
    for row in left:
        try:
            found.append(way.example(row, columns))
        except NoExample as error:
            left_out[str(error)] += 1
        if len(found) >= most:
            break
    if not found:
        reasons = "; ".join(f"{reason} ({number})" for reason, number in left_out.most_common(3))
        raise BadSet(f"{name[:MAX_NAME_CHARS]} has no example of {task}: {reasons or 'it is empty'}")
    whole = way.completed(found)
    labels = _names(way, left, columns, {*classes, *(str(one.label) for one in found)}) if task == NAMED else ()
    told = dict(left_out.most_common(MOST_TOLD))
    return LabelledSet(name[:MAX_NAME_CHARS], task, tuple(whole), split, told, labels)


def _names(way: "Way", rows: Iterator[Mapping[str, Any]], columns: Columns, found: set[str]) -> tuple[str, ...]:
    """The labels that were found, and those of further rows: a set's beginning may lack some. What cannot be read there
    is nobody's question."""
    with contextlib.suppress(BadSet):
        for row in rows:
            if len(found) >= MOST_LABELS:
                break
            with contextlib.suppress(NoExample):
                found.add(str(way.example(row, columns).label))
    return tuple(sorted(found))
