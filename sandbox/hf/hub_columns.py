"""What all generated rows are sorted and filtered by, as arrays: the same draws as `hub_rows.row` makes for one.

Half a million rows take some 20 MB and half a second, and only in a sandbox that has so many.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.hf import hub_rows as rows
from sandbox.hf import hub_words as words

Whole = NDArray[np.int64]
_U = np.uint64


@dataclass
class Columns:
    """One value for each row."""

    task: NDArray[np.uint8]
    """Index into `hub_words.TASKS`."""
    license: NDArray[np.uint8]
    gated: NDArray[np.uint8]
    served: NDArray[np.bool_]
    by: dict[str, Whole]
    """What rows are sorted by: `createdAt`, `lastModified` (seconds since 1970), `downloads`, `likes`,
    `trendingScore`."""


def columns(seed: int, count: int) -> Columns:
    """Of rows 0 to `count` - 1."""
    task = np.array(rows.TASK_OF, np.uint8)[_steps(seed, count, rows.TASK)]
    created = rows.FIRST_S + ((rows.LAST_S - rows.FIRST_S) * _unit(seed, count, rows.CREATED) ** 0.45).astype(np.int64)
    changed = created + ((rows.LAST_S - created) * _unit(seed, count, rows.CHANGED) ** 6).astype(np.int64)
    pulled = (2.0 * _unit(seed, count, rows.PULLED) ** -1.18).astype(np.int64) - 2
    liked = ((pulled + 1) ** 0.45 * 0.3 * _unit(seed, count, rows.LIKED) ** -0.5).astype(np.int64)
    trend = np.where(
        rows.LAST_S - changed < 60 * 86_400, (liked * 0.8 * _unit(seed, count, rows.TREND)).astype(np.int64), 0
    )
    may = np.array([one.tag in rows.PROVIDER_TASKS for one in words.TASKS])
    return Columns(
        task=task,
        license=np.array(rows.LICENSE_OF, np.uint8)[_steps(seed, count, rows.LICENSE)],
        gated=np.array(rows.GATED_OF, np.uint8)[_steps(seed, count, rows.GATE)],
        served=may[task] & (_draws(seed, count, rows.MAPPED) % _U(1024) < _U(rows.SERVED_OF_1024)),
        by={
            "createdAt": created, "lastModified": changed, "downloads": pulled, "likes": liked, "trendingScore": trend,
        },
    )  # fmt: skip


def _draws(seed: int, count: int, which: int) -> NDArray[np.uint64]:
    start = _U(rows.mixed(seed * rows.GOLDEN + which))
    number = start + (np.arange(1, count + 1, dtype=_U) * _U(rows.GOLDEN))
    number = (number ^ (number >> _U(30))) * _U(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> _U(27))) * _U(0x94D049BB133111EB)
    return number ^ (number >> _U(31))


def _steps(seed: int, count: int, which: int) -> NDArray[np.int64]:
    return (_draws(seed, count, which) % _U(10_000)).astype(np.int64)


def _unit(seed: int, count: int, which: int) -> NDArray[np.float64]:
    return ((_draws(seed, count, which) >> _U(11)) + _U(1)).astype(np.float64) * 2.0**-53
