"""Whether a lane is stuck: it has work to do, and nothing comes of it. Told from its end-to-end progress alone."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

Stage = Literal["read", "work", "commit"]

_WORDS: dict[Stage, str] = {
    "read": "records are unread, there is room, and none was read",
    "work": "records are worked on, and none came to an end",
    "commit": "outcomes wait for a transaction, and none was committed",
}


@dataclass(frozen=True, slots=True)
class Signs:
    """What a lane shows at one moment. The last three only grow."""

    unread: bool
    """The partition goes on behind what was read; False also where the broker does not say."""
    may_read: bool
    """Nothing of ours keeps the lane from reading: it is not paused, and the process has room."""
    full: bool
    """The lane itself cannot take more, until something in it comes to an end."""
    running: int
    """Records whose handler is at work; not those that rest or wait for a slot or a breaker."""
    waiting: int
    """Outcomes that could be in a transaction and are not."""
    read: int = 0
    """The highest offset that was ever read up to."""
    finished: int = 0
    committed: int = 0
    """Records."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What was seen of a lane up to now."""

    signs: Signs | None = None
    quiet: dict[Stage, float] = field(default_factory=dict)
    """For how many seconds each stage that has something to do has brought nothing about."""
    stuck: Stage | None = None

    @property
    def quiet_s(self) -> float:
        """The longest that any stage has been quiet."""
        return max(self.quiet.values(), default=0.0)

    @property
    def reason(self) -> str | None:
        """What /healthz says of a lane that is stuck."""
        return f"{self.stuck}: {_WORDS[self.stuck]} for {self.quiet[self.stuck]:.0f} s" if self.stuck else None


def look(
    before: Pulse, signs: Signs, *, others: bool, elapsed: timedelta, stuck_after: timedelta, longest: timedelta
) -> Pulse:  # fmt: skip
    """The pulse after another look, `elapsed` since the last. A lane is stuck at the last stage that has had something
    to do for `stuck_after` and brought nothing about: what hinders the later ones hinders the earlier ones as well.

    `others`: records of other lanes came to an end since. Then a call of this lane that takes long does not count
    against it, unless the lane can read no further for its sake. Records that rest count against nobody. A look that
    comes later than `longest` after the last saw nothing in between: the process was frozen, or its loop was blocked.
    """
    seen = before.signs
    waits = min(elapsed, longest).total_seconds()
    at_work: dict[Stage, bool] = {
        "read": signs.unread and signs.may_read,
        "work": signs.running > 0 and (signs.full or not others),
        "commit": signs.waiting > 0,
    }
    moved: dict[Stage, bool] = {
        "read": seen is None or signs.read > seen.read,
        "work": seen is None or signs.finished > seen.finished,
        "commit": seen is None or signs.committed > seen.committed,
    }
    quiet = {
        stage: 0.0 if moved[stage] else before.quiet.get(stage, 0.0) + waits for stage in at_work if at_work[stage]
    }
    late = [stage for stage in quiet if quiet[stage] >= stuck_after.total_seconds()]
    return Pulse(signs, quiet, late[-1] if late else None)
