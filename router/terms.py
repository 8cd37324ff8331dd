"""What a tenant may have: its own record, completed from its tier. Values only."""

from datetime import datetime
from typing import Literal

from schemas.accounts import OverLimit, Residency
from schemas.values import frozen

DEFAULT_TIER = "default"


@frozen
class Terms:
    """One tenant's, as they hold now."""

    tenant: str = ""
    known: bool = True
    """False: the installation is closed and the tenant has no record."""
    organisation: str | None = None
    bill_to: str = ""
    tier: str = DEFAULT_TIER
    requests_per_minute: int | None = None
    """None: no limit."""
    weight: int = 1
    over_limit: OverLimit = "wait"
    time_zone: str = "UTC"
    residency: Residency = "global"
    regions: frozenset[str] = frozenset()
    dedicated: bool = True
    """Dedicated endpoints may be used."""
    licences: frozenset[str] | None = None
    """None: any."""
    models: frozenset[str] | None = None
    """None: any."""
    unknown_price_cap_nanousd: int = 0
    """0: an offer of unknown price is never taken."""
    ambiguous: Literal["ceiling", "estimate", "nothing"] = "ceiling"


NO_TERMS = Terms()
"""Of a tenant of an open installation that nobody has said anything about."""


@frozen
class Turn:
    """What a rate limit says of one more job now."""

    allowed: bool = True
    at: datetime | None = None
    """When it would be allowed; None if it is."""
    limit: str = ""
    """Which limit, in words: `10000 requests a minute (tier standard)`."""


FREE = Turn()
