"""What a run of the fault matrix hands in: one line of JSON for each verdict, with the rows that it speaks for."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from verdict import Verdict

FILE, SEED = "NOVIX_PROOF", "NOVIX_FAULT_SEED"


@dataclass
class Proof:
    """One test's way to hand in what came of its run. Writes only if `NOVIX_PROOF` names a file."""

    test: str
    """As pytest names it: `tests/faults/test_kill.py::test_...`."""
    rows: list[int]
    """Of the fault matrix, from the test's mark `row`."""
    node: pytest.Item | None = None
    handed_in: list[dict[str, Any]] = field(default_factory=list)
    _seed: int | None = None

    def seed(self, default: int) -> int:
        """`NOVIX_FAULT_SEED`, else the default: where a test's chance begins. Shown when the test fails."""
        self._seed = seed_of(default)
        if self.node is not None:
            self.node.add_report_section("call", "seed", f"{SEED}={self._seed}")
        return self._seed

    def judged(self, verdict: Verdict, *, jobs: int, recovery_s: float | None = None, note: str = "") -> None:
        """Hand in a run, also a failed one: call it before the assert.

        `jobs` were published. `recovery_s`: from the end of the fault to the first job that was published after it and
        ended, or to the last result where nothing is published after it; None where nothing has to recover.
        """
        line = {
            "rows": self.rows,
            "test": self.test,
            "seed": self._seed,
            "jobs": jobs,
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "repeated": verdict.repeated.total(),
            "ambiguous": verdict.ambiguous.total(),
            "recovery_s": None if recovery_s is None else round(recovery_s, 2),
            "complaints": verdict.complaints,
            "note": note,
        }
        self.handed_in.append(line)
        if path := os.environ.get(FILE):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def seed_of(default: int) -> int:
    """`NOVIX_FAULT_SEED`, else the default: for what a whole module shares."""
    return int(os.environ.get(SEED) or default)


def rows_of(item: pytest.Item) -> list[int]:
    """The rows of the fault matrix that a test bears, by all its marks, in order."""
    return sorted({row for mark in item.iter_markers("row") for row in mark.args})


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Proof:
    """Where a test of the fault matrix hands in its verdict."""
    return Proof(request.node.nodeid, rows_of(request.node), request.node)
