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
        pins: dict[tuple[str, str], int] = {}
        for pin, one in enumerate(self.order):
            pins.setdefault((one.model, one.provider), pin)
        nobody = len(self.order)
        places: list[tuple[int, int, int]] = []
        for at, (model, provider) in enumerate(zip(field.models, field.providers, strict=True)):
            pin = min(pins.get((model, provider), nobody), pins.get((model, ANY), nobody))
            if pin < nobody:
                places.append((pin, field.costs[at], at))
        return [at for _, _, at in sorted(places)]

    def alike(self, field: Field, ranked: Sequence[int], complexity: float) -> int:
        """The first alone: a pinned order is not for anybody to learn better."""
        return 1
