"""What the hard budgets leave to one job, and what is set aside of them for it. Pure; integers in nano-dollars.

    reserve = min(job's ceiling, what its budgets have left, attempts x the dearest candidate's own ceiling)

Workers spend at most the reserve over all attempts, so nothing is ever spent beyond a hard budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from router.purse import Line, Purse
from router.table import Key
from router.view import View
from schemas.assignment import Candidate
from schemas.decision import Reserve
from schemas.job import InferenceJob


def spare(view: View, ceiling: int, own_room: int | None) -> int:
    """The most that a job may reserve for an offer: its ceiling, and what every budget that holds has left."""
    rooms = [room for room in (view.purse.room_nanousd, own_room) if room is not None]
    return min([ceiling, *rooms])


@dataclass(slots=True)
class Share:
    """What is set aside while candidates are added, one by one. Invariant: `dearest <= room <= ceiling`."""

    view: View
    ceiling: int
    room: int
    """What the budgets of the job, and of every candidate so far, have left."""
    dearest: int
    """The most that one attempt at any candidate so far may cost."""

    def takes(self, most: int, own_room: int | None) -> bool:
        """Whether a further candidate fits, with its own budgets; if so it is one."""
        room = self.room if own_room is None else min(self.room, own_room)
        dearest = max(self.dearest, most)
        if dearest > room:
            return False
        self.room, self.dearest = room, dearest
        return True

    def reserve(self, job: InferenceJob, candidates: Sequence[Candidate]) -> Reserve:
        """The reservation for these candidates, with every budget that it counts against, soft ones too."""
        lines = [
            line for line in self.view.purse.lines if any(line.holds_for(one.model, one.provider) for one in candidates)
        ]
        most = self.ceiling
        if any(line.hard for line in lines):
            most = min(self.ceiling, self.room, self.view.limits.reserve_attempts * self.dearest)
        return Reserve.made(
            nanousd=most,
            quoted_nanousd=job.quoted_nanousd,
            expected_nanousd=min(candidates[0].estimate_nanousd, most),
            budgets=[line.told() for line in lines],
        )


def binding(purse: Purse, needs: int, keys: Sequence[Key]) -> list[Line]:
    """The hard budgets that have less left than `needs`, the scarcest first: those of the job, else those of the models
    and providers that were considered, (provider, model). Not empty where `needs` could not be had."""
    lines = [line for line in purse.of_the_job() if line.available_nanousd < needs]
    if not lines:
        held = {line: None for provider, model in keys for line in purse.of_calls(model, provider)}
        lines = [line for line in held if line.available_nanousd < needs]
    return sorted(lines, key=lambda line: (line.available_nanousd, line.id))


def resets(lines: Sequence[Line]) -> datetime | None:
    """When all of these budgets have begun a new window; None: one of them never does."""
    instants = [line.resets_at for line in lines]
    known = [at for at in instants if at is not None]
    return max(known) if len(known) == len(instants) else None


def when(lines: Sequence[Line]) -> str:
    """The same in words, to be put behind a message."""
    at = resets(lines)
    return "; it has no next window" if at is None else f"; its next window begins at {at.isoformat()}"
