"""Routing policies: in which order to ask the offers that may do a job. A policy is one file and one line here."""

from collections.abc import Callable, Sequence
from typing import Protocol

from router.policies.brief import BriefPolicy
from router.policies.option import Option
from runtime.settings import Settings


class Policy(Protocol):
    """Pure: equal arguments give equal answers. The suite is `tests/contracts/test_policies.py`."""

    @property
    def name(self) -> str:
        """Name and version, `brief/1`; whoever changes what it answers changes the version."""
        ...

    def rank(self, options: Sequence[Option], complexity: float) -> list[Option]:
        """All `options`, the best first. Neither adds nor drops one; the order of the argument does not matter."""
        ...

    def temperature(self, complexity: float) -> float | None:
        """The temperature for a prompt of this complexity, where the job names none; None: no opinion."""
        ...


POLICIES: dict[str, Callable[[Settings], Policy]] = {
    "brief/1": lambda settings: BriefPolicy(settings.cheap_below),
}

DEFAULT = "brief/1"

__all__ = ["DEFAULT", "POLICIES", "Option", "Policy"]
