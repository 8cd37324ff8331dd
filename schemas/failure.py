"""Every way to fail that the system tells apart: one closed list, and what each means."""

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """The `kind` of a result's `error`, and the reason of a dead letter. A new kind needs a row in `FAILURES`."""

    UNDECODABLE = "undecodable"
    INVALID_JOB = "invalid_job"
    UNKNOWN_SCHEMA = "unknown_schema"
    TOO_LARGE = "too_large"
    UNKNOWN_TASK = "unknown_task"
    INVALID_INPUT = "invalid_input"
    INVALID_MEDIA = "invalid_media"
    PAYLOAD_MISSING = "payload_missing"
    PAYLOAD_UNREACHABLE = "payload_unreachable"
    CONFLICT = "conflict"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_PROVIDER = "unknown_provider"
    NO_CANDIDATE = "no_candidate"
    UNKNOWN_PRICE = "unknown_price"
    CONTEXT_EXCEEDED = "context_exceeded"
    PRICE_CEILING = "price_ceiling"
    DEADLINE_PASSED = "deadline_passed"
    CANCELLED = "cancelled"
    RATE_LIMITED = "rate_limited"
    MODEL_LOADING = "model_loading"
    OVERLOADED = "overloaded"
    PROVIDER_ERROR = "provider_error"
    TIMEOUT = "timeout"
    CONNECT_FAILED = "connect_failed"
    CONNECTION_LOST = "connection_lost"
    STREAM_CUT = "stream_cut"
    BREAKER_OPEN = "breaker_open"
    UNAUTHORIZED = "unauthorized"
    PAYMENT_REQUIRED = "payment_required"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    GONE = "gone"
    REQUEST_REFUSED = "request_refused"
    EGRESS_REFUSED = "egress_refused"
    INVALID_OUTPUT = "invalid_output"
    RESPONSE_TOO_LARGE = "response_too_large"
    OUTPUT_TOO_LARGE = "output_too_large"
    STORE_FAILED = "store_failed"
    INTERRUPTED = "interrupted"
    CRASHED = "crashed"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Failure:
    """What one kind means for the worker, the breaker and the person who reads the result."""

    retryable: bool
    """A later attempt of the same call may succeed."""
    counts_for_breaker: bool
    """Says something about the provider's health. A 429 does not: it feeds the limiter."""
    maybe_charged: bool
    """The provider may have done the work: the attempt counts with its full ceiling until a bill says otherwise."""
    replay: bool
    """Worth replaying later: a copy goes to the dead letters, beside the result."""
    meaning: str
    """One sentence for the person who reads the result: what it is, and what to do."""


_K = FailureKind
FAILURES: dict[FailureKind, Failure] = {
    _K.UNDECODABLE: Failure(False, False, False, True, "The record is no job; mend the producer and publish again."),
    _K.INVALID_JOB: Failure(False, False, False, False, "A field of the job is wrong; the message names it."),
    _K.UNKNOWN_SCHEMA: Failure(False, False, False, False, "The job names a contract version that is not spoken here."),
    _K.TOO_LARGE: Failure(False, False, False, False, "The job is larger than the limit that the message names."),
    _K.UNKNOWN_TASK: Failure(False, False, False, False, "No Hugging Face task has this name."),
    _K.INVALID_INPUT: Failure(False, False, False, False, "The task's published input schema refuses the input."),
    _K.INVALID_MEDIA: Failure(
        False, False, False, False, "A payload is not what the task needs, or passes a limit; the message names it."
    ),
    _K.PAYLOAD_MISSING: Failure(False, False, False, True, "The blob store has no blob of that sha256."),
    _K.PAYLOAD_UNREACHABLE: Failure(
        True, False, False, True, "The address of a payload, or the blob store, did not give it."
    ),
    _K.CONFLICT: Failure(False, False, False, True, "The id was used before with other content; take a new id."),
    _K.UNKNOWN_MODEL: Failure(False, False, False, False, "The catalogue has no such model."),
    _K.UNKNOWN_PROVIDER: Failure(False, False, False, False, "No provider of that name; the message lists them."),
    _K.NO_CANDIDATE: Failure(
        False, False, False, False, "No model and provider may do this job; each is excluded with a reason."
    ),
    _K.UNKNOWN_PRICE: Failure(False, False, False, False, "The model has no known price, and unknown is never zero."),
    _K.CONTEXT_EXCEEDED: Failure(False, False, False, False, "The input does not fit the model's context."),
    _K.PRICE_CEILING: Failure(False, False, False, False, "The job's max_cost_nanousd is below what it would cost."),
    _K.DEADLINE_PASSED: Failure(False, False, False, False, "The deadline passed before the work could end."),
    _K.CANCELLED: Failure(False, False, False, False, "Somebody cancelled the job."),
    _K.RATE_LIMITED: Failure(
        True, False, False, True, "The provider refuses the rate; it was retried until attempts or deadline ran out."
    ),
    _K.MODEL_LOADING: Failure(True, True, False, True, "The provider is still loading the model."),
    _K.OVERLOADED: Failure(True, True, False, True, "The provider is overloaded."),
    _K.PROVIDER_ERROR: Failure(True, True, False, True, "The provider failed on its side."),
    _K.TIMEOUT: Failure(True, True, True, True, "The provider did not answer in time; it may have done the work."),
    _K.CONNECT_FAILED: Failure(True, True, False, True, "No connection to the provider."),
    _K.CONNECTION_LOST: Failure(True, True, True, True, "The connection broke before the answer was whole."),
    _K.STREAM_CUT: Failure(True, True, True, True, "The stream ended without its end mark; its tokens have been paid."),
    _K.BREAKER_OPEN: Failure(False, False, False, True, "The provider's breaker stayed open until the deadline."),
    _K.UNAUTHORIZED: Failure(False, False, False, True, "The token is missing, wrong or revoked."),
    _K.PAYMENT_REQUIRED: Failure(False, False, False, True, "The account's credits are used up."),
    _K.FORBIDDEN: Failure(
        False, False, False, True, "The token may not do this; a gated model wants its licence accepted."
    ),
    _K.NOT_FOUND: Failure(False, False, False, False, "The provider does not serve this model."),
    _K.GONE: Failure(False, False, False, False, "The model or the address has been retired."),
    _K.REQUEST_REFUSED: Failure(False, False, False, True, "The provider refuses the request; its message says why."),
    _K.EGRESS_REFUSED: Failure(False, False, False, False, "The address is not one that calls may go to."),
    _K.INVALID_OUTPUT: Failure(
        True, True, True, True, "The provider answered with something that is no answer to this task."
    ),
    _K.RESPONSE_TOO_LARGE: Failure(False, False, True, False, "The provider's answer is larger than the limit."),
    _K.OUTPUT_TOO_LARGE: Failure(
        False, False, True, False, "The output does not fit into one record of the results topic."
    ),
    _K.STORE_FAILED: Failure(
        True, False, True, True, "The output is too large for a record, and the blob store did not take it."
    ),
    _K.INTERRUPTED: Failure(
        True, False, True, True, "The process ended while the call was out; the provider may have done the work."
    ),
    _K.CRASHED: Failure(
        False, False, True, True, "The process died three times while it worked on this job; it is not tried again."
    ),
    _K.INTERNAL: Failure(
        False, False, True, True, "A fault of Novix itself; the dead letter keeps the job for replay."
    ),
}  # fmt: skip
