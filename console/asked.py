"""What a job would ask of a provider, worked out and not sent: `novix request`. Pure.

The form of a request is that of the recorded ones: `{"method", "url", "headers", "json", "data"}`; a body that is no
JSON stands in `data` as `{"$bytes_b64"}`. The token is `<KEY>`, a form's boundary `<BOUNDARY>`.
"""

import base64
import binascii
import shlex
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from schemas import codec, media, providers
from schemas.assignment import Candidate, Price
from schemas.failure import FailureKind
from schemas.job import InferenceJob
from schemas.tasks import MODALITIES, input_fault
from schemas.values import frozen
from workers.errors import ProviderError
from workers.exchange import Ask, Call, Media
from workers.mapping import as_called, is_needed
from workers.media import MediaFault, probed
from workers.modalities import TASKS
from workers.providers import PROVIDERS, Dialect
from workers.providers.common import call_headers
from workers.providers.ways import direct

KEY, BOUNDARY = "<KEY>", "<BOUNDARY>"
PLACEHOLDER = "<payload at {uri}>"
UNPRICED = Price(source="novix request", as_of="1970-01-01")


@frozen
class Whom:
    """Who is asked. `provider` None: the router chooses."""

    provider: str | None = None
    provider_model: str | None = None
    model: str | None = None
    base_url: str | None = None
    adapter_weights_path: str = ""
    own_key: bool = False
    """With a key of one's own at the provider: not through Hugging Face's router."""


@frozen
class Prepared:
    """A request, and whose it is."""

    candidate: Candidate
    call: Call
    authorization: str
    notes: tuple[str, ...] = ()
    placeholders: Mapping[bytes, str] = field(default_factory=dict)
    """Bytes that stand for a payload which only a call would fetch, and how it is told."""


def named(whom: Whom, job: InferenceJob, router_url: str) -> Candidate:
    """The candidate that somebody named. Raises `ProviderError` (unknown_provider) with the list of all."""
    provider = whom.provider or job.provider
    dialect = providers.ROUTER_DIALECT if provider == "auto" else provider
    if dialect not in PROVIDERS:
        known = ", ".join(sorted(PROVIDERS))
        message = f"provider {provider[:64]!r} is unknown; known are: {known}"
        raise ProviderError(FailureKind.UNKNOWN_PROVIDER, message, nothing_sent=True)
    model = whom.model or job.model
    address = model if dialect in providers.OWN_DIALECTS and model.startswith("http") else router_url
    candidate = Candidate.model_validate(
        {
            "model": model,
            "provider": provider,
            "provider_model": whom.provider_model or "",
            "adapter_weights_path": whom.adapter_weights_path,
            "dialect": dialect,
            "base_url": whom.base_url or address,
            "price": UNPRICED,
            "max_in_flight": 1,
            "estimate_nanousd": 0,
            "ceiling_nanousd": 0,
        }
    )
    return as_called(candidate)


def prepared(
    job: InferenceJob, candidate: Candidate, parameters: Mapping[str, Any], *, bill_to: str = "", own_key: bool = False
) -> Prepared:
    """The request for `job` at `candidate`. Raises `ProviderError` for what would be refused before the call."""
    if job.task not in MODALITIES or job.task not in TASKS:
        raise ProviderError(FailureKind.UNKNOWN_TASK, f"task {job.task!r} is none of Hugging Face's", nothing_sent=True)
    fault = input_fault(job.task, job.input)
    if fault is not None:
        raise ProviderError(FailureKind.INVALID_INPUT, f"input.{fault}", nothing_sent=True)
    dialect: Dialect = PROVIDERS[candidate.dialect]
    task = TASKS[job.task]
    if job.task not in dialect.tasks:
        message = f"{candidate.provider} does not do {job.task}"
        raise ProviderError(FailureKind.NOT_FOUND, message, nothing_sent=True)
    notes: list[str] = []
    if is_needed(candidate):
        notes.append(f"Hugging Face's mapping tells {candidate.provider}'s name for the model when the call is made")
        candidate = candidate.model_copy(update={"provider_model": candidate.model})
    placeholders: dict[bytes, str] = {}
    task_input: Any = media.replaced(
        media.INPUTS.get(job.task, ()),
        job.input,
        lambda place, value: _media(job.task, place, value, notes, placeholders),
    )
    if job.stream and task.streams:
        task_input = {**task_input, "stream": True}
    authorization = f"Bearer {KEY}"
    if own_key:
        way = direct(candidate, job.task)
        dialect, candidate, authorization = way.dialect, way.candidate, way.authorization(KEY)
    ask: Ask = task.ask(task_input, parameters, candidate)
    call = dialect.request(ask, candidate, call_headers(job.tenant, job.id, bill_to))
    return Prepared(candidate, call, authorization, tuple(notes), placeholders)


def _media(task: str, place: media.Place, value: Any, notes: list[str], placeholders: dict[bytes, str]) -> Any:
    """The payload at a place as the task is given it; what only a call would fetch is told by its address."""
    told = value.get(media.REF) if media.is_ref(value) else None
    uri = told.get("uri") if isinstance(told, dict) else value
    if not isinstance(uri, str):
        raise ProviderError(
            FailureKind.INVALID_MEDIA, f"the {place.kind} is no text and no reference", nothing_sent=True
        )
    if uri.startswith(("https://", "http://", media.BLOB_SCHEME)):
        if task == "chat-completion" and told is None:
            return uri  # the provider fetches it
        stand_in = PLACEHOLDER.format(uri=uri).encode()
        placeholders[stand_in] = stand_in.decode()
        return Media(place.kind, stand_in, told.get("media_type", "") if isinstance(told, dict) else "")
    try:
        data = base64.b64decode(uri.partition(",")[2] if uri.startswith(media.DATA_SCHEME) else uri, validate=True)
    except (binascii.Error, ValueError):
        message = f"the {place.kind} of {len(uri)} characters is no base64"
        raise ProviderError(FailureKind.INVALID_MEDIA, message, nothing_sent=True) from None
    try:
        return probed(data, place.kind)
    except MediaFault as fault:
        notes.append(f"a worker would refuse this job: {fault}")
        return Media(place.kind, data, "")


def shown(one: Prepared) -> dict[str, Any]:
    """A request as one line tells it."""
    headers = dict(one.call.headers)
    headers["authorization"] = one.authorization
    body = b"".join(one.call.body) if isinstance(one.call.body, tuple) else one.call.body
    content_type, boundary, value = headers.get("content-type", "").partition("boundary=")
    if boundary:
        headers["content-type"] = f"{content_type}{boundary}{BOUNDARY}"
        body = body.replace(value.encode(), BOUNDARY.encode())
    document: Any = None
    data: Any = None
    if body in one.placeholders:
        data = {"$placeholder": one.placeholders[body]}
    elif body and content_type.startswith("application/json"):
        document = codec.decode(_told(body, one.placeholders))
    elif body:
        data = {"$bytes_b64": base64.b64encode(body).decode()}
    line = {
        "provider": one.candidate.provider,
        "model": one.candidate.provider_model,
        "method": one.call.method,
        "url": one.call.url,
        "headers": headers,
        "json": document,
        "data": data,
    }
    return {**line, "notes": list(one.notes)} if one.notes else line


def _told(body: bytes, placeholders: Mapping[bytes, str]) -> bytes:
    """`body` with the address where the base64 of a payload would stand that only a call fetches."""
    for stand_in, told in placeholders.items():
        body = body.replace(base64.b64encode(stand_in), codec.encode(told)[1:-1])
    return body


def as_curl(line: Mapping[str, Any]) -> str:
    """A shown request as a command line. Bytes come from standard input: `--data-binary @-`."""
    words = ["curl", "-sS", "-X", str(line["method"]), str(line["url"])]
    for name, text in line["headers"].items():
        words += ["-H", f"{name}: {text}"]
    if line["json"] is not None:
        words += ["--data-binary", codec.encode(line["json"]).decode()]
    elif line["data"] is not None:
        words += ["--data-binary", "@-"]
    return shlex.join(words)


def refusal(error: ProviderError) -> dict[str, Any]:
    """The line of a job that causes no request."""
    return {"error": {"kind": str(error.kind), "message": error.message}}
