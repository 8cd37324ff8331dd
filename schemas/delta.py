"""A delta: a piece of an answer as it comes, before the answer is known to be whole."""

from pydantic import Field

from schemas.base import Contract


class Delta(Contract):
    """One piece of a streamed answer. Provisional: only the result is the truth.

    Travels on `inference.deltas.v1`, keyed `tenant/id`, outside every transaction: deltas may be missing, and after a
    crash those of an attempt that was cut short stand before those of the next one. (`attempt`, `number`) orders them.
    """

    schema_version: int = Field(default=1, alias="schema")
    tenant: str
    job_id: str
    submission: int = 1
    attempt: int
    """The call that it belongs to, as in the result's `attempts`."""
    number: int
    """Counts from 0 within the attempt."""
    text: str
    """What is added to the answer's text."""
    model: str
    provider: str
    trace_id: str | None = None
