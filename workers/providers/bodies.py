"""Body maps of many providers: OpenAI's forms and Hugging Face's own. Pure; payloads in them are still to be encoded.

Each follows huggingface_hub 2.4.0 (Apache-2.0) member for member. Where ours differs, and why, stands in
`tests/support/conformance_reasons.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas.assignment import Candidate
from schemas.values import frozen
from workers.exchange import Ask, Media
from workers.providers.common import refused
from workers.providers.pieces import as_uri, embedded, pruned

Document = Any
Body = Callable[[Ask, Candidate], Document]
IN_CHATS = as_uri("image/png")


_NO_OPTIONS = frozenset({"inputs", "parameters", "model"})
OURS_TO_SAY = frozenset({"prompt", "n", "best_of", "stream", "stream_options"})
"""Of a completion: more than one text would cost more than the ceiling counts."""


@frozen
class Form:
    """A body that is a form: one file and its fields."""

    file: Media
    fields: Mapping[str, Any]


def parameters_of(ask: Ask) -> dict[str, Any]:
    """The task's parameters without nulls, and without `model`: the candidate names it, and its price is known."""
    told = pruned(ask.body.get("parameters"))
    return {name: item for name, item in told.items() if name != "model"} if isinstance(told, dict) else {}


def beside(told: dict[str, Any], **own: Any) -> Document:
    """`own`, and `told` beside it. A parameter that has the name of our own member does not replace it: the input was
    looked at and priced, and another one in its place was not."""
    return {**own, **told, **own}


def options_of(ask: Ask) -> dict[str, Any]:
    """What stands beside the inputs, in the same way."""
    return pruned({name: item for name, item in ask.body.items() if name not in _NO_OPTIONS})  # type: ignore[no-any-return]


def media_of(ask: Ask) -> Media:
    """The payload that the task is about."""
    media = ask.body.get("inputs")
    if not isinstance(media, Media):
        raise refused(f"{ask.task} needs a payload at inputs")
    return media


def chat(ask: Ask, candidate: Candidate) -> Document:
    """The OpenAI form. `model` comes first: a proxy reads only the start (huggingface_hub#4618)."""
    body = pruned(dict(ask.body), IN_CHATS)
    body.pop("model", None)
    return {"model": candidate.provider_model, **body}


def together_chat(ask: Ask, candidate: Candidate) -> Document:
    """A schema stands in the response format itself."""
    document = chat(ask, candidate)
    schema = _schema_in(document)
    return document if schema is None else {**document, "response_format": {"type": "json_schema", "schema": schema}}


def schema_chat(ask: Ask, candidate: Candidate) -> Document:
    """Cohere and Fireworks: a JSON object with a schema."""
    schema = _schema_in(ask.body)
    document = chat(ask, candidate)
    return document if schema is None else {**document, "response_format": {"type": "json_object", "schema": schema}}


def tgi_chat(ask: Ask, candidate: Candidate) -> Document:
    """Text-generation-inference, which hf-inference runs: a JSON object with a value. Messages keep their nulls."""
    schema = _schema_in(ask.body)
    told = {name: item for name, item in ask.body.items() if name not in ("model", "messages")}
    document = {
        "model": candidate.provider_model,
        "messages": embedded(ask.body.get("messages"), IN_CHATS),
        **pruned(told, IN_CHATS),
    }
    return document if schema is None else {**document, "response_format": {"type": "json_object", "value": schema}}


def _schema_in(body: Mapping[str, Any]) -> Any:
    told = body.get("response_format")
    if not isinstance(told, dict) or told.get("type") != "json_schema" or not isinstance(told.get("json_schema"), dict):
        return None
    return told["json_schema"].get("schema")


def completions(*, nulls: bool = False) -> Body:
    """OpenAI's completions. `max_new_tokens` is `max_tokens` there, or the ceiling would be lost; no sampling
    is a temperature of 0. With `nulls`, a limit that nobody set is sent as null, as the official client does."""

    def body(ask: Ask, candidate: Candidate) -> Document:
        told = {name: item for name, item in parameters_of(ask).items() if name not in OURS_TO_SAY}
        limit = told.pop("max_new_tokens", None)
        if told.get("do_sample") is False:
            del told["do_sample"]
            told.setdefault("temperature", 0)
        if limit is not None or nulls:
            told["max_tokens"] = limit
        document = {"model": candidate.provider_model, "prompt": ask.body["inputs"], **told}
        return {**document, "stream": True, "stream_options": {"include_usage": True}} if ask.stream else document

    return body


OF_TGI_ALONE = frozenset(
    {
        "adapter_id", "best_of", "decoder_input_details", "details", "grammar", "return_full_text", "top_n_tokens",
        "truncate", "typical_p", "watermark",
    }
)  # fmt: skip
"""What an OpenAI-compatible server has no word for."""


def plain_completions(ask: Ask, candidate: Candidate) -> Document:
    """OpenAI's completions for a server that we know nothing of: without what only TGI knows."""
    document = completions()(ask, candidate)
    return {name: item for name, item in document.items() if name not in OF_TGI_ALONE}


def embeddings(ask: Ask, candidate: Candidate) -> Document:
    """OpenAI's embeddings; the task's options, which stand at its root, go along."""
    return beside(options_of(ask), model=candidate.provider_model, input=ask.body["inputs"])


def plain_embeddings(ask: Ask, candidate: Candidate) -> Document:
    """The same for a server that we know nothing of: the options are text-embeddings-inference's words."""
    told = {name: item for name, item in ask.body.items() if name == "dimensions" and item is not None}
    return {"model": candidate.provider_model, "input": ask.body["inputs"], **told}


def speech(ask: Ask, candidate: Candidate) -> Document:
    """OpenAI's speech."""
    return beside(parameters_of(ask), model=candidate.provider_model, input=ask.body["inputs"])


def transcription(ask: Ask, candidate: Candidate) -> Form:
    """OpenAI's transcription: a form."""
    return _form(ask, candidate, parameters_of(ask))


def timed_transcription(ask: Ask, candidate: Candidate) -> Form:
    """The same where timestamps are asked for in OpenAI's words."""
    told = parameters_of(ask)
    if told.pop("return_timestamps", False):
        told.setdefault("response_format", "verbose_json")
    told.pop("generation_parameters", None)
    return _form(ask, candidate, told)


def _form(ask: Ask, candidate: Candidate, told: dict[str, Any]) -> Form:
    told.pop("file", None)
    return Form(media_of(ask), {**told, "model": candidate.provider_model})


def pipeline(ask: Ask, candidate: Candidate) -> Document:
    """hf-inference and Hugging Face's own containers: `{"inputs", "parameters"}`.

    A payload alone is the body itself, with its content type; with parameters it is base64 inside JSON. Empty
    parameters are sent, as the official client does.
    """
    told = parameters_of(ask)
    inputs = ask.body.get("inputs")
    if isinstance(inputs, Media) and not told:
        return inputs
    document: dict[str, Any] = {"parameters": told}
    if inputs is not None:
        document = {"inputs": pruned(inputs), **document}
    return {**document, "stream": True} if ask.stream else document


def feature_pipeline(ask: Ask, candidate: Candidate) -> Document:
    """Embeddings: their options stand at the root."""
    return beside(options_of(ask), inputs=ask.body["inputs"])


def table_pipeline(ask: Ask, candidate: Candidate) -> Document:
    """Questions about tables: `query` on the wire, `question` in the published schema."""
    document = pipeline(ask, candidate)
    inputs = document.get("inputs")
    if isinstance(inputs, dict) and "question" in inputs:
        rest = {name: item for name, item in inputs.items() if name not in ("question", "query")}
        document["inputs"] = {"query": inputs["question"], **rest}
    return document
