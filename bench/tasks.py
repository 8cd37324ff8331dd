"""What the two pure maps of a task cost: `ask` and `answer` of each, warm, in this one process.

`python -m bench tasks`. Inputs and answers are those of the tasks' own suite (`tests/support/task_rows.py`): small, so
this is what a call costs whatever it carries. The answer is held against its published schema, as in a worker.
"""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figure import Figure, median
from workers.exchange import Reply
from workers.modalities import TASKS, answered

NAME = "tasks"
ROUNDS = 2_000
WARM = 50


def measure(*, quick: bool) -> list[Figure]:
    """The median of `ask` and `answer` together, in microseconds, for each task."""
    rows = _rows()
    count = ROUNDS // 10 if quick else ROUNDS
    return [
        Figure(
            NAME, name, median(_times(_once(rows, name), count)) / 1_000, "us", note="" if at else "ask + answer, p50"
        )
        for at, name in enumerate(sorted(TASKS))
    ]


def _once(rows: Any, name: str) -> Callable[[], object]:
    task, row = TASKS[name], rows.ROWS[name]
    parameters = rows.PARAMETERS if task.streams else {}
    reply = Reply(row.good[0])
    return lambda: answered(task.ask(row.job_input, parameters, rows.CANDIDATE), reply)


def _times(once: Callable[[], object], count: int) -> list[int]:
    """Nanoseconds of each of `count` turns, after some that nobody counts."""
    for _ in range(WARM):
        once()
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        once()
        times.append(time.perf_counter_ns() - began)
    return times


def _rows() -> Any:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))
    return importlib.import_module("task_rows")
