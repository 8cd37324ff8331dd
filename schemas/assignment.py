"""The assigned job: what the router hands to a worker."""

from typing import Any

from pydantic import Field

from schemas.base import Contract, Nanousd, UtcInstant
from schemas.result import Attempt, CostSource, Received


class Price(Contract):
    """Unit prices of one model at one provider, in integer nano-dollars; a unit that is not listed is not charged."""

    input_nanousd_per_million_tokens: Nanousd = 0
    output_nanousd_per_million_tokens: Nanousd = 0
    nanousd_per_compute_ms: Nanousd = 0
    source: str
    """Who says so: `novix-sandbox`, `novix-assumed`, `router /v1/models`, ..."""
    as_of: str
    """The day of the source, ISO 8601."""

    @property
    def is_known(self) -> bool:
        """False for a row that names no price at all: unknown is never zero."""
        return bool(
            self.input_nanousd_per_million_tokens
            or self.output_nanousd_per_million_tokens
            or self.nanousd_per_compute_ms
        )


class Candidate(Contract):
    """One way to do the job: a model at a provider, with its price and its limits."""

    model: str
    provider: str
    """The provider that is asked for; `auto` leaves the choice to Hugging Face's router."""
    provider_model: str
    """The model's name on the wire."""
    dialect: str
    """Which request map speaks to it: a key of `workers.providers.PROVIDERS`."""
    base_url: str
    """Where its calls go, without a trailing slash."""
    price: Price
    max_in_flight: int = Field(ge=1)
    """Calls that one worker process may have in flight to this (provider, model)."""
    context_tokens: int | None = None
    estimate_nanousd: Nanousd
    """What the router expects one attempt to cost."""
    ceiling_nanousd: Nanousd
    """The most that one attempt can cost within `parameters`."""


class Assignment(Contract):
    """Who shall do the job, in which order to ask, and within which limits."""

    candidates: list[Candidate] = Field(min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Generation parameters after defaults, policy and limits: temperature, top_p, max_tokens.

    Merged over the input."""
    adapted: dict[str, Any] | None = None
    max_cost_nanousd: Nanousd
    """Ceiling over all attempts together."""
    deadline: UtcInstant
    decision_id: str


class CarriedWait(Contract):
    """A time in which nothing was called."""

    name: str
    start: UtcInstant
    end: UtcInstant


class Carried(Contract):
    """What a job has been through at a worker before it went to a retry topic: its next worker goes on from there."""

    arrived_at: UtcInstant
    """At a worker, the first time."""
    since: UtcInstant
    """When it left for the retry topic."""
    wait: str
    """What it waits for: `slot`, `breaker`, `retry`."""
    bounces: int = 0
    """How often it left without an attempt."""
    calls: int = 0
    candidate: int = 0
    unfit: list[int] = Field(default_factory=list)
    pinned: bool = False
    attempts: list[Attempt] = Field(default_factory=list)
    cost_sources: list[CostSource] = Field(default_factory=list)
    """One an attempt."""
    waits: list[CarriedWait] = Field(default_factory=list)
    upstream_status: int | None = None


class AssignedJob(Contract):
    """A job with its assignment.

    Travels on `inference.{modality}.v1`, keyed `tenant/ordering_key`, else `tenant/id`.
    """

    schema_version: int = Field(default=1, alias="schema")
    submission: int = Field(ge=1)
    job: dict[str, Any]
    """The job as its producer wrote it."""
    assignment: Assignment
    received: Received
    routed_at: UtcInstant
    """When the router's lane settled the decision."""
    carried: Carried | None = None
    """Set once the job has waited in a retry topic."""
