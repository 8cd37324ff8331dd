"""Dedicated Inference Endpoints: what is wanted, what is, what it costs. Field names follow the management API v2."""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from schemas.base import Contract, Nanousd, TenantId, UtcInstant

EndpointStatus = Literal[
    "pending", "initializing", "updating", "updateFailed", "running", "paused", "failed", "scaledToZero", "deleted"
]
EndpointName = Annotated[StrictStr, Field(min_length=1, max_length=32, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
Namespace = Annotated[StrictStr, Field(min_length=1, max_length=96, pattern=r"^[A-Za-z0-9._-]+$")]
Replicas = Annotated[StrictInt, Field(ge=0, le=1_000)]


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


class CustomizationOptions(Contract):
    """What its container gets."""

    image: dict[str, Any] = Field(default_factory=lambda: {"huggingface": {}})
    env: dict[str, StrictStr] = Field(default_factory=dict)
    """Never secrets: these stand in events. Secrets are set in the provider's own console."""
    framework: Literal["custom", "pytorch", "llamacpp"] = "pytorch"
    tags: Annotated[tuple[StrictStr, ...], Field(max_length=32)] = ()


class OptimizationSettings(Contract):
    """Flags of containers that have them."""

    quantization: StrictStr | None = Field(default=None, max_length=64)
    max_batch: Annotated[StrictInt, Field(ge=1, le=4_096)] | None = None


class MonitoringConfig(Contract):
    """What of it is pulled and told."""

    logs: StrictBool = False
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
    """Replica-seconds while initializing or running, whole minutes counted as the provider bills them."""
    total_nanousd: int | None = Field(default=None, ge=0)
    since: UtcInstant | None = None


class EndpointState(Contract):
    """One endpoint as it is. On `novix.endpoints.v1`, keyed `namespace/name`; no value: forgotten."""

    spec: EndpointSpec
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
    last_command: StrictStr | None = Field(default=None, max_length=256)
    """Id of the last command that was carried out."""
    woken_for: int = Field(default=0, ge=0)
    """Jobs that waited when it was last woken."""


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
    """How many endpoints a tenant may have, and what they may cost together in an hour."""

    tenant: TenantId | Literal["*"] = "*"
    most: Annotated[StrictInt, Field(ge=0, le=10_000)] = 0
    nanousd_per_hour: Nanousd | None = None
