"""What an operator wants of a job."""

from typing import Literal

from pydantic import Field

from schemas.base import Contract, JobId, TenantId, UtcInstant


class ControlEvent(Contract):
    """One wish about one submission of one job. On `inference.control.v1`, keyed `tenant/id`.

    Every process reads the topic from its beginning. Only the lane that holds the job acts on it; a job that has ended
    stays as it is, and a later submission of the same id is another job.
    """

    action: Literal["cancel"]
    tenant: TenantId
    job_id: JobId
    submission: int = Field(default=1, ge=1)
    at: UtcInstant
    by: str = Field(default="", max_length=128)
    """Who wants it, for the audit."""
