"""A line of a file as the job that it asks for, and the job as it is published with what it was quoted. Pure."""

from typing import Any

from console.lines import outgoing_of
from router.quote import Quote
from runtime.ports import Outgoing
from schemas import codec
from schemas.job import ReadableJob, RefusedJob, Unreadable, read_job


def job_of(line: bytes, batch_tenant: str) -> ReadableJob | RefusedJob | str:
    """The job of one line, also of an OpenAI batch file; or why it is none whose result could be told to anybody."""
    outgoing = outgoing_of(line, batch_tenant)
    return outgoing if isinstance(outgoing, str) else job_in(outgoing)


def job_in(outgoing: Outgoing) -> ReadableJob | RefusedJob | str:
    """The job in a record that is to be published."""
    reading = read_job(outgoing.value, ())
    return f"{reading.kind}: {reading.message}" if isinstance(reading, Unreadable) else reading


def refused(job: RefusedJob) -> Quote:
    """The quote of a job that does not fit the contract."""
    return Quote(job.tenant, job.id, job.task or "", "rejected", job.kind, job.message)


def quoted(outgoing: Outgoing, one: Quote, *, ceiling: int | None = None) -> Outgoing:
    """The same job, saying what it was quoted; with `ceiling`, it may cost no more than that, all calls together."""
    document: dict[str, Any] = codec.decode(outgoing.value or b"{}")
    document["quoted_nanousd"] = one.predicted
    if ceiling is not None:
        document["max_cost_nanousd"] = ceiling
    return Outgoing(outgoing.topic, outgoing.key, codec.encode(document), outgoing.headers)
