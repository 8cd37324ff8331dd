"""What a policy sees of the offers that may do a job."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from schemas.values import frozen

Tier = Literal["small", "large"]


@frozen
class Field:
    """Offers as columns: the same place in each is the same offer. They stand in the order of their names, so that a
    stable sort decides the same whatever order a catalogue was written in; in columns 2,000 are ranked in about a
    millisecond."""

    models: Sequence[str]
    providers: Sequence[str]
    tiers: Sequence[Tier | None]
    costs: Sequence[int]
    """What one attempt will probably cost, in millionths of a nano-dollar."""
    waits_ms: Sequence[int | None]
    """How long one attempt will probably take; None: nobody has told or seen it, or the policy does not ask
    (`Parameters.heeds_time`)."""


class Parameters(BaseModel):
    """The parameters of a policy, which is a class of this one: whatever it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: ClassVar[str]
    """Name and version, `brief/1`; whoever changes what it answers changes the version."""
    nanousd_per_ms: ClassVar[int] = 100
    """What a millisecond of waiting counts beside money, where routing learns from what it sees."""
    heeds_time: ClassVar[bool] = False
    """It ranks by `Field.waits_ms`."""

    def temperature(self, complexity: float) -> float | None:
        """The temperature for a prompt of this complexity, where the job names none; None: no opinion."""
        return None
