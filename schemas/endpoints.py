"""Dedicated Inference Endpoints: what is wanted, what is, what it costs. Field names follow the management API v2."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator

from schemas.base import Contract, Nanousd, TenantId, UtcInstant

EndpointStatus = Literal[
    "pending", "initializing", "updating", "updateFailed", "running", "paused", "failed", "scaledToZero", "deleted",
    "refused",
]  # fmt: skip
"""As the management API says it; `deleted`: it is gone; `refused`: it was never made (`EndpointState.last_reason`)."""
EndpointName = Annotated[StrictStr, Field(min_length=1, max_length=32, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
Namespace = Annotated[StrictStr, Field(min_length=1, max_length=96, pattern=r"^[A-Za-z0-9._-]+$")]
Replicas = Annotated[StrictInt, Field(ge=0, le=1_000)]


SECRET_NAME = re.compile(r"token$|secret|passw|credential|api_?key|access_?key|private_?key", re.IGNORECASE)
SECRET_VALUE = re.compile(r"^(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16}$)")


def is_secret(name: str, value: Any = None) -> bool:
    """Whether a variable or field of this name, or with this value, looks like one that nobody else may read."""
    return bool(SECRET_NAME.search(name)) or (isinstance(value, str) and bool(SECRET_VALUE.search(value)))


def _secret_in(value: Any, name: str = "") -> str:
    """The name of the first field that looks like a secret; empty: none."""
    if isinstance(value, dict):
        told = (field if is_secret(field) else _secret_in(one, field) for field, one in value.items())
        return next((found for found in told if found), "")
    if isinstance(value, list):
        return next((found for one in value if (found := _secret_in(one, name))), "")
    return name if is_secret(name, value) else ""


class ScalingPolicy(Contract):
    """How it grows and sleeps."""

    min_replicas: Replicas = 0
    max_replicas: Annotated[StrictInt, Field(ge=1, le=1_000)] = 1
    scale_to_zero_minutes: Annotated[StrictInt, Field(ge=1, le=10_080)] | None = 15
    """Without a request for so long it sleeps; None: never."""
    pending_requests: float | None = Field(default=None, gt=0, le=1_000)
    wake_on_lag: StrictBool = True
    """Jobs that wait for it wake it."""
    batch_wait_s: Annotated[StrictInt, Field(ge=0, le=86_400)] = 0
    """Jobs whose deadlines allow wait so long for others before it is woken: one wake serves them all."""
    sleep_after_s: Annotated[StrictInt, Field(ge=0, le=604_800)] | None = 120
    """So long after the last job that waited for it was served it is scaled to zero; None: `scale_to_zero_minutes`
    alone decides. Only where `min_replicas` is 0."""

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas is {self.min_replicas} and max_replicas {self.max_replicas}: it cannot be")
        return self


class CustomizationOptions(Contract):
    """What its container gets."""

    image: dict[str, Any] = Field(default_factory=lambda: {"huggingface": {}})
    env: dict[str, StrictStr] = Field(default_factory=dict)
    """Never secrets: these stand in events. Secrets are set in the provider's own console."""
    framework: Literal["custom", "pytorch", "llamacpp"] = "pytorch"
    tags: Annotated[tuple[StrictStr, ...], Field(max_length=32)] = ()

    @field_validator("env", "image")
    @classmethod
    def _tells_no_secret(cls, value: dict[str, Any]) -> dict[str, Any]:
        if told := _secret_in(value):
            raise ValueError(
                f"{told[:64]!r} looks like a secret; specs stand in events: set it in the provider's console"
            )
        return value


class OptimizationSettings(Contract):
    """Flags of containers that have them."""

    quantization: StrictStr | None = Field(default=None, max_length=64)
    max_batch: Annotated[StrictInt, Field(ge=1, le=4_096)] | None = None


class MonitoringConfig(Contract):
    """What of it is pulled and told."""

    logs: StrictBool = False
    """How many lines, warnings and errors its containers have logged; never a line itself."""
    metrics: StrictBool = True


class SecuritySettings(Contract):
    """Who may reach it, and where it is."""

    access: Literal["authenticated", "public", "private"] = "authenticated"
    vendor: StrictStr = Field(default="aws", max_length=32)
    region: StrictStr = Field(default="us-east-1", max_length=64)


class EndpointSpec(Contract):
    """What somebody wants an endpoint to be."""

    namespace: Namespace
    name: EndpointName
    tenant: TenantId
    """Whose quota and spend it counts for."""
    tenants: Annotated[tuple[TenantId, ...], Field(max_length=256)] = ()
    """Whose jobs alone it takes; empty: everybody's whose tier may have dedicated endpoints."""
    model: StrictStr = Field(min_length=1, max_length=256)
    revision: StrictStr | None = Field(default=None, max_length=64)
    task: StrictStr = Field(min_length=1, max_length=64)
    accelerator: Literal["cpu", "gpu", "neuron"] = "gpu"
    instance_type: StrictStr = Field(min_length=1, max_length=64)
    instance_size: StrictStr = Field(default="x1", max_length=16)
    scaling: ScalingPolicy = ScalingPolicy()
    custom: CustomizationOptions = CustomizationOptions()
    optimization: OptimizationSettings = OptimizationSettings()
    monitoring: MonitoringConfig = MonitoringConfig()
    security: SecuritySettings = SecuritySettings()

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class CostMetrics(Contract):
    """What it has cost so far."""

    nanousd_per_hour: Nanousd | None = None
    """Of one replica, as the management API said; None: unknown."""
    billed_s: int = Field(default=0, ge=0)
    """Replica-seconds while initializing or running, started minutes counted whole, as the provider bills them."""
    total_nanousd: int | None = Field(default=None, ge=0)
    """None: a price was unknown while a replica ran."""
    since: UtcInstant | None = None
    """Of the first replica that was seen."""
    ended_hour_nanousd: int = Field(default=0, ge=0)
    """Of replicas that ended: the sum of minutes times the price of an hour, not yet divided by 60."""
    ended_minutes: int = Field(default=0, ge=0)
    running_since: Annotated[tuple[UtcInstant, ...], Field(max_length=1_000)] = ()
    """Of each replica that is billed now."""


class Measured(Contract):
    """What calls to it were like, by results: since it was first told of, whichever process counted."""

    attempts: int = Field(default=0, ge=0)
    succeeded: int = Field(default=0, ge=0)
    call_ms: int = Field(default=0, ge=0)
    """Of the successful ones together."""
    since: UtcInstant | None = None
    until: UtcInstant | None = None
    """When the last of them began."""

    @property
    def availability(self) -> float | None:
        """The part of its calls that succeeded; None: there was none."""
        return self.succeeded / self.attempts if self.attempts else None

    @property
    def latency_ms(self) -> float | None:
        """Mean of a successful call."""
        return self.call_ms / self.succeeded if self.succeeded else None


class LogCounts(Contract):
    """What its containers have logged, in numbers, since that is pulled."""

    lines: int = Field(default=0, ge=0)
    warnings: int = Field(default=0, ge=0)
    errors: int = Field(default=0, ge=0)
    mark: str = Field(default="", max_length=64)
    """By which the last line that was counted is known again."""


class EndpointState(Contract):
    """One endpoint as it is. On `novix.endpoints.v1`, keyed `namespace/name`; no value: forgotten."""

    spec: EndpointSpec
    id: StrictStr | None = Field(default=None, max_length=256)
    """The provider's; None: it has none yet."""
    status: EndpointStatus
    url: StrictStr | None = Field(default=None, max_length=2_048)
    """Where it is asked; None until it has one."""
    ready: StrictBool = False
    """Its health route has answered: `running` alone is early."""
    ready_replicas: Replicas = 0
    target_replicas: Replicas = 0
    message: StrictStr = Field(default="", max_length=500)
    at: UtcInstant
    """When this was seen."""
    since: UtcInstant
    """Since when it has had this status."""
    running_revision: StrictStr | None = Field(default=None, max_length=64)
    newest_revision: StrictStr | None = Field(default=None, max_length=64)
    """Of the repository's main branch: another one than runs is drift."""
    costs: CostMetrics = CostMetrics()
    starting_since: UtcInstant | None = None
    """When its present start began; None: it does not start."""
    last_used_at: UtcInstant | None = None
    """Of any request, as the management API said."""
    gauges: dict[str, float] = Field(default_factory=dict, max_length=64)
    """What it said of itself when its metrics were last pulled."""
    last_command: StrictStr | None = Field(default=None, max_length=256)
    """Id of the last command that was answered."""
    last_outcome: Literal["done", "nothing_to_do", "refused", "failed"] | None = None
    """What became of it; `failed`: the management API would not."""
    last_reason: StrictStr = Field(default="", max_length=500)
    """Why it was refused or failed, with the numbers."""
    answered: Annotated[tuple[StrictStr, ...], Field(max_length=32)] = ()
    """Ids of the last commands that were answered, the newest last: none is carried out twice."""
    waiting: int = Field(default=0, ge=0)
    """Jobs that were assigned to it and had not ended, when this was told."""
    woken_for: int = Field(default=0, ge=0)
    """Jobs that waited when it was last woken."""
    cold_start_s: float = Field(default=240.0, ge=0, le=86_400)
    """From the wake to `ready`, as it was last seen; before that, as long as such machines take."""
    measured: Measured = Measured()
    logs: LogCounts | None = None
    """None: they are not pulled (`MonitoringConfig.logs`), or could not be yet."""

    @property
    def throughput_per_hour(self) -> float | None:
        """Successful calls by each hour of a replica that was billed; None: none was."""
        return self.measured.succeeded * 3_600 / self.costs.billed_s if self.costs.billed_s else None

    @property
    def serves(self) -> bool:
        """Whether a call that comes now is answered."""
        return self.status in ("running", "updating", "updateFailed") and self.ready and self.url is not None


class EndpointCommand(Contract):
    """What somebody wants done with an endpoint. On `novix.endpoints.commands.v1`, keyed `namespace/name`; the same
    `id` is carried out once."""

    id: StrictStr = Field(min_length=1, max_length=256)
    action: Literal["create", "update", "pause", "resume", "scale_to_zero", "delete"]
    namespace: Namespace
    name: EndpointName
    spec: EndpointSpec | None = None
    """Of create and update."""
    tenant: TenantId
    at: UtcInstant
    by: str = Field(default="", max_length=128)
    reason: str = Field(default="", max_length=500)


class EndpointQuota(Contract):
    """How many endpoints a tenant may have, and what they may cost together in an hour. On
    `novix.endpoints.quotas.v1`, keyed by tenant; no value: as everybody's (`*`)."""

    tenant: TenantId | Literal["*"] = "*"
    most: Annotated[StrictInt, Field(ge=0, le=10_000)] = 0
    """0: none at all, which is what holds for a tenant of which nothing was said."""
    nanousd_per_hour: Nanousd | None = None
    """Of all its endpoints with all their replicas (`max_replicas`); None: whatever they cost."""
    at: UtcInstant | None = None
    by: str = Field(default="", max_length=128)
