"""What a tenant may have: its own record, completed from its tier. Pure."""

from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from schemas.accounts import OverLimit, Residency
from schemas.values import frozen

if TYPE_CHECKING:
    from router.accounts import Accounts
    from router.rules import Rules

DEFAULT_TIER = "default"
STRICTEST_TIER = "standard"
"""In place of a tier that nobody has described: a misspelt name gives nothing away. Residency is `sovereign` then,
unless the tenant's own record says otherwise: nobody knows what the tier was to promise."""


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


class Installation(Protocol):
    """What terms need of `Settings`, or of a stored decision's `Limits`."""

    @property
    def tenants(self) -> Literal["open", "closed"]: ...
    @property
    def unknown_price_cap_nanousd(self) -> int: ...


def terms_of(tenant: str, accounts: "Accounts", rules: "Rules", settings: Installation) -> Terms:
    """A tenant's terms: what its record says, then its tier, then the installation.

    One without a record has the tier `default`; it is unknown where the installation is closed.
    """
    record = accounts.tenant(tenant)
    name = DEFAULT_TIER if record is None else record.tier
    described = rules.tier(name)
    tier = described or rules.tier(STRICTEST_TIER)
    if tier is None:  # pragma: no cover - STRICTEST_TIER is built in
        raise LookupError(STRICTEST_TIER)
    if record is None:
        return Terms(
            tenant=tenant,
            known=settings.tenants == "open",
            tier=name,
            requests_per_minute=tier.requests_per_minute,
            weight=tier.weight,
            residency=tier.residency,
            dedicated=tier.dedicated,
            unknown_price_cap_nanousd=settings.unknown_price_cap_nanousd,
        )
    organisation = accounts.organisation(record.organisation) if record.organisation else None
    cap = record.unknown_price_cap_nanousd
    return Terms(
        tenant=tenant,
        organisation=record.organisation,
        bill_to=organisation.bill_to if organisation else "",
        tier=name,
        requests_per_minute=tier.requests_per_minute,
        weight=tier.weight,
        over_limit=record.over_limit,
        time_zone=record.time_zone,
        residency=record.residency or (tier.residency if described else "sovereign"),
        regions=frozenset(record.regions),
        dedicated=tier.dedicated,
        licences=frozenset(record.licences) or None,
        models=frozenset(record.models) or None,
        unknown_price_cap_nanousd=settings.unknown_price_cap_nanousd if cap is None else cap,
        ambiguous=record.ambiguous,
    )
