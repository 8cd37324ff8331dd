"""Rules that are data: routing policies and their parameters, tiers, alert rules.

All travel on `novix.policies.v1`, in one partition, kept for ever: its offset is a version of all of them together,
which decisions name.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, TypeAdapter

from schemas.accounts import Residency
from schemas.base import Contract, Nanousd, TenantId, UtcInstant

Measure = Literal[
    "budget", "anomaly", "price_drift", "price_held", "breaker_open", "dead_letters", "lag", "slo_burn", "overcharge",
    "reservation_open",
]  # fmt: skip
_Float = Annotated[StrictFloat, Field(ge=0, le=1e18, allow_inf_nan=False)]
_Int = Annotated[StrictInt, Field(ge=0, le=10**18)]
EVERYBODY = "*"
"""In place of a tenant: the installation's default."""


class _Event(Contract):
    at: UtcInstant
    by: str = Field(default="", max_length=128)
    removed: StrictBool = False


class PolicySet(_Event):
    """The routing policy of a tenant, or of everybody who has none."""

    kind: Literal["policy"] = "policy"
    tenant: TenantId | Literal["*"] = EVERYBODY
    policy: StrictStr = Field(min_length=1, max_length=64)
    """A key of `router.policies.POLICIES`: `brief/1`, `cheapest/1`, ..."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Validated by the policy's own parameter model; an unknown one is refused."""


class Tier(_Event):
    """What a tenant of this tier may have."""

    kind: Literal["tier"] = "tier"
    tier: StrictStr = Field(min_length=1, max_length=64)
    requests_per_minute: Annotated[StrictInt, Field(ge=1, le=100_000_000)] | None = None
    """None: no limit."""
    weight: Annotated[StrictInt, Field(ge=1, le=1_000)] = 1
    """Share of the work beside other tenants."""
    residency: Residency = "global"
    dedicated: StrictBool = False
    """Dedicated endpoints may be used."""
    availability_ppm: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None
    """The objective: of a million jobs, those that end well. 999_000 is 99.9 %."""


class AlertRule(_Event):
    """When an alert is given. What each `on` measures, and in which unit, stands in `docs/alerts.md`."""

    kind: Literal["alert"] = "alert"
    id: StrictStr = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")
    on: Measure
    tenant: TenantId | Literal["*"] = EVERYBODY
    threshold: _Float | _Int = 0
    window_s: Annotated[StrictInt, Field(ge=1, le=31 * 86_400)] = 300
    severity: Literal["info", "warning", "critical"] = "warning"
    webhook: StrictBool = True


class ValueEvent(_Event):
    """What some work was worth to whoever had it done: for return on investment, beside its cost."""

    kind: Literal["value"] = "value"
    tenant: TenantId
    job_id: str | None = Field(default=None, max_length=256)
    tag: tuple[StrictStr, StrictStr] | None = None
    value_nanousd: Nanousd


PolicyEvent = Annotated[PolicySet | Tier | AlertRule | ValueEvent, Field(discriminator="kind")]
POLICY_EVENTS: TypeAdapter[PolicySet | Tier | AlertRule | ValueEvent] = TypeAdapter(PolicyEvent)


class PolicyRecord(Contract):
    """One rule. On `novix.policies.v1`, keyed by what it speaks of."""

    event: PolicyEvent
