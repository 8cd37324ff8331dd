"""The job: what a producer asks. `InferenceJob` is the contract; `read_job` takes any bytes and never raises."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from schemas import cloudevents, codec, headers
from schemas.base import (
    MAX_ID_CHARS,
    MAX_TENANT_CHARS,
    SCHEMA_VERSION,
    Contract,
    JobId,
    Nanousd,
    TenantId,
    UtcInstant,
    printable,
)
from schemas.failure import FailureKind
from schemas.headers import Headers
from schemas.values import frozen

MAX_JOB_BYTES = 262_144
"""What a job may have inline; more travels by reference."""
MAX_READ_BYTES = 1_048_588
"""What a record may have to be read at all: a topic's limit is for batches as they were compressed, and 300 kB of these
may hold a record of 300 MB."""
MAX_METADATA_ENTRIES = 32
MAX_METADATA_BYTES = 4_096
MAX_TIMEOUT_S = 7 * 24 * 3600
DEFAULT_TENANT = "default"
DEFAULT_TIMEOUT_S = 600.0

Priority = Literal["interactive", "normal", "batch"]


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    if len(metadata) > MAX_METADATA_ENTRIES:
        raise ValueError(f"has {len(metadata)} entries; it may have {MAX_METADATA_ENTRIES}")
    size = len(codec.encode(metadata))
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"has {size} bytes; it may have {MAX_METADATA_BYTES}")
    return metadata


TeamId = Annotated[StrictStr, Field(min_length=1, max_length=MAX_TENANT_CHARS), AfterValidator(printable)]
OrderingKey = Annotated[StrictStr, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(printable)]
Metadata = Annotated[dict[StrictStr, StrictStr | StrictBool | StrictInt | StrictFloat], AfterValidator(_small)]


class InferenceJob(Contract):
    """One request for inference, exactly as its producer wrote it.

    Travels on `inference.jobs.v1`, keyed by tenant; never edited after it is published. Only `id`, `task` and `input`
    are required. The same (tenant, id) published twice is run once.
    """

    id: JobId
    """Idempotency key within the tenant; at most 256 characters, no control character."""
    task: StrictStr = Field(min_length=1, max_length=64)
    """Hugging Face's own task name, such as `chat-completion`."""
    input: dict[str, Any]
    """Exactly the input object of the task's published schema. A payload is base64, a `data:` URI, an https address, or
    a reference (`BlobRef`)."""
    schema_version: StrictInt = Field(default=SCHEMA_VERSION, alias="schema")
    """The contract's version."""
    tenant: TenantId = DEFAULT_TENANT
    """Who asks and pays; at most 128 characters, no slash, no space."""
    model: StrictStr = Field(default="auto", min_length=1, max_length=256)
    """A Hugging Face model id, or `auto`: the cost router chooses."""
    provider: StrictStr = Field(default="auto", min_length=1, max_length=64)
    """An inference provider's name, or `auto`. A named one is never replaced."""
    max_cost_nanousd: Nanousd | None = None
    """Ceiling over all attempts together, in thousand-millionths of a US dollar. None: the installation's default."""
    timeout_s: StrictFloat | None = Field(default=None, gt=0, le=MAX_TIMEOUT_S)
    """Seconds from publication until the result is worthless. Default 600. Not together with `deadline`."""
    deadline: UtcInstant | None = None
    """Absolute, UTC. Work that cannot end by then is not begun."""
    priority: Priority = "normal"
    ordering_key: OrderingKey | None = None
    """Jobs of one tenant with the same key go to the same partition."""
    stream: StrictBool = False
    """Publish the answer's pieces on `inference.deltas.v1` as they come, for tasks that stream; provisional."""
    team: TeamId | None = None
    """A part of the tenant, for budgets and sums."""
    key_id: TeamId | None = None
    """The name of the application or of the API key that asks, for budgets and sums; never the key itself."""
    quoted_nanousd: Nanousd | None = None
    """What a quote said that it would cost, told again in the result."""
    metadata: Metadata = Field(default_factory=dict)
    """Labels of the producer's own, which budgets and sums may name; echoed nowhere but in decisions. At most 32
    entries and 4,096 bytes."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.timeout_s is not None and self.deadline is not None:
            raise ValueError("give timeout_s or deadline, not both")
        return self

    def deadline_at(self, published: datetime) -> datetime:
        """The instant at which the result is worthless, for a job published at `published`."""
        if self.deadline is not None:
            return self.deadline
        return published + timedelta(seconds=self.timeout_s or DEFAULT_TIMEOUT_S)


@frozen
class ReadableJob:
    """A job that fits the contract, with the bytes that its producer wrote and their digest."""

    job: InferenceJob
    raw: bytes
    """As written; where a CloudEvent told the id, with that put before them."""
    digest: str
    """sha256 of the job's content (canonical JSON), hex: two records with the same digest ask for the same."""

    @property
    def tenant(self) -> str:
        return self.job.tenant

    @property
    def id(self) -> str:
        return self.job.id


@dataclass(frozen=True, slots=True)
class RefusedJob:
    """A record whose tenant and id can be read but which is no acceptable job: its result is `rejected`."""

    tenant: str
    id: str
    kind: FailureKind
    message: str
    task: str | None = None
    model: str = "auto"
    provider: str = "auto"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that tells no tenant and id: it becomes a dead letter with its original bytes."""

    kind: FailureKind
    message: str


Reading = ReadableJob | RefusedJob | Unreadable


def read_job(value: bytes | None, record_headers: Headers) -> Reading:
    """Read one record of `inference.jobs.v1`. Total: any bytes give one of the three readings, none raises.

    A CloudEvent's `ce_id` stands for a missing id (see `schemas.cloudevents`)."""
    if value is None:
        return Unreadable(FailureKind.UNDECODABLE, "the record has no value")
    document = _document(value)
    if isinstance(document, Unreadable):
        return document
    if cloudevents.is_envelope(record_headers):
        return _enveloped(document)
    document, value = cloudevents.completed(document, value, record_headers)
    named = identity_of(document)
    if isinstance(named, Unreadable):
        return named
    refusal = _refusal(document, value, record_headers)
    if refusal is None:
        try:
            # A router keeps thousands while they wait for their turn.
            job = InferenceJob.model_validate(document).lean("tenant", "task", "model", "provider", "priority")
            digest = hashlib.sha256(codec.canonical(document)).hexdigest()
            return ReadableJob(job, value, digest)
        except ValidationError as error:
            refusal = FailureKind.INVALID_JOB, describe(error)
    kind, message = refusal
    return RefusedJob(
        *named,
        kind,
        message,
        task=_short(document.get("task")),
        model=_short(document.get("model")) or "auto",
        provider=_short(document.get("provider")) or "auto",
    )


def _enveloped(event: dict[str, Any]) -> RefusedJob | Unreadable:
    named = identity_of(cloudevents.names_within(event))
    if isinstance(named, Unreadable):
        return Unreadable(FailureKind.INVALID_JOB, cloudevents.REFUSED)
    return RefusedJob(*named, FailureKind.INVALID_JOB, cloudevents.REFUSED)


def _document(value: bytes) -> dict[str, Any] | Unreadable:
    if len(value) > MAX_READ_BYTES:
        message = f"the record has {len(value)} bytes; of more than {MAX_READ_BYTES} nothing is read"
        return Unreadable(FailureKind.TOO_LARGE, message)
    try:
        document = codec.parse(value)
    except codec.Undecodable as error:
        return Unreadable(FailureKind.UNDECODABLE, str(error))
    if not isinstance(document, dict):
        return Unreadable(FailureKind.UNDECODABLE, f"a job is a JSON object, this is a {type(document).__name__}")
    return document


def identity_of(document: dict[str, Any]) -> tuple[str, str] | Unreadable:
    """Tenant and id, judged alone: they decide whether a refusal can be told to anybody."""
    tenant, job_id = document.get("tenant", DEFAULT_TENANT), document.get("id")
    for name, value, limit in (("tenant", tenant, MAX_TENANT_CHARS), ("id", job_id, MAX_ID_CHARS)):
        if not isinstance(value, str):
            found = "missing" if value is None else f"a {type(value).__name__}"
            return Unreadable(FailureKind.INVALID_JOB, f"{name} is {found}; it must be a text")
        if not 1 <= len(value) <= limit:
            return Unreadable(FailureKind.INVALID_JOB, f"{name} has {len(value)} characters; it may have 1 to {limit}")
        if not value.isprintable():
            return Unreadable(FailureKind.INVALID_JOB, f"{name} has a control character")
    if "/" in tenant or " " in tenant:
        return Unreadable(FailureKind.INVALID_JOB, "tenant has a slash or a space")
    return str(tenant), str(job_id)


def _refusal(document: dict[str, Any], value: bytes, record_headers: Headers) -> tuple[FailureKind, str] | None:
    if told := _excess(value, record_headers):
        return FailureKind.TOO_LARGE, told
    for version in (headers.first(record_headers, headers.SCHEMA), document.get("schema", SCHEMA_VERSION)):
        if version is not None and str(version) != str(SCHEMA_VERSION):
            return FailureKind.UNKNOWN_SCHEMA, f"schema: {_version(version)} is unknown; {SCHEMA_VERSION} is spoken"
    if told := cloudevents.fault(str(document["id"]), record_headers):
        return FailureKind.INVALID_JOB, told
    if codec.excess_depth(value, document):
        depth, field = max((codec.depth_of(item) + 1, name) for name, item in document.items())
        return FailureKind.INVALID_JOB, f"{_clean(field)}: nested {depth} levels deep; {codec.MAX_DEPTH} are allowed"
    return None


def _excess(value: bytes, record_headers: Headers) -> str | None:
    if len(record_headers) > headers.MAX_HEADERS:
        return f"headers: {len(record_headers)} of them; a job may have {headers.MAX_HEADERS}"
    size = headers.size_of(record_headers)
    if size > headers.MAX_HEADERS_BYTES:
        return f"headers: {size} bytes; a job may have {headers.MAX_HEADERS_BYTES}"
    if len(value) > MAX_JOB_BYTES:
        return f"job is {len(value)} bytes; inline it may have {MAX_JOB_BYTES}"
    return None


def _version(version: Any) -> str:
    """A version as a message may tell it: a number, else only its size, for a field may hold anything."""
    text = version if isinstance(version, str) else str(version) if isinstance(version, int | float) else ""
    if 0 < len(text) <= 20 and all(char in "0123456789.-" for char in text):
        return f"version {text}"
    size = f" of {len(version)}" if isinstance(version, str | list | dict) else ""
    return f"a version that is a {type(version).__name__}{size}"


def describe(error: ValidationError) -> str:
    """The first three faults as `field: what is wrong`, with sizes and limits and without the values themselves."""
    told = []
    for fault in error.errors(include_url=False, include_input=True)[:3]:
        field = ".".join(str(part) for part in fault["loc"] if isinstance(part, str | int)) or "job"
        told.append(f"{_clean(field)}: {fault['msg'].removeprefix('Value error, ')}{_size(fault)}")
    return "; ".join(told)


def _size(fault: Any) -> str:
    """How large the refused value is: its length, or a number itself."""
    given = fault.get("input")
    if fault["type"].endswith(("too_long", "too_short")) and isinstance(given, str | list | dict):
        return f" (has {len(given)})"
    if fault["type"].startswith(("greater_than", "less_than")) and isinstance(given, int | float):
        return f" (is {given})"
    return ""


def _clean(field: str) -> str:
    """A field's path as a message may tell it: short, without control characters, for keys may be the producer's."""
    return "".join(char if char.isprintable() else "?" for char in field[:80])


def _short(value: Any) -> str | None:
    return value[:256] if isinstance(value, str) and value else None


def published_at(timestamp_ms: int, now: datetime) -> datetime:
    """When a record was published: its own timestamp, but never later than `now` (a producer's clock may be ahead)."""
    if not 0 < timestamp_ms < now.timestamp() * 1000:
        return now  # not told, or ahead: a producer that counts in microseconds would be past every calendar
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
