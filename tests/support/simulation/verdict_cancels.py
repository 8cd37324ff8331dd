"""I6 of cancelled jobs: nobody calls for a job of which he has read that somebody cancelled it. Pure, but for `heard`,
which notes who has read of which job when.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from verdict import called_as, called_for

import workers.app
from runtime.cancels import Cancels
from runtime.ports import Record
from schemas.control import ControlEvent
from schemas.topics import CONTROL
from simulation.kafka import SimBroker
from simulation.kernel import NOON, START_S, Kernel, current
from simulation.provider import WAY_S, Call

ON_ITS_WAY_S = WAY_S[1]
"""At most, between a worker's last moment to break a call off and the call's arrival."""
FIRST = 1
"""The submission that is cancelled in a schedule."""
HEARD_WITHIN_S = 3.0
"""By whoever nobody disturbs."""

Heard = dict[int, dict[str, float]]
"""By pid: when that process first read that a job is cancelled, by the name of the job's calls."""


@contextmanager
def heard(kernel: Kernel) -> Iterator[Heard]:
    """While it lasts, workers that are built note of which cancelled jobs they have read."""
    found: Heard = defaultdict(dict)

    class Watched(Cancels):
        def fold(self, record: Record) -> None:
            super().fold(record)
            wish = ControlEvent.model_validate_json(record.value or b"")
            found[current().pid].setdefault(called_as(wish.tenant, wish.job_id), kernel.monotonic)

    with patch.object(workers.app, "Cancels", Watched):
        yield found


def wishes(broker: SimBroker) -> dict[str, float]:
    """When the first wish about each job could be read, by the name of its calls."""
    found: dict[str, float] = {}
    for one in broker.raw((CONTROL.name, 0)):
        wish = ControlEvent.model_validate_json(one.value or b"")
        found.setdefault(called_as(wish.tenant, wish.job_id), START_S + one.timestamp / 1_000 - NOON.timestamp())
    return found


def as_wished(
    results: Sequence[dict[str, Any]], calls: Sequence[Call], found: Mapping[int, Mapping[str, float]],
    wished: Mapping[str, float], *, undisturbed: bool,
) -> Iterator[str]:  # fmt: skip
    """Every call for a job that its caller knew to be cancelled. `wished`: when the first wish about a job could be
    read, by the name of its calls: who is `undisturbed` has read it soon. Of an id with later submissions no call says
    whose it is."""
    again = {called_for(one) for one in results if one["submission"] > FIRST}
    for call in calls:
        if call.trace in again:
            continue
        known = found.get(call.pid, {}).get(call.trace)
        if known is not None and call.at > known + ON_ITS_WAY_S:
            yield f"I6: #{call.pid} called for {call.trace} {call.at - known:.3f} s after it had read of its cancelling"
        wish = wished.get(call.trace)
        if undisturbed and wish is not None and call.at > wish + HEARD_WITHIN_S:
            yield f"I6: #{call.pid} called for {call.trace} {call.at - wish:.3f} s after it was cancelled"
