"""A redrive under way: how fast jobs leave, and what is said of it."""

import asyncio
from collections import Counter

from console.exits import Exit
from console.kafka import Log
from console.letters import Letter, Redrive
from console.screen import Screen
from console.words import count, shown

SHOWN_ERRORS = 100
MOST_AT_ONCE = 200
"""Jobs that are published together: what a redrive holds in memory."""


class Pace:
    """Publishes in small groups, at most `rate` records a second over all."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._group = max(1, min(MOST_AT_ONCE, rate // 5))
        self._waiting: list[Redrive] = []
        self._next = 0.0

    def full(self, redrive: Redrive) -> bool:
        """Add one; whether the group should leave now."""
        self._waiting.append(redrive)
        return len(self._waiting) >= self._group

    async def publish(self, log: Log) -> int:
        """Write the group, not before its time. How many there were."""
        group, self._waiting = self._waiting, []
        if not group:
            return 0
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, self._next - now))
        self._next = max(now, self._next) + len(group) / self._rate
        await log.publish([redrive.outgoing for redrive in group])
        return len(group)


class Told:
    """What a redrive did, counted and said."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._kinds: Counter[str] = Counter()
        self._errors: list[str] = []
        self._refused = 0

    def driven(self, letter: Letter, redrive: Redrive, *, dry_run: bool) -> None:
        """One is driven again, or would be."""
        self._kinds[letter.kind] += 1
        if dry_run and not self._screen.as_json:
            self._screen.line(shown(f"{letter.place}\t{redrive.tenant}/{redrive.job_id}\t{letter.kind}"))

    def refused(self, letter: Letter, why: str) -> None:
        """One cannot be driven again."""
        self._refused += 1
        if len(self._errors) < SHOWN_ERRORS:
            self._errors.append(f"{letter.place}: {why}")
            self._screen.note(shown(f"novix: {self._errors[-1]}"))

    def end(self, *, dry_run: bool) -> Exit:
        """Sum it up."""
        driven = self._kinds.total()
        done = "would be driven again" if dry_run else "driven again"
        kinds = ", ".join(f"{number} {kind}" for kind, number in self._kinds.most_common())
        summary = f"{count(driven, 'dead letter')} {done}" + (f" ({kinds})" if kinds else "")
        if self._refused:
            summary += f", {self._refused} cannot be"
        self._screen.answer(
            {
                "dry_run": dry_run,
                "redriven": 0 if dry_run else driven,
                "found": driven + self._refused,
                "kinds": dict(self._kinds),
                "refused": self._refused,
                "errors": self._errors,
            },
            [summary],
        )
        if not driven and not self._refused:
            return Exit.NOT_MET
        return Exit.FAILED if self._refused else Exit.OK
