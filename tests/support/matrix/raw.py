"""The raw file of the fault matrix: a head that says what was run and where, then one line for each run of a test."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Head:
    """What all runs of one file have in common."""

    tree: str
    """Digest of what was tested (`place.tree`): runs add up only if it is the same."""
    commit: str
    clean: bool
    """Whether the tree was exactly that commit."""
    machine: dict[str, str]
    date: str
    """UTC, of the first run."""
    tests: dict[str, list[int]]
    """Every test that bears a row, with its rows, whether or not it ran."""


@dataclass(frozen=True, slots=True)
class Run:
    """One test, once, in a process that others may share if they need the same installation."""

    test: str
    rows: list[int]
    seed: int
    outcome: str
    """`passed`, `failed`, `skipped`, `died`, `too long`."""
    seconds: float
    why: str = ""
    """Of all but `passed`."""
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    """What it handed in (`proof.Proof.judged`)."""
    command: str = ""
    load: float = 0.0
    """Load average of the last minute before it began: what else ran on the machine."""


def line(what: Head | Run) -> str:
    """One line of the file, with its end."""
    return json.dumps({"kind": type(what).__name__.lower(), **asdict(what)}, sort_keys=True) + "\n"


def read(path: Path) -> tuple[Head, list[Run]]:
    """The file's head and its runs in the order in which they ended. Raises ValueError for a file of another form."""
    heads: list[Head] = []
    runs: list[Run] = []
    for told in _told(path):
        kind = told.pop("kind", None)
        if kind == "head":
            heads.append(Head(**told))
        elif kind == "run":
            runs.append(Run(**told))
        else:
            raise ValueError(f"{path.name} has a line of kind {kind!r}; known are head and run")
    if len(heads) != 1:
        raise ValueError(f"{path.name} has {len(heads)} heads; it needs one")
    return heads[0], runs


def _told(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(text)
