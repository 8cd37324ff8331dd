"""The assigned job: what the router hands to a worker."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from schemas.base import Contract, Nanousd, UtcInstant
from schemas.result import Attempt, CostSource, Received, Resolved
from schemas.units import UNITS

LATEST_MS = 10**14
"""The year 5138: a later timestamp is no time."""
LONGEST_MS = 10**12
"""Thirty years: no wait and no call took longer."""


def _in_our_time(value: datetime) -> datetime:
    if not 2000 <= value.year < 3000:
        raise ValueError("must lie between the years 2000 and 2999")
    return value


Moment = Annotated[UtcInstant, AfterValidator(_in_our_time)]
"""When something happened: spans can be made of it, and differences added to it."""
ModelName = Annotated[str, Field(max_length=256)]


class Price(Contract):
    """Unit prices of one model at one provider, in integer nano-dollars; a unit that is not listed is not charged."""

    input_nanousd_per_million_tokens: Nanousd = 0
    output_nanousd_per_million_tokens: Nanousd = 0
    cached_input_nanousd_per_million_tokens: Nanousd = 0
    """0: a cached token is charged as any other of the input."""
    reasoning_nanousd_per_million_tokens: Nanousd = 0
    """0: a token of reasoning is charged as any other of the output."""
    nanousd_per_compute_ms: Nanousd = 0
    nanousd_per_call: Nanousd = 0
    nanousd_per_million_characters: Nanousd = 0
    nanousd_per_image: Nanousd = 0
    nanousd_per_megapixel: Nanousd = 0
    nanousd_per_step: Nanousd = 0
    nanousd_per_audio_second: Nanousd = 0
    nanousd_per_video_second: Nanousd = 0
    source: str
    """Who says so: `novix-sandbox`, `novix-assumed`, `router /v1/models`, ..."""
    as_of: str
    """The day of the source, ISO 8601."""
    service_tier: str = "standard"
    """Of the provider's: `standard`, `batch`, `flex`, `priority`."""
    is_free: bool = False
    """It is known to cost nothing: somebody said so and an operator approved it. Counts only where no unit has a
    price."""

    @property
    def is_known(self) -> bool:
        """False for a row that names no price at all: unknown is never zero."""
        return self.is_free or any(getattr(self, unit.price) for unit in UNITS)


class Candidate(Contract):
    """One way to do the job: a model at a provider, with its price and its limits."""

    model: ModelName
    provider: str = Field(max_length=64)
    """The provider that is asked for; `auto` leaves the choice to Hugging Face's router."""
    provider_model: ModelName
    """The model's name on the wire; empty: as Hugging Face's mapping has it for this provider (`workers.mapping`)."""
    adapter_weights_path: str = Field(default="", max_length=1_024)
    """The weights' file in the model's repository, where the model is an adapter (LoRA) to one that the provider has;
    as the mapping has it."""
    dialect: str = Field(max_length=64)
    """Which request map speaks to it: a key of `workers.providers.PROVIDERS`."""
    base_url: str = Field(max_length=2_048)
    """Where its calls go, without a trailing slash."""
    price: Price
    max_in_flight: int = Field(ge=1, le=100_000)
    """Calls that one worker process may have in flight to this (provider, model)."""
    context_tokens: int | None = None
    estimate_nanousd: Nanousd
    """What the router expects one attempt to cost."""
    ceiling_nanousd: Nanousd
    """The most that one attempt can cost within `parameters`."""


class Reserved(Contract):
    """Money that was reserved for the job, for whoever writes its terminal record."""

    home: int = Field(ge=0)
    """The partition of `inference.ledger.v1` where its end is told."""
    nanousd: Nanousd
    quoted_nanousd: Nanousd | None = None
    price_version: str = ""
    """Of the price book that priced it."""
    policy: str = ""
    """Who priced it: policy and version."""


class Assignment(Contract):
    """Who shall do the job, in which order to ask, and within which limits."""

    candidates: list[Candidate] = Field(min_length=1, max_length=256)
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Generation parameters after defaults, policy and limits: temperature, top_p, max_tokens.

    Merged over the input."""
    adapted: dict[str, Any] | None = None
    max_cost_nanousd: Nanousd
    """Ceiling over all attempts together."""
    deadline: UtcInstant
    decision_id: str = Field(max_length=128)
    reserved: Reserved | None = None
    """None: assigned before there was a ledger; nothing is told of its end."""
    bill_to: str = Field(default="", max_length=96)
    """Organisation that pays at Hugging Face; empty: as the worker's installation says."""
    resolved: Resolved | None = None
    """What the job's model stood for, where it is an alias of the registry."""
    registry: int = Field(default=0, ge=0, le=2**63 - 1)
    """The version of the registry that it was made from: who calls has read as much of it. 0: written before that was
    told, or of a registry in which nothing stands."""


class CarriedWait(Contract):
    """A time in which nothing was called."""

    name: str = Field(max_length=32)
    start: Moment
    end: Moment


class Carried(Contract):
    """What a job has been through at a worker before it went to a retry topic: its next worker goes on from there."""

    arrived_at: Moment
    """At a worker, the first time."""
    since: Moment
    """When it left for the retry topic."""
    wait: str = Field(max_length=32)
    """What it waits for: `slot`, `breaker`, `retry`."""
    bounces: int = Field(default=0, ge=0)
    """How often it left without an attempt."""
    deaths: int = Field(default=0, ge=0)
    """Processes that died while a call of this job was out."""
    calls: int = Field(default=0, ge=0)
    """Attempts that count against the retries; an interrupted one does not."""
    candidate: int = Field(default=0, ge=0)
    unfit: list[int] = Field(default_factory=list, max_length=1_000)
    pinned: bool = False
    attempts: list[Attempt] = Field(default_factory=list, max_length=1_000)
    cost_sources: list[CostSource] = Field(default_factory=list, max_length=1_000)
    """One an attempt."""
    waits: list[CarriedWait] = Field(default_factory=list, max_length=1_000)
    upstream_status: int | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Carried":
        if len(self.cost_sources) != len(self.attempts):
            raise ValueError(f"{len(self.attempts)} attempts have {len(self.cost_sources)} sources of their cost")
        for at, one in enumerate(self.attempts):
            _in_our_time(one.started_at)
            if not (0 <= one.waited_ms <= LONGEST_MS and 0 <= one.duration_ms <= LONGEST_MS):
                raise ValueError(f"attempt {at} took or waited less than nothing, or more than {LONGEST_MS} ms")
        return self


class AssignedJob(Contract):
    """A job with its assignment.

    Travels on `inference.{modality}.v1`, keyed `tenant/ordering_key`, else `tenant/id`.
    """

    schema_version: int = Field(default=1, alias="schema")
    submission: int = Field(ge=1, le=10**9)
    job: dict[str, Any]
    """The job as its producer wrote it."""
    assignment: Assignment
    received: Received
    routed_at: Moment
    """When the router's lane settled the decision."""
    carried: Carried | None = None
    """Set once the job has waited in a retry topic."""

    @model_validator(mode="after")
    def _sound(self) -> "AssignedJob":
        if not 0 <= self.received.timestamp_ms <= LATEST_MS:
            raise ValueError(f"received.timestamp_ms must be from 0 to {LATEST_MS}")
        return self
