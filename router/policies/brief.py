"""The default policy, after the brief's `optimize_model_selection`: simple prompts to small models, others to large."""

from collections.abc import Sequence
from dataclasses import dataclass

from router.policies.option import Option

CALM_ABOVE = 0.6
"""Complexity above which the answer should keep to the point."""


@dataclass(frozen=True, slots=True)
class BriefPolicy:
    """Complexity below `cheap_below`: the small tier first, else the large one; then by expected cost, then by name."""

    cheap_below: float = 0.4

    @property
    def name(self) -> str:
        """`brief/1`."""
        return "brief/1"

    def rank(self, options: Sequence[Option], complexity: float) -> list[Option]:
        """The fitting tier, then models that have none, then the other tier; within each the cheapest first."""
        wanted = "small" if complexity < self.cheap_below else "large"
        order: dict[str | None, int] = {wanted: 0, None: 1}
        return sorted(
            options,
            key=lambda one: (order.get(one.tier, 2), one.expected_nanousd, one.model, one.provider, one.index),
        )

    def temperature(self, complexity: float) -> float | None:
        """0.5 above a complexity of 0.6, else 0.8."""
        return 0.5 if complexity > CALM_ABOVE else 0.8
