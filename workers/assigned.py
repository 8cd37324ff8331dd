"""Reading one assigned job: the record, the contract in it, and where its trace goes on. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from pydantic import ValidationError

from runtime.ports import Record
from runtime.telemetry import SpanIds, TraceContext, trace_of
from schemas import codec, media
from schemas.assignment import AssignedJob, Assignment, Candidate
from schemas.base import SCHEMA_VERSION
from schemas.job import MAX_READ_BYTES, InferenceJob, describe
from workers.retry import Terms
from workers.wording import texts_of

MAX_ADDRESS_CHARS = 8_192
"""Of a text where a payload stands: a longer one is no address."""


@dataclass(frozen=True)
class Assigned:
    """One job that the router assigned, as it stands in the record `record`."""

    record: Record
    envelope: AssignedJob
    job: InferenceJob

    @property
    def assignment(self) -> Assignment:
        """Who shall do it, and within which limits."""
        return self.envelope.assignment

    @property
    def candidates(self) -> list[Candidate]:
        """In the order in which they are asked."""
        return self.envelope.assignment.candidates

    @property
    def identity(self) -> tuple[str, str, int]:
        """Tenant, id, submission."""
        return self.job.tenant, self.job.id, self.envelope.submission

    @cached_property
    def trace(self) -> TraceContext:
        """The trace of the record, its parent the router's span."""
        return trace_of(self.record.headers, *self.identity)

    @cached_property
    def spans(self) -> SpanIds:
        """The ids of this record's spans."""
        return SpanIds(self.trace, *self.place)

    @property
    def span(self) -> str:
        """The id of the span of this record's processing: the same on every delivery."""
        return self.spans.process

    @property
    def published(self) -> datetime:
        """When its producer published it, by the clock of whoever stamps records; never after it was routed."""
        return min(datetime.fromtimestamp(self.envelope.received.timestamp_ms / 1000, UTC), self.envelope.routed_at)

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, partition, offset."""
        return self.record.topic, self.record.partition, self.record.offset

    @cached_property
    def terms(self) -> Terms:
        """What the job allows."""
        assignment = self.assignment
        named = self.job.provider != "auto"
        return Terms(assignment.candidates, assignment.max_cost_nanousd, assignment.deadline, named)

    @cached_property
    def texts(self) -> list[str]:
        """Everything that the producer wrote into the input: what no message may repeat. Without payloads, of which
        nobody quotes a piece and which take long to look through."""
        places = media.INPUTS.get(self.job.task, ())
        return texts_of(media.replaced(places, self.job.input, lambda _, one: "" if _is_long(one) else one))


def _is_long(value: object) -> bool:
    return isinstance(value, str) and len(value) > MAX_ADDRESS_CHARS


def read_assigned(record: Record) -> Assigned | str:
    """The job in `record`, or why it is none. Total; the reason names places and sizes, never content."""
    if record.value is None:
        return "the record has no value"
    if len(record.value) > MAX_READ_BYTES:
        return f"the record has {len(record.value)} bytes; of more than {MAX_READ_BYTES} nothing is read"
    try:
        envelope = AssignedJob.model_validate(codec.decode(record.value))
        job = InferenceJob.model_validate(envelope.job)
    except codec.Undecodable as error:
        return str(error)
    except ValidationError as error:
        return describe(error)
    return _fault(envelope) or Assigned(record, envelope, job)


def _fault(envelope: AssignedJob) -> str | None:
    """What its fields say one by one and cannot mean together."""
    if envelope.schema_version != SCHEMA_VERSION:
        return f"schema: version {envelope.schema_version} is unknown; {SCHEMA_VERSION} is spoken"
    carried, candidates = envelope.carried, envelope.assignment.candidates
    if carried is not None and carried.candidate >= len(candidates):
        return f"carried.candidate is {carried.candidate}; there are {len(candidates)}"
    return None
