"""The default policy, after the brief's `optimize_model_selection`: simple prompts to small models, others to large."""

from collections.abc import Sequence
from typing import ClassVar

import pydantic

from router.policies.field import Field, Parameters, Tier


class BriefPolicy(Parameters):
    """Complexity below `cheap_below`: the small tier first, else the large one; then by expected cost, then by name."""

    name: ClassVar[str] = "brief/1"
    cheap_below: float = pydantic.Field(default=0.4, ge=0, le=1, strict=True)
    """Complexity below which the small tier comes first."""
    calm_above: float = pydantic.Field(default=0.6, ge=0, le=1, strict=True)
    """Complexity above which the answer should keep to the point."""
    calm: float = pydantic.Field(default=0.5, ge=0, le=2, strict=True)
    """Temperature above it."""
    lively: float = pydantic.Field(default=0.8, ge=0, le=2, strict=True)
    """Temperature up to it."""

    def rank(self, field: Field, complexity: float) -> list[int]:
        """The fitting tier, then models that have none, then the other tier; within each the cheapest first."""
        tiers, costs = field.tiers, field.costs
        order = sorted(range(len(costs)), key=costs.__getitem__)
        ranked: list[int] = []
        for wanted in self._order(complexity):
            ranked += [at for at in order if tiers[at] == wanted]
        return ranked

    def alike(self, field: Field, ranked: Sequence[int], complexity: float) -> int:
        """Those of the first one's tier."""
        tier = field.tiers[ranked[0]]
        return next((at for at, place in enumerate(ranked) if field.tiers[place] != tier), len(ranked))

    def temperature(self, complexity: float) -> float | None:
        """0.5 above a complexity of 0.6, else 0.8."""
        return self.calm if complexity > self.calm_above else self.lively

    def _order(self, complexity: float) -> tuple[Tier | None, ...]:
        return ("small", None, "large") if complexity < self.cheap_below else ("large", None, "small")
