"""What one process knows of a provider's health, told to all the others."""

from typing import Literal

from pydantic import Field

from schemas.base import Contract, UtcInstant


class BreakerState(Contract):
    """The breaker and the hold of one (provider, model). On `novix.breakers.v1`, keyed `provider/model`, compacted.

    Advisory: a process that does not hear it finds out by itself. The newest record of a key holds.
    """

    provider: str
    model: str
    state: Literal["closed", "open", "half-open"]
    failures: int = Field(default=0, ge=0)
    """Consecutive counted failures."""
    because: str = ""
    """The rule that opened it and the last failure's kind; never what a provider wrote."""
    retry_at: UtcInstant | None = None
    """When an open breaker lets a trial call through."""
    held_until: UtcInstant | None = None
    """A Retry-After that holds for everybody: no call before it."""
    since: UtcInstant | None = None
    """When the process that found it came into this state; None: at `at`. Others pass the instant on as it is."""
    at: UtcInstant
    by: str
    """The process that says so: `{group}/{instance}`."""
