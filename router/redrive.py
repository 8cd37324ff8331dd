"""Whether a job is what its headers claim: a dead letter driven again. Pure.

`novix-redrive` is a header of ours that any producer may write. So nothing follows from it but a look into the log
(`router/letters.py`): only a dead letter of the same tenant, id and content makes the job its identity's next
submission, once for each dead letter. Who forges it gains nothing that `novix dlq redrive` would not give, and any
other claim counts for nothing.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from router.arrival import Arrival, Claim
from runtime import telemetry
from runtime.ports import Record
from schemas import codec, headers
from schemas.job import DEFAULT_TENANT
from schemas.topics import JOBS

MOST_SUBMISSIONS = 2**31
"""Nothing has more; the number comes from bytes that may say anything."""
GONE = "there is no such dead letter"


@dataclass(frozen=True, slots=True)
class Redriven:
    """The claim is true."""

    claim: Claim
    submission: int
    """That ended as this dead letter; 0 where the letter does not tell."""
    cause: tuple[str, str] | None = None
    """(trace id, span id) in which that submission was, if its record told."""


@dataclass(frozen=True, slots=True)
class NotRedriven:
    """The claim is not true, or nothing shows that it is."""

    claim: Claim
    why: str


Checked = Redriven | NotRedriven | None
"""None: the record claims nothing."""


@dataclass(frozen=True, slots=True)
class LetterJob:
    """The job that a dead letter keeps."""

    tenant: str
    id: str
    digest: str
    submission: int
    """0: the letter does not tell."""
    cause: tuple[str, str] | None = None
    """(trace id, span id) of the trace that its record was in, if it told one."""


Letter = LetterJob | str
"""What stands at a place of the dead letters: a job, or why there is none."""


def letter_of(record: Record) -> Letter:
    """Read a dead letter. Its job is its value, or the `job` of an assigned one (a worker's, or a retry topic's)."""
    if headers.first(record.headers, headers.KEPT) is not None:
        return "the dead letter was cut and is not whole"
    none = "the dead letter holds no job"
    try:
        document: Any = codec.parse(record.value or b"")
        if headers.first(record.headers, headers.DLQ_TOPIC) == JOBS.name:
            job, submission = document, 0
        else:
            job, submission = document["job"], document["submission"]
        if not isinstance(submission, int) or not 0 <= submission < MOST_SUBMISSIONS:
            return none
        digest = hashlib.sha256(codec.canonical(job)).hexdigest()
        tenant = job.get("tenant", DEFAULT_TENANT)
        return LetterJob(tenant, job["id"], digest, submission, _cause(record.headers))
    except (codec.Undecodable, AttributeError, KeyError, TypeError, ValueError):
        return none


def _cause(record_headers: headers.Headers) -> tuple[str, str] | None:
    told = telemetry.told_trace(record_headers)
    return (told.trace_id, told.parent_id) if told is not None and told.parent_id is not None else None


def judge(letter: Letter, arrival: Arrival, claim: Claim) -> Redriven | NotRedriven:
    """Whether `letter`, which stands at the claimed place, is a dead letter of the job that arrived."""
    if isinstance(letter, str):
        return NotRedriven(claim, letter)
    if (letter.tenant, letter.id) != (arrival.reading.tenant, arrival.reading.id):
        return NotRedriven(claim, "the dead letter is another job's")
    if letter.digest != arrival.digest:
        return NotRedriven(claim, "the dead letter's job has other content")
    return Redriven(claim, letter.submission, letter.cause)
