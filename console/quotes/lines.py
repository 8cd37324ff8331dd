"""A line of a file as the job that it asks for, and the job as it is published with what it was quoted. Pure."""

from typing import Any

from console.lines import outgoing_of
from router.quote import Quote
from runtime.ports import Outgoing
from schemas import codec
from schemas.job import ReadableJob, read_job


def job_of(line: bytes, batch_tenant: str) -> ReadableJob | str:
    """The job of one line, also of an OpenAI batch file; or why it is none that the router could read."""
    outgoing = outgoing_of(line, batch_tenant)
    return outgoing if isinstance(outgoing, str) else job_in(outgoing)


def job_in(outgoing: Outgoing) -> ReadableJob | str:
    """The job in a record that is to be published."""
    reading = read_job(outgoing.value, ())
    return reading if isinstance(reading, ReadableJob) else f"{reading.kind}: {reading.message}"


def quoted(outgoing: Outgoing, one: Quote, *, ceiling: int | None = None) -> Outgoing:
    """The same job, saying what it was quoted; with `ceiling`, it may cost no more than that, all calls together."""
    document: dict[str, Any] = codec.decode(outgoing.value or b"{}")
    document["quoted_nanousd"] = one.predicted
    if ceiling is not None:
        document["max_cost_nanousd"] = ceiling
    return Outgoing(outgoing.topic, outgoing.key, codec.encode(document), outgoing.headers)
