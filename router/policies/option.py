"""What a policy sees of an offer."""

from typing import Literal

from schemas.values import frozen


@frozen
class Option:
    """One offer that may do the job, with what it would cost."""

    index: int
    """Its place among the offers; the policy hands it back."""
    model: str
    provider: str
    tier: Literal["small", "large"] | None
    expected_nanousd: int
    """What one attempt will probably cost."""
