"""Whatever is cheapest, whatever it is."""

from collections.abc import Sequence
from typing import ClassVar

from router.policies.field import Field, Parameters


class CheapestPolicy(Parameters):
    """By expected cost, then by name."""

    name: ClassVar[str] = "cheapest/1"
    nanousd_per_ms: ClassVar[int] = 0

    def rank(self, field: Field, complexity: float) -> list[int]:
        """The cheapest first."""
        return sorted(range(len(field.costs)), key=field.costs.__getitem__)

    def alike(self, field: Field, ranked: Sequence[int], complexity: float) -> int:
        """All: whose observed price or failures make it dearer is not the cheapest."""
        return len(ranked)
