"""How long a router lane remembers whom it decided: so many identities, and none for longer than a time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

SLACK_ENTRIES = 1_000
"""Entries over the bound before the oldest are deleted: deleting is cheaper in groups."""
SLACK_SHARE = 100
"""As much of the time, as its hundredth, before the oldest are deleted."""
MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Memory:
    """`most` of the newest identities, and none that was decided longer than `span` ago: whichever is fewer."""

    most: int
    span: timedelta

    def since_ms(self, now_ms: int) -> int:
        """What was decided before this instant is forgotten."""
        return now_ms - self.span // MS

    def is_over(self, held: int, oldest_ms: int, now_ms: int) -> bool:
        """Whether it is time to delete: `held` entries are too many, or the oldest is too old, by more than slack."""
        late_ms = self.since_ms(now_ms) - oldest_ms
        return held >= self.most + min(SLACK_ENTRIES, self.most // 10) or late_ms > self.span // MS // SLACK_SHARE

    def excess(self, oldest_first: Sequence[int], held: int, now_ms: int) -> int:
        """How many of the oldest, decided at these instants, to delete of `held`."""
        since_ms = self.since_ms(now_ms)
        stale = next((n for n, decided_ms in enumerate(oldest_first) if decided_ms >= since_ms), len(oldest_first))
        return min(len(oldest_first), max(stale, held - self.most))

    def reach(self, oldest_ms: int | None, forgotten_ms: int, now: datetime) -> dict[str, Any]:
        """`since` when all identities are remembered (ISO 8601; None: there were none), and which `bound` made it so.

        `oldest_ms` is the oldest entry that is held, `forgotten_ms` the newest one that is not any more (0: none).
        """
        since_ms = self.since_ms(int(now.timestamp() * 1000))
        bound = "all since the beginning"
        if forgotten_ms >= since_ms:
            bound = f"{self.most} ids"
        elif forgotten_ms or (oldest_ms is not None and oldest_ms < since_ms):
            bound = f"{self.span / timedelta(hours=1):g} h"
        since = None if oldest_ms is None else datetime.fromtimestamp(max(oldest_ms, since_ms) / 1000, UTC).isoformat()
        return {"since": since, "bound": bound}
