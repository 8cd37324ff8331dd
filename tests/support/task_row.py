"""One row a task of the tasks' suite: its form, and what rows have in common."""

import base64
from dataclasses import dataclass, field
from typing import Any

from workers.exchange import Binary


def b64(data: bytes) -> str:
    """As a published schema has bytes."""
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Row:
    """One task."""

    job_input: dict[str, Any]
    good: list[Any]
    """Documents in every form."""
    output: Any
    """What the first of them becomes; None: itself."""
    bad: list[Any]
    recorded: list[str] = field(default_factory=list)
    """Ids of recorded answers, read as answers to their own input if that was recorded, else to `recorded_input`."""
    recorded_input: dict[str, Any] | None = None
    units: dict[str, int] = field(default_factory=dict)
    """What is known of `job_input` before the call, besides that it is one."""
    texts: tuple[str, ...] = ()
    """Where `job_input` has the texts that the task cannot do without; none: `inputs`, if that is one."""


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """`document` without these members."""
    return {name: value for name, value in document.items() if name not in names}


LABELS = [{"label": "refund", "score": 0.9}, {"label": "faq", "score": 0.1}]
NOTHING: list[Any] = [None, {}, "text", 5, True, [None], [[[]]], Binary(b"")]
"""An answer to no task. (An empty list is one where nothing may be found.)"""
NO_LABELS: list[Any] = [*NOTHING, [], [[]], [{"label": "x"}], [{"score": 1}], [{"label": 1.5, "score": 1}],
             [{"label": True, "score": 1}], [{"label": [], "score": 1}],
             [{"label": "x", "score": "1"}], [{"label": "x", "score": float("nan")}],
             [{"label": "x", "score": None}], [{"label": "x", "score": True}]]  # fmt: skip
