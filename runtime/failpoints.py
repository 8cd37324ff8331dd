"""Places at which a test may have the process die, freeze or go on: `NOVIX_FAILPOINT=name[:n][=action]`.

Off unless the variable is set; then `hit(name)` acts on its n-th call (default the first). Actions: `exit` (default; as
`kill -9`, nothing is flushed), `stop` (SIGSTOP, as a process that is frozen). Names are listed here and nowhere else.
"""

import os
import signal

NAMES = frozenset({"before_call", "after_call", "after_settle", "before_commit", "before_end", "after_end"})
"""Before and after the provider's answer; after an outcome is known; before a transaction begins; with everything sent
and EndTxn not; after EndTxn was answered."""

EXIT_CODE = 137


class _Point:
    def __init__(self, text: str) -> None:
        place, _, self.action = text.partition("=")
        self.name, _, count = place.partition(":")
        self.left = int(count or 1)
        if self.name not in NAMES or self.action not in ("", "exit", "stop"):
            raise ValueError(f"NOVIX_FAILPOINT={text!r}: names are {', '.join(sorted(NAMES))}; actions exit, stop")


_point = _Point(os.environ["NOVIX_FAILPOINT"]) if os.environ.get("NOVIX_FAILPOINT") else None


def hit(name: str) -> None:
    """The process is at this place. Does nothing unless a test has asked for it."""
    if _point is None or _point.name != name:
        return
    _point.left -= 1
    if _point.left == 0:
        if _point.action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            os._exit(EXIT_CODE)
