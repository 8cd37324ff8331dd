"""The result: the one terminal answer of a job."""

from typing import Any, Literal

from pydantic import Field

from schemas import codec
from schemas.base import Contract, Nanousd, UtcInstant, contents
from schemas.failure import FailureKind

Status = Literal["succeeded", "failed", "rejected", "expired", "cancelled"]
CostSource = Literal["provider", "computed", "estimated", "none"]


class Error(Contract):
    """Why a job did not succeed. Names sizes and limits; never a prompt, an output or a secret."""

    kind: FailureKind
    message: str
    retryable: bool
    """Whether publishing the job again later, unchanged, may succeed."""
    upstream_status: int | None = None
    """The provider's HTTP status, if it answered."""


class Who(Contract):
    """A model and the provider that runs it."""

    model: str
    provider: str


class Resolved(Contract):
    """What a short name of the registry stood for when its job was decided."""

    alias: str = Field(max_length=256)
    version: int = Field(ge=1)
    """Counts the alias's events."""
    model: str = Field(max_length=256)
    revision: str | None = Field(default=None, max_length=64)
    """The commit that the alias is pinned to; None: to none. A dedicated endpoint serves the commit that it was made
    with; a provider behind Hugging Face serves whichever it has, and tells nobody."""
    moved_to: str | None = Field(default=None, max_length=64)
    """The commit of the model's main branch, where the registry knew it and it was another one than the pinned."""


class Attempt(Contract):
    """One call to a provider."""

    attempt: int
    """Counts from 1 over all candidates."""
    model: str
    provider: str
    started_at: UtcInstant
    waited_ms: int
    """For a free slot, a breaker or a Retry-After, before the call."""
    duration_ms: int
    kind: FailureKind | None = None
    """None: it succeeded."""
    upstream_status: int | None = None
    request_id: str | None = None
    """The provider's id of the call, for its support and its bill."""
    cost_nanousd: Nanousd = 0
    ambiguous: bool = False
    """The provider may have charged for it although no answer came; counted with its ceiling."""


class Money(Contract):
    """What the job was quoted, what was reserved for it, what it cost, and who priced it."""

    quoted_nanousd: Nanousd | None = None
    reserved_nanousd: Nanousd
    paid_nanousd: Nanousd
    ambiguous_nanousd: Nanousd = 0
    """Of `paid_nanousd`: for calls that may have been paid without an answer."""
    priced_by: str = ""
    """Routing policy and price book, `brief/1 prices@812`."""


class Received(Contract):
    """Where the job entered: the record of the jobs topic that its producer wrote."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class JobResult(Contract):
    """The terminal answer of one job, exactly one per (tenant, job_id, submission).

    Travels on `inference.results.v1`, keyed `tenant/id`. Only `read_committed` readers see exactly one.
    """

    schema_version: int = Field(default=1, alias="schema")
    job_id: str
    tenant: str
    submission: int = 1
    """1, and one more for each time a rejected id is sent again or a dead letter is driven again."""
    status: Status
    task: str | None
    output: Any = None
    """The task's published output object; None unless `status` is `succeeded`."""
    error: Error | None = None
    asked: Who
    """What the producer asked for, `auto` included."""
    resolved: Resolved | None = None
    """What the name that was asked for stood for, where it is an alias of the registry."""
    served: Who | None = None
    """Who gave the output; None if nobody did."""
    adapted: dict[str, Any] | None = None
    """Parameters that a limit changed: `{"max_tokens": {"asked": 20000, "given": 8192, "bound_by": "cap"}}`."""
    usage: dict[str, int] = Field(default_factory=dict)
    """Units that money counts: input_tokens, output_tokens, compute_ms, ..."""
    cost_nanousd: Nanousd = 0
    """What all attempts together cost."""
    cost_source: CostSource = "none"
    """`provider`: it told the price; `computed`: reported usage times our price; `estimated`: usage not reported."""
    money: Money | None = None
    """None for a job for which nothing was reserved."""
    attempts: list[Attempt] = Field(default_factory=list)
    timing_ms: dict[str, int] = Field(default_factory=dict)
    """total (publication to completion), queued (before the router), routed (router to worker), waiting, calling,
    first_token."""
    received: Received | None = None
    decision_id: str | None = None
    trace_id: str | None = None
    completed_at: UtcInstant

    def encode(self) -> bytes:
        """See `Contract`; written without pydantic, as nearly all can be."""
        fields = dict(self.__dict__)
        try:
            return codec.encode({"schema": fields.pop("schema_version"), **fields}, contents)
        except TypeError:  # see `Contract.plain`
            return super().encode()
