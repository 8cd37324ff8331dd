"""Prices as events: who said when what a unit costs."""

from typing import Literal

from pydantic import Field

from schemas.assignment import Price
from schemas.base import Contract, UtcInstant

SERVICE_TIER = "standard"


class PriceEvent(Contract):
    """One statement about one price. On `novix.prices.v1`, keyed `provider/model/service_tier`.

    In one partition, kept for ever: the offset after an event is the version of the price book that has it. An event
    counts from `valid_from` on, and never before the instant at which it was written.
    """

    provider: str = Field(max_length=64)
    model: str = Field(max_length=256)
    service_tier: str = Field(default=SERVICE_TIER, max_length=32)
    source: str = Field(max_length=64)
    """`router`, `genai-prices`, `novix-table`, `catalogue`, `endpoints`, `operator`, ..."""
    price: Price | None
    """None: the source names no price any more: from now on it is unknown, which is not zero."""
    valid_from: UtcInstant
    seen_at: UtcInstant
    state: Literal["accepted", "held", "refused"] = "accepted"
    """`held`: it waits for somebody's approval and counts for nothing; the price before it holds. An approval is a new
    event with the same price, `accepted`."""
    reason: str = Field(default="", max_length=500)
    """Why it is held, or was refused."""
    moved_ppm: int | None = Field(default=None, ge=0)
    """By how much the unit that moved most moved against the price that held before, in millionths: 250_000 is a
    quarter more or a quarter less. None: there was nothing to compare with."""
    by: str = Field(default="", max_length=128)
    context_tokens: int | None = None
    first_token_ms: int | None = None
    """As the source measured it."""
    tokens_per_s: float | None = None
    is_live: bool = True
    """False: the provider does not serve the model now."""
