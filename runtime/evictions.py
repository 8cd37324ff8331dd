"""Tells a twin, another process with the same static member id, from a coordinator that lost sight of a slow member."""

from collections import deque

EVICTIONS = 4
EVICTIONS_WITHIN_S = 60.0
"""So many, so close together, are a twin's work: each of its joins puts the other one out. A process that was frozen,
or one whose broker lost the group, is put out once."""


class Evictions:
    """When this member was put out of its group although the coordinator had just heard of it. Times are seconds of one
    monotonic clock. Pure.

    Who was silent for half its session or longer, as its machine was too busy or the broker away, may have been put out
    for that: it is not counted, however often it happens.
    """

    def __init__(self, session_s: float) -> None:
        self._silence_s = session_s / 2
        self._heard_at: float | None = None
        self._times: deque[float] = deque(maxlen=EVICTIONS)

    def heard(self, at: float) -> None:
        """The coordinator has answered as to a member of the group."""
        self._heard_at = at

    def put_out(self, at: float) -> None:
        """The coordinator did not know this member any more."""
        if self._heard_at is None or at - self._heard_at < self._silence_s:
            self._times.append(at)

    @property
    def twin_within_s(self) -> float | None:
        """Within how many seconds a twin has shown itself; None: it has not."""
        span = self._times[-1] - self._times[0] if len(self._times) == EVICTIONS else EVICTIONS_WITHIN_S + 1
        return span if span <= EVICTIONS_WITHIN_S else None
