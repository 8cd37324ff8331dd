"""What the log says of jobs that did not go well, once that is committed: a line each, with the trace that tells the
rest. What went well stands in audit and spans alone: a line for every job would cost more than its span."""

from collections.abc import Iterable

import structlog

from runtime.waiting import Ration
from schemas.audit import AuditEntry

log = structlog.get_logger("novix.job")

LINES_PER_S = 50.0
"""Of one application; a storm of failures must not become a storm of lines."""
SAID = frozenset(
    {
        "job.failed", "job.rejected", "job.expired", "job.cancelled", "job.conflict", "record.dead_lettered",
        "call.ambiguous", "call.repeated",
    }
)  # fmt: skip
"""Actions of the audit (`runtime.telemetry_events.EVENTS`) that are logged as well."""
TOLD = ("kind", "model", "provider", "attempts", "cost_nanousd", "topic", "partition", "offset")
"""Of an entry's detail: kinds, names and numbers; no message, which may quote what a provider wrote."""


class Saying:
    """One application's. Says at most `LINES_PER_S`, and how many lines it has kept to itself."""

    def __init__(self) -> None:
        self._ration = Ration(LINES_PER_S)
        self.unsaid = 0

    def say(self, lane: str, entries: Iterable[AuditEntry], now: float) -> None:
        """These entries are committed; `now` in monotonic seconds."""
        for entry in entries:
            if entry.action not in SAID:
                continue
            if not self._ration.take(now):
                self.unsaid += 1
                continue
            detail = {name: entry.detail[name] for name in TOLD if entry.detail.get(name) is not None}
            more = {"unsaid": self.unsaid} if self.unsaid else {}
            self.unsaid = 0
            log.info(entry.action, lane=lane, trace_id=entry.trace_id, span_id=entry.span_id, **detail, **more)
