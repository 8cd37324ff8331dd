"""Named models at named providers, in a named order, and nobody else."""

from collections.abc import Sequence
from typing import ClassVar

import pydantic

from router.policies.field import Field, Parameters

ANY = "*"


class Pin(pydantic.BaseModel):
    """One model, at one provider or at any (`*`)."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    model: str = pydantic.Field(min_length=1, max_length=256)
    provider: str = pydantic.Field(default=ANY, min_length=1, max_length=64)


class PinnedPolicy(Parameters):
    """The first pin that an offer fits is its place; several of one pin by expected cost, then by name. An offer that
    no pin names is never taken."""

    name: ClassVar[str] = "pinned/1"
    order: tuple[Pin, ...] = pydantic.Field(min_length=1, max_length=100)

    def rank(self, field: Field, complexity: float) -> list[int]:
        """Pinned offers alone."""
        places: list[tuple[int, int, int]] = []
        for at, (model, provider) in enumerate(zip(field.models, field.providers, strict=True)):
            pin = self._pin(model, provider)
            if pin is not None:
                places.append((pin, field.costs[at], at))
        return [at for _, _, at in sorted(places)]

    def alike(self, field: Field, ranked: Sequence[int], complexity: float) -> int:
        """The first alone: a pinned order is not for anybody to learn better."""
        return 1

    def _pin(self, model: str, provider: str) -> int | None:
        fits = (at for at, one in enumerate(self.order) if one.model == model and one.provider in (ANY, provider))
        return next(fits, None)
