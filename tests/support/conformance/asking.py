"""From a job to the request that it causes at a replay server, and which recordings nobody could cause today. Pure."""

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from conformance_reasons import Sent

from conformance import standins
from conformance.inverse import OLD_FORM, Job
from conformance.records import Record
from conformance.routes import Route
from conformance.verdict import Verdict
from schemas.assignment import Candidate, Price
from schemas.media import INPUTS, replaced
from schemas.tasks import MODALITIES
from workers.exchange import Ask, Call
from workers.media import MediaFault, probed
from workers.modalities import TASKS
from workers.providers import PROVIDERS, Dialect
from workers.providers.common import call_headers
from workers.providers.dialect import Spoken

OWN_FORM = "openai-compatible"
"""The dialect of a dropped provider's chat: its answers still teach."""
NOBODY = Price(nanousd_per_call=1, source="conformance", as_of="2026-11-22")
DOORS = {"auto": "hf-router"}
CHAT = "/chat/completions"


def dialect_of(record: Record) -> str:
    """Who speaks to a record's provider; for those that were dropped, the OpenAI form."""
    name = DOORS.get(record.provider, record.provider)
    return name if name in PROVIDERS else OWN_FORM


def unfit(record: Record) -> str | None:
    """Why a record cannot be replayed at all."""
    return next(_unfit(record), None)


def _unfit(record: Record) -> Iterator[str]:
    name = dialect_of(record)
    if record.task is None:
        yield "no task: an address without a door"
    elif record.task not in MODALITIES or record.task not in TASKS:
        yield f"dead task: {record.task}"
    elif record.method != "POST":
        yield "a look at work under way; it is answered within the call that began it"
    elif name == OWN_FORM and record.task != "chat-completion":
        yield "dropped provider, in a form of its own"
    elif record.task not in PROVIDERS[name].tasks:
        yield "the provider does not do this task today"
    elif record.task == "chat-completion" and not urlsplit(record.url).path.endswith(CHAT):
        yield "another door of the provider's, in a form of its own"


def dead_answer(record: Record, verdict: Verdict) -> str:
    """Why nobody can be asked any more what a recorded answer answers; empty: one can."""
    asked = record.request.document
    if verdict.request != "skipped" or not isinstance(asked, dict):
        return ""
    if isinstance(asked.get("inputs"), list) and len(asked["inputs"]) > 1 and record.task != "feature-extraction":
        return "an answer to several inputs in one call, which the published schema does not have"
    if verdict.request_why == OLD_FORM and standins.as_json(record.response.data or b"") is None:
        return "an answer in a form of the dead serverless API"
    return ""


def spoken(name: str) -> Dialect:
    """The dialect of that name; at its own host where the router does not reach it."""
    dialect = PROVIDERS[name]
    return dialect.direct() if isinstance(dialect, Spoken) and not dialect.routed else dialect


def built(job: Job, base: str, name: str) -> tuple[Ask, Call, Candidate]:
    """The request that a job causes. Raises `ProviderError`, `MediaFault`."""
    own = isinstance(PROVIDERS[name], Spoken) and not PROVIDERS[name].routed
    whom = candidate(f"{base}/{name}" if own else base, job.provider, job.model, name)
    ask = TASKS[job.task].ask(with_media(job.task, job.input), {}, whom)
    return ask, spoken(name).request(ask, whom, call_headers("conformance", "job", "")), whom


def sent(call: Call, base: str) -> Sent:
    """Our request as it is compared."""
    body = b"".join(call.body) if isinstance(call.body, tuple) else call.body
    found = standins.as_json(body)
    return Sent(call.method, call.url.removeprefix(base), bytes(body) if found is None else found)


def sent_of(record: Record, route: Route) -> Sent:
    """The recorded request as it is compared."""
    document = record.request.document
    return Sent(record.method, route.path, record.request.data if document is None else document)


def candidate(base_url: str, provider: str, model: str, dialect: str) -> Candidate:
    """Whom a replayed call goes to."""
    return Candidate(
        model="org/model", provider=provider, provider_model=model, dialect=dialect, base_url=base_url, price=NOBODY,
        max_in_flight=1, estimate_nanousd=1, ceiling_nanousd=1,
    )  # fmt: skip


def with_media(task: str, job_input: dict[str, Any]) -> dict[str, Any]:
    """`job_input` as a task is given it: the payloads decoded and looked at. Raises `MediaFault`."""

    def looked_at(place: Any, value: Any) -> Any:
        if not isinstance(value, str) or value.startswith("http"):
            return value
        text = value.partition(",")[2] if value.startswith("data:") else value
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            raise MediaFault("the recorder cut the payload") from None
        return probed(data, place.kind)

    changed: dict[str, Any] = replaced(INPUTS.get(task, ()), job_input, looked_at)
    return changed
