"""Who pays, and how much at most: organisations, tenants, budgets and what is handed from one to the other.

All four travel on `novix.budgets.v1`, in one partition, kept for ever: its offset is a version of all of them together,
which decisions name.
"""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, TypeAdapter

from schemas.base import Contract, Nanousd, TenantId, UtcInstant
from schemas.job import TeamId

Window = Literal["hour", "day", "month", "total"]
Residency = Literal["global", "regional", "sovereign"]
OverLimit = Literal["wait", "refuse"]

MOST_LISTED = 1_000
"""Of regions, licences or models that one record lists."""
Names = Annotated[tuple[Annotated[StrictStr, Field(min_length=1, max_length=256)], ...], Field(max_length=MOST_LISTED)]


class _Event(Contract):
    at: UtcInstant
    """When it was said."""
    by: str = Field(default="", max_length=128)
    """Who said it, for the audit."""
    removed: StrictBool = False
    """It holds no longer; what it said before stays readable."""


class Organisation(_Event):
    """Who holds the account at Hugging Face. Its totals are views over its tenants, with soft alerts, never a limit."""

    kind: Literal["organisation"] = "organisation"
    organisation: TenantId
    bill_to: str = Field(default="", max_length=96, pattern=r"^[A-Za-z0-9._-]*$")
    """Sent as X-HF-Bill-To with its tenants' calls through Hugging Face; empty: the installation's own."""
    soft_nanousd_per_month: Nanousd | None = None
    """An alert is given at shares of it."""


class Tenant(_Event):
    """One tenant's terms. A tenant without a record has those of the tier `default` (unless NOVIX_TENANTS=closed)."""

    kind: Literal["tenant"] = "tenant"
    tenant: TenantId
    organisation: TenantId | None = None
    tier: str = Field(default="default", min_length=1, max_length=64)
    """Name of a `Tier` on `novix.policies.v1`."""
    time_zone: str = Field(default="UTC", max_length=64)
    """IANA name: its budgets' windows begin at local midnight."""
    over_limit: OverLimit = "wait"
    """What becomes of a job over a rate or a budget: it waits, at most until its deadline, or is refused at once with
    when to come back."""
    residency: Residency | None = None
    """None: as the tier says."""
    regions: Names = ()
    """Where its work may be done: with `regional` residency, any of these; empty: nowhere."""
    licences: Names = ()
    """Licences that its models may have; empty: any. A model whose licence is not known is none of a list."""
    models: Names = ()
    """Models that are approved for it; empty: all of the catalogue."""
    unknown_price_cap_nanousd: Nanousd | None = None
    """Ceiling for a call to an offer of unknown price; None: as the installation says (refuse, by default)."""
    ambiguous: Literal["ceiling", "estimate", "nothing"] = "ceiling"
    """What a call that may have been paid counts with against the budgets, until a bill says otherwise."""


class Budget(_Event):
    """A limit on what a tenant, or a part of it, spends in each calendar window. Several may hold for one job."""

    kind: Literal["budget"] = "budget"
    id: StrictStr = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")
    """Unique within the tenant."""
    tenant: TenantId
    team: TeamId | None = None
    key_id: TeamId | None = None
    tag: tuple[StrictStr, StrictStr] | None = None
    """A label of the job (`metadata`) and its value, as text."""
    model: str | None = Field(default=None, max_length=256)
    provider: str | None = Field(default=None, max_length=64)
    window: Window = "month"
    limit_nanousd: Nanousd
    """Of each window. With `funded`, what was handed over by transfers is added to it."""
    hard: StrictBool = True
    """Nothing is spent beyond it; else it only gives alerts."""
    funded: StrictBool = False
    """Transfers count for it."""
    alert_percent: tuple[Annotated[StrictInt, Field(ge=1, le=1_000)], ...] = Field(default=(50, 80, 100), max_length=16)


class Transfer(_Event):
    """An organisation hands an allotment to a tenant's funded budget: once, for all windows together of a `total`
    budget, else for the window that `at` lies in. Negative: it takes some back."""

    kind: Literal["transfer"] = "transfer"
    id: StrictStr = Field(min_length=1, max_length=128)
    """Handed over once, however often it is read."""
    organisation: TenantId
    tenant: TenantId
    budget: StrictStr = Field(min_length=1, max_length=128)
    nanousd: Annotated[StrictInt, Field(ge=-(10**15), le=10**15)]


AccountEvent = Annotated[Organisation | Tenant | Budget | Transfer, Field(discriminator="kind")]
ACCOUNTS: TypeAdapter[Organisation | Tenant | Budget | Transfer] = TypeAdapter(AccountEvent)


class AccountRecord(Contract):
    """One event about who pays. On `novix.budgets.v1`, keyed by what it speaks of."""

    event: AccountEvent
