"""The table: every provider behind the router, every task, its path, its body, its answer. Providers come and go here.

Paths, hosts and members are those of huggingface_hub 2.4.0 (Apache-2.0), which `tests/contracts/test_oracle.py` holds
against them.
"""

from collections.abc import Mapping
from dataclasses import replace

from workers.providers import answers, bodies, makers, queues
from workers.providers.common import Headers
from workers.providers.dialect import BEARER, KEY, Route, Spoken, host_of, path, predictions
from workers.providers.later import Reader

_WAIT = (("prefer", "wait"),)
_FAL_QUEUE_HOST = "https://queue.fal.run"
_ZAI = (("accept-language", "en-US,en"), ("x-source-channel", "hugging_face"))


def _chat(template: str = "/v1/chat/completions", body: bodies.Body = bodies.chat) -> dict[str, Route]:
    return {"chat-completion": Route(path(template), body, answers.document)}


def _text(template: str, body: bodies.Body) -> dict[str, Route]:
    return {"text-generation": Route(path(template), body, answers.completion)}


def _fal(body: bodies.Body, *place: str | int) -> Route:
    return Route(path("/{model}"), body, answers.at_once(queues.address_at(*place)))


def _fal_queue(body: bodies.Body, read: Reader) -> Route:
    return Route(path("/{model}"), body, read, _FAL_QUEUE_HOST, "?_subdomain=queue")


def _replicate(body: bodies.Body, read: Reader) -> Route:
    return Route(predictions, makers.replicate_input(body), read, headers=_WAIT)


def _wavespeed(body: bodies.Body) -> Route:
    return Route(path("/api/v3/{model}"), body, queues.wavespeed)


def _together(template: str, body: bodies.Body, read: Reader, accept: str = "application/json") -> Route:
    return Route(path(template), body, read, accept=accept)


def _provider(
    name: str,
    host: str,
    routes: Mapping[str, Route],
    *,
    scheme: str = BEARER,
    headers: Headers = (),
    routed: bool = True,
) -> Spoken:
    hosts = frozenset({host_of(host), *(host_of(route.host) for route in routes.values() if route.host)})
    return Spoken(name, routes, host, f"/{name}", headers, scheme, routed, hosts=hosts)


_IMAGE = queues.replicate(queues.replicate_output)
_REPLICATE = {
    "text-to-image": _replicate(makers.replicate_image, _IMAGE),
    "image-to-image": _replicate(makers.replicate_edit, _IMAGE),
    "text-to-video": _replicate(makers.prompt(), _IMAGE),
    "text-to-speech": _replicate(makers.prompt("text"), _IMAGE),
    "automatic-speech-recognition": replace(
        _replicate(makers.replicate_speech, queues.replicate(queues.replicate_text)), of_bytes=queues.transcript_of
    ),
}
_FAL = {
    "text-to-image": _fal(makers.fal_image, "images", 0, "url"),
    "text-to-speech": _fal(makers.prompt("text"), "audio", "url"),
    "automatic-speech-recognition": Route(path("/{model}"), makers.fal_transcription, answers.text),
    "text-to-video": _fal_queue(makers.fal_video, queues.fal_queue(queues.address_at("video", "url"))),
    "image-to-video": _fal_queue(makers.fal_animation, queues.fal_queue(queues.address_at("video", "url"))),
    "image-to-image": _fal_queue(makers.fal_edit, queues.fal_queue(queues.address_at("images", 0, "url"))),
    "image-segmentation": replace(
        _fal_queue(makers.fal_segmentation, queues.fal_queue(queues.address_at("image", "url"))),
        of_bytes=queues.mask_of,
    ),
}
_TOGETHER = {
    **_chat(body=bodies.together_chat),
    **_text("/v1/completions", bodies.completions()),
    "text-to-image": _together("/v1/images/generations", makers.together_image, answers.image),
    "image-to-image": _together("/v1/images/generations", makers.together_edit, answers.image),
    "feature-extraction": _together("/v1/embeddings", bodies.embeddings, answers.vectors),
    "text-to-speech": _together("/v1/audio/speech", bodies.speech, answers.whole_body, "*/*"),
    "text-to-video": _together("/v2/videos", makers.together_video, queues.together_video),
    "image-to-video": _together("/v2/videos", makers.together_animation, queues.together_video),
}
_DEEPINFRA = {
    **_chat("/v1/openai/chat/completions"),
    **_text("/v1/openai/completions", bodies.completions(nulls=True)),
    "feature-extraction": Route(path("/v1/openai/embeddings"), bodies.embeddings, answers.vectors),
    "text-to-speech": Route(path("/v1/openai/audio/speech"), bodies.speech, answers.whole_body, accept="*/*"),
    "automatic-speech-recognition": Route(
        path("/v1/openai/audio/transcriptions"), bodies.transcription, answers.transcript
    ),
}

ROUTED: tuple[Spoken, ...] = (
    _provider("baseten", "https://inference.baseten.co", _chat()),
    _provider("cerebras", "https://api.cerebras.ai", _chat()),
    _provider("cohere", "https://api.cohere.com", _chat("/compatibility/v1/chat/completions", bodies.schema_chat)),
    _provider("deepinfra", "https://api.deepinfra.com", _DEEPINFRA),
    _provider("fal-ai", "https://fal.run", _FAL, scheme=KEY),
    _provider(
        "featherless-ai",
        "https://api.featherless.ai",
        {**_chat(), **_text("/v1/completions", bodies.completions(nulls=True))},
    ),
    _provider("fireworks-ai", "https://api.fireworks.ai", _chat("/inference/v1/chat/completions", bodies.schema_chat)),
    _provider("groq", "https://api.groq.com", _chat("/openai/v1/chat/completions")),
    _provider(
        "novita",
        "https://api.novita.ai",
        {
            **_chat("/v3/openai/chat/completions"),
            **_text("/v3/openai/completions", bodies.completions()),
            "text-to-video": Route(
                path("/v3/hf/{model}"), makers.prompt(), answers.at_once(queues.address_at("video", "video_url"))
            ),
        },
    ),
    _provider(
        "nscale",
        "https://inference.api.nscale.com",
        {**_chat(), "text-to-image": Route(path("/v1/images/generations"), makers.nscale_image, answers.image)},
    ),
    _provider("openai", "https://api.openai.com", _chat(), routed=False),
    _provider("ovhcloud", "https://oai.endpoints.kepler.ai.cloud.ovh.net", _chat()),
    _provider("publicai", "https://api.publicai.co", _chat()),
    _provider("replicate", "https://api.replicate.com", _REPLICATE),
    _provider(
        "scaleway",
        "https://api.scaleway.ai",
        {**_chat(), "feature-extraction": Route(path("/v1/embeddings"), bodies.embeddings, answers.vectors)},
    ),
    _provider("together", "https://api.together.xyz", _TOGETHER),
    _provider(
        "wavespeed",
        "https://api.wavespeed.ai",
        {
            "text-to-image": _wavespeed(makers.prompt()),
            "text-to-video": _wavespeed(makers.prompt()),
            "image-to-image": _wavespeed(makers.wavespeed_edit),
            "image-to-video": _wavespeed(makers.wavespeed_edit),
        },
    ),
    _provider(
        "zai-org",
        "https://api.z.ai",
        {
            **_chat("/api/paas/v4/chat/completions"),
            "text-to-image": Route(path("/api/paas/v4/async/images/generations"), makers.zai_image, queues.zai_image),
        },
        headers=_ZAI,
    ),
)
"""Providers that stand behind Hugging Face's router under their own names, and those that need a key of one's own."""
