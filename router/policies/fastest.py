"""Whatever answers soonest, as far as anybody knows."""

from collections.abc import Sequence
from typing import ClassVar

from router.policies.field import Field, Parameters

_UNKNOWN = 1 << 62


class FastestPolicy(Parameters):
    """By expected time of one attempt; those of unknown time behind; then by expected cost, then by name."""

    name: ClassVar[str] = "fastest/1"
    heeds_time: ClassVar[bool] = True
    nanousd_per_ms: ClassVar[int] = 1_000_000

    def rank(self, field: Field, complexity: float) -> list[int]:
        """The soonest first."""
        waits, costs = field.waits_ms, field.costs
        keys = [(_UNKNOWN if wait is None else wait, cost) for wait, cost in zip(waits, costs, strict=True)]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def alike(self, field: Field, ranked: Sequence[int], complexity: float) -> int:
        """All: whose observed time is shorter is the fastest."""
        return len(ranked)
