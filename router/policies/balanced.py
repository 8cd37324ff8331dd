"""A weighted sum of cost, time and quality."""

from collections.abc import Sequence
from typing import ClassVar, Self

import pydantic

from router.policies.field import Field, Parameters, Tier

_FLAW: dict[Tier | None, float] = {"large": 0.0, None: 0.5, "small": 1.0}
"""What a tier lacks in quality."""


class BalancedPolicy(Parameters):
    """The least sum of: cost and time, each as a share of the most among the offers, and what the tier lacks in
    quality, times the prompt's complexity. Each counts with its weight; an unknown time counts as the longest known."""

    name: ClassVar[str] = "balanced/1"
    heeds_time: ClassVar[bool] = True
    cost: float = pydantic.Field(default=1.0, ge=0, le=1_000, strict=True)
    latency: float = pydantic.Field(default=1.0, ge=0, le=1_000, strict=True)
    quality: float = pydantic.Field(default=1.0, ge=0, le=1_000, strict=True)

    @pydantic.model_validator(mode="after")
    def _weighs_something(self) -> Self:
        if not self.cost + self.latency + self.quality:
            raise ValueError("cost, latency and quality all weigh 0: nothing would be preferred")
        return self

    def rank(self, field: Field, complexity: float) -> list[int]:
        """The least sum first; equal ones by cost, then by name."""
        dearest = max(field.costs, default=0) or 1
        slowest = max((wait for wait in field.waits_ms if wait is not None), default=0) or 1
        lack = self.quality * complexity
        keys = [
            (
                self.cost * cost / dearest
                + self.latency * (slowest if wait is None else wait) / slowest
                + lack * _FLAW[tier],
                cost,
            )
            for cost, wait, tier in zip(field.costs, field.waits_ms, field.tiers, strict=True)
        ]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def alike(self, field: Field, ranked: Sequence[int], complexity: float) -> int:
        """Those of the first one's tier."""
        tier = field.tiers[ranked[0]]
        return next((at for at, place in enumerate(ranked) if field.tiers[place] != tier), len(ranked))
