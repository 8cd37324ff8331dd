"""Hugging Face's own doors, and servers of one's own: what stands behind no provider's name."""

from dataclasses import replace

from schemas.assignment import Candidate
from schemas.media import OUTPUTS
from schemas.providers import PROVIDERS
from schemas.tasks import MODALITIES
from workers.exchange import Ask, Call, Got, Next, Reply
from workers.providers import answers, bodies, makers
from workers.providers.common import Headers
from workers.providers.dialect import Address, Route, Spoken, below_v1, path, whole
from workers.providers.later import Site
from workers.providers.pieces import pruned

PIPELINES = frozenset({"feature-extraction", "sentence-similarity"})
"""Tasks whose route names them: their models serve both, and the path alone would mean the model's own default."""
WANT_PNG = frozenset({"text-to-image", "image-to-image"})
"""Tasks for which the official client says that it wants a PNG. It gets what there is."""
HOSTED = PROVIDERS["hf-inference"] - {"chat-completion"}
"""What hf-inference does besides chat: the tasks of huggingface_hub 2.4.0 whose schemas are published, and
text-to-audio, which is text-to-speech by another name."""
_BODIES = {"feature-extraction": bodies.feature_pipeline, "table-question-answering": bodies.table_pipeline}
UNNAMED = "dummy"
"""What the official client calls the model of an endpoint: it has one."""


def _pipeline(task: str, address: Address) -> Route:
    """A task in Hugging Face's own form. Where a single payload is the answer, it comes as bytes or inside JSON."""
    places = OUTPUTS.get(task, ())
    is_payload = any(len(place.path) == 1 for place in places)
    accept = "image/png" if task in WANT_PNG else "*/*" if is_payload else "application/json"
    read = answers.whole_body if is_payload else answers.document
    return Route(address, _BODIES.get(task, bodies.pipeline), read, accept=accept)


def _suffixed_chat(ask: Ask, candidate: Candidate) -> bodies.Document:
    """Without a suffix Hugging Face chooses the provider; so it is left out for `auto` alone."""
    model = candidate.provider_model
    if candidate.provider != "auto" and ":" not in model:
        model = f"{model}:{candidate.provider}"
    return {**bodies.chat(ask, candidate), "model": model}


def _endpoint_chat(ask: Ask, candidate: Candidate) -> bodies.Document:
    """An endpoint has one model; it is named where the catalogue names it (several adapters, a server that insists)."""
    named = candidate.provider_model
    unnamed = not named or named.startswith(("http://", "https://"))
    return {**bodies.tgi_chat(ask, candidate), "model": UNNAMED if unnamed else named}


def _own_chat(ask: Ask, candidate: Candidate) -> bodies.Document:
    return {**bodies.tgi_chat(ask, candidate), "model": candidate.provider_model or "tgi"}


def _generate(ask: Ask, candidate: Candidate) -> bodies.Document:
    """`/generate` and `/generate_stream` say by their path whether they stream."""
    document = bodies.pipeline(ask, candidate)
    return {name: item for name, item in document.items() if name != "stream"}


def _tei(*, nested: bool = False) -> bodies.Body:
    """Text-embeddings-inference: options at the root, for similarity in `parameters`."""

    def body(ask: Ask, candidate: Candidate) -> bodies.Document:
        parameters = bodies.parameters_of(ask)
        more = {"parameters": parameters} if nested and parameters else {}
        return {"inputs": pruned(ask.body["inputs"]), **bodies.options_of(ask), **more}

    return body


def _predict(ask: Ask, candidate: Candidate) -> bodies.Document:
    raw = bodies.parameters_of(ask).get("function_to_apply") == "none"
    return {"inputs": ask.body["inputs"], **({"raw_scores": True} if raw else {})}


def _predicted(ask: Ask, site: Site, got: Got) -> Reply:
    """Every label, best first: as many as were asked for."""
    reply = answers.document(ask, site, got)
    most = bodies.parameters_of(ask).get("top_k")
    if isinstance(reply.document, list) and type(most) is int and most > 0:
        return Reply(reply.document[:most], reply.usage)
    return reply


class Generate:
    """Text-generation-inference of one's own: its path for a stream is another one."""

    def __init__(self, spoken: Spoken) -> None:
        self._spoken = spoken

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that it can carry."""
        return self._spoken.tasks

    def request(self, ask: Ask, candidate: Candidate, headers: Headers) -> Call:
        """As `Dialect.request` promises it."""
        call = self._spoken.request(ask, candidate, headers)
        return replace(call, url=f"{call.url}_stream") if ask.stream and ask.task == "text-generation" else call

    def read(self, ask: Ask, candidate: Candidate, got: Got) -> Reply | Next:
        """As `Dialect.read` promises it."""
        return self._spoken.read(ask, candidate, got)


HF_ROUTER = Spoken(
    "hf-router", {"chat-completion": Route(path("/v1/chat/completions"), _suffixed_chat, answers.document)}
)
"""The router's OpenAI door: chat alone, one address, the provider as a suffix of the model."""

HF_INFERENCE = Spoken(
    "hf-inference",
    {
        "chat-completion": Route(path("/models/{model}/v1/chat/completions"), bodies.tgi_chat, answers.document),
        **{
            task: _pipeline(
                task, path(f"/models/{{model}}/pipeline/{task}" if task in PIPELINES else "/models/{model}")
            )
            for task in sorted(HOSTED)
        },
    },
    prefix="/hf-inference",
)
"""Hugging Face's own provider."""

ENDPOINT = Spoken(
    "endpoint",
    {
        **{task: _pipeline(task, whole) for task in sorted(MODALITIES)},
        "chat-completion": Route(below_v1("chat/completions"), _endpoint_chat, answers.document),
    },
    names_model=False,
    sleeps=True,
)
"""A dedicated Inference Endpoint: its base address is the address, every task in Hugging Face's own form."""

OPENAI_COMPATIBLE = Spoken(
    "openai-compatible",
    {
        "chat-completion": Route(below_v1("chat/completions"), bodies.chat, answers.document),
        "text-generation": Route(below_v1("completions"), bodies.plain_completions, answers.completion),
        "feature-extraction": Route(below_v1("embeddings"), bodies.plain_embeddings, answers.vectors),
        "text-to-speech": Route(below_v1("audio/speech"), bodies.speech, answers.whole_body, accept="*/*"),
        "automatic-speech-recognition": Route(
            below_v1("audio/transcriptions"), bodies.timed_transcription, answers.transcript
        ),
        "text-to-image": Route(below_v1("images/generations"), makers.openai_image, answers.image),
    },
)
"""Any server that speaks OpenAI's forms (vLLM, SGLang, llama.cpp, Ollama, gateways): any base address, with or without
`/v1`."""

TGI = Generate(
    Spoken(
        "tgi",
        {
            "chat-completion": Route(path("/v1/chat/completions"), _own_chat, answers.document),
            "text-generation": Route(path("/generate"), _generate, answers.document),
        },
        names_model=False,
    )
)
"""Text-generation-inference of one's own."""

TEI = Spoken(
    "tei",
    {
        "feature-extraction": Route(path("/embed"), _tei(), answers.document),
        "sentence-similarity": Route(path("/similarity"), _tei(nested=True), answers.document),
        "text-classification": Route(path("/predict"), _predict, _predicted),
    },
    names_model=False,
)
"""Text-embeddings-inference of one's own."""

DOORS: dict[str, Spoken | Generate] = {
    "hf-router": HF_ROUTER,
    "hf-inference": HF_INFERENCE,
    "openai-compatible": OPENAI_COMPATIBLE,
    "tgi": TGI,
    "tei": TEI,
    "endpoint": ENDPOINT,
}
