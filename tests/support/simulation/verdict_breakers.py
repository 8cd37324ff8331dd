"""I10: behind a breaker that is open in a process, that process calls nobody.

Pure, but for `observed`, which notes when the breaker of a process came into which state, as that process sees it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import workers.app
from runtime.breaker import STATES, Breakers
from simulation.kernel import Kernel, current
from simulation.provider import Call

GRACE_S = 0.3
"""After a breaker has opened: until who was let through before has noted its call and made it."""
SLOW_NOTES = frozenset({"disk_full", "disk_locked", "disk_slow", "disk_lost", "freeze"})
"""Faults in which a note, and so the call behind it, may take longer."""

Key = tuple[int, str, str]
"""Process, provider, model."""
Turns = Mapping[Key, Sequence[tuple[float, str]]]
"""When a breaker came into which state."""


@contextmanager
def observed(kernel: Kernel) -> Iterator[Turns]:
    """While it lasts, workers that are built note what becomes of their breakers."""
    turns: dict[Key, list[tuple[float, str]]] = defaultdict(list)

    class Observed(Breakers):
        def _move(self, watch: Any, step: Callable[[], object]) -> bool:
            moved = super()._move(watch, step)
            if moved:
                [key] = [key for key, one in self._watches.items() if one is watch]
                turns[current().pid, key.provider, key.model].append((kernel.monotonic, STATES[watch.state]))
            return moved

    with patch.object(workers.app, "Breakers", Observed):
        yield turns


def as_let_through(turns: Turns, calls: Sequence[Call], kinds: frozenset[str]) -> Iterator[str]:
    """Every call behind an open breaker. `kinds`: of the schedule's faults."""
    if kinds & SLOW_NOTES:
        return
    made: dict[Key, list[float]] = defaultdict(list)
    for call in calls:
        made[call.pid, call.provider, call.model].append(call.at)
    for key, changes in turns.items():
        pid, provider, model = key
        for at, (since, state) in enumerate(changes):
            until = changes[at + 1][0] if at + 1 < len(changes) else float("inf")
            if state == "open" and (early := sum(since + GRACE_S < one < until for one in made[key])):
                yield f"I10: #{pid} made {early} calls of {provider}/{model} while its breaker was open"
