"""Every way to fail that the system tells apart: one closed list, and what each means."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


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
    TENANT_UNKNOWN = "tenant_unknown"
    OVER_BUDGET = "over_budget"
    OVER_RATE = "over_rate"
    LICENCE_REFUSED = "licence_refused"
    RESIDENCY_REFUSED = "residency_refused"
    NOT_APPROVED = "not_approved"
    TOO_SLOW = "too_slow"
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


Fault = Literal["producer", "account", "provider", "network", "novix"]
"""Whose fault a failure is: who published the job; whose token, rights or money it is; who runs the model; the way
there; this installation."""


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
    fault: Fault
    """Who can mend it."""
    meaning: str
    """One sentence for the person who reads the result: what it is."""
    advice: str
    """What that person should do, in one sentence."""


def _failure(flags: str, fault: Fault, meaning: str, advice: str) -> Failure:
    """A row; `flags` has a letter for each that is set: (r)etryable, (b)reaker, (c)harged, re(p)lay."""
    return Failure("r" in flags, "b" in flags, "c" in flags, "p" in flags, fault, meaning, advice)


_K = FailureKind
FAILURES: dict[FailureKind, Failure] = {
    _K.UNDECODABLE: _failure("p", "producer",
        "The record is no job.",
        "Mend the producer and publish the job again."),
    _K.INVALID_JOB: _failure("", "producer",
        "A field of the job is wrong; the message names it.",
        "Mend that field and publish the job under a new id."),
    _K.UNKNOWN_SCHEMA: _failure("", "producer",
        "The job names a contract version that is not spoken here.",
        "Write the version that the message names, or bring Novix up to date."),
    _K.TOO_LARGE: _failure("", "producer",
        "The job or a payload is larger than the limit that the message names; at the provider it is a 413.",
        "Make it smaller, or give the payload by reference or by an https address."),
    _K.UNKNOWN_TASK: _failure("", "producer",
        "No Hugging Face task has this name.",
        "Take a name from docs/tasks.md."),
    _K.INVALID_INPUT: _failure("", "producer",
        "The task's published input schema refuses the input.",
        "Mend the field that the message names; `novix schema` and docs/tasks.md have the form."),
    _K.INVALID_MEDIA: _failure("", "producer",
        "A payload is not what the task needs, or passes a limit; the message names it.",
        "Send a payload of the kind and size that the message asks for."),
    _K.PAYLOAD_MISSING: _failure("p", "producer",
        "The blob store has no blob of that sha256, or nothing is at the payload's address.",
        "Put the blob (`novix blob put`), or mend the address, then drive the dead letter again."),
    _K.PAYLOAD_UNREACHABLE: _failure("rp", "network",
        "The address of a payload, or the blob store, did not give it.",
        "See that the address answers to anybody without a password, then drive the dead letter again."),
    _K.CONFLICT: _failure("p", "producer",
        "The id was used before with other content.",
        "Take a new id."),
    _K.UNKNOWN_MODEL: _failure("", "producer",
        "The catalogue has no such model.",
        "Name a model of the catalogue, or add a row for this one."),
    _K.UNKNOWN_PROVIDER: _failure("", "producer",
        "There is no provider of that name.",
        "Name one that the message lists, or `auto`."),
    _K.NO_CANDIDATE: _failure("", "producer",
        "No model and provider may do this job; each is excluded with a reason.",
        "Read the reasons (`novix why`) and loosen what excludes them."),
    _K.UNKNOWN_PRICE: _failure("", "novix",
        "The model has no known price, and unknown is never zero.",
        "Give the price in the catalogue."),
    _K.CONTEXT_EXCEEDED: _failure("", "producer",
        "The input does not fit the model's context.",
        "Shorten the input, ask for fewer tokens, or name a model with a longer context."),
    _K.PRICE_CEILING: _failure("", "producer",
        "The job's max_cost_nanousd is below what it would cost.",
        "Raise it to what the message names, or ask for less."),
    _K.TENANT_UNKNOWN: _failure("", "producer",
        "The installation is closed, and this tenant has no record.",
        "Have an operator add it: novix tenant set."),
    _K.OVER_BUDGET: _failure("", "account",
        "A hard budget has not enough left for the job; the message names the budget and when its next window begins.",
        "Come back then, or raise the budget (novix budget set); novix budget explain shows what has used it."),
    _K.OVER_RATE: _failure("", "producer",
        "The tenant asks more often than its tier allows; the message says when to come back.",
        "Come back then, or have the tenant's jobs wait (novix tenant set --over-limit wait)."),
    _K.LICENCE_REFUSED: _failure("", "producer",
        "The model's licence is none that the tenant may use, or is not known.",
        "Name another model, or add the licence to the tenant's record or the registry's rules."),
    _K.RESIDENCY_REFUSED: _failure("", "producer",
        "Nobody may do the job where the tenant's data may be.",
        "Allow a region in the tenant's record, or add an offer within it."),
    _K.NOT_APPROVED: _failure("", "producer",
        "The model, or the kind of endpoint, is not approved for the tenant.",
        "Name an approved model, or have this one approved (novix tenant set, novix registry admit)."),
    _K.TOO_SLOW: _failure("", "producer",
        "The job would probably not end before its deadline.",
        "Give it more time, or allow a faster model."),
    _K.DEADLINE_PASSED: _failure("", "producer",
        "The deadline passed before the work could end.",
        "Publish the job again with more time."),
    _K.CANCELLED: _failure("", "producer",
        "Somebody cancelled the job.",
        "Publish it again if it is wanted after all."),
    _K.RATE_LIMITED: _failure("rp", "account",
        "The provider refuses the rate; it was retried until attempts or deadline ran out.",
        "Wait as long as the message says, then drive the dead letter again; send fewer jobs at once."),
    _K.MODEL_LOADING: _failure("rbp", "provider",
        "The provider is still loading the model.",
        "Drive the dead letter again after the time that the message estimates."),
    _K.OVERLOADED: _failure("rbp", "provider",
        "The provider is overloaded.",
        "Drive the dead letter again later, or allow another provider."),
    _K.PROVIDER_ERROR: _failure("rbp", "provider",
        "The provider failed on its side.",
        "Drive the dead letter again later, or allow another provider; its support knows the request id."),
    _K.TIMEOUT: _failure("rbcp", "provider",
        "The provider did not answer in time; it may have done the work.",
        "Give the job more time, or ask for less."),
    _K.CONNECT_FAILED: _failure("rbp", "network",
        "No connection to the provider.",
        "See that this machine reaches the address (`novix doctor`)."),
    _K.CONNECTION_LOST: _failure("rbcp", "network",
        "The connection broke before the answer was whole.",
        "Drive the dead letter again; if it happens often, look at proxies on the way."),
    _K.STREAM_CUT: _failure("rbcp", "provider",
        "The stream ended without its end mark; its tokens have been paid.",
        "Drive the dead letter again, or ask for fewer tokens."),
    _K.BREAKER_OPEN: _failure("p", "provider",
        "The provider's breaker stayed open until the deadline.",
        "See `novix breakers`; drive the dead letter again when it is closed, or allow another provider."),
    _K.UNAUTHORIZED: _failure("p", "account",
        "The token is missing, wrong or revoked.",
        "Give a valid token (HF_TOKEN, or the provider's own key), then drive the dead letter again."),
    _K.PAYMENT_REQUIRED: _failure("p", "account",
        "The account's credits are used up.",
        "Add credits at https://huggingface.co/settings/billing (with a key of your own: at the provider)."),
    _K.FORBIDDEN: _failure("p", "account",
        "The token may not do this; a gated model wants its licence accepted.",
        "Accept the licence on the model's page, or give the token the right to call Inference Providers."),
    _K.NOT_FOUND: _failure("", "producer",
        "The provider does not serve this model.",
        "Name another provider or `auto`; the message names those that serve it, where they are known."),
    _K.GONE: _failure("", "producer",
        "The model or the address has been retired.",
        "Name another model."),
    _K.REQUEST_REFUSED: _failure("p", "producer",
        "The provider refuses the request; its message says why.",
        "Mend the field that the message names, or leave out the parameter that this provider does not know."),
    _K.EGRESS_REFUSED: _failure("", "novix",
        "The address is not one that calls may go to.",
        "Add its host to NOVIX_EGRESS_HOSTS if it is trusted."),
    _K.INVALID_OUTPUT: _failure("rbcp", "provider",
        "The provider answered with something that is no answer to this task.",
        "Allow another provider or model; the message names what is wrong with it."),
    _K.RESPONSE_TOO_LARGE: _failure("c", "provider",
        "The provider's answer is larger than the limit.",
        "Ask for less, or raise NOVIX_MAX_RESPONSE_BYTES."),
    _K.OUTPUT_TOO_LARGE: _failure("c", "producer",
        "The output does not fit into one record of the results topic.",
        "Ask for less in one job."),
    _K.STORE_FAILED: _failure("rcp", "novix",
        "The output is too large for a record, and the blob store did not take it.",
        "See that the blob store answers and has room, then drive the dead letter again."),
    _K.INTERRUPTED: _failure("rcp", "novix",
        "The process ended while the call was out; the provider may have done the work.",
        "Drive the dead letter again if the answer is still wanted."),
    _K.CRASHED: _failure("cp", "novix",
        "The process died three times while it worked on this job; it is not tried again.",
        "Report it with the dead letter: the job ends processes."),
    _K.INTERNAL: _failure("cp", "novix",
        "A fault of Novix itself; the dead letter keeps the job for replay.",
        "Report it with the message, and drive the dead letter again after an update."),
}  # fmt: skip
