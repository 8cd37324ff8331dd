"""Routing policies: in which order to ask the offers that may do a job. A policy is one file and one line here."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import ValidationError

from router.policies.balanced import BalancedPolicy
from router.policies.brief import BriefPolicy
from router.policies.cheapest import CheapestPolicy
from router.policies.fastest import FastestPolicy
from router.policies.field import Field, Parameters
from router.policies.pinned import PinnedPolicy


class Policy(Protocol):
    """Pure: equal arguments give equal answers. The suite is `tests/contracts/test_policies.py`."""

    @property
    def name(self) -> str:
        """Name and version, `brief/1`; whoever changes what it answers changes the version."""
        ...

    @property
    def nanousd_per_ms(self) -> int:
        """What a millisecond of waiting counts beside money, where routing learns from what it sees."""
        ...

    @property
    def heeds_time(self) -> bool:
        """It ranks by how long offers take."""
        ...

    def rank(self, field: Field, complexity: float) -> list[int]:
        """Places in `field`, the best first, each once. A place that is left out is never asked."""
        ...

    def alike(self, field: Field, ranked: Sequence[int], complexity: float) -> int:
        """How many of the first of `ranked`, which is not empty, are alike to this policy: what was observed of them
        may change their order (`router/feedback.py`), and theirs alone. At least 1."""
        ...

    def temperature(self, complexity: float) -> float | None:
        """The temperature for a prompt of this complexity, where the job names none; None: no opinion."""
        ...


POLICIES: dict[str, type[Any]] = {
    one.name: one for one in (BriefPolicy, CheapestPolicy, FastestPolicy, BalancedPolicy, PinnedPolicy)
}
"""Each a class of `Parameters`: its fields are what may be tuned."""

DEFAULT = "brief/1"


class BadPolicy(ValueError):
    """A policy that there is not, or parameters that it refuses. The message names the parameter and the reason."""

    def __init__(self, message: str, where: tuple[int | str, ...] = ()) -> None:
        super().__init__(message)
        self.where = where
        """The parameter's place in the rule: `("parameters", "cheap_below")`."""


def made(name: str, parameters: Mapping[str, Any], *, cheap_below: float = 0.4) -> Policy:
    """The policy of this name with these parameters. `cheap_below` is the installation's, for `brief/1` where the
    parameters do not say. Raises `BadPolicy`."""
    kind = POLICIES.get(name)
    if kind is None:
        raise BadPolicy(f"policy {name[:64]!r} is none of: {', '.join(sorted(POLICIES))}", ("policy",))
    given = {"cheap_below": cheap_below, **parameters} if kind is BriefPolicy else dict(parameters)
    try:
        policy: Policy = kind.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ("parameters", *fault["loc"])
        told = ".".join(str(part) for part in where)[:200]
        known = ", ".join(sorted(kind.model_fields)) or "none"
        more = f"; {name} has: {known}" if fault["type"] == "extra_forbidden" else ""
        raise BadPolicy(f"{told}: {fault['msg'].removeprefix('Value error, ')}{more}", where) from None
    return policy


__all__ = ["DEFAULT", "POLICIES", "BadPolicy", "Field", "Parameters", "Policy", "made"]
