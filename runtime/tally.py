"""How often what happened, since the process began. Plain numbers, for /healthz; one event loop owns them."""

from collections import Counter
from collections.abc import Iterable


class Tally:
    """Attempts that failed, by kind, and jobs that ended, by status and kind.

    Whoever keeps it counts what is committed, once: so audit, spans and results tell of as many.
    """

    def __init__(self) -> None:
        self._attempts_failed: Counter[str] = Counter()
        self._jobs_ended: Counter[str] = Counter()

    def attempts_failed(self, kinds: Iterable[str]) -> None:
        """An attempt of each of these kinds."""
        self._attempts_failed.update(map(str, kinds))

    def job_ended(self, status: str, kind: str | None) -> None:
        """One more job; `kind` is None for one that succeeded."""
        self._jobs_ended[status if kind is None else f"{status}/{kind}"] += 1

    def describe(self) -> dict[str, dict[str, int]]:
        """`attempts_failed`: `{kind: n}`; `jobs_ended`: `{status/kind: n}`, `{status: n}` for those without a kind."""
        return {"attempts_failed": dict(self._attempts_failed), "jobs_ended": dict(self._jobs_ended)}
